"""What panels show, out of Prometheus' answers: curves with names, rows of tables, colours.

Does by the panel's JSON what Grafana does before it draws: legends, overrides, transformations,
thresholds. Draws nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from grafana.pictures.units import ago, written

Panel = Mapping[str, Any]
Answers = Mapping[str, Any]

COLOURS: Final = {
    "green": "#73BF69", "orange": "#FF9830", "red": "#F2495C", "blue": "#5794F2",
    "light-green": "#96D98D", "semi-dark-green": "#56A64B", "dark-green": "#37872D",
    "light-blue": "#8AB8FF", "semi-dark-blue": "#3274D9", "dark-blue": "#1F60C4",
    "super-light-blue": "#C0D8FF", "super-light-orange": "#FFCB7D", "light-orange": "#FFB357",
    "semi-dark-orange": "#FF780A", "dark-orange": "#FA6400", "yellow": "#FADE2A",
    "semi-dark-yellow": "#F2CC0C", "dark-yellow": "#E0B400", "light-yellow": "#FFEE52",
    "light-red": "#FF7383", "semi-dark-red": "#E02F44", "dark-red": "#C4162A",
    "super-light-red": "#FFA6B0", "purple": "#B877D9", "light-purple": "#CA95E5",
    "semi-dark-purple": "#A352CC", "dark-purple": "#8F3BB8", "super-light-purple": "#DEB6F2",
    "text": "#CCCCDC", "gray": "#8E8E99",
}
"""Grafana's names of colours in its dark theme."""
PALETTE: Final = (
    "#73BF69", "#F2CC0C", "#8AB8FF", "#FF780A", "#F2495C", "#5794F2", "#B877D9", "#705DA0",
    "#37872D", "#FADE2A", "#447EBC", "#C15C17", "#890F02", "#0A437C", "#6D1F62", "#584477",
    "#B7DBAB", "#F4D598", "#70DBED", "#F9BA8F", "#F29191", "#82B5D8", "#E5A8E2", "#AEA2E0",
)
"""The classic palette: series without a colour of their own, in order."""
_AGAIN_S: Final = 1.5


class Curve(NamedTuple):
    """One series over time: its name, its colour, its look, and what it is at each time.

    `style` holds the panel's custom field options with the overrides; values are None in gaps.
    """

    name: str
    colour: str
    style: Mapping[str, Any]
    times: Sequence[float]
    values: Sequence[float | None]

    def last(self) -> float | None:
        """The last value that is one."""
        return next((one for one in reversed(self.values) if one is not None), None)

    def mean(self) -> float | None:
        """The mean of the values that are ones."""
        there = [one for one in self.values if one is not None]
        return sum(there) / len(there) if there else None

    def most(self) -> float | None:
        """The greatest value."""
        return max((one for one in self.values if one is not None), default=None)


def colour(name: str) -> str:
    """A colour as #RRGGBB."""
    return COLOURS.get(name, name)


def number(text: str) -> float | None:
    """A sample's value; None for what cannot be drawn."""
    value = float(text)
    return value if math.isfinite(value) else None


def legend(form: str, metric: Mapping[str, str], expr: str) -> str:
    """The name of a series."""
    if form == "__auto":
        labels = ", ".join(f'{name}="{value}"' for name, value in metric.items())
        return f"{{{labels}}}" if labels else expr
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: metric.get(match[1], ""), form)


def overrides(panel: Panel, name: str, ref: str = "") -> dict[str, Any]:
    """What the panel says about one field, by its name or its query: property to value."""
    found: dict[str, Any] = {}
    for one in panel["fieldConfig"]["overrides"]:
        matcher = one["matcher"]
        wanted = str(matcher["options"])
        if wanted == {"byName": name, "byFrameRefID": ref}[matcher["id"]]:
            found.update({each["id"]: each.get("value") for each in one["properties"]})
    return found


def curves(panel: Panel, answers: Answers, uid: str, times: Sequence[float]) -> list[Curve]:
    """The series of a panel in Grafana's order, on the same times."""
    found: list[Curve] = []
    for target in panel["targets"]:
        for series in answers[f"{uid}/{panel['id']}/{target['refId']}"]:
            name = legend(target["legendFormat"], series["metric"], target["expr"])
            special = overrides(panel, name, target["refId"])
            style = dict(panel["fieldConfig"]["defaults"].get("custom") or {})
            style.update(
                {key.partition(".")[2]: value for key, value in special.items()
                 if key.startswith("custom.")}
            )
            fixed = (special.get("color") or {}).get("fixedColor")
            tint = colour(fixed) if fixed else PALETTE[len(found) % len(PALETTE)]
            at = {round(when): number(value) for when, value in series.get("values", ())}
            values = [at.get(round(when)) for when in times]
            found.append(Curve(name, tint, style, times, values))
    return found


def threshold_colour(panel: Panel, value: float | None) -> str:
    """The colour of a value by the panel's thresholds."""
    steps = (panel["fieldConfig"]["defaults"].get("thresholds") or {}).get("steps") or ()
    shown = "text"
    for step in steps:
        if value is not None and (step["value"] is None or value >= step["value"]):
            shown = step["color"]
    return colour(shown)


def mapping(options: Any, value: object) -> tuple[str, str] | None:
    """The text and colour that value mappings give to a value, if one does."""
    for one in options or ():
        if one["type"] == "value":
            key = str(int(value)) if isinstance(value, float) else str(value)
            hit = one["options"].get(key)
            if hit is not None:
                return hit.get("text", key), colour(hit.get("color", "text"))
    return None


class Cell(NamedTuple):
    """One cell of a table: what stands there, its colour, whether it is a number, how full a bar.

    `bar` is None where the cell is text, else 0 to 1.
    """

    text: str
    colour: str = COLOURS["text"]
    numeric: bool = False
    bar: float | None = None


class Table(NamedTuple):
    """What a table panel shows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def table(panel: Panel, answers: Answers, uid: str, now_s: float) -> Table:
    """Rows of a table panel: merged by their labels, columns renamed, hidden and sorted."""
    targets = panel["targets"]
    rows: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    names: list[str] = []
    fields: list[str] = []
    for target in targets:
        value_name = f"Value #{target['refId']}" if len(targets) > 1 else "Value"
        fields.append(value_name)
        for series in answers[f"{uid}/{panel['id']}/{target['refId']}"]:
            labels = {k: v for k, v in series["metric"].items() if k != "__name__"}
            names += [name for name in labels if name not in names]
            row = rows.setdefault(tuple(sorted(labels.items())), dict(labels))
            row[value_name] = number(series["value"][1])
    options = next(
        one["options"] for one in panel["transformations"] if one["id"] == "organize"
    )
    order = options.get("indexByName") or {}
    shown = [one for one in sorted(names) + fields if not options["excludeByName"].get(one)]
    shown.sort(key=lambda one: order.get(one, 99))
    rename = options["renameByName"]
    columns = [rename.get(one, one) for one in shown]
    listed = list(rows.values())
    for sort in reversed((panel.get("options") or {}).get("sortBy") or ()):
        field = next(k for k in shown if rename.get(k, k) == sort["displayName"])
        listed.sort(key=lambda row: _sortable(row.get(field)), reverse=sort.get("desc", False))
    cells = [
        [_cell(panel, rename.get(one, one), row.get(one), one in fields, now_s) for one in shown]
        for row in listed
    ]
    return Table(columns, cells)


def _sortable(value: object) -> tuple[float, str]:
    if isinstance(value, float):
        return value, ""
    return (-math.inf, "") if value is None else (0.0, str(value))


def _cell(panel: Panel, column: str, value: Any, numeric: bool, now_s: float) -> Cell:
    special = overrides(panel, column)
    mapped = mapping(special.get("mappings"), value)
    if mapped is not None:
        return Cell(mapped[0], mapped[1])
    if not numeric:
        linked = "links" in special
        return Cell("" if value is None else str(value), "#6E9FFF" if linked else COLOURS["text"])
    if value is None:
        return Cell("", numeric=True)
    unit = special.get("unit", "short")
    decimals = special.get("decimals")
    if unit == "dateTimeFromNow":
        return Cell(ago(now_s - value / 1000), numeric=True)
    kind = (special.get("custom.cellOptions") or {}).get("type")
    bar = min(1.0, value / special.get("max", 1)) if kind == "gauge" else None
    tint = COLOURS["text"]
    if kind in ("color-text", "gauge") and special.get("thresholds"):
        tint = threshold_colour(
            {"fieldConfig": {"defaults": {"thresholds": special["thresholds"]}}}, value
        )
    return Cell(written(value, unit, decimals), tint, True, bar)


def buckets(panel: Panel, answers: Answers, uid: str, times: Sequence[float]) -> Iterator[
    tuple[float, list[float]]
]:
    """A heatmap's rows from the lowest: the upper bound of each, and how many at each time."""
    found: list[tuple[float, list[float]]] = []
    for series in answers[f"{uid}/{panel['id']}/A"]:
        at = {round(when): number(value) or 0.0 for when, value in series["values"]}
        bound = float(series["metric"]["le"])
        found.append((bound, [at.get(round(when), 0.0) for when in times]))
    found.sort()
    below = [0.0] * len(times)
    for bound, counts in found:
        yield bound, [max(0.0, one - less) for one, less in zip(counts, below, strict=True)]
        below = counts


def regions(values: Sequence[tuple[float, str]], step_s: float) -> list[tuple[float, float]]:
    """Annotations as Grafana makes them of a series: from when to when it is above zero."""
    found: list[tuple[float, float]] = []
    for when, value in values:
        if not (number(value) or 0) > 0:
            continue
        if found and found[-1][1] + step_s * _AGAIN_S >= when:
            found[-1] = (found[-1][0], when)
        else:
            found.append((when, when))
    return found
