"""Money with real processes: callers that race for it, and kills at random moments."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from router.runtime.ledger_process import run_ledger
from router.store.draining import open_accounts
from router.store.funds import OPENING, Funds, opening_id
from router.store.ledger import LmdbLedger
from router.store.ledger_check import check_ledger, check_live
from router.store.live import LmdbLive
from router.store.money import Money
from router.store.state import prepare_state

WORKER = str(Path(__file__).with_name("paying_worker.py"))
LEDGER = """
import sys
from router.runtime.ledger_process import run_ledger
run_ledger(sys.argv[1], log=lambda *said, **fields: None, interval_s=0.002)
"""
FLOOR = -7


class Process:
    """A worker or the ledger process, to be let go or killed."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def wait(self) -> None:
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def report(self) -> dict[str, Any]:
        out, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        found: dict[str, Any] = json.loads(out)
        return found

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    prepare_state(tmp_path / "state")
    return tmp_path / "state"


@contextmanager
def stores(state: Path) -> Iterator[tuple[LmdbLedger, LmdbLive]]:
    ledger = LmdbLedger(state / "ledger.lmdb", readonly=True)
    live = LmdbLive(state / "live.lmdb", readonly=True)
    try:
        yield ledger, live
    finally:
        live.close()
        ledger.close()


def open_with(state: Path, amount: int) -> None:
    live = LmdbLive(state / "live.lmdb")
    open_accounts(live, [Funds(opening_id("acme"), "acme", amount, OPENING)], 1)
    live.close()


class AtOnce:
    """The order to the ledger process to take what is there and end."""

    def is_set(self) -> bool:
        return True

    def wait(self, timeout: float) -> None:
        raise AssertionError


def drain(state: Path) -> None:
    assert run_ledger(state, log=lambda *said, **fields: None, stop=AtOnce()) == 0


def assert_proven(state: Path) -> None:
    with stores(state) as (ledger, live):
        assert check_ledger(ledger).problems == []
        assert check_live(ledger, live) == []
        assert live.active_calls() == 0


@pytest.mark.parametrize("spare", [0, 4])
def test_200_callers_of_4_processes_share_credit_for_50_calls(state: Path, spare: int) -> None:
    """10 lines, 5 a call: no more than 10 at once, and 50 calls, whoever is how fast."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    open_with(state, 50 * 5 + FLOOR + spare)
    workers = [Process(WORKER, state, slot, seed + slot, 50, 5, 0, 0) for slot in range(4)]
    for worker in workers:
        worker.wait()
    for worker in workers:
        worker.go()
    reports = [worker.report() for worker in workers]
    assert [report["over"] for report in reports] == [[]] * 4
    assert sum(report["admitted"] for report in reports) == 50
    # Otherwise nothing was raced for: each had calls, and each met an obstacle.
    assert all(report["admitted"] and report["refused"] for report in reports)
    assert max(report["lines"] for report in reports) >= 5
    drain(state)
    with stores(state) as (ledger, live):
        assert live.money("acme") == Money(FLOOR + spare, 0)
        assert ledger.balances() == {"acme": FLOOR + spare, "carrier": -50}
        assert len(list(ledger.rows("acme"))) == 51
    assert_proven(state)


def test_callers_that_renew_use_the_last_unit_and_no_more(state: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    open_with(state, 400)
    workers = [Process(WORKER, state, slot, seed + slot, 50, 1, 9, 0) for slot in range(4)]
    for worker in workers:
        worker.wait()
    for worker in workers:
        worker.go()
    reports = [worker.report() for worker in workers]
    assert [report["over"] for report in reports] == [[]] * 4
    assert sum(report["renewed"] for report in reports) > 10
    drain(state)
    with stores(state) as (ledger, _):
        assert ledger.balances()["acme"] == FLOOR
    assert_proven(state)


def test_kills_of_workers_and_ledger_at_random_moments_cost_no_unit(state: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    open_with(state, 1_000)
    ledger = Process("-c", LEDGER, state)
    workers: dict[int, Process] = {}
    for turn in range(24):
        for slot in range(2):
            if slot not in workers:
                workers[slot] = Process(WORKER, state, slot, seed + 2 * turn + slot, 1, 3, 4, 60)
                workers[slot].wait()
                workers[slot].go()
        time.sleep(dice.uniform(0.01, 0.08))
        if dice.random() < 0.5:
            ledger.kill()
            with stores(state) as (book, live):
                assert check_ledger(book).problems == []
                assert check_live(book, live) == []
            ledger = Process("-c", LEDGER, state)
        else:
            workers.pop(dice.randrange(2)).kill()
    for worker in workers.values():
        worker.kill()
    ledger.kill()
    for slot in range(2):
        heir = Process(WORKER, state, slot, seed - 1 - slot, 0, 3, 0, 0)
        heir.wait()
        heir.go()
        assert heir.report()["over"] == []
    drain(state)
    assert_proven(state)
    with stores(state) as (book, live):
        assert sum(1 for _ in book.rows("acme")) > 100
        assert live.backlog() == 0
