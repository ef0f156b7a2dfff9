from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import lmdb
import pytest
from live_suite import LiveStoreSuite
from money_suite import ACME, StoredMoneySuite, admit, fund
from store_samples import ACCOUNT, MOBILE, NOW_MS, call_id, sample_admit, sample_call, sample_cdr

from router.store.databases import MONEY, USAGE
from router.store.environment import fault
from router.store.errors import StoreError
from router.store.funds import opening_id
from router.store.live import LmdbLive
from router.store.money import Money
from router.store.ops import Admit, Candidate, Finish, Funds, Keep, Renew
from router.store.records import CallRecord

SMALL_MAP_BYTES = 8 << 20


class TestLmdbLive(LiveStoreSuite):
    pass


class TestLmdbMoney(StoredMoneySuite):
    pass


def put_raw(path: Path, database: str, key: bytes, value: bytes) -> None:
    """Write past the store, as another version or a damaged disk would."""
    with lmdb.open(str(path), max_dbs=13, map_size=SMALL_MAP_BYTES, lib_version=0) as env:
        handle = env.open_db(database.encode())
        with env.begin(write=True) as txn:
            txn.put(key, value, db=handle)


def test_a_recount_corrects_the_reserve_and_leaves_the_balance(live_path: Path) -> None:
    live = LmdbLive(live_path, map_bytes=SMALL_MAP_BYTES)
    fund(live, acme=100, top=50)
    live.commit([admit(1, ACME)], NOW_MS)
    live.close()
    put_raw(live_path, "money", b"acme", MONEY.pack(100, 70))
    put_raw(live_path, "money", b"top", MONEY.pack(50, 3))
    live = LmdbLive(live_path, map_bytes=SMALL_MAP_BYTES)
    wrong = [
        "account acme: 70 millionths are reserved, the calls in progress have reserved 100",
        "account top: 3 millionths are reserved, the calls in progress have reserved 0",
    ]
    assert live.verify() == wrong
    assert live.recount() == wrong
    assert live.verify() == []
    assert live.monies() == {"acme": Money(100, 100), "top": Money(50, 0)}
    live.close()


def test_a_turn_that_fails_leaves_the_money_as_it_was(live: LmdbLive) -> None:
    fund(live, acme=300)
    kept = admit(1, ACME)
    live.commit([kept], NOW_MS)
    lost, broken = admit(2, ACME), CallRecord(id="x" * 5_000)
    with pytest.raises(StoreError, match="live"):
        live.commit([Renew(kept.record, (ACME,), 9), lost, Keep(broken)], NOW_MS)
    assert live.money("acme") == Money(300, 100)
    assert (kept.record.reserved, kept.record.paid_until) == ([("acme", 100)], 0)
    assert lost.record.reserved == []
    assert live.verify() == []


def test_old_ids_of_funds_are_forgotten_and_openings_are_not(
    live: LmdbLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.store.funding.FUNDED_AT_MOST", 3)
    names = [f"a{n}" for n in range(20)]
    openings = [Funds(opening_id(name), name, 5, "opening") for name in names]
    live.commit(openings, NOW_MS)
    topups = [Funds(f"{number:04}", "a0", 1) for number in range(6)]
    for topup in topups:
        live.commit([topup], NOW_MS)
    live.commit([*openings, *topups[3:]], NOW_MS)
    assert live.money("a0") == Money(11, 0)
    assert live.money("a1") == Money(5, 0)
    live.commit(topups[:1], NOW_MS)
    assert live.money("a0") == Money(12, 0)  # forgotten


def test_the_state_survives_closing_and_opening(live_path: Path) -> None:
    admit = sample_admit(1)
    first = LmdbLive(live_path, map_bytes=SMALL_MAP_BYTES)
    first.commit([admit], NOW_MS)
    first.close()
    second = LmdbLive(live_path, map_bytes=SMALL_MAP_BYTES)
    assert list(second.calls()) == [admit.record]
    second.close()


def test_the_file_has_the_format_of_lmdb_0_9(live: LmdbLive) -> None:
    assert live._env.lib_version()[:2] == (0, 9)


def test_a_reader_sees_everything_and_may_change_nothing(live_path: Path) -> None:
    writer = LmdbLive(live_path, map_bytes=SMALL_MAP_BYTES)
    writer.commit([sample_admit(1)], NOW_MS)
    writer.close()
    reader = LmdbLive(live_path, readonly=True)
    assert reader.active_calls() == 1
    with pytest.raises(StoreError, match="reading only"):
        reader.commit([sample_admit(2)], NOW_MS)
    with pytest.raises(StoreError, match="reading only"):
        reader.heartbeat(0, NOW_MS)
    reader.close()


def test_a_reader_makes_no_state(live_path: Path) -> None:
    with pytest.raises(StoreError, match="no live state of this boot"):
        LmdbLive(live_path, readonly=True)
    assert not live_path.exists()


def test_a_record_of_an_unknown_schema_is_refused_in_words(live_path: Path) -> None:
    LmdbLive(live_path, map_bytes=SMALL_MAP_BYTES).close()
    put_raw(live_path, "calls", call_id(1).encode(), b"\xc8anything")
    live = LmdbLive(live_path, map_bytes=SMALL_MAP_BYTES)
    with pytest.raises(StoreError, match="has schema 200, this version of Trunkline reads"):
        list(live.calls())
    with pytest.raises(StoreError, match="schema 200"):
        live.commit([Finish(call_id(1), sample_cdr(1))], NOW_MS)
    live.close()


def test_another_layout_is_refused_in_words(live_path: Path) -> None:
    LmdbLive(live_path, map_bytes=SMALL_MAP_BYTES).close()
    put_raw(live_path, "meta", b"schema", b"99")
    with pytest.raises(StoreError, match="has layout 99, this version of Trunkline reads"):
        LmdbLive(live_path, map_bytes=SMALL_MAP_BYTES)


def test_a_file_that_is_no_lmdb_is_refused_in_words(live_path: Path) -> None:
    LmdbLive(live_path, map_bytes=SMALL_MAP_BYTES).close()
    (live_path / "data.mdb").write_bytes(b"something else entirely" * 1_000)
    with pytest.raises(StoreError, match=r"is not a sound LMDB 0\.9 environment"):
        LmdbLive(live_path, map_bytes=SMALL_MAP_BYTES)


def test_admitting_an_id_twice_is_refused_and_takes_nothing(live: LmdbLive) -> None:
    live.commit([sample_admit(1)], NOW_MS)
    with pytest.raises(StoreError, match="is admitted already"):
        live.commit([sample_admit(1)], NOW_MS)
    assert live.usage(ACCOUNT.key).in_use == 1
    assert live.verify() == []


def test_verify_names_what_is_wrong_and_recount_mends_it(live_path: Path) -> None:
    live = LmdbLive(live_path, map_bytes=SMALL_MAP_BYTES)
    live.commit([sample_admit(1, (ACCOUNT,))], NOW_MS)
    live.close()
    put_raw(live_path, "usage", b"account:acme", USAGE.pack(7, 0))
    put_raw(live_path, "usage", b"account:gone", USAGE.pack(2, 0))
    live = LmdbLive(live_path, map_bytes=SMALL_MAP_BYTES)
    wrong = [
        "account:acme: in-use is 7, the calls in progress hold 1",
        "account:gone: in-use is 2, the calls in progress hold 0",
    ]
    assert live.verify() == wrong
    assert live.recount() == wrong
    assert live.verify() == []
    assert live.usage(MOBILE.key) == (1, 1)
    live.close()


def test_reading_many_pages_holds_no_transaction_between_them(live: LmdbLive) -> None:
    tiers = ((Candidate("gateway:a"),),)
    live.commit([Admit(sample_call(number), (), tiers) for number in range(600)], NOW_MS)
    calls = live.calls()
    next(calls)
    for number in range(1_000, 4_000):
        live.commit([Admit(sample_call(number), (), tiers)], NOW_MS)
        live.commit([Finish(call_id(number), sample_cdr(number))], NOW_MS)
        live.outbox_delete([call_id(number).encode()])
    assert live.stat()["used_bytes"] < 2 << 20
    assert sum(1 for _ in calls) == 599


def lmdb_error(code: int) -> lmdb.Error:
    """What LMDB raises for a code of the system."""
    error = lmdb.Error("x: what the system says")
    error.code = code  # type: ignore[misc]
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (lmdb.MapFullError("x"), "is full"),
        (lmdb.ReadersFullError("x"), "no free reader slot"),
        (lmdb_error(errno.ENOSPC), "the disk is full"),
        (lmdb_error(errno.EACCES), "may not be used by this user"),
        (OSError(errno.EACCES, "denied"), "may not be used by this user"),
        (lmdb_error(errno.ENOENT), "does not exist"),
        (lmdb_error(errno.ENOMEM), "does not fit in the address space"),
        (lmdb.Error("odd"), "failed: odd"),
    ],
)
def test_an_error_of_lmdb_is_put_in_an_operators_words(error: Exception, words: str) -> None:
    text = str(fault(error, Path("state/live.lmdb")))
    assert text.startswith("state/live.lmdb ")
    assert words in text


@pytest.mark.parametrize(("free_blocks", "words"), [(3, "the disk is full"), (3_000, "failed: ")])
def test_a_write_that_ended_half_way_on_a_full_disk_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_blocks: int, words: str
) -> None:
    disk = SimpleNamespace(f_bavail=free_blocks, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)
    assert words in str(fault(lmdb_error(errno.EIO), tmp_path))
