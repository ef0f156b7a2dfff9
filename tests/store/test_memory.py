"""The live store in memory: the rules of every store, and the same answers as LMDB's."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_suite import AdmissionSuite, GuardSuite, RegistrationSuite, in_use
from money_suite import MoneySuite
from store_samples import NOW_MS, sample_admit, sample_call, sample_cdr

from router.store.live import LmdbLive
from router.store.memory import MemoryLive
from router.store.ops import (
    Admit,
    Candidate,
    Finish,
    Forget,
    GatewayState,
    Hold,
    Keep,
    Leave,
    Op,
    Opened,
    Rehunt,
    Save,
)
from router.store.records import CallRecord


class TestMemoryLive(AdmissionSuite, RegistrationSuite, GuardSuite):
    @pytest.fixture
    def live(self) -> MemoryLive:
        return MemoryLive()


class TestMemoryMoney(MoneySuite):
    @pytest.fixture
    def live(self) -> MemoryLive:
        return MemoryLive()


def test_the_first_cdr_of_a_call_stays() -> None:
    live = MemoryLive()
    first, second = sample_cdr(1, end_reason="Normal"), sample_cdr(1, end_reason="Cancelled")
    live.commit([Finish(first.id, first)], NOW_MS)
    live.commit([Finish(first.id, second)], NOW_MS)
    assert live.cdrs == {first.id: first}


def test_an_opening_is_noted_and_is_no_cdr() -> None:
    live = MemoryLive()
    admit = sample_admit(1)
    live.commit([admit, Opened(admit.record)], NOW_MS)
    assert live.opened == [admit.record.id]
    assert live.cdrs == {}


def test_verify_names_the_key_that_is_wrong() -> None:
    live = MemoryLive()
    live.commit([sample_admit(1, (Hold("account:acme", 9),))], NOW_MS)
    live.records.clear()
    assert live.verify() == [
        "account:acme: 1 in use, 0 held by calls", "gateway:cn_mobile: 1 in use, 0 held by calls",
    ]


HOLDS = {"account:a": 2, "trunk:t": 1, "server:": 4, "account:free": -1}
LINES = {"gateway:g1": 1, "gateway:g2": 2, "gateway:g3": 4, "gateway:g4": -1, "gateway:g5": 0}

keys = st.lists(st.sampled_from(sorted(HOLDS)), max_size=3, unique=True)
tiers = st.lists(st.lists(st.sampled_from(sorted(LINES)), max_size=3, unique=True), max_size=3)
number = st.integers(0, 7)
branches = st.sampled_from((1, 1, 2, 9))
lines = st.sampled_from(sorted(LINES))
actions = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), keys, tiers, branches),
        st.tuples(st.just("rehunt"), number, tiers, branches, keys),
        st.tuples(st.just("leave"), number, lines, lines),
        st.tuples(st.just("keep")),
        st.tuples(st.just("forget"), number),
        st.tuples(st.just("save"), number),
        st.tuples(st.just("finish"), number),
        st.tuples(st.just("down"), st.sampled_from(sorted(LINES)), st.integers(0, 3)),
    ),
    max_size=40,
)


def planned(wanted: list[tuple[object, ...]]) -> list[Op]:
    """The operations with records of their own, for one store."""
    records: list[CallRecord] = []
    ops: list[Op] = []
    for kind, *about in wanted:
        if kind == "admit":
            held, offered, several = about
            record = sample_call(len(records))
            records.append(record)
            holds = tuple(Hold(key, HOLDS[key]) for key in held)  # type: ignore[attr-defined]
            ops.append(
                Admit(record, holds, candidates(offered), branches=int(str(several)))
            )
        elif kind == "keep":
            records.append(sample_call(len(records)))
            ops.append(Keep(records[-1]))
        elif kind == "down":
            key, seconds = about
            ops.append(GatewayState(str(key), NOW_MS + int(str(seconds)) * 1_000, 0))
        elif records:
            record = records[int(str(about[0])) % len(records)]
            if kind == "rehunt":
                more = tuple(Hold(key, HOLDS[key]) for key in about[3])  # type: ignore[attr-defined]
                ops.append(Rehunt(record, candidates(about[1]), int(str(about[2])), more))
            elif kind == "leave":
                gone, heir = str(about[1]), str(about[2])
                ops.append(Leave(record, (Candidate(gone, LINES[gone]),), heir))
            elif kind == "save":
                ops.append(Save(record))
            elif kind == "forget":
                ops.append(Forget(record.id))
            else:
                ops.append(Finish(record.id, sample_cdr(0, id=record.id)))
    return ops


def candidates(offered: object) -> tuple[tuple[Candidate, ...], ...]:
    return tuple(
        tuple(Candidate(key, LINES[key]) for key in tier)
        for tier in offered  # type: ignore[attr-defined]
    )


@settings(max_examples=60, deadline=None)
@given(wanted=actions, cut=st.integers(1, 8))
def test_memory_and_lmdb_answer_alike(wanted: list[tuple[object, ...]], cut: int) -> None:
    memory = MemoryLive()
    in_memory, in_lmdb = planned(wanted), planned(wanted)
    with tempfile.TemporaryDirectory(prefix="trunkline-memory-") as folder:
        lmdb = LmdbLive(Path(folder) / "live.lmdb", map_bytes=8 << 20)
        try:
            for start in range(0, len(in_memory), cut):
                now = NOW_MS + start * 100
                one = memory.commit(in_memory[start : start + cut], now)
                other = lmdb.commit(in_lmdb[start : start + cut], now)
                assert one == other
            assert in_use(memory) == in_use(lmdb)
            handed = {key: usage for key, usage in memory.usages("").items() if usage.handed}
            assert handed == {k: u for k, u in lmdb.usages("").items() if u.handed}
            assert memory.verify() == [] == lmdb.verify()
            assert sorted(memory.records) == [record.id for record in lmdb.calls()]
            assert len(memory.cdrs) == lmdb.backlog()
        finally:
            lmdb.close()
