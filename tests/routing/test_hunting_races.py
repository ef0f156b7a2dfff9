"""Four real worker processes hunting on one live state: no gateway passes its lines or its cps."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from racing_hunter import Table

from router.store.live import LmdbLive

HUNTER = str(Path(__file__).with_name("racing_hunter.py"))
SECONDS = 2.5
SURELY_WITHIN_MS = 940
"""A call is counted for a second, in slots of 20 ms, by the clock of whoever commits it: calls that
are nearer than this were counted together for certain."""


def play(path: Path, seed: int) -> list[dict[str, Any]]:
    hunters = [
        subprocess.Popen(
            [sys.executable, HUNTER, str(path), str(slot), str(seed), str(SECONDS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for slot in range(4)
    ]
    for hunter in hunters:
        assert hunter.stdout is not None and hunter.stdout.readline() == "ready\n"
    for hunter in hunters:
        assert hunter.stdin is not None
        hunter.stdin.write("go\n")
        hunter.stdin.flush()
    reports = [json.loads(hunter.communicate(timeout=60)[0]) for hunter in hunters]
    assert all(hunter.returncode == 0 for hunter in hunters)
    return reports


def test_no_gateway_passes_its_lines_or_its_cps_with_four_workers_racing(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    table = Table(seed)
    path = tmp_path / "live.lmdb"
    reports = play(path, seed)
    assert [report["over"] for report in reports] == [[]] * 4
    # Otherwise nothing was tried: each worker took gateways, and found all of them closed.
    assert all(len(report["taken"]) > 20 and report["refused"] > 5 for report in reports)
    times: dict[str, list[int]] = {}
    for report in reports:
        for key, at_ms in report["taken"]:
            times.setdefault(key, []).append(at_ms)
    limited = 0
    for gateway in table.gateways:
        if gateway.cps < 0 or gateway.key not in times:
            continue
        taken = sorted(times[gateway.key])
        limited += len(taken) > gateway.cps
        for first, later in zip(taken, taken[gateway.cps :], strict=False):
            assert later - first >= SURELY_WITHIN_MS, (gateway.name, gateway.cps)
    assert limited or all(gateway.cps < 0 for gateway in table.gateways)
    live = LmdbLive(path, readonly=True)
    try:
        assert live.active_calls() == 0 and live.verify() == []
        handed = sum(usage.handed for usage in live.usages("gateway:").values())
        assert handed == sum(len(report["taken"]) for report in reports)
    finally:
        live.close()
