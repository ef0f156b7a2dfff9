"""500 reloads during 300 calls a second: `make soak`.

No failed call, no worker on an old version after a reload has returned, no growth of memory.
"""

from __future__ import annotations

import statistics
import time

from harness.routes import Routes
from harness.storm import Storm

RELOADS = 500
RATE = 300
SECONDS = 150
HOLD_MS = 400
SETTLED = 200
"""Reloads after which memory has found its size: caches are full, arenas are there."""
MAX_GROWTH_KIB = 2_048


def test_500_reloads_during_300_calls_a_second(run_switch, sipp) -> None:
    switch = run_switch(Routes(pairs=1), workers=2)
    pair = switch.routes.pair()
    calls = RATE * SECONDS
    storm = Storm(switch)
    more = {"calls": calls, "messages": False, "limit_s": SECONDS + 60}
    gateway = sipp("gateway_answers", port=pair.first, **more)
    caller = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="storm",
        rate=RATE,
        hold_ms=HOLD_MS,
        **more,
    )
    began = time.monotonic()
    for number in range(RELOADS):
        due = began + (number + 1) * (SECONDS - 10) / RELOADS
        time.sleep(max(0.0, due - time.monotonic()))
        storm.reload(number)
        if number % 25 == 0:
            storm.measure()
    spent = time.monotonic() - began
    assert caller.process.poll() is None, "the calls ended before the reloads"
    storm.measure()
    caller.succeeds()
    gateway.succeeds()
    switch.is_idle(20)
    time.sleep(1)
    quickest, slowest = min(storm.took_ms), max(storm.took_ms)
    growth = storm.growth_kib(SETTLED // 25)
    print(
        f"\n{len(storm.applied)} reloads applied and {storm.refused} refused in {spent:.0f} s, "
        f"{calls} calls: {quickest} to {slowest} ms, median {statistics.median(storm.took_ms)}"
    )
    print(f"own memory, KiB, from reload {SETTLED} on: {growth}; at the end {storm.memory[-1]}")
    assert caller.count("FailedCall") == 0
    storm.check_versions(pair, calls)
    assert all(grown < MAX_GROWTH_KIB for grown in growth.values()), storm.memory
    metrics = switch.metrics()
    assert metrics.value("reloads_total", result="applied") == len(storm.applied)
    assert metrics.value("reloads_total", result="refused") == storm.refused
    assert metrics.value("config_info", hash=storm.applied[-1].hash) == 1
    assert metrics.value("worker_up") == 2
