"""docs/metrics.md is made of the catalogue, and a scrape exports what the page has, both ways."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest

from router.admin.scrape import LiveReader, Scrape
from router.cli.reference.metrics_page import metrics_page
from router.runtime.metrics_catalogue import CATALOGUE, PREFIX, SECTIONS, exported_name
from router.store.errors import StoreError

PAGE = Path(__file__).parents[1] / "docs/metrics.md"
ROW = re.compile(r"^\| `(trunkline_\w+)` \| (\w+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.M)


def no_live_state() -> LiveReader:
    raise StoreError("there is none")


@pytest.fixture
def announced(tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Type and help of each family that a router without calls exports, by exported name."""
    scrape = Scrape(
        directory=tmp_path,
        gateways=[],
        config_hash="0123456789ab",
        slots=1,
        open_live=no_live_state,
        now_ms=lambda: 0,
        log=lambda *words, **fields: None,
    )
    text = generate_latest(scrape).decode()
    helps = dict(re.findall(r"^# HELP (\w+) (.+)$", text, re.M))
    kinds = dict(re.findall(r"^# TYPE (\w+) (.+)$", text, re.M))
    return {name: (kinds[name], helps[name]) for name in helps}


def test_the_page_is_the_one_that_is_made() -> None:
    assert PAGE.read_text() == metrics_page(), "run `make docs`"


def test_every_exported_metric_is_documented_and_every_documented_one_exported(
    announced: dict[str, tuple[str, str]],
) -> None:
    documented = [name for name, *_ in ROW.findall(PAGE.read_text())]
    assert sorted(documented) == sorted(announced)
    assert len(documented) == len(set(documented)) > 50


def test_type_labels_and_help_are_documented_as_they_are_exported(
    announced: dict[str, tuple[str, str]],
) -> None:
    rows = {name: cells for name, *cells in ROW.findall(PAGE.read_text())}
    for metric in CATALOGUE:
        name = exported_name(metric)
        kind, labels, what, do = rows[name]
        assert tuple(re.findall(r"`(\w+)`", labels)) == metric.labels, name
        exported_kind, exported_help = announced[name]
        assert kind == exported_kind == metric.kind
        assert exported_help.startswith(metric.what)
        assert what.startswith(metric.what) and exported_help.endswith(do), name


def test_every_metric_is_in_one_section_with_a_name_of_its_own() -> None:
    names = [metric.name for section in SECTIONS for metric in section.metrics]
    assert len(names) == len(set(names)) == len(CATALOGUE)
    titles = [section.title for section in SECTIONS]
    assert len(titles) == len(set(titles))


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


def test_help_fits_a_line_and_says_what_it_is_and_what_to_do() -> None:
    for metric in CATALOGUE:
        assert len(metric.help) <= 160, (metric.name, len(metric.help))
        for sentence in (metric.what, metric.do):
            assert sentence.endswith(".") and len(sentence) > 12, metric.name
            assert "|" not in sentence and "`" not in sentence, metric.name
        assert not metric.more or metric.more.endswith("."), metric.name
        assert "|" not in metric.more, metric.name
