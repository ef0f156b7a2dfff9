"""What metrics cost: a worker's flush, once a second, and a scrape, once in 15 seconds or so.

500 gateways, 1,000 accounts and 8 workers, with every family that calls have; 10,000 calls in
progress and 100,000 phones in live state. A flush holds up the worker's loop, so it must stay
within a few milliseconds even when every gateway has had calls; a scrape takes a core of its own,
and half a second is what a scraper should ever have to wait.
"""

from __future__ import annotations

import random
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.exposition import generate_latest

from router.admin.scrape import Scrape
from router.core.tally import Tally
from router.runtime.metrics import MetricsFlusher, prepare_metrics
from router.store.live import LmdbLive
from router.store.ops import Admit, Bind, Candidate, Credit, Funds, Hold
from router.store.records import CallRecord, Contact

GATEWAYS = [f"gateway_{number}" for number in range(500)]
ACCOUNTS = [f"account_{number}" for number in range(1_000)]
CALLS, PHONES, BATCH = 10_000, 100_000, 1_000
NOW_MS = 1_700_000_000_000
REASONS = ("Normal", "UserBusy", "Cancelled", "ResponseTimeout", "NoAvailableRouter")
CODES = ("404", "480", "486", "503", "ConnectionTimeout")
WORKERS = 8


def count_calls(tally: Tally, source: random.Random, gateways: list[str], calls: int) -> None:
    """What so many calls leave in a tally."""
    for _ in range(calls):
        gateway, account = source.choice(gateways), source.choice(ACCOUNTS)
        reason = source.choice(REASONS)
        tally.attempts[gateway] += 1
        tally.answers[gateway] += 1
        tally.failures[gateway, source.choice(CODES)] += 1
        tally.failed_delay[gateway].observe(source.expovariate(1 / 3))
        tally.talked_ms[gateway] += 60_000
        tally.calls[gateway, reason] += 1
        tally.account_calls[account, reason] += 1
        tally.charged[account] += 1_000
        tally.costs[gateway] += 500
        tally.pings[gateway, "answered"] += 1
        for method in ("INVITE", "ACK", "BYE"):
            for direction in ("in", "out"):
                tally.requests[method, direction] += 1
                tally.responses[method, 200, direction] += 1
        tally.call_duration.observe(source.expovariate(1 / 120))
        tally.pdd[gateway].observe(source.expovariate(1 / 3))
        tally.route_duration["request_route"].observe(0.00002)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "metrics"
    prepare_metrics(directory)
    return directory


@pytest.mark.parametrize("gateways", [2, 500])
def test_flush_of_a_second_with_500_calls(benchmark: Any, directory: Path, gateways: int) -> None:
    source = random.Random(1)
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    count_calls(tally, source, GATEWAYS, 20_000)
    flusher.flush(tally, 0)

    def one_more_second() -> tuple[tuple[Tally, int], dict[str, Any]]:
        count_calls(tally, source, GATEWAYS[:gateways], 500)
        return (tally, 0), {}

    benchmark.pedantic(flusher.flush, setup=one_more_second, rounds=100)


def test_flush_of_a_second_without_calls(benchmark: Any, directory: Path) -> None:
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    count_calls(tally, random.Random(1), GATEWAYS, 20_000)
    flusher.flush(tally, 0)
    benchmark(flusher.flush, tally, 0)


def fill(live: LmdbLive) -> None:
    """Calls in progress, accounts with balances, and phones online."""
    live.commit([Funds(f"{n}", name, 10_000_000) for n, name in enumerate(ACCOUNTS)], NOW_MS)
    live.outbox_delete([key for key, _ in live.outbox(2 * len(ACCOUNTS))])
    for start in range(0, CALLS, BATCH):
        live.commit(
            [
                Admit(
                    CallRecord(id=f"{number:012x}00aa", call_id=f"call-{number}"),
                    (Hold(f"account:{ACCOUNTS[number % 1_000]}", -1),),
                    ((Candidate(f"gateway:{GATEWAYS[number % 500]}", -1),),),
                    (Credit(ACCOUNTS[number % 1_000], 1_000),),
                )
                for number in range(start, start + BATCH)
            ],
            NOW_MS,
        )
    for start in range(0, PHONES, BATCH):
        live.commit(
            [
                Bind(str(number), "account_1", (contact(number),), max_contacts=5)
                for number in range(start, start + BATCH)
            ],
            NOW_MS,
        )


def contact(number: int) -> Contact:
    return Contact(
        uri=f"sip:{number}@192.0.2.1:5060", expires_ms=NOW_MS + 3_600_000,
        call_id=f"{number:032x}", cseq=1, transport="udp", host="192.0.2.1", port=5060,
    )


def test_scrape_of_500_gateways_and_8_workers(
    benchmark: Any, directory: Path, tmp_path: Path
) -> None:
    for slot in range(WORKERS):
        flusher, tally = MetricsFlusher(directory, slot), Tally()
        count_calls(tally, random.Random(slot), GATEWAYS, 20_000)
        flusher.flush(tally, 0)
    live = LmdbLive(tmp_path / "live.lmdb", slot=0)
    fill(live)
    running = SimpleNamespace(
        config_hash="0123456789ab", gateways=[(name, 30) for name in GATEWAYS],
        accounts=[(name, 30) for name in ACCOUNTS], reloads={},
    )
    scrape = Scrape(
        directory=directory,
        gateways=running.gateways,
        config_hash=running.config_hash,
        slots=WORKERS,
        open_live=lambda: live,
        now_ms=lambda: NOW_MS,
        log=None,  # type: ignore[arg-type]
        running=lambda: running,
    )
    try:
        began = time.perf_counter()
        generate_latest(scrape)
        first_ms = (time.perf_counter() - began) * 1000
        text = benchmark.pedantic(lambda: generate_latest(scrape), rounds=5)
    finally:
        live.close()
    active = re.findall(rb"^trunkline_active_calls{.+} (.+)$", text, re.M)
    assert sum(map(float, active)) == CALLS
    assert b"\ntrunkline_registered_phones 100000.0\n" in text
    assert text.count(b"\n") > 30_000
    median_ms = benchmark.stats.stats.median * 1000
    print(f"{first_ms:.0f} ms the first scrape, {median_ms:.0f} a further, {len(text) >> 10} KiB")
    assert benchmark.stats.stats.min < 0.5
