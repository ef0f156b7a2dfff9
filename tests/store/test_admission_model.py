"""LMDB's admission against a model that is too simple to be wrong, over random turns.

The model keeps the calls with what they hold, and counts. After every turn the answers must be
the model's, no limit may be passed, and usage must be the sum of the leases.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from fractions import Fraction
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from store_samples import NOW_MS, sample_call, sample_cdr

from router.store.live import LmdbLive
from router.store.ops import (
    Admission,
    Admit,
    Candidate,
    Finish,
    GatewayState,
    Hold,
    Op,
    Rehunt,
    Save,
)
from router.store.query import CdrQuery
from router.store.records import CallRecord

LIMITS = {"account:a": 2, "account:b": 3, "trunk:t": 1, "server:": 4, "account:free": -1}
LINES = {"gateway:g1": 1, "gateway:g2": 2, "gateway:g3": 4, "gateway:g4": -1, "gateway:g5": 0}

holds = st.lists(st.sampled_from(sorted(LIMITS)), max_size=3, unique=True)
tiers = st.lists(st.lists(st.sampled_from(sorted(LINES)), max_size=3, unique=True), max_size=3)
action = st.one_of(
    st.tuples(st.just("admit"), holds, tiers),
    st.tuples(st.just("rehunt"), st.integers(0, 30), tiers),
    st.tuples(st.just("save"), st.integers(0, 30)),
    st.tuples(st.just("finish"), st.integers(0, 30)),
    st.tuples(st.just("down"), st.sampled_from(sorted(LINES)), st.integers(0, 3)),
)


class Model:
    """Calls and what they hold; everything else is counted from that."""

    def __init__(self) -> None:
        self.calls: dict[str, tuple[list[str], str]] = {}
        self.handed: Counter[str] = Counter()
        self.down: dict[str, int] = {}
        self.ended: set[str] = set()

    def in_use(self) -> Counter[str]:
        """Calls that hold each key."""
        held: Counter[str] = Counter()
        for keys, gateway in self.calls.values():
            held.update([*keys, gateway] if gateway else keys)
        return held

    def next_gateway(self, offered: list[list[str]], now_ms: int) -> Admission:
        """By sorting with exact fractions."""
        in_use = self.in_use()
        dropped: list[tuple[str, str]] = []
        for tier in offered:
            usable = []
            for key in tier:
                limit = LINES[key]
                if self.down.get(key, 0) > now_ms:
                    dropped.append((key, "down"))
                elif limit >= 0 and in_use[key] >= limit:
                    dropped.append((key, "full"))
                else:
                    load = Fraction(in_use[key], limit) if limit > 0 else Fraction(0)
                    usable.append((load, self.handed[key], key))
            if usable:
                return Admission(min(usable)[2], dropped)
        return Admission(None, dropped)

    def admit(self, id: str, keys: list[str], offered: list[list[str]], now_ms: int) -> Admission:
        """All or nothing."""
        in_use = self.in_use()
        for key in keys:
            if LIMITS[key] >= 0 and in_use[key] >= LIMITS[key]:
                return Admission(refused=key)
        admission = self.next_gateway(offered, now_ms)
        if admission.gateway:
            self.calls[id] = (keys, admission.gateway)
            self.handed[admission.gateway] += 1
        return admission

    def rehunt(self, id: str, offered: list[list[str]], now_ms: int) -> Admission:
        """The gateway is given back before the next is chosen."""
        if id not in self.calls:
            return Admission()
        keys = self.calls[id][0]
        self.calls[id] = (keys, "")
        admission = self.next_gateway(offered, now_ms)
        self.calls[id] = (keys, admission.gateway or "")
        if admission.gateway:
            self.handed[admission.gateway] += 1
        return admission


class AdmissionMachine(RuleBasedStateMachine):
    @initialize()
    def open_store(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="trunkline-model-"))
        self.live = LmdbLive(self.folder / "live.lmdb", map_bytes=8 << 20)
        self.model = Model()
        self.records: list[CallRecord] = []
        self.now_ms = NOW_MS

    def teardown(self) -> None:
        if hasattr(self, "live"):
            self.live.close()
            shutil.rmtree(self.folder)

    @rule(actions=st.lists(action, min_size=1, max_size=8))
    def turn(self, actions: list[tuple[object, ...]]) -> None:
        ops: list[Op] = []
        expected: list[Admission | None] = []
        for kind, *about in actions:
            op, answer = getattr(self, f"plan_{kind}")(*about)
            if op is not None:
                ops.append(op)
                expected.append(answer)
        assert self.live.commit(ops, self.now_ms) == expected

    @rule(seconds=st.integers(1, 3))
    def time_passes(self, seconds: int) -> None:
        self.now_ms += seconds * 1_000

    @rule()
    def another_process_opens_it(self) -> None:
        self.live.close()
        self.live = LmdbLive(self.folder / "live.lmdb", map_bytes=8 << 20)

    def plan_admit(self, keys: list[str], offered: list[list[str]]) -> tuple[Op, Admission]:
        record = sample_call(len(self.records))
        self.records.append(record)
        op = Admit(record, tuple(Hold(key, LIMITS[key]) for key in keys), candidates(offered))
        return op, self.model.admit(record.id, keys, offered, self.now_ms)

    def plan_rehunt(
        self, index: int, offered: list[list[str]]
    ) -> tuple[Op | None, Admission | None]:
        if not self.records:
            return None, None
        record = self.records[index % len(self.records)]
        return (
            Rehunt(record, candidates(offered)),
            self.model.rehunt(record.id, offered, self.now_ms),
        )

    def plan_save(self, index: int) -> tuple[Op | None, None]:
        if not self.records:
            return None, None
        record = self.records[index % len(self.records)]
        record.answered = True
        return Save(record), None

    def plan_finish(self, index: int) -> tuple[Op | None, None]:
        if not self.records:
            return None, None
        record = self.records[index % len(self.records)]
        self.model.calls.pop(record.id, None)
        self.model.ended.add(record.id)
        return Finish(record.id, sample_cdr(0, id=record.id)), None

    def plan_down(self, key: str, seconds: int) -> tuple[Op, None]:
        until_ms = self.now_ms + seconds * 1_000 if seconds else 0
        self.model.down[key] = until_ms
        return GatewayState(key, until_ms, seconds), None

    @invariant()
    def usage_is_the_models_and_the_sum_of_the_leases(self) -> None:
        if not hasattr(self, "live"):
            return
        usages = self.live.usages("")
        assert {k: u.in_use for k, u in usages.items() if u.in_use} == +self.model.in_use()
        assert {k: u.handed for k, u in usages.items() if u.handed} == +self.model.handed
        for key, limit in (LIMITS | LINES).items():
            assert limit < 0 or self.live.usage(key).in_use <= limit
        assert self.live.verify() == []

    @invariant()
    def calls_and_cdrs_are_the_models(self) -> None:
        if not hasattr(self, "live"):
            return
        stored = {call.id: (call.holds, call.gateway) for call in self.live.calls()}
        assert stored == self.model.calls
        waiting = [cdr.id for cdr in self.live.waiting_cdrs(CdrQuery())]
        assert sorted(waiting) == sorted(self.model.ended)


def candidates(offered: list[list[str]]) -> tuple[tuple[Candidate, ...], ...]:
    return tuple(tuple(Candidate(key, LINES[key]) for key in tier) for tier in offered)


TestAdmissionAgainstTheModel = AdmissionMachine.TestCase
TestAdmissionAgainstTheModel.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, print_blob=True
)
