"""Reloads under load: calls at a steady rate while the configuration changes again and again.

What must hold afterwards: every call went through and has its CDR; a call that began after a reload
had returned met that configuration or a later one, in whichever worker; a call met none that had
not been asked for yet; refused configurations were met by nobody; and memory has not grown.
"""

from __future__ import annotations

import bisect
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness.processes import memory_kib
from harness.routes import Pair
from harness.switch import Switch

from router.runtime.reload_control import Request, ask
from router.runtime.reload_report import APPLIED, REFUSED, Answer
from router.store.ledger import LmdbLedger

ANSWER_S = 60.0
BROKEN_EVERY = 10
CLOCKS_MS = 10
"""Two processes' clocks may differ by so much: each carries on its own reading of the wall's."""

VARIED = """
gateway spare{turn} {{ address = 127.0.0.1:9  prefixes = 999  lines = {turn} }}
account tenant{turn} {{ lines = 3  trunk t {{ ips = 198.51.100.{turn} }} }}
route[VARIED] {{
    if ($rU =~ /^12{turn}/ || $si in [203.0.113.{turn}/32]) reply(480, "version {number}");
}}
"""


@dataclass(slots=True)
class Applied:
    """A reload that was applied: when it was asked for, when it returned (epoch ms)."""

    asked_ms: int
    returned_ms: int
    hash: str


@dataclass(slots=True)
class Storm:
    """Reloads of one router; memory is own pages in KiB by post, sampled over time."""

    switch: Switch
    applied: list[Applied] = field(default_factory=list)
    took_ms: list[int] = field(default_factory=list)
    refused: int = 0
    memory: list[dict[str, int]] = field(default_factory=list)

    def reload(self, number: int) -> Answer:
        """Writes version `number` and reloads; every tenth has a mistake and must be refused."""
        broken = number % BROKEN_EVERY == BROKEN_EVERY - 1
        text = version(self.switch, number, broken)
        self.switch.file.write_text(text)
        asked_ms = time.time_ns() // 1_000_000
        answer = ask(self.switch.state, Request(), ANSWER_S)
        returned_ms = time.time_ns() // 1_000_000
        if broken:
            assert answer.result == REFUSED, answer
            self.refused += 1
        else:
            assert answer.result == APPLIED, answer
            self.applied.append(Applied(asked_ms, returned_ms, answer.config_hash))
            self.took_ms.append(answer.took_ms)
        return answer

    def measure(self) -> None:
        """Samples the memory of every process."""
        pids = {"supervisor": self.switch.pid, **self.switch.posts()}
        self.memory.append({post: memory_kib(pid)[1] for post, pid in pids.items()})

    def growth_kib(self, first: int) -> dict[str, int]:
        """How much every process grew from a sample to the last one."""
        before, after = self.memory[first], self.memory[-1]
        return {post: after[post] - before[post] for post in before}

    def check_versions(self, pair: Pair, count: int) -> None:
        """AssertionError unless every call met the configuration of its time."""
        order = {one.hash: index for index, one in enumerate(self.applied)}
        returned = [one.returned_ms for one in self.applied]
        asked = [one.asked_ms for one in self.applied]
        cdrs = [cdr for cdr in cdrs_of(self.switch.state) if cdr.callee_in == pair.number]
        assert len(cdrs) == count
        seen = set()
        for cdr in cdrs:
            assert cdr.end_reason == "Normal", cdr
            at = order.get(cdr.config, -1)  # -1: what was started
            oldest = bisect.bisect_left(returned, cdr.started - CLOCKS_MS) - 1
            newest = bisect.bisect_right(asked, cdr.started + CLOCKS_MS) - 1
            assert oldest <= at <= newest, (
                f"a call met version {at} when only {oldest} to {newest} could be there: {cdr}"
            )
            seen.add((cdr.worker, at))
        workers = {worker for worker, _ in seen}
        assert workers == set(range(self.switch.workers)), "all workers took calls"


def version(switch: Switch, number: int, broken: bool = False) -> str:
    """The configuration of the test with gateways, accounts and a route that vary."""
    text = switch.file_text(str(switch.state))
    text = text.replace("lines = 1000", f"lines = {1000 + number % 7}")
    text = text.replace("    if (!identify())", "    route(VARIED);\n    if (!identify())")
    text += VARIED.format(turn=number % 5 + 1, number=number)
    return text + ("route[BROKEN] { nothing(); }\n" if broken else "")


def cdrs_of(state: Path) -> list:
    """Every CDR of the ledger."""
    ledger = LmdbLedger(state / "ledger.lmdb", readonly=True)
    try:
        return list(ledger.cdrs())
    finally:
        ledger.close()
