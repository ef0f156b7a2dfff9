"""The live store in plain memory: for routes tried in virtual time, where nothing may touch a disk.

Same rules as LMDB's, one process, nothing shared. The CDRs of ended calls are in `cdrs`, by id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from router.store.admission import choose_gateway
from router.store.interface import Usage
from router.store.ops import (
    Admission,
    Admit,
    Candidate,
    Finish,
    Forget,
    Hold,
    Keep,
    Op,
    Opened,
    Rehunt,
    Save,
)
from router.store.records import CallRecord, Cdr, GatewayState

NO_USAGES: Mapping[str, Usage] = {}


class MemoryLive:
    """In-use, health and records of one process.

    It keeps the worker's own records instead of copies: a call that is saved again is the same
    object. `usages` is what is in use, and was handed out, before it begins.
    """

    def __init__(self, usages: Mapping[str, Usage] = NO_USAGES) -> None:
        self.records: dict[str, CallRecord] = {}
        self.cdrs: dict[str, Cdr] = {}
        self.opened: list[str] = []
        self._usage: dict[str, list[int]] = {key: [*usage] for key, usage in usages.items()}
        self._down: dict[str, GatewayState] = {}

    def commit(self, ops: Sequence[Op], now_ms: int) -> list[Admission | None]:
        """Does all operations in order, one answer for each."""
        return [self._apply(op, now_ms) for op in ops]

    def usage(self, key: str) -> Usage:
        """In-use and handed of one key."""
        return Usage(*self._usage.get(key, (0, 0)))

    def usages(self, prefix: str) -> dict[str, Usage]:
        """In-use and handed of every key that begins with the prefix, in key order."""
        return {
            key: Usage(*used) for key, used in sorted(self._usage.items()) if key.startswith(prefix)
        }

    def gateway_states(self) -> dict[str, GatewayState]:
        """Passive health of every gateway that has some, by key."""
        return dict(self._down)

    def verify(self) -> list[str]:
        """One sentence for each key whose in-use is not the sum over the records."""
        sums: dict[str, int] = {}
        for record in self.records.values():
            for key in (*record.holds, *([record.gateway] if record.gateway else [])):
                sums[key] = sums.get(key, 0) + 1
        return [
            f"{key}: {used[0]} in use, {sums.get(key, 0)} held by calls"
            for key, used in self._usage.items()
            if used[0] != sums.get(key, 0)
        ]

    def _apply(self, op: Op, now_ms: int) -> Admission | None:
        if isinstance(op, Admit):
            return self._admit(op, now_ms)
        if isinstance(op, Rehunt):
            return self._rehunt(op, now_ms)
        if isinstance(op, Save):
            if op.record.id in self.records:
                self.records[op.record.id] = op.record
        elif isinstance(op, Finish):
            record = self.records.pop(op.id, None)
            if record is not None:
                self._give_back((*record.holds, record.gateway))
            self.cdrs.setdefault(op.id, op.cdr)
        elif isinstance(op, Opened):
            self.opened.append(op.record.id)
        elif isinstance(op, Keep):
            self.records.setdefault(op.record.id, op.record)
        elif isinstance(op, Forget):
            kept = self.records.get(op.id)
            if kept is not None and not (kept.holds or kept.gateway):
                del self.records[op.id]
        else:
            self._down[op.key] = op
        return None

    def _admit(self, op: Admit, now_ms: int) -> Admission:
        full = self._full(op.holds)
        if full is not None:
            return Admission(refused=full)
        admission = self._choose(op.tiers, now_ms)
        if admission.gateway is not None:
            record = op.record
            record.holds = [hold.key for hold in op.holds]
            record.gateway = admission.gateway
            for hold in op.holds:
                self._used(hold.key)[0] += 1
            self.records[record.id] = record
        return admission

    def _rehunt(self, op: Rehunt, now_ms: int) -> Admission:
        record = op.record
        if record.id not in self.records:
            return Admission()
        self._give_back((record.gateway,))
        admission = self._choose(op.tiers, now_ms)
        record.gateway = admission.gateway or ""
        return admission

    def _full(self, holds: Iterable[Hold]) -> str | None:
        for hold in holds:
            if hold.limit >= 0 and self._used(hold.key)[0] >= hold.limit:
                return hold.key
        return None

    def _choose(self, tiers: tuple[tuple[Candidate, ...], ...], now_ms: int) -> Admission:
        usage, down = {}, {}
        for tier in tiers:
            for candidate in tier:
                key = candidate.key
                usage[key] = self._used(key)
                state = self._down.get(key)
                down[key] = state.down_until_ms if state is not None else 0
        dropped: list[tuple[str, str]] = []
        chosen = choose_gateway(tiers, usage, down, now_ms, dropped)
        if chosen is not None:
            used = self._used(chosen)
            used[0] += 1
            used[1] += 1
        return Admission(chosen, dropped)

    def _used(self, key: str) -> list[int]:
        return self._usage.setdefault(key, [0, 0])

    def _give_back(self, keys: Iterable[str]) -> None:
        for key in keys:
            if key:
                self._used(key)[0] -= 1
