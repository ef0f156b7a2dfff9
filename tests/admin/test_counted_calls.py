"""What is read from the metrics files for views that look every second."""

from __future__ import annotations

from pathlib import Path

from router.admin.counted_calls import NOTHING, counted_calls
from router.core.tally import Tally
from router.runtime.metrics import MetricsFlusher, prepare_metrics
from router.store.quality import UNKNOWN, Quality


def test_attempts_of_all_workers_are_added_up_and_compared_with_before(tmp_path: Path) -> None:
    prepare_metrics(tmp_path)
    workers = [(MetricsFlusher(tmp_path, slot), Tally()) for slot in range(2)]
    for flusher, tally in workers:
        tally.attempts["hk"] += 4
        tally.answers["hk"] += 3
        tally.pdd["hk"].observe(0.5)
        tally.pdd["hk"].observe(1.5)
        tally.calls["hk", "Normal"] += 3
        tally.calls["", "NotFound"] += 1
        flusher.flush(tally, 1_000)
    first = counted_calls(tmp_path)
    assert first is not None
    assert first.since(NOTHING, "hk") == Quality(8, 6, 1_000)
    assert first.since(NOTHING, "sg") == UNKNOWN
    assert dict(first.reasons) == {"Normal": 6, "NotFound": 2}

    flusher, tally = workers[0]
    tally.attempts["hk"] += 2
    flusher.flush(tally, 2_000)
    later = counted_calls(tmp_path)
    assert later is not None
    assert later.since(first, "hk") == Quality(2, 0, -1)
    assert later.since(later, "hk") == UNKNOWN


def test_without_metrics_files_nobody_counts(tmp_path: Path) -> None:
    assert counted_calls(tmp_path) is None
    (tmp_path / "counter_0.db").touch()  # one that a worker has just made
    assert counted_calls(tmp_path) == NOTHING
