from __future__ import annotations

import random

import pytest

from router.core.tally import (
    MAX_LABEL,
    MAX_SERIES,
    OTHER,
    POST_DIAL_SECONDS,
    Histogram,
    ScriptMetric,
    Tally,
)


def test_an_observation_on_a_bound_belongs_to_that_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe(1.0)
    histogram.observe(1.0000001)
    histogram.observe(2.0)
    assert histogram.counts == [1, 2, 0]


def test_what_exceeds_every_bound_is_counted_last() -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe(3600.0)
    assert histogram.counts == [0, 0, 1]
    assert histogram.sum == 3600.0


def test_every_observation_is_counted_once_and_summed() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    values = [source.expovariate(1 / 3) for _ in range(500)]
    histogram = Histogram(POST_DIAL_SECONDS)
    for value in values:
        histogram.observe(value)
    assert sum(histogram.counts) == len(values)
    assert histogram.sum == sum(values)
    at_most = 0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=False):
        at_most += count
        assert at_most == sum(value <= bound for value in values)


def test_a_tally_counts_what_it_has_not_seen_before() -> None:
    tally = Tally()
    tally.attempts["cn"] += 1
    tally.calls["cn", "Normal"] += 1
    tally.responses["INVITE", 200, "out"] += 1
    tally.pdd["cn"].observe(0.3)
    tally.route_duration["request_route"].observe(0.00002)
    assert tally.attempts == {"cn": 1}
    assert tally.calls == {("cn", "Normal"): 1}
    assert tally.pdd["cn"].sum == 0.3
    assert tally.pdd["cn"] is not tally.pdd["other"]


def test_the_bounds_of_every_histogram_rise() -> None:
    tally = Tally()
    for histogram in (tally.call_duration, tally.pdd["a"], tally.route_duration["a"]):
        assert list(histogram.bounds) == sorted(set(histogram.bounds))
        assert len(histogram.counts) == len(histogram.bounds) + 1


def test_a_routes_metric_is_counted_by_its_labels_values() -> None:
    tally, metric = Tally(), ScriptMetric("calls", ("account",))
    for account in ("acme", "other", "acme"):
        tally.count(metric, (account,))
    tally.count(ScriptMetric("plain", ()), ())
    assert tally.counted == {
        (metric, ("acme",)): 2, (metric, ("other",)): 1, (ScriptMetric("plain", ()), ()): 1,
    }


def test_a_routes_metric_has_a_bounded_number_of_series() -> None:
    tally, metric = Tally(), ScriptMetric("calls", ("a", "b"))
    for number in range(MAX_SERIES + 50):
        tally.count(metric, (str(number), "x"))
    tally.count(metric, ("0", "x"))
    tally.count(ScriptMetric("other", ()), ())
    assert tally.counted[metric, (OTHER, OTHER)] == 50
    assert tally.counted[metric, ("0", "x")] == 2
    assert len(tally.counted) == MAX_SERIES + 2
    assert sum(tally.counted.values()) == MAX_SERIES + 52


def test_the_first_count_over_the_budget_says_so_and_each_is_counted() -> None:
    tally, metric = Tally(), ScriptMetric("calls", ("a",))
    assert [tally.count(metric, (value,), budget=2) for value in "xyyzxzw"] == [
        False, False, False, True, False, False, False,
    ]
    assert tally.over_budget == {"calls": 3}
    assert tally.counted[metric, (OTHER,)] == 3
    assert not tally.count(ScriptMetric("plain", ()), (), budget=2)
    assert not tally.count(metric, ("v",), budget=3), "a reload has raised it"
    assert tally.counted[metric, ("v",)] == 1


def test_what_a_predecessor_counted_is_in_the_budget() -> None:
    tally, metric = Tally(), ScriptMetric("calls", ("a",))
    for value in ("x", "y", "x", OTHER):
        tally.recall((metric, (value,)))
    assert tally.count(metric, ("z",), budget=2)
    assert not tally.count(metric, ("x",), budget=2)
    assert tally.counted == {(metric, ("x",)): 1, (metric, ("y",)): 0, (metric, (OTHER,)): 1}


def test_all_metrics_of_routes_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.core.tally.MAX_ALL_SERIES", 5)
    tally = Tally()
    for name in "abc":
        for value in range(4):
            tally.count(ScriptMetric(name, ("n",)), (str(value),))
    assert len(tally.counted) == 5 + 2, "and other, of those that came too late"


def test_a_long_label_value_is_cut_and_counts_as_one() -> None:
    tally, metric = Tally(), ScriptMetric("calls", ("a",))
    for end in "xyz":
        tally.count(metric, ("v" * MAX_LABEL + end,))
    assert tally.counted == {(metric, ("v" * MAX_LABEL,)): 3}
    assert tally.series[metric] == 1
