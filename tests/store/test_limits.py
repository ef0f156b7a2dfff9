"""Groups, paces and shared values in both stores, and the bounds of what is shared in LMDB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from limits_suite import BranchSuite, GroupSuite, PaceSuite, SharedSuite
from store_samples import NOW_MS

from router.store import live_phones, shared
from router.store.live import LmdbLive
from router.store.memory import MemoryLive
from router.store.ops import MAX_SHARED_BYTES, Remember


class TestMemoryLimits(BranchSuite, GroupSuite, PaceSuite, SharedSuite):
    @pytest.fixture
    def live(self) -> MemoryLive:
        return MemoryLive()


class TestLmdbLimits(BranchSuite, GroupSuite, PaceSuite, SharedSuite):
    @pytest.fixture
    def live(self, tmp_path: Path) -> Iterator[LmdbLive]:
        store = LmdbLive(tmp_path / "live.lmdb", slot=0, map_bytes=16 << 20)
        yield store
        store.close()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LmdbLive]:
    store = LmdbLive(tmp_path / "live.lmdb", slot=0, map_bytes=16 << 20)
    yield store
    store.close()


def entries(live: LmdbLive) -> tuple[int, int]:
    """How many shared entries there are, and how many in the order of their ends."""
    databases = live._databases
    with live._env.begin() as txn:
        return (
            txn.stat(databases.shared)["entries"], txn.stat(databases.shared_until)["entries"],
        )


def test_what_has_ended_is_taken_away_by_later_writes(live: LmdbLive) -> None:
    for at in range(50):
        live.commit([Remember(f"short {at}", "x", NOW_MS + 10)], NOW_MS)
    assert entries(live) == (50, 50)
    for at in range(20):
        live.commit([Remember(f"long {at}", "x", NOW_MS + 10_000)], NOW_MS + 20)
    assert entries(live) == (20, 20)


def test_when_there_are_too_many_the_one_that_ends_first_makes_room(
    live: LmdbLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "MAX_ENTRIES", 10)
    for at in range(25):
        live.commit([Remember(f"k{at}", "x", NOW_MS + 1_000 + at)], NOW_MS)
        assert live.recall(f"k{at}", NOW_MS) == "x"
    assert entries(live) == (10, 10)
    assert live.recall("k14", NOW_MS) is None
    assert live.recall("k15", NOW_MS) == "x"
    live.commit([Remember("k20", "again", NOW_MS + 1)], NOW_MS)  # no new entry: nothing goes
    assert entries(live) == (10, 10)
    assert live.recall("k15", NOW_MS) == "x"


def test_a_value_that_is_written_again_keeps_one_place_in_the_order(live: LmdbLive) -> None:
    for at in range(30):
        live.commit([Remember("k", str(at), NOW_MS + 100 + at)], NOW_MS)
        live.permit("k", 100, 1_000, NOW_MS + at)
    assert entries(live) == (2, 2)


def test_a_value_that_is_too_long_is_cut(live: LmdbLive) -> None:
    live.commit([Remember("k", "x" * 5_000, NOW_MS + 1)], NOW_MS)
    assert live.recall("k", NOW_MS) == "x" * MAX_SHARED_BYTES


def test_what_is_shared_is_shared_between_processes_and_read_only(
    live: LmdbLive, tmp_path: Path
) -> None:
    live.commit([Remember("k", "v", NOW_MS + 1)], NOW_MS)
    assert live.permit("r", 2, 1_000, NOW_MS)
    live.close()
    reader = LmdbLive(tmp_path / "live.lmdb", readonly=True)
    try:
        assert reader.recall("k", NOW_MS) == "v"
        assert [reader.permit("r", 2, 1_000, NOW_MS) for _ in range(3)] == [True] * 3
        assert not reader.permit("r", 1, 1_000, NOW_MS)
    finally:
        reader.close()


def test_used_nonces_that_have_ended_are_taken_away_with_new_ones(live: LmdbLive) -> None:
    def nonces() -> int:
        with live._env.begin() as txn:
            return txn.stat(live._databases.nonces)["entries"]

    for at in range(20):
        assert live.use_nonce(f"{at:012x}", 1, NOW_MS + 1_000 + at, NOW_MS)
    assert nonces() == 20
    for at in range(20, 30):
        live.use_nonce(f"{at:012x}", 1, NOW_MS + 9_000, NOW_MS + 5_000)
    assert nonces() == 10


def test_of_too_many_nonces_the_oldest_is_forgotten(
    live: LmdbLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_phones, "MAX_NONCES", 5)
    for at in range(8):
        assert live.use_nonce(f"{at:012x}", 1, NOW_MS + 9_000, NOW_MS)
    assert not live.use_nonce(f"{7:012x}", 1, NOW_MS + 9_000, NOW_MS)
    assert live.use_nonce(f"{0:012x}", 1, NOW_MS + 9_000, NOW_MS)
