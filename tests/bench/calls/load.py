#!/usr/bin/env python3
"""The load test: two workers, 1,000 calls/s for 60 s, SIPp at both ends of one machine.

    load.py [--cps 1000] [--seconds 60] [--warm 40] [--workers 2] [--hold 500]

Passes (exit 0) when no call failed, nothing was sent twice, every call has its one CDR, every line
is free again and the memory of the router's processes (their own pages; the mapped pages of the
ledger grow with the CDRs in it) did not grow from the first to the last ten seconds. The same load
runs for --warm seconds before: a transaction over UDP is remembered for 64 x T1 = 32 s (RFC 3261
§17.2.2), so memory is level only after that. Not part of `make test`: it needs a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "system"))

from harness.processes import children, cpu_seconds, memory_kib
from harness.routes import Routes
from harness.sipp import Sipp
from harness.switch import Switch

# Memory may differ by what one heap arena or a map page more or less makes.
GROWTH_ALLOWED = 0.03
WINDOW_S = 10

Row = tuple[str, str, str, bool]
"""What is judged, what was wanted, what came, whether it passes."""


@dataclass
class Samples:
    """Memory and CPU of the router's processes, once a second."""

    switch: Switch
    pss_mib: list[float] = field(default_factory=list)
    own_mib: list[float] = field(default_factory=list)

    def family(self) -> list[int]:
        """The supervisor and its children."""
        return [self.switch.pid, *children(self.switch.pid)]

    def take(self) -> None:
        """One sample of memory."""
        each = [memory_kib(pid) for pid in self.family()]
        self.pss_mib.append(sum(pss for pss, _ in each) / 1024)
        self.own_mib.append(sum(own for _, own in each) / 1024)

    def cpu(self) -> float:
        """User and system seconds so far, all processes."""
        return sum(map(cpu_seconds, self.family()))


def play(switch: Switch, folder: Path, options: argparse.Namespace) -> tuple[Sipp, Sipp, Samples]:
    """Runs the load; both SIPp processes have ended when it returns."""
    pair = switch.routes.pair()
    length = options.warm + options.seconds
    calls = options.cps * length
    limit = int(length + options.hold / 1000 + 60)
    quiet = {"calls": calls, "messages": False, "limit_s": limit}
    buffers = ("-buff_size", "4000000", "-deadcall_wait", "2000")
    gateway = Sipp("gateway_answers", folder, port=pair.first, extra=buffers, **quiet)
    caller = Sipp(
        "caller_hangs_up",
        folder,
        target=switch.port,
        number=pair.number,
        call_id="load",
        rate=options.cps,
        hold_ms=options.hold,
        # A 180 that arrives behind the 200 is no failure, for a phone ignores it.
        extra=(*buffers, "-l", "100000", "-default_behaviors", "all,-abortunexp"),
        **quiet,
    )
    samples = Samples(switch)
    while caller.process.poll() is None:
        samples.take()
        time.sleep(1)
    caller.wait()
    gateway.wait()
    return caller, gateway, samples


def judge(
    switch: Switch, folder: Path, options: argparse.Namespace
) -> tuple[list[Row], dict[str, Any]]:
    """Plays the load, stops the router; what was required and what came, and the figures."""
    calls = options.cps * (options.warm + options.seconds)
    samples = Samples(switch)
    before = samples.cpu()
    caller, gateway, taken = play(switch, folder, options)
    switch.is_idle(30)
    used = samples.cpu() - before
    cdrs = [cdr for cdr in switch.all_cdrs() if cdr["call_id"].startswith("load")]
    resent = int(switch.metrics().value("sip_retransmissions_total"))
    normal = sum(cdr["end_reason"] == "Normal" for cdr in cdrs)
    equal = [
        ("calls answered and ended", calls, caller.count("SuccessfulCall")),
        ("calls failed (caller)", 0, caller.count("FailedCall")),
        ("calls failed (gateway)", 0, gateway.count("FailedCall")),
        ("resent by the caller", 0, caller.count("Retransmissions")),
        ("resent by the gateway", 0, gateway.count("Retransmissions")),
        ("resent by or to the router", 0, resent),
        ("CDRs", calls, len(cdrs)),
        ("CDRs that are Normal", calls, normal),
        ("different calls in them", calls, len({cdr["call_id"] for cdr in cdrs})),
        ("lines in use at the end", 0, sum(switch.in_use().values())),
        ("exit status", 0, switch.stop(30)),
    ]
    rows: list[Row] = [(what, str(want), str(got), want == got) for what, want, got in equal]
    measured = taken.own_mib[options.warm :]
    early, late = fmean(measured[:WINDOW_S]), fmean(measured[-WINDOW_S:])
    most = early * (1 + GROWTH_ALLOWED)
    rows.append(
        (f"memory of the last {WINDOW_S} s, MiB", f"<= {most:.1f}", f"{late:.1f}", late <= most)
    )
    statistics = caller.statistics()
    return rows, {
        "cps": options.cps,
        "seconds": options.seconds,
        "workers": options.workers,
        "calls_per_s": statistics["CallRate(C)"],
        "answer_time": statistics["ResponseTime1(C)"],
        "cpu_us_per_call": round(used / calls * 1e6, 1),
        "own_mib_cold": round(taken.own_mib[0], 1),
        "own_mib_first": round(early, 1),
        "own_mib_last": round(late, 1),
        "pss_mib_first": round(fmean(taken.pss_mib[options.warm :][:WINDOW_S]), 1),
        "pss_mib_last": round(fmean(taken.pss_mib[-WINDOW_S:]), 1),
        "passed": all(passed for *_, passed in rows),
    }


def main() -> int:
    """Prints a table of what was required and what came, and a JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cps", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--warm", type=int, default=40, help="seconds of load before these")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hold", type=int, default=500, help="ms that each call lasts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trunkline-load-") as name:
        folder = Path(name)
        routes = Routes(pairs=1, first={"lines": "20000"})
        routes.accounts = routes.accounts.replace("lines = 5000", "lines = 20000")
        switch = Switch(routes, folder / "router", workers=options.workers).start()
        try:
            rows, result = judge(switch, folder, options)
        finally:
            switch.sweep()
        for what, wanted, got, passed in rows:
            print(f"{'ok  ' if passed else 'FAIL'} {what:34} wanted {wanted:12} got {got}")
        print(json.dumps(result))
        if not result["passed"]:
            print(switch.log()[-3000:], file=sys.stderr)
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
