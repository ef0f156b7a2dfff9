#!/usr/bin/env python3
"""The load test: two workers, 1,000 calls/s for 60 s, SIPp at both ends of one machine.

    load.py [--cps 1000] [--seconds 60] [--workers 2] [--hold 500]

Passes (exit 0) when no call failed, nothing was sent twice, every call has its one CDR, every line
is free again and the router's memory (PSS of all its processes) did not grow from the first to the
last ten seconds. Not part of `make test`: it needs a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "system"))

from harness.processes import children, cpu_seconds, pss_kib
from harness.routes import Routes
from harness.sipp import Sipp
from harness.switch import Switch

# Memory may differ by what one heap arena or a map page more or less makes.
GROWTH_ALLOWED = 0.03
WINDOW_S = 10


@dataclass
class Samples:
    """Memory and CPU of the router's processes, once a second."""

    switch: Switch
    pss_mib: list[float] = field(default_factory=list)
    roles: dict[int, str] = field(default_factory=dict)

    def family(self) -> list[int]:
        """The supervisor and its children."""
        return [self.switch.pid, *children(self.switch.pid)]

    def take(self) -> None:
        """One sample of memory."""
        self.pss_mib.append(sum(map(pss_kib, self.family())) / 1024)

    def cpu(self) -> float:
        """User and system seconds so far, all processes."""
        return sum(map(cpu_seconds, self.family()))


def play(switch: Switch, folder: Path, options: argparse.Namespace) -> tuple[Sipp, Sipp, Samples]:
    """Runs the load; both SIPp processes have ended when it returns."""
    pair = switch.routes.pair()
    calls = options.cps * options.seconds
    limit = int(options.seconds + options.hold / 1000 + 60)
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


def main() -> int:
    """Plays the load, prints a table of what was required and what came, and a JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cps", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hold", type=int, default=500, help="ms that each call lasts")
    options = parser.parse_args()
    calls = options.cps * options.seconds
    with tempfile.TemporaryDirectory(prefix="trunkline-load-") as name:
        folder = Path(name)
        routes = Routes(pairs=1, first={"lines": "20000"})
        routes.accounts = routes.accounts.replace("lines = 5000", "lines = 20000")
        switch = Switch(routes, folder / "router", workers=options.workers).start()
        try:
            samples = Samples(switch)
            before = samples.cpu()
            caller, gateway, taken = play(switch, folder, options)
            switch.is_idle(30)
            used = samples.cpu() - before
            cdrs = [cdr for cdr in switch.all_cdrs() if cdr["call_id"].startswith("load")]
            metrics = switch.metrics()
            status = switch.stop(30)
        finally:
            switch.sweep()
            log = switch.log()
    early = sum(taken.pss_mib[:WINDOW_S]) / len(taken.pss_mib[:WINDOW_S])
    late = sum(taken.pss_mib[-WINDOW_S:]) / len(taken.pss_mib[-WINDOW_S:])
    normal = sum(cdr["end_reason"] == "Normal" for cdr in cdrs)
    checks: list[tuple[str, object, object, bool]] = [
        ("calls answered and ended", calls, caller.count("SuccessfulCall"), True),
        ("calls failed (caller)", 0, caller.count("FailedCall"), True),
        ("calls failed (gateway)", 0, gateway.count("FailedCall"), True),
        ("resent by the caller", 0, caller.count("Retransmissions"), True),
        ("resent by the gateway", 0, gateway.count("Retransmissions"), True),
        ("resent by the router", 0, int(metrics.value("sip_retransmissions_total")), True),
        ("CDRs", calls, len(cdrs), True),
        ("CDRs that are Normal", calls, normal, True),
        ("different calls in them", calls, len({cdr["call_id"] for cdr in cdrs}), True),
        ("exit status", 0, status, True),
    ]
    rows = [(what, wanted, got, wanted == got) for what, wanted, got, _ in checks]
    rows.append(
        (
            f"memory MiB, last {WINDOW_S} s",
            f"<= {early * (1 + GROWTH_ALLOWED):.1f}",
            f"{late:.1f} (first {WINDOW_S} s: {early:.1f})",
            late <= early * (1 + GROWTH_ALLOWED),
        )
    )
    for what, wanted, got, passed in rows:
        print(f"{'ok  ' if passed else 'FAIL'} {what:28} wanted {wanted!s:12} got {got}")
    rate = caller.statistics().get("CallRate(C)", "")
    result = {
        "cps": options.cps,
        "seconds": options.seconds,
        "workers": options.workers,
        "rate": rate,
        "cpu_us_per_call": round(used / calls * 1e6, 1),
        "answer_ms": caller.statistics().get("ResponseTime1(C)", ""),
        "pss_mib_first": round(early, 1),
        "pss_mib_last": round(late, 1),
        "passed": all(passed for *_, passed in rows),
        "load_average": os.getloadavg(),
    }
    print(json.dumps(result))
    if not result["passed"]:
        print(log[-3000:], file=sys.stderr)
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
