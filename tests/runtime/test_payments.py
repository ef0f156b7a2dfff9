"""Payments: once for each id, durable when they say so, with a router and without one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from router.runtime.ledger_process import run_ledger
from router.runtime.payments import Payment, give_funds
from router.store import boot
from router.store.boot import WriterLock
from router.store.errors import StoreError
from router.store.funds import OPENING, Funds, opening_id
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive
from router.store.state import prepare_state

NOW_MS = 1_700_000_000_000
TOPUP = Funds("0001", "acme", 50, "topup", "wire", "root", NOW_MS)
FIRST = Funds(opening_id("acme"), "acme", 7, OPENING)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def balances(state: Path) -> tuple[int, int]:
    """The ledger's and the live balance of acme."""
    ledger = LmdbLedger(state / "ledger.lmdb", readonly=True)
    live = LmdbLive(state / "live.lmdb", readonly=True)
    found = ledger.balance("acme"), live.money("acme").balance
    ledger.close()
    live.close()
    return found


def test_where_no_router_ever_ran_a_payment_makes_the_state_folder(state: Path) -> None:
    payment = give_funds(state, TOPUP)
    assert payment.row is not None
    assert (payment.row.balance, payment.balance) == (50, 50)
    assert balances(state) == (50, 50)


def test_the_opening_comes_first_and_once(state: Path) -> None:
    assert give_funds(state, TOPUP, FIRST).balance == 57
    assert give_funds(state, Funds("0002", "acme", 1), FIRST).balance == 58
    ledger = LmdbLedger(state / "ledger.lmdb", readonly=True)
    assert [row.kind for row in ledger.rows("acme")] == ["topup", "topup", "opening"]
    ledger.close()


def test_one_id_is_given_once_also_after_a_restart_of_the_machine(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot_id = tmp_path / "boot_id"
    monkeypatch.setattr(boot, "BOOT_ID_PATH", boot_id)
    for name in ("boot-1\n", "boot-1\n", "boot-2\n"):
        boot_id.write_text(name)
        assert give_funds(state, TOPUP).balance == 50
        assert balances(state) == (50, 50)


def test_a_payment_waits_for_the_ledger_process(state: Path) -> None:
    """The ledger's lock changes hands while the payment waits: whoever has it makes it durable."""
    prepare_state(state)
    lock = WriterLock(state / "ledger.lock")
    released = threading.Timer(0.3, lock.release)
    released.start()
    payment = give_funds(state, TOPUP)
    released.join()
    assert payment.row is not None
    assert balances(state) == (50, 50)
    lock = WriterLock(state / "ledger.lock")
    assert give_funds(state, TOPUP) == payment
    lock.release()


def test_a_payment_that_was_not_stored_in_time_counts_and_is_stored_later(state: Path) -> None:
    prepare_state(state)
    lock = WriterLock(state / "ledger.lock")
    for _ in range(2):
        assert give_funds(state, TOPUP, wait_s=0.1) == Payment(None, 50)
    lock.release()

    class AtOnce:
        def is_set(self) -> bool:
            return True

        def wait(self, timeout: float) -> None: ...

    run_ledger(state, log=lambda *said, **fields: None, stop=AtOnce())
    assert balances(state) == (50, 50)


def test_while_a_ledger_is_written_without_live_state_nothing_is_given(state: Path) -> None:
    state.mkdir()
    lock = WriterLock(state / "ledger.lock")
    with pytest.raises(StoreError, match="has no live state of this boot"):
        give_funds(state, TOPUP)
    lock.release()


def test_live_state_that_knows_no_balances_is_not_paid_into(state: Path) -> None:
    prepare_state(state)
    for path in (state / "live.lmdb").iterdir():
        path.unlink()
    LmdbLive(state / "live.lmdb").close()
    lock = WriterLock(state / "ledger.lock")
    with pytest.raises(StoreError, match="does not know the balances yet"):
        give_funds(state, TOPUP)
    lock.release()
    assert give_funds(state, TOPUP).balance == 50


