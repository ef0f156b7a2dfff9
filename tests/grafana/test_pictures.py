"""The pure parts of the pictures: what is asked, how it is named, where it stands."""

from __future__ import annotations

import pytest

from grafana.pictures.frames import curves, legend, mapping, regions, table, threshold_colour
from grafana.pictures.layout import MARGIN, WIDTH, box_of, height_of
from grafana.pictures.questions import RATE_S, dashboards, filled_in, questions
from grafana.pictures.units import ago, written


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "text"),
    [
        (0.5, "percentunit", 1, "50.0%"),
        (0.00012, "percentunit", None, "0.012%"),
        (7.125, "cps", 1, "7.1 c/s"),
        (0, "cps", None, "0 c/s"),
        (1234, "short", None, "1.23 K"),
        (96, "short", 0, "96"),
        (0.615, "s", None, "615 ms"),
        (0.0000993, "s", None, "99.3 µs"),
        (75, "s", None, "1.25 mins"),
        (0, "s", None, "0 s"),
        (48.8 * 2**20, "bytes", 1, "48.8 MiB"),
        (1, "bool_yes_no", None, "Yes"),
        (-0.001, "short", 2, "0.00"),
        (None, "short", None, "-"),
        (float("inf"), "short", None, "∞"),
    ],
)
def test_values_are_written_as_grafana_writes_them(
    value: float | None, unit: str, decimals: int | None, text: str
) -> None:
    assert written(value, unit, decimals) == text


def test_a_time_ago_is_said_in_words() -> None:
    assert [ago(s) for s in (0, 61, 420, 3_700, 200_000)] == [
        "a few seconds ago", "a minute ago", "7 minutes ago", "an hour ago", "2 days ago",
    ]


def test_every_time_in_a_query_is_shortened_and_variables_are_filled_in() -> None:
    asked = filled_in('increase(x_total{gateway=~"$gateway"}[1h] offset 1h) / rate(y[15m])')
    assert asked == 'increase(x_total{gateway=~".*"}[120s] offset 120s) / rate(y[30s])'
    assert filled_in("rate(x[$__rate_interval])") == f"rate(x[{RATE_S}s])"
    assert filled_in("rate(x[1m])") == "rate(x[4s])", "a rate needs some scrapes"


def test_nothing_of_grafana_is_left_in_a_question() -> None:
    keys = []
    for dashboard in dashboards():
        for question in questions(dashboard):
            keys.append(question.key)
            assert "$" not in question.expr.replace('"$1"', ""), question.expr
    assert len(set(keys)) == len(keys) > 60


def test_panels_stand_beside_each_other_with_a_gap() -> None:
    left = box_of({"gridPos": {"x": 0, "y": 0, "w": 12, "h": 8}})
    right = box_of({"gridPos": {"x": 12, "y": 0, "w": 12, "h": 8}})
    below = box_of({"gridPos": {"x": 0, "y": 8, "w": 24, "h": 4}})
    assert left.x == MARGIN and right.right == below.right == WIDTH - MARGIN
    assert right.x - left.right == pytest.approx(8) == below.y - left.bottom
    for dashboard in dashboards():
        last = max(box_of(panel).bottom for panel in dashboard["panels"])
        assert last < height_of(dashboard) < last + 40


def test_legends_and_marks_are_made_as_grafana_makes_them() -> None:
    assert legend("{{gateway}} allowed", {"gateway": "hk"}, "x") == "hk allowed"
    assert legend("__auto", {"a": "b"}, "x") == '{a="b"}'
    samples = [(0, "0"), (2, "1"), (4, "1"), (6, "0"), (8, "0.5"), (20, "1")]
    assert regions(samples, 2) == [(2, 4), (8, 8), (20, 20)]


PANEL = {
    "id": 1,
    "fieldConfig": {
        "defaults": {"thresholds": {"steps": [
            {"value": None, "color": "green"}, {"value": 5, "color": "red"},
        ]}},
        "overrides": [
            {"matcher": {"id": "byName", "options": "Reason"},
             "properties": [{"id": "mappings", "value": [
                 {"type": "value", "options": {"Normal": {"text": "hung up"}}}]}]},
            {"matcher": {"id": "byFrameRefID", "options": "B"},
             "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": "gray"}}]},
        ],
    },
    "options": {"sortBy": [{"displayName": "Calls", "desc": True}]},
    "targets": [
        {"refId": "A", "legendFormat": "{{reason}}", "expr": "a"},
        {"refId": "B", "legendFormat": "all", "expr": "b"},
    ],
    "transformations": [{"id": "organize", "options": {
        "excludeByName": {"job": True}, "indexByName": {"reason": 0, "Value #A": 1, "Value #B": 2},
        "renameByName": {"reason": "Reason", "Value #A": "Calls", "Value #B": "Before"},
    }}],
}


def test_a_table_is_merged_renamed_and_sorted() -> None:
    def row(reason: str, value: str) -> dict[str, object]:
        return {"metric": {"reason": reason}, "value": [0, value]}

    answers = {"u/1/A": [row("NotFound", "2"), row("Normal", "7")], "u/1/B": [row("Normal", "9")]}
    shown = table(PANEL, answers, "u", 0)
    assert shown.columns == ["Reason", "Calls", "Before"]
    texts = [[cell.text for cell in one] for one in shown.rows]
    assert texts == [["hung up", "7", "9"], ["NotFound", "2", ""]]


def test_curves_have_their_gaps_names_and_colours() -> None:
    answers = {
        "u/1/A": [{"metric": {"reason": "Normal"}, "values": [[0, "1"], [4, "NaN"]]}],
        "u/1/B": [{"metric": {}, "values": [[0, "3"], [2, "4"], [4, "8"]]}],
    }
    first, second = curves(PANEL, answers, "u", [0, 2, 4])
    assert (first.name, list(first.values), first.last()) == ("Normal", [1, None, None], 1)
    assert (second.name, second.mean(), second.most()) == ("all", 5, 8)
    assert second.colour == "#8E8E99"


def test_colours_follow_thresholds_and_mappings() -> None:
    assert threshold_colour(PANEL, 4.9) != threshold_colour(PANEL, 5)
    assert mapping([{"type": "value", "options": {"1": {"text": "up"}}}], 1.0) == ("up", "#CCCCDC")
    assert mapping([], 1.0) is None
