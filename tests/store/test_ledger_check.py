"""`check_ledger` and `check_live`: what is right passes, and each thing that is wrong is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import pytest
from money_suite import ACME, admit, finish, fund
from store_samples import NOW_MS, call_id, sample_cdr

from router.store.book import BALANCE, row_key
from router.store.databases import MONEY
from router.store.draining import Draining
from router.store.funds import Funds, Row, encode_row
from router.store.ledger import LmdbLedger
from router.store.ledger_check import Checked, check_ledger, check_live
from router.store.live import LmdbLive
from router.store.ops import Finish
from router.store.records import Charge, encode_cdr
from router.store.state import prepare_state

Stores = tuple[LmdbLedger, LmdbLive]


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    prepare_state(tmp_path)
    ledger, live = LmdbLedger(tmp_path / "ledger.lmdb"), LmdbLive(tmp_path / "live.lmdb")
    yield ledger, live
    ledger.close()
    live.close()


def some_money(stores: Stores) -> None:
    """Two payments and a call of two accounts in the ledger, a call and a payment on the way."""
    ledger, live = stores
    draining = Draining(ledger, live)
    draining.bind(NOW_MS)
    fund(live, acme=1_000, carrier=500)
    live.commit([admit(1, ACME), finish(1, acme=40, carrier=30)], NOW_MS)
    live.commit([Finish("door", sample_cdr(2, id="door"))], NOW_MS)
    draining.move(NOW_MS)
    live.commit([admit(3, ACME), finish(3, acme=10), admit(4, ACME)], NOW_MS)
    live.commit([Funds("0009", "new", 7)], NOW_MS)


def test_what_is_right_passes(stores: Stores) -> None:
    some_money(stores)
    ledger, live = stores
    told: list[int] = []
    assert check_ledger(ledger, told.append) == Checked(2, 4, 2, [])
    assert check_live(ledger, live) == []


def test_an_empty_ledger_is_right(stores: Stores) -> None:
    assert check_ledger(stores[0]) == Checked(0, 0, 0, [])
    assert check_live(*stores) == []


def test_entries_that_are_stored_and_not_yet_deleted_count_once(stores: Stores) -> None:
    some_money(stores)
    ledger, live = stores
    ledger.store(live.outbox(10))
    assert check_ledger(ledger).problems == []
    assert check_live(ledger, live) == []


def test_progress_is_told(stores: Stores) -> None:
    ledger, live = stores
    live.commit([Funds(f"{n:04}", "acme", 1) for n in range(2_500)], NOW_MS)
    draining = Draining(ledger, live)
    draining.bind(NOW_MS)
    while draining.move(NOW_MS):
        pass
    told: list[int] = []
    assert check_ledger(ledger, told.append).rows == 2_500
    assert told == [1_000] * 4  # of the rows and of the ids
    assert ledger.size() == 2_500 + 2_500 + 1


def raw(stores: Stores, database: str, key: bytes, value: bytes | None) -> None:
    """Write past the ledger, as a fault or a hand would."""
    env = stores[0]._environment()
    handle = env.open_db(database.encode())
    with env.begin(write=True) as txn:
        if value is None:
            assert txn.delete(key, db=handle)
        else:
            txn.put(key, value, db=handle)


WRONG: list[tuple[str, Callable[[], tuple[str, bytes, bytes | None]], str]] = [
    (
        "a balance",
        lambda: ("balances", b"acme", BALANCE.pack(961, 2)),
        "Account acme: its balance is 961 millionths, the sum of its rows 960.",
    ),
    (
        "a count",
        lambda: ("balances", b"acme", BALANCE.pack(960, 3)),
        "Account acme: it should have 3 rows, and has 2.",
    ),
    (
        "a missing balance",
        lambda: ("balances", b"acme", None),
        "Account acme: it has rows and no balance.",
    ),
    (
        "a missing row",
        lambda: ("rows", row_key("carrier", 2), None),
        f"CDR {call_id(1)}, 30 millionths of account carrier (retail): charged by the CDR, and "
        "there is no such row.",
    ),
    (
        "a first row that is missing",
        lambda: ("rows", row_key("carrier", 1), None),
        "Account carrier, row 2: the row before it has number 0.",
    ),
    (
        "a row's balance",
        lambda: (
            "rows", row_key("acme", 2),
            encode_row(Row("acme", 2, NOW_MS, -40, 961, "retail", call_id(1))),
        ),
        "Account acme, row 2: its balance is 961 millionths, the sum of the rows up to it 960.",
    ),
    (
        "a row of a call that is not there",
        lambda: (
            "rows", row_key("acme", 3),
            encode_row(Row("acme", 3, NOW_MS, -5, 955, "retail", "nobody")),
        ),
        "CDR nobody, 5 millionths of account acme (retail): there is a row, and no such charge of "
        "a stored CDR.",
    ),
    (
        "a row that is there twice",
        lambda: (
            "rows", row_key("acme", 3),
            encode_row(Row("acme", 3, NOW_MS, -40, 920, "retail", call_id(1))),
        ),
        f"CDR {call_id(1)}, 40 millionths of account acme (retail): there is a row, and no such "
        "charge of a stored CDR.",
    ),
    (
        "a CDR that charges more than its rows",
        lambda: (
            "cdrs", call_id(1).encode(),
            encode_cdr(sample_cdr(1, charges=[Charge("acme", 41), Charge("carrier", 30)])),
        ),
        f"CDR {call_id(1)}, 41 millionths of account acme (retail): charged by the CDR, and there "
        "is no such row.",
    ),
    (
        "a CDR that is gone",
        lambda: ("cdrs", call_id(1).encode(), None),
        f"CDR {call_id(1)}, 40 millionths of account acme (retail): there is a row, and no such "
        "charge of a stored CDR.",
    ),
    (
        "a payment without a row",
        lambda: ("funded", b"fund-x", row_key("acme", 9)),
        "Funds fund-x: their row is not there.",
    ),
    (
        "a payment's id that is gone",
        lambda: ("funded", b"fund-acme", None),
        "Rows of funds and ids of funds do not belong together one to one.",
    ),
    (
        "two ids of one payment",
        lambda: ("funded", b"fund-x", row_key("acme", 1)),
        "Rows of funds and ids of funds do not belong together one to one.",
    ),
    (
        "a damaged row",
        lambda: ("rows", row_key("zzz", 1), b"\x01\xc1"),
        "A row cannot be read: ",
    ),
    (
        "a damaged CDR",
        lambda: ("cdrs", b"zzz", b"\x01\xc1"),
        "CDR zzz cannot be read: ",
    ),
]


@pytest.mark.parametrize(("what", "change", "said"), WRONG, ids=[what for what, _, _ in WRONG])
def test_what_is_wrong_is_named(
    stores: Stores, what: str, change: Callable[[], tuple[str, bytes, bytes | None]], said: str
) -> None:
    some_money(stores)
    raw(stores, *change())
    assert any(text.startswith(said) for text in check_ledger(stores[0]).problems)


@pytest.mark.parametrize(
    ("database", "key", "value", "said"),
    [
        (
            "money", b"acme", MONEY.pack(951, 100),
            "Account acme: live balance is 951 millionths, ledger and outbox say 950.",
        ),
        (
            "money", b"acme", MONEY.pack(950, 99),
            "account acme: 99 millionths are reserved, the calls in progress have reserved 100.",
        ),
        (
            "money", b"new", None,
            "Account new: live balance is 0 millionths, ledger and outbox say 7.",
        ),
        (
            "outbox", call_id(3).encode(), None,
            "Account acme: live balance is 950 millionths, ledger and outbox say 960.",
        ),
    ],
)
def test_live_money_that_is_wrong_is_named(
    stores: Stores, database: str, key: bytes, value: bytes | None, said: str
) -> None:
    some_money(stores)
    env: lmdb.Environment = stores[1]._env
    handle = env.open_db(database.encode())
    with env.begin(write=True) as txn:
        if value is None:
            assert txn.delete(key, db=handle)
        else:
            txn.put(key, value, db=handle)
    assert check_live(*stores) == [said]


def test_live_state_that_was_never_seeded_is_named(stores: Stores, tmp_path: Path) -> None:
    fresh = LmdbLive(tmp_path / "other.lmdb")
    assert check_live(stores[0], fresh) == [
        "Live money was not seeded from the ledger: start the router."
    ]
    fresh.close()


def test_many_wrong_things_are_cut_short(stores: Stores) -> None:
    some_money(stores)
    for number in range(150):
        raw(stores, "funded", f"x{number}".encode(), row_key("nobody", number))
    problems = check_ledger(stores[0]).problems
    assert len(problems) == 101
    assert problems[-1] == "There is more that is wrong; the rest is not shown."
