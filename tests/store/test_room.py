from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from store_samples import MOBILE, NOW_MS, call_id, sample_admit, sample_cdr

from router.store import room
from router.store.errors import StoreError
from router.store.live import LmdbLive
from router.store.ops import Admit, Candidate, Finish, Save
from router.store.records import CallRecord

MIB = 1 << 20


def fill(live: LmdbLive, start: int = 0) -> int:
    """End calls that nobody drains until the store refuses; the number of the first refused."""
    for number in range(start, start + 20_000):
        try:
            live.commit([Finish(call_id(number), sample_cdr(number))], NOW_MS)
        except StoreError:
            return number
    raise AssertionError("the map never filled")


def test_a_full_map_can_always_be_drained_and_then_goes_on(live_path: Path) -> None:
    live = LmdbLive(live_path, map_bytes=2 * MIB)
    number = 0
    for _ in range(3):
        number = fill(live, number)
        assert live.backlog() > 1_000
        live.outbox_delete([key for key, _ in live.outbox(live.backlog())])
        assert live.backlog() == 0
        live.commit([sample_admit(number)], NOW_MS)
        live.commit([Finish(call_id(number), sample_cdr(number))], NOW_MS)
        number += 1
    assert live.verify() == []
    live.close()


def test_new_calls_are_refused_while_running_ones_may_still_end(live_path: Path) -> None:
    live = LmdbLive(live_path, map_bytes=4 * MIB)
    running = sample_admit(0)
    live.commit([running], NOW_MS)
    number = 1
    with pytest.raises(StoreError, match="nearly full: new calls are refused until the ledger"):
        for number in range(1, 20_000):
            live.commit(
                [
                    Finish(call_id(number), sample_cdr(number)),
                    Admit(CallRecord(id=f"n{number}"), (), ((Candidate("gateway:a"),),)),
                    Finish(f"n{number}", sample_cdr(number)),
                ],
                NOW_MS,
            )
    live.commit([Save(running.record), Finish(running.record.id, running.record.cdr)], NOW_MS)
    assert live.usage(MOBILE.key).in_use == 0
    live.close()


def test_a_full_disk_refuses_new_calls_first_and_is_asked_again(
    live_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "STEP_BYTES", 4 * MIB)
    monkeypatch.setattr(room, "MARGIN_BYTES", 2 * MIB)
    monkeypatch.setattr(room, "RESERVE_BYTES", MIB)
    live = LmdbLive(live_path, map_bytes=64 * MIB)
    running = sample_admit(0)
    live.commit([running], NOW_MS)

    def refuse(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "posix_fallocate", refuse)
        number = fill(live, 1)
        with pytest.raises(StoreError, match=r"cannot grow \(No space left on device\): new"):
            live.commit([sample_admit(number + 1)], NOW_MS)
        # Nothing was written into a hole: every block that is in use has been allocated.
        blocks = os.stat(live_path / "data.mdb").st_blocks * 512
        assert live.stat()["used_bytes"] <= blocks
        live.outbox_delete([key for key, _ in live.outbox(live.backlog())])
    live.commit([Finish(running.record.id, running.record.cdr)], NOW_MS)
    live.commit([sample_admit(number + 1)], NOW_MS)
    assert live.verify() == []
    live.close()


def test_blocks_are_allocated_ahead_of_what_is_used(live_path: Path) -> None:
    live = LmdbLive(live_path)
    stat = os.stat(live_path / "data.mdb")
    assert stat.st_blocks * 512 >= room.STEP_BYTES
    assert stat.st_size == live.stat()["map_bytes"]
    live.close()


def test_a_file_deleted_under_us_takes_no_new_call_and_lets_running_ones_end(
    live_path: Path,
) -> None:
    live = LmdbLive(live_path, map_bytes=4 * MIB)
    running = sample_admit(0)
    live.commit([running], NOW_MS)
    os.unlink(live_path / "data.mdb")
    number = 1
    with pytest.raises(StoreError, match="was deleted while in use: new calls are refused"):
        for number in range(1, 2 * room.CHECK_EVERY):
            live.commit([sample_admit(number)], NOW_MS)
    assert number <= room.CHECK_EVERY
    live.commit([Finish(running.record.id, running.record.cdr)], NOW_MS)
    live.close()
