"""The committed dashboards: current, of one make, and asking only for what is exported."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from grafana.colours import BAD, CALM, CODES, GOOD, REASONS, WARN
from grafana.generate import FOLDER, PAGE, page_of_panels, picture_of, rendered
from grafana.reasons import DIAGNOSIS, DIAGNOSIS_ID
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
    numbers = {panel["id"]: panel["title"] for panel in dashboard["panels"]}
    for number in re.findall(r"viewPanel=(\d+)", json.dumps(dashboard)):
        assert dashboard["uid"] == "trunkline-reasons"
        assert numbers[int(number)] == DIAGNOSIS
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


def test_every_reason_has_a_colour_of_its_own() -> None:
    assert set(REASONS) == set(EndReason)
    assert len(set(REASONS.values())) == len(REASONS)
    for colour in (*REASONS.values(), *CODES.values()):
        assert re.fullmatch(r"#[0-9A-F]{6}", colour)


def test_a_reason_is_shown_with_its_diagnosis() -> None:
    page = json.loads((FOLDER / "trunkline-reasons.json").read_text())
    panel = next(panel for panel in page["panels"] if panel["id"] == DIAGNOSIS_ID)
    by_column = {
        one["matcher"]["options"]: {each["id"]: each["value"] for each in one["properties"]}
        for one in panel["fieldConfig"]["overrides"]
    }
    (meanings,) = by_column["What it means"]["mappings"]
    for reason in EndReason:
        assert meanings["options"][reason.name]["text"] == reason.diagnosis.replace("`", "")
    # A column of texts is a copy of the label that decides, with the texts as value mappings.
    assert '"what_it_means", "$1", "reason", "(.*)"' in panel["targets"][0]["expr"]


def test_what_is_marked_on_curves_is_above_zero_when_it_happens(dashboard: dict[str, Any]) -> None:
    """Grafana marks samples above zero only: `up == 0` would give zeros, and mark nothing."""
    for event in dashboard["annotations"]["list"]:
        assert event["titleFormat"]
        assert re.search(r"> 0$|== bool 0$", event["expr"]), event["expr"]


def test_tables_and_charts_by_reason_say_so_where_they_are_empty(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        if panel["type"] == "table":
            assert panel["fieldConfig"]["defaults"]["noValue"]


def test_every_dashboard_has_its_picture_in_the_docs() -> None:
    page = PAGE.read_text()
    for name in NAMES:
        picture = picture_of(name.removesuffix(".json"))
        assert f"]({picture})" in page
        data = (PAGE.parent / picture).read_bytes()
        assert data.startswith(b"\x89PNG"), "make pictures"
        assert len(data) < 320 << 10, f"{picture} is too large"


def test_the_datasource_of_the_provisioning_is_the_one_that_dashboards_open_with(
    dashboard: dict[str, Any],
) -> None:
    (datasource, *_) = dashboard["templating"]["list"]
    file = (FOLDER.parent / "provisioning/datasources/trunkline.yml").read_text()
    assert f"uid: {datasource['current']['value']}\n" in file
    assert f"name: {datasource['current']['text']}\n" in file


def test_the_schema_is_one_that_grafana_10_to_12_read(dashboard: dict[str, Any]) -> None:
    assert 36 <= dashboard["schemaVersion"] <= 41
    types = {panel["type"] for panel in dashboard["panels"]}
    assert types <= {
        "stat", "timeseries", "table", "heatmap", "text", "bargauge", "state-timeline",
    }
