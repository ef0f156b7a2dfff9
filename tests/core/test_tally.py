from __future__ import annotations

import random

from router.core.tally import POST_DIAL_SECONDS, Histogram, Tally


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
