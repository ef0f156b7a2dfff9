"""The committed dashboards: current, of one make, and asking only for what is exported."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from grafana.generate import FOLDER, PAGE, page_of_panels, rendered
from grafana.panels import BAD, CALM, GOOD, WARN
from router.core.end_reasons import EndReason
from router.runtime.metrics_catalogue import CATALOGUE, PREFIX

NAMES = sorted(rendered())
COLUMNS = 24
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
EXPORTED = {
    PREFIX + metric.name + suffix: set(metric.labels) | {"le"}
    for metric in CATALOGUE
    for suffix in SUFFIXES[metric.kind]
}


@pytest.fixture(params=NAMES)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads((FOLDER / request.param).read_text())


def queries(dashboard: dict[str, Any]) -> list[str]:
    found = [
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())
    ]
    return found + [one["expr"] for one in dashboard["annotations"]["list"] if "expr" in one]


def test_the_files_are_what_the_generator_writes() -> None:
    there = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert there == rendered(), "make dashboards"


def test_the_page_names_every_panel_as_it_is() -> None:
    assert PAGE.read_text() == page_of_panels(), "make dashboards"


def test_every_metric_in_a_query_is_exported(dashboard: dict[str, Any]) -> None:
    for query in queries(dashboard):
        names = set(re.findall(r"\btrunkline_\w+", query))
        assert names, query
        assert names <= EXPORTED.keys(), query


def test_every_label_in_a_query_is_one_of_the_metric(dashboard: dict[str, Any]) -> None:
    for query in queries(dashboard):
        for name, matchers in re.findall(r"\b(trunkline_\w+)\{([^}]*)\}", query):
            labels = set(re.findall(r"(\w+)\s*[=!]~?\s*\"", matchers))
            assert labels <= EXPORTED[name], f"{name} has no {labels - EXPORTED[name]}: {query}"


def test_panels_have_a_title_a_reason_and_a_unit(dashboard: dict[str, Any]) -> None:
    titles = [panel["title"] for panel in dashboard["panels"]]
    assert len(set(titles)) == len(titles)
    for panel in dashboard["panels"]:
        if panel["type"] == "text":
            continue
        assert len(panel["description"]) > 10, panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        if panel["type"] in ("stat", "timeseries"):
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_panels_do_not_lie_on_each_other(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {
            (at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])
        }
        assert at["x"] + at["w"] <= COLUMNS
        assert not cells & taken, panel["title"]
        taken |= cells


def test_ids_and_uids_are_one_of_a_kind() -> None:
    pages = [json.loads(text) for text in rendered().values()]
    assert len({page["uid"] for page in pages}) == len(pages)
    for page in pages:
        ids = [panel["id"] for panel in page["panels"]]
        assert len(set(ids)) == len(ids)


def test_links_lead_to_a_dashboard_that_there_is(dashboard: dict[str, Any]) -> None:
    known = {json.loads(text)["uid"] for text in rendered().values()}
    for uid in re.findall(r"/d/([\w-]+)", json.dumps(dashboard)):
        assert uid in known
    assert dashboard["links"][0]["tags"] == dashboard["tags"]


def test_colours_have_a_meaning(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        steps = panel.get("fieldConfig", {}).get("defaults", {}).get("thresholds", {})
        for step in steps.get("steps") or ():
            assert step["color"] in (GOOD, WARN, BAD, CALM), panel["title"]


def test_the_table_of_reasons_has_every_reason() -> None:
    page = json.loads((FOLDER / "trunkline-reasons.json").read_text())
    (words,) = [panel for panel in page["panels"] if panel["type"] == "text"]
    for reason in EndReason:
        assert f"**{reason.name}** {reason.chinese}" in words["options"]["content"]


def test_the_schema_is_one_that_grafana_10_to_12_read(dashboard: dict[str, Any]) -> None:
    assert 36 <= dashboard["schemaVersion"] <= 41
    types = {panel["type"] for panel in dashboard["panels"]}
    assert types <= {"stat", "timeseries", "table", "heatmap", "text"}
