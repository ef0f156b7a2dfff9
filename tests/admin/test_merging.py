"""The sum of the workers' files: what prometheus_client itself makes of them, at every moment."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.multiprocess import MultiProcessCollector

from router.admin.merging import MergedFiles, fold
from router.core.tally import ScriptMetric, Tally
from router.runtime.metrics import MetricsFlusher, prepare_metrics

Samples = dict[tuple[str, str, tuple[tuple[str, str], ...]], float]


def samples(families: list[Family]) -> Samples:
    return {
        (family.type, sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def theirs(directory: Path) -> Samples:
    files = [str(file) for file in directory.glob("*.db")]
    return samples(list(MultiProcessCollector.merge(files)))  # type: ignore[no-untyped-call]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "metrics"
    prepare_metrics(directory)
    return directory


def some_calls(source: random.Random, tally: Tally) -> None:
    for _ in range(source.randrange(60)):
        gateway = f"g{source.randrange(300)}"
        tally.attempts[gateway] += 1
        tally.failures[gateway, source.choice(("503", "ConnectionTimeout"))] += 1
        tally.pdd[gateway].observe(source.expovariate(0.2))
        tally.call_duration.observe(source.expovariate(0.01))
        tally.count(ScriptMetric("lüfte", ("a", "b")), (f"x\ud800{source.randrange(9)}", "\n|"))


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_prometheus_client_makes_of_the_files(directory: Path, seed: int) -> None:
    """With new series, workers that come later or are replaced, between and at any scrape."""
    source = random.Random(seed)
    merged = MergedFiles(directory)
    workers: dict[int, tuple[MetricsFlusher, Tally]] = {}
    for turn in range(25):
        slot = source.randrange(4)
        if slot not in workers or source.random() < 0.2:
            if slot in workers:
                workers[slot][0].close()
            workers[slot] = MetricsFlusher(directory, slot), Tally()
        flusher, tally = workers[slot]
        some_calls(source, tally)
        flusher.flush(tally, turn)
        if source.random() < 0.5:
            got = samples(list(merged.families()))
            assert got.keys() == theirs(directory).keys()
            assert got == pytest.approx(theirs(directory))
    assert samples(list(merged.families())) == pytest.approx(theirs(directory))
    assert len(theirs(directory)) > 1_000


def test_buckets_come_in_their_order_and_rise(directory: Path) -> None:
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    for value in (0.3, 4.5, 4.5, 99.0):
        tally.pdd["g"].observe(value)
    flusher.flush(tally, 0)
    (family,) = [
        one for one in MergedFiles(directory).families()
        if one.name == "trunkline_post_dial_delay_seconds"
    ]
    buckets = [sample for sample in family.samples if sample.name.endswith("_bucket")]
    bounds = [float(sample.labels["le"]) for sample in buckets]
    assert bounds == sorted(bounds) and bounds[-1] == float("inf")
    values = [sample.value for sample in buckets]
    assert values == sorted(values) and values[-1] == 4


def test_a_file_that_a_worker_has_begun_anew_counts_from_its_beginning(directory: Path) -> None:
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    for number in range(400):
        tally.attempts[f"g{number}"] += 5
    flusher.flush(tally, 0)
    merged = MergedFiles(directory)
    key = ("counter", "trunkline_call_attempts_total", (("gateway", "g7"),))
    assert samples(list(merged.families()))[key] == 5
    file = directory / "counter_0.db"
    file.write_bytes(file.read_bytes()[:1000])
    assert key not in samples(list(merged.families())) or samples(list(merged.families()))[key] == 0
    assert list(merged.damaged) == ["counter_0.db"]
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    tally.attempts["g7"] += 1
    flusher.flush(tally, 0)
    assert samples(list(merged.families()))[key] == 1
    assert not merged.damaged


def test_a_name_that_some_workers_let_in_and_others_did_not_is_counted_as_other(
    directory: Path,
) -> None:
    for slot in range(2):
        flusher, tally = MetricsFlusher(directory, slot), Tally()
        tally.attempts["within"] += 1
        tally.attempts["late"] += 2
        tally.attempts["later"] += 4
        tally.attempts["other"] += 8
        tally.pdd["late"].observe(0.3)
        tally.pdd["later"].observe(40)
        tally.pdd["within"].observe(1)
        flusher.flush(tally, 0)
    families = list(MergedFiles(directory).families())
    for family in families:
        fold(family, "gateway", {"late", "later"})
    found = samples(families)
    attempts = {
        dict(labels)["gateway"]: value for (_, name, labels), value in found.items()
        if name == "trunkline_call_attempts_total"
    }
    assert attempts == {"within": 2, "other": 28}
    name, other = "trunkline_post_dial_delay_seconds", ("gateway", "other")
    assert found["histogram", f"{name}_count", (other,)] == 4
    assert found["histogram", f"{name}_sum", (other,)] == pytest.approx(80.6)
    assert found["histogram", f"{name}_bucket", (other, ("le", "0.5"))] == 2
    assert found["histogram", f"{name}_bucket", (other, ("le", "+Inf"))] == 4
    of_other = [
        float(sample.labels["le"]) for family in families for sample in family.samples
        if sample.name == f"{name}_bucket" and sample.labels["gateway"] == "other"
    ]
    assert of_other == sorted(of_other)
