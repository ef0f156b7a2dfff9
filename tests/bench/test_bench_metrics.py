"""What metrics cost: a worker's flush, once a second, and a scrape, once in 15 seconds or so.

500 gateways and 8 workers. A flush holds up the worker's loop, so it must stay within a few
milliseconds even when every gateway has had calls; a scrape takes a core of its own, and half a
second is what a scraper should ever have to wait.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.exposition import generate_latest

from router.admin.scrape import Scrape
from router.core.tally import Tally
from router.runtime.metrics import MetricsFlusher, prepare_metrics
from router.store.live import LmdbLive

GATEWAYS = [f"gateway_{number}" for number in range(500)]
REASONS = ("Normal", "UserBusy", "Cancelled", "ResponseTimeout", "NoAvailableRouter")
WORKERS = 8


def count_calls(tally: Tally, source: random.Random, gateways: list[str], calls: int) -> None:
    """What so many calls leave in a tally."""
    for _ in range(calls):
        gateway = source.choice(gateways)
        tally.attempts[gateway] += 1
        tally.calls[gateway, source.choice(REASONS)] += 1
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


def test_scrape_of_500_gateways_and_8_workers(
    benchmark: Any, directory: Path, tmp_path: Path
) -> None:
    for slot in range(WORKERS):
        flusher, tally = MetricsFlusher(directory, slot), Tally()
        count_calls(tally, random.Random(slot), GATEWAYS, 20_000)
        flusher.flush(tally, 0)
    live = LmdbLive(tmp_path / "live.lmdb", slot=0)
    scrape = Scrape(
        directory=directory,
        gateways=[(name, 30) for name in GATEWAYS],
        config_hash="0123456789ab",
        slots=WORKERS,
        open_live=lambda: live,
        now_ms=lambda: 0,
        log=None,  # type: ignore[arg-type]
    )
    try:
        text = benchmark.pedantic(lambda: generate_latest(scrape), rounds=5, warmup_rounds=1)
    finally:
        live.close()
    assert text.count(b"\n") > 12_000
    print(f"{benchmark.stats.stats.median * 1000:.0f} ms a scrape, {len(text) // 1024} KiB")
    assert benchmark.stats.stats.min < 0.5
