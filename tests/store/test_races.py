"""Several real processes on one live state: never over a limit, whoever is killed when."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from router.store.live import LmdbLive

WORKER = str(Path(__file__).with_name("racing_worker.py"))


class Worker:
    """A racing worker, started and waiting for its signal to go."""

    def __init__(self, path: Path, slot: int, seed: int, seconds: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, WORKER, str(path), str(slot), str(seed), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def go(self) -> None:
        assert self.process.stdin and self.process.stdout
        assert self.process.stdout.readline() == "ready\n"
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def report(self) -> dict[str, Any]:
        out, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0
        report: dict[str, Any] = json.loads(out)
        return report

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


def test_processes_that_race_for_lines_never_pass_a_limit(live_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    workers = [Worker(live_path, slot, seed, 1.5) for slot in range(4)]
    for worker in workers:
        worker.go()
    reports = [worker.report() for worker in workers]
    assert [report["over"] for report in reports] == [[]] * 4
    # Otherwise nothing was tried: lines must have been taken and have run out, in each of them.
    assert all(report["taken"] > 20 and report["refused"] > 20 for report in reports)

    live = LmdbLive(live_path, readonly=True)
    usages = live.usages("")
    assert {key: usage.in_use for key, usage in usages.items() if usage.in_use} == {}
    handed = sum(usage.handed for key, usage in usages.items() if key.startswith("gateway:"))
    assert handed == sum(report["taken"] for report in reports)
    assert live.verify() == []
    live.close()


def test_a_worker_killed_at_any_instant_leaves_its_leases_and_nothing_else(
    live_path: Path,
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    survivor = Worker(live_path, 0, seed, 3.0)
    survivor.go()
    for turn in range(12):
        victim = Worker(live_path, 1, seed + 1 + turn, 30)
        victim.go()
        time.sleep(dice.uniform(0.01, 0.1))
        victim.kill()
        live = LmdbLive(live_path, readonly=True)
        assert live.verify() == []
        live.close()
    assert survivor.report()["over"] == []

    heir = Worker(live_path, 1, seed + 100, 0.1)
    heir.go()
    report = heir.report()
    assert report["over"] == []
    live = LmdbLive(live_path, readonly=True)
    assert live.active_calls() == 0
    assert [usage for usage in live.usages("").values() if usage.in_use] == []
    assert live.verify() == []
    live.close()
