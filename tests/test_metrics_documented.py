"""docs/metrics.md and the catalogue of metrics say the same, in both directions."""

from __future__ import annotations

import re
from pathlib import Path

from router.runtime.metrics_catalogue import CATALOGUE, PREFIX, Metric

PAGE = Path(__file__).parents[1] / "docs/metrics.md"
ROW = re.compile(r"^\| `(trunkline_\w+)` \| (\w+) \|([^|]*)\| ([^|]+) \|$", re.M)


def exported_name(metric: Metric) -> str:
    return PREFIX + metric.name + ("_total" if metric.kind == "counter" else "")


def test_every_exported_metric_is_documented_and_no_other() -> None:
    documented = [name for name, *_ in ROW.findall(PAGE.read_text())]
    assert sorted(documented) == sorted(exported_name(metric) for metric in CATALOGUE)


def test_type_and_labels_are_documented_as_they_are() -> None:
    rows = {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels)), meaning)
        for name, kind, labels, meaning in ROW.findall(PAGE.read_text())
    }
    for metric in CATALOGUE:
        kind, labels, meaning = rows[exported_name(metric)]
        assert (kind, labels) == (metric.kind, metric.labels), metric.name
        assert len(meaning) > 20


def test_every_metric_in_a_query_exists() -> None:
    text = PAGE.read_text()
    queries = text[text.index("## Questions") :]
    names = set(re.findall(r"trunkline_\w+", queries))
    exported = {exported_name(metric) for metric in CATALOGUE}
    histograms = {
        PREFIX + metric.name + suffix
        for metric in CATALOGUE
        if metric.kind == "histogram"
        for suffix in ("_bucket", "_sum", "_count")
    }
    assert names
    assert names <= exported | histograms


def test_help_fits_a_line_and_says_what_to_do() -> None:
    for metric in CATALOGUE:
        assert len(metric.help) <= 160, metric.name
        assert metric.help.endswith("."), metric.name
        assert metric.help.count(". ") >= 1, metric.name
