"""Panels over time: curves with their legend, heatmaps, states; and events across all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from grafana.pictures.canvas import FAINT, GRID, PLATE, TEXT, Canvas
from grafana.pictures.frames import (
    Answers,
    Curve,
    Panel,
    buckets,
    colour,
    curves,
    mapping,
)
from grafana.pictures.layout import Box
from grafana.pictures.units import written

TICK_S: Final = 60
LEGEND_ROW: Final = 21
LEGEND_SHARE: Final = 0.36
CALCS: Final = {"mean": ("Mean", Curve.mean), "max": ("Max", Curve.most),
                "lastNotNull": ("Last *", Curve.last)}
AXIS: Final = 62
CALC_WIDTH: Final = 78


class Event(NamedTuple):
    """Something that happened: from when to when, and its colour."""

    start: float
    end: float
    colour: str


def draw_curves(
    canvas: Canvas, panel: Panel, box: Box, answers: Answers, uid: str, times: Sequence[float],
    events: Sequence[Event],
) -> None:
    """A timeseries panel below its title."""
    found = curves(panel, answers, uid, times)
    defaults = panel["fieldConfig"]["defaults"]
    inner = box.inside(12, 34, 14, 10)
    plot, below = _with_legend(canvas, panel, found, inner)
    axes = canvas.plot(plot.inside(AXIS - 12, 4, 2, 24 if below else 22))
    stacked = any("stacking" in one.style for one in found)
    floor = [0.0] * len(times)
    for order, one in enumerate(found):
        if stacked:
            top = [low + (value or 0.0) for low, value in zip(floor, one.values, strict=True)]
            axes.fill_between(times, floor, top, color=one.colour, linewidth=0,
                              alpha=_fill(one), zorder=3)
            axes.plot(times, top, color=one.colour, linewidth=1.1, zorder=4)
            floor = top
            continue
        values = [math.nan if value is None else value for value in one.values]
        axes.plot(times, values, color=one.colour, linewidth=1.25, zorder=4 - order / 100,
                  linestyle=(0, (6, 4)) if "lineStyle" in one.style else "solid",
                  solid_joinstyle="round")
        axes.fill_between(times, values, 0, color=one.colour, linewidth=0, alpha=_fill(one))
    _limits(axes, found, floor if stacked else None, defaults)
    _thresholds(axes, panel)
    _time_axis(canvas, axes, times, events)
    unit, decimals = defaults.get("unit", "short"), defaults.get("decimals")
    low, high = axes.get_ylim()
    ticks = _ticks(low, high, unit)
    axes.set_yticks(ticks, [written(tick, unit, decimals) for tick in ticks])
    axes.grid(axis="both", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    canvas.name_ticks(axes)


def draw_heat(
    canvas: Canvas, panel: Panel, box: Box, answers: Answers, uid: str, times: Sequence[float],
    events: Sequence[Event],
) -> None:
    """A heatmap panel below its title, with its scale."""
    rows = [(bound, counts) for bound, counts in buckets(panel, answers, uid, times)]
    while rows and not any(rows[-1][1]):
        rows.pop()
    width = 3  # times in a cell: a column of two pixels is not seen
    starts = range(0, len(times) - width, width)
    grid = [[sum(counts[at:at + width]) / width or math.nan for at in starts]
            for _, counts in rows]
    axes = canvas.plot(box.inside(AXIS, 38, 16, 62))
    step = times[1] - times[0]
    edges = [times[at] - step / 2 for at in starts]
    edges.append(edges[-1] + width * step)
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    shades = LinearSegmentedColormap.from_list(
        "heat", ["#4A1E04", "#7F2704", "#D94801", "#FD8D3C", "#FDBE85", "#FEEDDE"]
    )
    high = max((one for row in grid for one in row if one == one), default=1)
    axes.pcolormesh(edges, range(len(rows) + 1), grid, cmap=shades,
                    norm=PowerNorm(0.5, 0, high), edgecolors=PLATE, linewidth=0.6)
    marks = range(0, len(rows), 1 if len(rows) < 9 else 2)
    unit = panel["options"]["yAxis"].get("unit", "short")
    axes.set_yticks([at + 1 for at in marks], [_bound(rows[at][0], unit) for at in marks])
    _time_axis(canvas, axes, times, events)
    canvas.name_ticks(axes)
    scale = canvas.plot(Box(box.x + AXIS, box.bottom - 28, 240, 8))
    scale.imshow([[at / 100 for at in range(101)]], aspect="auto", cmap=shades)
    scale.set_xticks([])
    scale.set_yticks([])
    canvas.text(box.x + AXIS - 8, box.bottom - 24, "0", size=11, colour=FAINT, at="right")
    canvas.text(box.x + AXIS + 248, box.bottom - 24, f"{high:.0f} calls", size=11, colour=FAINT)


def draw_states(
    canvas: Canvas, panel: Panel, box: Box, answers: Answers, uid: str, times: Sequence[float],
    events: Sequence[Event],
) -> None:
    """A state timeline below its title: a row for each series."""
    found = curves(panel, answers, uid, times)
    defaults = panel["fieldConfig"]["defaults"]
    names = max(canvas.wide(one.name, 12) for one in found) + 24
    axes = canvas.plot(box.inside(names, 38, 16, 62))
    step = times[1] - times[0]
    seen: dict[str, str] = {}
    for row, one in enumerate(found):
        for start, end, value in _stretches(one, times, step):
            text, tint = mapping(defaults.get("mappings"), value) or (str(value), "#8E8E99")
            seen[text] = tint
            axes.barh(row, end - start, 0.82, left=start, color=tint, alpha=0.75, linewidth=0)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_yticks(range(len(found)), [one.name for one in found])
    _time_axis(canvas, axes, times, events)
    canvas.name_ticks(axes)
    x = box.x + 14.0
    for text, tint in seen.items():
        x = _key(canvas, x, box.bottom - 22, text, tint)


def _stretches(one: Curve, times: Sequence[float], step: float) -> list[tuple[float, float, float]]:
    """When the series kept a value: from, to, which."""
    found: list[tuple[float, float, float]] = []
    for when, value in zip(times, one.values, strict=True):
        if value is None:
            continue
        if found and found[-1][2] == value and found[-1][1] >= when - step / 2:
            found[-1] = (found[-1][0], when + step, value)
        else:
            found.append((when, when + step, value))
    return found


def _fill(one: Curve) -> float:
    return float(one.style.get("fillOpacity", 0)) / 100


def _bound(bound: float, unit: str) -> str:
    return "more" if math.isinf(bound) else written(bound, unit)


def _limits(
    axes: Any, found: Sequence[Curve], stack: Sequence[float] | None, defaults: dict[str, Any]
) -> None:
    values = [value for one in found for value in one.values if value is not None]
    high = max(stack) if stack else max(values, default=1.0)
    low = min(values, default=0.0)
    lowest, highest = defaults.get("min"), defaults.get("max")
    if lowest is None:
        lowest = min(low - (high - low) * 0.06, 0 if low >= 0 and low < high / 2 else low)
    if highest is None:
        highest = high + (high - lowest) * 0.08 if high > lowest else lowest + 1
    axes.set_ylim(lowest, highest * (1.01 if defaults.get("max") else 1))


def _ticks(low: float, high: float, unit: str) -> list[float]:
    """Four or five round values between two."""
    rough = (high - low) / 4
    if unit == "bytes":
        step = 2.0 ** math.ceil(math.log2(rough))
    else:
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(one for one in (1, 2, 2.5, 5, 10) if one * power >= rough * 0.999) * power
    first = math.ceil(low / step - 1e-9)
    return [step * n for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _thresholds(axes: Any, panel: Panel) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    style = (defaults.get("custom") or {}).get("thresholdsStyle") or {}
    if style.get("mode") not in ("line", "dashed"):
        return
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is not None:
            axes.axhline(step["value"], color=colour(step["color"]), linewidth=1, alpha=0.7,
                         linestyle="--" if style["mode"] == "dashed" else "-", zorder=5)


def _time_axis(
    canvas: Canvas, axes: Any, times: Sequence[float], events: Sequence[Event]
) -> None:
    first, last = times[0], times[-1]
    axes.set_xlim(first, last)
    start = math.ceil(first / TICK_S) * TICK_S
    ticks = [at for at in range(start, int(last) + 1, TICK_S) if last - at > TICK_S / 5]
    axes.set_xticks(ticks, [datetime.fromtimestamp(at, UTC).strftime("%H:%M") for at in ticks])
    mark = axes.get_xaxis_transform()
    for event in events:
        if event.end > event.start:
            axes.axvspan(event.start, event.end, color=event.colour, alpha=0.10, linewidth=0)
            axes.plot([event.start, event.end], [0, 0], color=event.colour, linewidth=3,
                      transform=mark, clip_on=False, zorder=6)
        axes.axvline(event.start, color=event.colour, linewidth=0.9, linestyle=(0, (4, 3)),
                     alpha=0.9, zorder=6)
        axes.plot([event.start], [0], marker="^", markersize=5, color=event.colour,
                  transform=mark, clip_on=False, zorder=7)


def _with_legend(
    canvas: Canvas, panel: Panel, found: Sequence[Curve], box: Box
) -> tuple[Box, bool]:
    """Draws the legend; what is left for the plot, and whether the legend is below it."""
    legend = panel["options"]["legend"]
    shown = [one for one in found if not one.style.get("hideFrom", {}).get("legend")]
    calcs = [CALCS[name] for name in legend.get("calcs") or ()]
    if legend["displayMode"] == "list":
        x = box.x
        for one in shown:
            x = _key(canvas, x, box.bottom - 8, one.name, one.colour)
        return box.inside(0, 0, 0, 18), True
    if legend["placement"] == "right":
        names = max((canvas.wide(one.name, 12) for one in shown), default=0) + 24
        width = min(names + CALC_WIDTH * len(calcs), box.w * 0.5)
        place = Box(box.right - width, box.y - 2, width, box.h + 4)
    else:
        rows = min(len(shown) + 1, int(box.h * LEGEND_SHARE / LEGEND_ROW))
        place = Box(box.x, box.bottom - rows * LEGEND_ROW, box.w, rows * LEGEND_ROW)
    _legend_table(canvas, panel, shown, calcs, place)
    if legend["placement"] == "right":
        return box.inside(0, 0, place.w + 14, 0), False
    return box.inside(0, 0, 0, place.h), True


def _legend_table(
    canvas: Canvas, panel: Panel, shown: Sequence[Curve], calcs: Sequence[Any], place: Box
) -> None:
    legend, defaults = panel["options"]["legend"], panel["fieldConfig"]["defaults"]
    unit, decimals = defaults.get("unit", "short"), defaults.get("decimals")
    if legend.get("sortBy"):
        by = next(calc for title, calc in calcs if title == legend["sortBy"])
        shown = sorted(shown, key=lambda one: -math.inf if by(one) is None else by(one),
                       reverse=legend.get("sortDesc", False))
    y = place.y + LEGEND_ROW / 2
    canvas.text(place.x, y, "Name", size=12, colour=FAINT, bold=True)
    for at, (title, _) in enumerate(reversed(calcs)):
        canvas.text(place.right - CALC_WIDTH * at, y, title, size=12, colour=FAINT, bold=True,
                    at="right")
    for one in shown:
        y += LEGEND_ROW
        if y > place.bottom:
            break
        canvas.line(place.x, y - LEGEND_ROW / 2, place.right, y - LEGEND_ROW / 2)
        canvas.box(Box(place.x, y - 2, 14, 4), one.colour, order=4)
        room = place.w - CALC_WIDTH * len(calcs) - 22
        canvas.text(place.x + 20, y, one.name, colour=TEXT, room=room)
        for at, (_, calc) in enumerate(reversed(calcs)):
            text = written(calc(one), unit, decimals)
            canvas.text(place.right - CALC_WIDTH * at, y, text, at="right")


def _key(canvas: Canvas, x: float, y: float, text: str, tint: str) -> float:
    canvas.box(Box(x, y - 2, 14, 4), tint, order=4)
    canvas.text(x + 20, y, text, size=12)
    return x + 20 + canvas.wide(text, 12) + 18
