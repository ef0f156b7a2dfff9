from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Test modules import what stands beside them; there are no packages in tests/.
sys.path.insert(0, str(Path(__file__).resolve().parent))
# For the harness.
sys.path.append(str(Path(__file__).resolve().parents[1] / "system"))

from api_client import ROUTES, Api, serving

from router.admin.machine import Reading
from router.admin.scrape import Scrape
from router.core.tally import Tally
from router.runtime.api_metrics import ApiFlusher, ApiTally
from router.runtime.metrics import MetricsFlusher, prepare_metrics
from router.runtime.run_record import make_run_record
from router.store.live import LmdbLive
from router.store.ops import Admit, Candidate, Credit, Finish, Funds, GatewayState
from router.store.records import CallRecord, Cdr

NOW_MS = 1_000_000_000_000
GATEWAYS = (("cn_mobile", 30), ("backup", -1), ("down_town", 5))


RUNNING = make_run_record(
    pid=1, started_ms=0, config_hash="0123456789ab", slots=2, gateways=GATEWAYS,
    accounts=(("a1", 2), ("a2", -1)),
)
READINGS = [
    *(
        Reading(name, {"process": "worker-0"}, 5)
        for name in ("process_cpu_seconds", "process_resident_bytes", "process_start_time_seconds")
    ),
    Reading("udp_queue_bytes", {}, 0),
    Reading("udp_drops", {}, 7),
    Reading("cdr_file_waiting", {}, 3),
    *(
        Reading(name, {"store": "live"}, 9)
        for name in ("store_used_bytes", "store_map_bytes", "store_transactions")
    ),
]


class MemoryLog:
    """A structured log that a test can read."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []

    def __call__(self, level: str, event: str, /, **fields: Any) -> None:
        self.events.append((level, event, fields))


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LmdbLive]:
    """Two calls on cn_mobile, one ended and waiting for the ledger; down_town is set aside."""
    store = LmdbLive(tmp_path / "live.lmdb", slot=0, map_bytes=1 << 24)
    tiers = ((Candidate("gateway:cn_mobile", 30),),)
    calls = [CallRecord(id=f"{number:012x}00aa", call_id=f"call-{number}") for number in range(3)]
    store.commit([Funds(f"{n}", f"a{n}", n * 1_500_000) for n in range(3)], NOW_MS)
    store.outbox_delete([key for key, _ in store.outbox(10)])
    credits = (Credit("a1", 250_000),)
    store.commit([Admit(call, (), tiers, credits) for call in calls], NOW_MS)
    store.commit([Finish(calls[0].id, Cdr(id=calls[0].id))], NOW_MS)
    store.commit([GatewayState("gateway:down_town", NOW_MS + 60_000, 5)], NOW_MS)
    store.heartbeat(0, NOW_MS - 900)
    store.heartbeat(1, NOW_MS - 5_000)
    yield store
    store.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Metrics files of two workers with every family in them."""
    directory = tmp_path / "metrics"
    prepare_metrics(directory)
    for slot in range(2):
        flusher, tally = MetricsFlusher(directory, slot), Tally()
        tally.attempts["cn_mobile"] += 3
        tally.pings["cn_mobile", "answered"] += 2
        tally.answers["cn_mobile"] += 2
        tally.failures["cn_mobile", "503"] += 1
        tally.account_calls["a1", "Normal"] += 2
        tally.account_calls["", "IllegalCall"] += 1
        tally.charged["a1"] += 1_250_000
        tally.costs["cn_mobile"] += 500_000
        tally.mos["cn_mobile"].observe(4.1)
        tally.talked_ms["cn_mobile"] += 12_500
        tally.failed_delay["cn_mobile"].observe(2.5)
        tally.disconnect_delay.observe(0.02)
        tally.registrations["cn_mobile", "registered"] += 1
        tally.registration_delay["cn_mobile"].observe(0.02)
        tally.loop_lag.observe(0.002)
        tally.captured += 2
        tally.capture_dropped["budget"] = 1
        tally.relays["127.0.0.1:2223", "answered"] += 1
        tally.calls["cn_mobile", "Normal"] += 2
        tally.calls["", "NotFound"] += 1
        tally.requests["INVITE", "in"] += 3
        tally.registers[200] += 1
        tally.auth_failures["password"] += 1
        tally.unrecorded["IllegalCall"] += 1
        tally.responses["INVITE", 404, "out"] += 1
        tally.call_duration.observe(12.5)
        tally.pdd["cn_mobile"].observe(0.4)
        tally.route_duration["request_route"].observe(0.00003)
        tally.slow_routes["request_route"] += 1
        tally.over_budget["premium"] += 1
        tally.hook_duration["lookup"].observe(0.002)
        tally.hook_errors["lookup", "timeout"] += 1
        tally.slow_hooks["lookup"] += 1
        flusher.flush(tally, NOW_MS)
        flusher.close()
    api, counts = ApiFlusher(directory), ApiTally()
    counts.request("/status", "GET", 200, 0.02)
    counts.failures["no_role"] += 1
    api.flush(counts)
    api.close()
    return directory


@pytest.fixture
def scrape(directory: Path, live: LmdbLive, log: MemoryLog) -> Scrape:
    return Scrape(
        directory=directory,
        gateways=GATEWAYS,
        config_hash="0123456789ab",
        slots=2,
        open_live=lambda: live,
        now_ms=lambda: NOW_MS,
        log=log,
        running=lambda: RUNNING,
        machine=lambda stat: READINGS if stat is not None else (),
    )


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder beside a small configuration."""
    (tmp_path / "routes.cfg").write_text(ROUTES)
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.fixture
def api(state: Path) -> Iterator[Api]:
    with serving(state) as api:
        yield api
