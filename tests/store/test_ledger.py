from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lmdb
import pytest
from ledger_suite import LedgerSuite, entries, finished, opened
from store_samples import NOW_MS, call_id, sample_cdr

from router.store.errors import StoreError
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive
from router.store.ops import Finish


class TestLmdbLedger(LedgerSuite):
    pass


def test_what_is_stored_survives_closing(ledger_path: Path, live: LmdbLive) -> None:
    ledger = LmdbLedger(ledger_path)
    ledger.store(finished(live, 1) + opened(live, 2), NOW_MS)
    ledger.close()
    ledger = LmdbLedger(ledger_path, readonly=True)
    assert ledger.cdr(call_id(1)) == sample_cdr(1)
    assert [cdr.id for cdr in ledger.open_calls()] == [call_id(2)]
    assert ledger.last_heartbeat_ms() == NOW_MS
    assert ledger.stat()["cdrs"] == ledger.stat()["open"] == 1
    ledger.close()


def test_the_bytes_are_those_of_the_outbox(ledger: LmdbLedger, live: LmdbLive) -> None:
    ((key, value),) = finished(live, 1)
    ledger.store([(key, value)])
    with ledger._environment().begin() as txn:
        assert txn.get(key, db=ledger._cdrs) == value
    assert key == call_id(1).encode()


def test_a_reader_may_change_nothing(ledger_path: Path, live: LmdbLive) -> None:
    LmdbLedger(ledger_path).close()
    reader = LmdbLedger(ledger_path, readonly=True)
    with pytest.raises(StoreError, match="reading only"):
        reader.store(finished(live, 1))
    reader.close()
    with pytest.raises(StoreError, match="is closed"):
        list(reader.cdrs())


def test_a_reader_makes_no_ledger(ledger_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        LmdbLedger(ledger_path, readonly=True)
    assert not ledger_path.exists()


def test_another_layout_is_refused_in_words(ledger_path: Path) -> None:
    LmdbLedger(ledger_path).close()
    with lmdb.open(str(ledger_path), max_dbs=3, lib_version=0) as env:
        meta = env.open_db(b"meta")
        with env.begin(write=True) as txn:
            txn.put(b"schema", b"99", db=meta)
    with pytest.raises(StoreError, match="has layout 99"):
        LmdbLedger(ledger_path)
    # And the refused opening has let go of the lock.
    with pytest.raises(StoreError, match="has layout 99"):
        LmdbLedger(ledger_path)


def test_a_map_larger_than_the_address_space_is_refused_in_words(ledger_path: Path) -> None:
    with pytest.raises(StoreError, match="does not fit in the address space"):
        LmdbLedger(ledger_path, map_bytes=1 << 62)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_ledger_deleted_while_in_use_takes_nothing_more(
    ledger: LmdbLedger, live: LmdbLive, replaced: bool
) -> None:
    """What waits in the outbox has to stay there: written to deleted files it would be lost."""
    ledger.store(finished(live, 1))
    data = ledger.path / "data.mdb"
    copy = data.read_bytes()
    data.rename(data.with_suffix(".gone"))
    if replaced:
        data.write_bytes(copy)
    with pytest.raises(StoreError, match="was deleted or replaced while in use"):
        ledger.store(finished(live, 2))


def test_a_full_ledger_says_so_and_keeps_what_it_has(ledger_path: Path, live: LmdbLive) -> None:
    ledger = LmdbLedger(ledger_path, map_bytes=1 << 20)
    ledger.store(finished(live, 1))
    with pytest.raises(StoreError, match="is full: its map has no room left"):
        ledger.store(finished(live, *range(2, 4_000)))
    assert [cdr.id for cdr in ledger.cdrs()] == [call_id(1)]
    ledger.store(finished(live, 2))
    ledger.close()


HOLDER = """
import sys, time
from router.store.ledger import LmdbLedger
ledger = LmdbLedger(sys.argv[1])
print("open", flush=True)
sys.stdin.readline()
"""


def test_only_one_process_writes_and_its_death_frees_the_ledger(ledger_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(ledger_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout and holder.stdout.readline() == "open\n"
        with pytest.raises(
            StoreError, match=rf"in use by another Trunkline .* process is {holder.pid}\)"
        ):
            LmdbLedger(ledger_path)
        reader = LmdbLedger(ledger_path, readonly=True)
        assert list(reader.cdrs()) == []
        reader.close()
    finally:
        holder.kill()
        holder.wait()
    LmdbLedger(ledger_path, lock_wait_s=5).close()


def test_calls_of_other_live_state_are_closed_once_at_the_last_heartbeat(
    ledger: LmdbLedger, live: LmdbLive
) -> None:
    assert ledger.bind_live("boot-1 a", NOW_MS) == 0
    ledger.store(opened(live, 1, 2), NOW_MS + 10_000)
    ledger.heartbeat(NOW_MS + 11_000)
    assert ledger.bind_live("boot-1 a", NOW_MS + 12_000) == 0
    assert ledger.open_count() == 2

    assert ledger.bind_live("boot-2 b", NOW_MS + 900_000) == 2
    assert [cdr.ended for cdr in ledger.cdrs()] == [NOW_MS + 11_000] * 2
    assert ledger.open_count() == 0
    ledger.store(opened(live, 3))
    assert ledger.bind_live("boot-2 b", NOW_MS + 900_000) == 0
    assert ledger.open_count() == 1


def test_lost_calls_end_at_the_last_heartbeat_or_now(ledger: LmdbLedger, live: LmdbLive) -> None:
    ledger.store(opened(live, 1), NOW_MS + 10_000)
    # The clock was set back meanwhile: nobody is billed into the future.
    assert ledger.close_lost_calls(NOW_MS + 8_000) == 1
    ended = ledger.cdr(call_id(1))
    assert ended is not None and ended.ended == NOW_MS + 8_000


def test_without_any_heartbeat_a_lost_call_lasted_nothing(
    ledger: LmdbLedger, live: LmdbLive
) -> None:
    ledger.store(opened(live, 1))
    ledger.close_lost_calls(NOW_MS + 60_000)
    ended = ledger.cdr(call_id(1))
    assert ended is not None and ended.duration_ms == 0


def test_ids_are_found_by_their_end(ledger: LmdbLedger, live: LmdbLive) -> None:
    ledger.store(
        entries(
            live,
            *(Finish(id, sample_cdr(1, id=id)) for id in ("0001aaaa", "0002aaaa", "0003bbbb")),
        )
    )
    assert ledger.ids_ending("aaaa") == ["0002aaaa", "0001aaaa"]
    assert ledger.ids_ending("a", limit=1) == ["0002aaaa"]
    assert ledger.ids_ending("3bbbb") == ["0003bbbb"]
    assert ledger.ids_ending("c") == []
