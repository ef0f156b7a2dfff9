from __future__ import annotations

import errno
import multiprocessing
import os
import random
from pathlib import Path

import pytest
from prometheus_client.multiprocess import MultiProcessCollector

from router.core.tally import ScriptMetric, Tally
from router.runtime import metrics
from router.runtime.metrics import MetricsFlusher, prepare_metrics

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def collect(directory: Path) -> Series:
    """Every sample of a directory, summed over the slots, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in MultiProcessCollector(None, str(directory)).collect()
        for sample in family.samples
    }


def one(directory: Path, name: str, **labels: str) -> float:
    return collect(directory)["trunkline_" + name, tuple(sorted(labels.items()))]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "metrics"
    prepare_metrics(directory)
    return directory


def test_what_has_no_labels_is_there_with_zero_before_anything_happened(directory: Path) -> None:
    MetricsFlusher(directory, 0)
    for name in ("sip_retransmissions", "sip_parse_errors", "route_errors", "worker_strays"):
        assert one(directory, name + "_total") == 0
    assert one(directory, "call_duration_seconds_count") == 0


def test_every_field_of_the_tally_reaches_its_metric(directory: Path) -> None:
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    tally.attempts["cn"] += 3
    tally.failures["cn", "503"] += 2
    tally.failures["cn", "ConnectionTimeout"] += 1
    tally.calls["cn", "Normal"] += 2
    tally.requests["INVITE", "in"] += 4
    tally.responses["INVITE", 200, "out"] += 5
    tally.retransmissions = 6
    tally.parse_errors = 7
    tally.route_errors = 8
    tally.strays = 9
    tally.call_duration.observe(61.5)
    tally.pdd["cn"].observe(0.3)
    tally.route_duration["request_route"].observe(0.00002)
    tally.talked_ms["cn"] += 61_500
    tally.failed_delay["cn"].observe(9.5)
    tally.disconnect_delay.observe(0.02)
    tally.registrations["cn", "refused"] += 2
    tally.registration_delay["cn"].observe(0.3)
    flusher.flush(tally, 1000)

    assert one(directory, "call_attempts_total", gateway="cn") == 3
    failures = "call_attempt_failures_total"
    assert one(directory, failures, gateway="cn", code="503") == 2
    assert one(directory, failures, gateway="cn", code="ConnectionTimeout") == 1
    assert one(directory, "calls_total", gateway="cn", reason="Normal") == 2
    assert one(directory, "sip_requests_total", method="INVITE", direction="in") == 4
    assert one(directory, "sip_responses_total", method="INVITE", code="200", direction="out") == 5
    assert one(directory, "sip_retransmissions_total") == 6
    assert one(directory, "sip_parse_errors_total") == 7
    assert one(directory, "route_errors_total") == 8
    assert one(directory, "worker_strays_total") == 9
    assert one(directory, "call_duration_seconds_sum") == 61.5
    assert one(directory, "call_duration_seconds_bucket", le="60.0") == 0
    assert one(directory, "call_duration_seconds_bucket", le="120.0") == 1
    assert one(directory, "post_dial_delay_seconds_bucket", gateway="cn", le="0.5") == 1
    assert one(directory, "post_dial_delay_seconds_count", gateway="cn") == 1
    assert one(directory, "route_duration_seconds_sum", route="request_route") == 0.00002
    assert one(directory, "call_answered_seconds_total", gateway="cn") == 61_500, "in ms"
    assert one(directory, "call_failure_delay_seconds_bucket", gateway="cn", le="10.0") == 1
    assert one(directory, "disconnect_delay_seconds_sum") == 0.02
    assert one(directory, "gateway_registrations_total", gateway="cn", result="refused") == 2
    assert one(directory, "gateway_registration_delay_seconds_sum", gateway="cn") == 0.3


def test_flushing_twice_counts_once(directory: Path) -> None:
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    tally.attempts["cn"] += 1
    tally.pdd["cn"].observe(1.0)
    flusher.flush(tally, 1000)
    first = collect(directory)
    flusher.flush(tally, 2000)
    assert collect(directory) == first


def test_random_turns_over_several_workers_add_up(directory: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    workers = [(MetricsFlusher(directory, slot), Tally()) for slot in range(3)]
    attempts = dict.fromkeys("abc", 0)
    delays: list[float] = []
    for turn in range(200):
        flusher, tally = source.choice(workers)
        for _ in range(source.randrange(5)):
            gateway = source.choice("abc")
            tally.attempts[gateway] += 1
            attempts[gateway] += 1
            delay = source.choice([0.0, source.random() * 40])
            tally.pdd["a"].observe(delay)
            delays.append(delay)
        if source.random() < 0.5:
            flusher.flush(tally, turn)
    for flusher, tally in workers:
        flusher.flush(tally, 10_000)
    for gateway, count in attempts.items():
        if count:
            assert one(directory, "call_attempts_total", gateway=gateway) == count
    assert one(directory, "post_dial_delay_seconds_count", gateway="a") == len(delays)
    assert one(directory, "post_dial_delay_seconds_sum", gateway="a") == pytest.approx(sum(delays))
    under = sum(delay <= 5.0 for delay in delays)
    assert one(directory, "post_dial_delay_seconds_bucket", gateway="a", le="5.0") == under


def test_the_successor_of_a_worker_counts_on_in_the_same_files(directory: Path) -> None:
    flusher, tally = MetricsFlusher(directory, 4), Tally()
    tally.attempts["cn"] += 10
    tally.call_duration.observe(5.0)
    flusher.flush(tally, 1000)
    files = sorted(path.name for path in directory.iterdir())
    assert files == ["counter_4.db", "histogram_4.db"]

    successor, fresh = MetricsFlusher(directory, 4), Tally()
    fresh.attempts["cn"] += 1
    fresh.call_duration.observe(5.0)
    successor.flush(fresh, 2000)
    assert one(directory, "call_attempts_total", gateway="cn") == 11
    assert one(directory, "call_duration_seconds_count") == 2
    assert sorted(path.name for path in directory.iterdir()) == files


def _count_and_die(directory: Path, slot: int, gateways: int) -> None:
    flusher, tally = MetricsFlusher(directory, slot), Tally()
    for number in range(gateways):
        tally.attempts[f"gateway_{number}"] += 1
        tally.pdd[f"gateway_{number}"].observe(0.2)
    flusher.flush(tally, 1000)
    os._exit(9)


def test_workers_that_die_lose_nothing_that_was_flushed(directory: Path) -> None:
    """Enough gateways that the files have to grow, in the first worker and in a successor."""
    spawn = multiprocessing.get_context("fork")
    for gateways in (100, 300, 300):
        for slot in (0, 1):
            worker = spawn.Process(target=_count_and_die, args=(directory, slot, gateways))
            worker.start()
            worker.join(20)
            assert worker.exitcode == 9
    series = collect(directory)
    for number, expected in ((0, 6), (99, 6), (100, 4), (299, 4)):
        labels = (("gateway", f"gateway_{number}"),)
        assert series["trunkline_call_attempts_total", labels] == expected
        assert series["trunkline_post_dial_delay_seconds_count", labels] == expected
    assert len(list(directory.iterdir())) == 4


def test_every_byte_that_will_be_written_has_its_disk_block(directory: Path) -> None:
    """The file prometheus_client maps must never be larger than what was taken from the disk."""
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    for number in range(700):
        tally.pdd[f"gateway_{number}"].observe(0.2)
    flusher.flush(tally, 1000)
    status = (directory / "histogram_0.db").stat()
    assert status.st_size > 1 << 20
    assert status.st_blocks * 512 >= status.st_size


def test_a_full_disk_costs_metrics_and_later_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    for number in range(700):
        tally.pdd[f"gateway_{number}"].observe(0.2)
    room = os.posix_fallocate

    def no_room(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    flusher.flush(tally, 1000)
    tally.retransmissions += 1
    monkeypatch.setattr(os, "posix_fallocate", room)
    flusher.flush(tally, 1000 + MetricsFlusher.RETRY_MS - 1)
    assert one(directory, "sip_retransmissions_total") == 0

    flusher.flush(tally, 1000 + MetricsFlusher.RETRY_MS)
    assert one(directory, "sip_retransmissions_total") == 1
    for number in (0, 350, 699):
        name = f"gateway_{number}"
        assert one(directory, "post_dial_delay_seconds_count", gateway=name) == 1
        assert one(directory, "post_dial_delay_seconds_bucket", gateway=name, le="0.25") == 1


def test_what_a_peer_can_invent_makes_no_new_label(directory: Path) -> None:
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    for number in range(50):
        tally.requests[f"M{number}", "in"] += 1
        tally.responses["INVITE", 700 + number, "in"] += 1
    flusher.flush(tally, 1000)
    tally.requests["M0", "in"] += 1
    flusher.flush(tally, 2000)
    assert one(directory, "sip_requests_total", method="other", direction="in") == 51
    label = {"method": "INVITE", "code": "other", "direction": "in"}
    assert one(directory, "sip_responses_total", **label) == 50
    methods = {labels for name, labels in collect(directory) if name.endswith("sip_requests_total")}
    assert len(methods) == 1


def test_gateways_beyond_the_cap_share_one_label(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MAX_GATEWAYS", 2)
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    for turn in (1, 2):
        for gateway in "abcd":
            tally.attempts[gateway] += 1
            tally.calls[gateway, "Normal"] += 1
            tally.pdd[gateway].observe(1.0)
        flusher.flush(tally, turn)
    assert one(directory, "call_attempts_total", gateway="a") == 2
    assert one(directory, "call_attempts_total", gateway="other") == 4
    assert one(directory, "calls_total", gateway="other", reason="Normal") == 4
    assert one(directory, "post_dial_delay_seconds_count", gateway="other") == 4
    assert one(directory, "post_dial_delay_seconds_sum", gateway="other") == 4.0


def test_a_call_that_reached_no_gateway_counts_under_none(directory: Path) -> None:
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    tally.calls["", "NotFound"] += 1
    flusher.flush(tally, 1000)
    assert one(directory, "calls_total", gateway="none", reason="NotFound") == 1


def test_a_fresh_start_begins_at_zero(directory: Path) -> None:
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    tally.attempts["cn"] += 1
    flusher.flush(tally, 1000)
    (directory / "notes.txt").write_text("not ours")
    prepare_metrics(directory)
    assert [path.name for path in directory.iterdir()] == ["notes.txt"]
    assert collect(directory) == {}


def test_a_directory_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        MetricsFlusher(tmp_path / "nowhere", 0)


def test_what_routes_count_is_a_metric_of_its_own_name(directory: Path) -> None:
    flushers = [MetricsFlusher(directory, slot) for slot in (0, 1)]
    for flusher in flushers:
        tally = Tally()
        tally.count(ScriptMetric("premium", ("account", "kind")), ("acme", "a\udcff\n"))
        flusher.flush(tally, 1_000)
        tally.count(ScriptMetric("premium", ("account", "kind")), ("acme", "a\udcff\n"))
        tally.count(ScriptMetric("plain", ()), ())
        flusher.flush(tally, 2_000)
    assert one(directory, "script_premium_total", account="acme", kind="a\\udcff\n") == 4
    assert one(directory, "script_plain_total") == 2


def test_a_successor_goes_on_with_what_routes_counted(directory: Path) -> None:
    for _ in range(2):
        flusher, tally = MetricsFlusher(directory, 0), Tally()
        tally.count(ScriptMetric("premium", ("account",)), ("acme",))
        flusher.flush(tally, 1_000)
        flusher.close()
    assert one(directory, "script_premium_total", account="acme") == 2


def size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.iterdir())


def test_the_series_of_routes_stay_in_their_budget_however_often_a_worker_is_restarted(
    directory: Path,
) -> None:
    metric = ScriptMetric("numbers", ("dialled",))
    for life in range(40):
        flusher, tally = MetricsFlusher(directory, 0), Tally()
        flusher.recall(tally)
        for number in range(30):
            tally.count(metric, (f"{life}-{number}",), budget=50)
        flusher.flush(tally, 1_000)
        flusher.close()
    series = {
        labels: value for (name, labels), value in collect(directory).items()
        if name == "trunkline_script_numbers_total"
    }
    assert len(series) == 51
    assert sum(series.values()) == 40 * 30, "nothing is lost"
    assert one(directory, "script_numbers_total", dialled="other") == 40 * 30 - 50
    assert one(directory, "series_over_budget_total", metric="numbers") == 40 * 30 - 50


def test_hundreds_of_reloads_with_other_gateways_do_not_grow_the_files_without_bound(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that lives through them, and workers that are restarted between them."""
    monkeypatch.setattr(metrics, "MAX_GATEWAYS", 60)
    sizes = []
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    for reload in range(400):
        if reload % 20 == 19:
            flusher.close()
            flusher, tally = MetricsFlusher(directory, 0), Tally()
        for number in range(3):
            gateway = f"gateway_{reload}_{number}"
            tally.attempts[gateway] += 1
            tally.calls[gateway, "Normal"] += 1
            tally.pdd[gateway].observe(1.0)
        flusher.flush(tally, 1_000)
        sizes.append(size(directory))
    assert sizes[30] == sizes[-1]
    labels = {labels for name, labels in collect(directory) if name.endswith("call_attempts_total")}
    assert len(labels) == 61
    assert one(directory, "call_attempts_total", gateway="other") == 400 * 3 - 60


DAMAGE = {
    "cut short": lambda data: data[: len(data) // 3],
    "three bytes": lambda data: data[:3],
    "rubbish": lambda data: data[:8] + bytes(range(256)) * 16,
    "keys that are no JSON": lambda data: data.replace(b"[", b"x"),
    "keys of another kind": lambda data: data.replace(b"{", b"["),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_costs_its_counts_and_no_start(directory: Path, damage: str) -> None:
    for slot in (0, 1):
        flusher, tally = MetricsFlusher(directory, slot), Tally()
        for number in range(500):
            tally.attempts[f"gateway_{number}"] += 1
        flusher.flush(tally, 1_000)
        flusher.close()
    file = directory / "counter_0.db"
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    assert flusher.renewed
    tally.attempts["gateway_7"] += 1
    flusher.flush(tally, 1_000)
    assert one(directory, "call_attempts_total", gateway="gateway_7") == 2
    assert not MetricsFlusher(directory, 1).renewed
