"""From live state into the ledger: every account's money, whoever is killed between which steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from money_suite import ACME, admit, finish
from store_samples import NOW_MS, call_id, sample_cdr

from router.store import boot
from router.store.databases import MONEY
from router.store.draining import Draining, open_accounts
from router.store.errors import StoreError
from router.store.funds import OPENING, Funds, opening_id
from router.store.ledger import LmdbLedger
from router.store.ledger_check import check_live
from router.store.live import LmdbLive
from router.store.money import Money
from router.store.ops import Candidate, Finish, Opened
from router.store.records import Cdr, Charge
from router.store.state import Prepared, prepare_state


def openings(**amounts: int) -> list[Funds]:
    """The openings of accounts, as routes.cfg makes them."""
    return [
        Funds(opening_id(account), account, amount, OPENING)
        for account, amount in amounts.items()
    ]


OPENINGS = openings(acme=1_000, top=50)


class Killed(BaseException):
    """Stands for a kill -9 at this very line."""


@pytest.fixture
def this_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "boot_id"
    path.write_text("boot-1\n")
    monkeypatch.setattr(boot, "BOOT_ID_PATH", path)
    return path


@pytest.fixture
def state(tmp_path: Path, this_boot: Path) -> Path:
    prepare_state(tmp_path / "state")
    return tmp_path / "state"


@contextmanager
def opened(state: Path, **options: Any) -> Iterator[tuple[LmdbLedger, LmdbLive]]:
    """Both stores, closed at the end whatever happens: LMDB opens one only once in a process."""
    ledger = LmdbLedger(state / "ledger.lmdb", **options)
    try:
        live = LmdbLive(state / "live.lmdb")
        try:
            yield ledger, live
        finally:
            live.close()
    finally:
        ledger.close()


def drain(state: Path) -> None:
    """What the ledger process does until nothing waits."""
    with opened(state) as (ledger, live):
        draining = Draining(ledger, live)
        draining.bind(NOW_MS)
        while draining.move(NOW_MS):
            pass


def books(state: Path) -> dict[str, list[int]]:
    """The amounts of each account's rows, oldest first; each balance must be the running sum."""
    found = {}
    with opened(state) as (ledger, _):
        for account, balance in ledger.balances().items():
            rows = list(ledger.rows(account))[::-1]
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
            sums = [sum(row.amount for row in rows[: n + 1]) for n in range(len(rows))]
            assert [row.balance for row in rows] == sums
            assert balance == sums[-1]
            found[account] = [row.amount for row in rows]
    return found


def monies(state: Path) -> dict[str, Money]:
    with opened(state) as (_, live):
        return live.monies()


def test_an_account_is_opened_once_and_its_balance_is_the_ledgers_from_then_on(
    state: Path, this_boot: Path
) -> None:
    for amounts in (OPENINGS, openings(acme=7_000, top=7_000)):
        with opened(state) as (_, live):
            open_accounts(live, amounts, NOW_MS)
        drain(state)
        prepare_state(state)
    this_boot.write_text("boot-2\n")
    prepare_state(state)
    with opened(state) as (_, live):
        open_accounts(live, OPENINGS + openings(new=5), NOW_MS)
    assert monies(state) == {"acme": Money(1_000, 0), "new": Money(5, 0), "top": Money(50, 0)}
    drain(state)
    assert books(state) == {"acme": [1_000], "new": [5], "top": [50]}


def test_an_opening_that_a_power_cut_took_is_made_again(state: Path, this_boot: Path) -> None:
    with opened(state) as (_, live):
        open_accounts(live, OPENINGS, NOW_MS)
    this_boot.write_text("boot-2\n")
    prepare_state(state)
    assert monies(state) == {}
    with opened(state) as (_, live):
        open_accounts(live, OPENINGS, NOW_MS)
    drain(state)
    assert books(state) == {"acme": [1_000], "top": [50]}


def test_accounts_are_not_opened_in_live_state_that_knows_no_balances(
    state: Path, tmp_path: Path
) -> None:
    live = LmdbLive(tmp_path / "other.lmdb")
    with pytest.raises(StoreError, match="made while the router ran, without the accounts' bal"):
        open_accounts(live, OPENINGS, NOW_MS)
    live.close()


def test_live_state_that_was_used_before_it_was_seeded_keeps_what_it_counted(
    tmp_path: Path, state: Path
) -> None:
    with opened(state) as (_, live):
        open_accounts(live, OPENINGS, NOW_MS)
    drain(state)
    for path in (state / "live.lmdb").iterdir():
        path.unlink()
    live = LmdbLive(state / "live.lmdb")
    live.commit([Funds("0001", "acme", 30), admit(1), finish(1, acme=10)], NOW_MS)
    live.close()
    drain(state)
    assert monies(state) == {"acme": Money(1_020, 0), "top": Money(50, 0)}
    assert sorted(books(state)["acme"]) == [-10, 30, 1_000]


def test_charges_become_rows_that_name_their_cdr(state: Path) -> None:
    with opened(state) as (_, live):
        live.commit([admit(1), finish(1, acme=40, carrier=30, top=0)], NOW_MS)
    drain(state)
    with opened(state) as (ledger, _):
        (row,) = ledger.rows("acme")
        assert (row.account, row.seq, row.amount, row.balance) == ("acme", 1, -40, -40)
        assert (row.kind, row.cdr_id, row.at_ms) == ("retail", call_id(1), sample_cdr(1).ended)
        assert ledger.balances() == {"acme": -40, "carrier": -30}
        assert list(ledger.rows("top")) == []


def test_funds_become_rows_that_say_who_and_why(state: Path) -> None:
    with opened(state) as (_, live):
        live.commit([Funds("0001", "acme", 70, "topup", "wire 17", "root", NOW_MS)], NOW_MS)
    drain(state)
    with opened(state) as (ledger, _):
        (row,) = ledger.rows("acme")
        assert (row.kind, row.note, row.who, row.at_ms) == ("topup", "wire 17", "root", NOW_MS)
        assert ledger.funded("0001") == row
        assert ledger.funded("0002") is None


def test_accounts_whose_names_begin_alike_keep_their_rows_apart(state: Path) -> None:
    with opened(state) as (_, live):
        names = ["a", "a1", "a-b", "ab", "é"]
        live.commit([Funds(f"{n}", name, n + 1) for n, name in enumerate(names)], NOW_MS)
        live.commit([Funds(f"x{n}", name, 9) for n, name in enumerate(names)], NOW_MS)
    drain(state)
    assert books(state) == {"a": [1, 9], "a1": [2, 9], "a-b": [3, 9], "ab": [4, 9], "é": [5, 9]}
    with opened(state) as (ledger, _):
        assert [row.amount for row in ledger.rows("a", limit=1)] == [9]


STEPS = [
    (LmdbLedger, "bind_live"),
    (LmdbLive, "seed"),
    (LmdbLive, "outbox"),
    (LmdbLedger, "store"),
    (LmdbLive, "outbox_delete"),
]


@pytest.mark.parametrize("late", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("at", range(9))
def test_a_kill_between_any_two_steps_loses_and_doubles_nothing(
    state: Path, this_boot: Path, monkeypatch: pytest.MonkeyPatch, at: int, late: bool
) -> None:
    """The first start of a new boot, killed before or behind step `at`, and begun again."""
    with opened(state) as (_, live):
        open_accounts(live, OPENINGS, NOW_MS)
        long = admit(9)
        long.record.cdr.charges = [Charge("acme")]
        live.commit([long, Opened(long.record)], NOW_MS)
    drain(state)
    this_boot.write_text("boot-2\n")
    steps = iter(range(100))
    with monkeypatch.context() as mortal:
        mortal.setattr("router.store.draining.BATCH_ENTRIES", 1)

        def mortal_step(whole: Callable[..., Any]) -> Callable[..., Any]:
            def step(*args: Any, **options: Any) -> Any:
                killed = next(steps) == at
                if killed and not late:
                    raise Killed
                result = whole(*args, **options)
                if killed:
                    raise Killed
                return result

            return step

        for owner, name in STEPS:
            mortal.setattr(owner, name, mortal_step(getattr(owner, name)))
        done: list[str] = []
        with pytest.raises(Killed):
            life(state, done)
    life(state, done)
    assert {account: sorted(amounts) for account, amounts in books(state).items()} == {
        "acme": [-100, -40, 60, 1_000],
        "top": [-1, 50],
    }
    assert monies(state) == {"acme": Money(920, 0), "top": Money(49, 0)}
    assert prepare_state(state) == Prepared(False, 0, [])


def life(state: Path, done: list[str]) -> None:
    """A start, a call and a payment if there were none, and what the ledger process makes of it."""

    def bill(cdr: Cdr) -> None:
        cdr.charges = [Charge("acme", 100)]

    prepare_state(state, bill=bill)
    with opened(state, bill=bill) as (ledger, live):
        open_accounts(live, OPENINGS, NOW_MS)
        if not done:
            live.commit([admit(1, tiers=((Candidate("gateway:a"),),))], NOW_MS)
            live.commit([finish(1, acme=40, top=1)], NOW_MS)
            done.append("a call")
        live.commit([Funds("0001", "acme", 60)], NOW_MS)
        draining = Draining(ledger, live)
        draining.bind(NOW_MS)
        while draining.move(NOW_MS):
            pass


def test_a_call_closed_by_a_power_cut_is_charged_what_it_is_billed(
    state: Path, this_boot: Path
) -> None:
    def bill(cdr: Cdr) -> None:
        assert cdr.end_reason == "SystemRestart"
        cdr.charges = [Charge("acme", cdr.duration_ms)]

    with opened(state) as (_, live):
        open_accounts(live, OPENINGS, NOW_MS)
        wanted = admit(1, ACME)
        live.commit([wanted, Opened(wanted.record)], NOW_MS)
    with opened(state) as (ledger, live):
        draining = Draining(ledger, live)
        draining.bind(NOW_MS)
        draining.move(NOW_MS + 2_601)
    this_boot.write_text("boot-2\n")
    assert prepare_state(state, bill=bill) == Prepared(True, 1, [])
    assert books(state)["acme"] == [1_000, -600]
    assert monies(state)["acme"] == Money(400, 0)


def test_a_cdr_that_comes_twice_is_charged_once(state: Path) -> None:
    with opened(state) as (ledger, live):
        live.commit([admit(1), finish(1, acme=40)], NOW_MS)
        entries = live.outbox(10)
        other = Finish(call_id(1), sample_cdr(1, charges=[Charge("acme", 70)]))
        live.outbox_delete([key for key, _ in entries])
        live.commit([other], NOW_MS)
        for batch in (entries, entries, live.outbox(10), [*entries, *entries]):
            ledger.store(batch)
        assert ledger.balances() == {"acme": -40}
        assert live.money("acme") == Money(-40, 0)


def test_a_start_corrects_balances_by_what_ledger_and_outbox_say(state: Path) -> None:
    with opened(state) as (ledger, live):
        open_accounts(live, OPENINGS, NOW_MS)
        ledger.store(live.outbox(10))  # and killed before they were deleted
        live.commit([admit(1, ACME), finish(1, acme=40), admit(2, ACME)], NOW_MS)
        right = live.monies()
    assert prepare_state(state) == Prepared(False, 0, [])
    with opened(state) as (_, live), live._writing() as txn:
        for account, money in (("acme", (1, 100)), ("ghost", (5, 0))):
            txn.put(account.encode(), MONEY.pack(*money), db=live._databases.money)
        txn.delete(b"top", db=live._databases.money)
    assert prepare_state(state).corrected == [
        "account acme: the balance was 1 millionths instead of 960",
        "account ghost: the balance was 5 millionths instead of 0",
        "account top: the balance was 0 millionths instead of 50",
    ]
    assert monies(state) == right | {"ghost": Money(0, 0)}
    with opened(state) as (ledger, live):
        assert check_live(ledger, live) == []


def test_a_damaged_cdr_does_not_hold_the_others_up(state: Path) -> None:
    with opened(state) as (ledger, live):
        live.commit([admit(1), finish(1, acme=40)], NOW_MS)
        damaged = (b"0123", b"\x01\xc1")
        assert ledger.store([damaged, *live.outbox(10)]) == 2
        assert ledger.balances() == {"acme": -40}


