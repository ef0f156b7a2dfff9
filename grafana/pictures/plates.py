"""Panels of what is now: single numbers, bars, tables, text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from grafana.pictures.canvas import FAINT, GRID, TEXT, Canvas
from grafana.pictures.curves import Event
from grafana.pictures.frames import (
    Answers,
    Cell,
    Panel,
    Table,
    curves,
    mapping,
    overrides,
    table,
    threshold_colour,
)
from grafana.pictures.layout import Box
from grafana.pictures.units import written

BIG: Final = 38
TABLE_ROW: Final = 32
SMALL: Final = 12
WORDS_ROW: Final = 17
EMPTY: Final = "#22252B"


def draw_number(
    canvas: Canvas, panel: Panel, box: Box, answers: Answers, uid: str, times: Sequence[float],
    events: Sequence[Event],
) -> None:
    """A stat panel: the last value in its colour, over its past."""
    found = curves(panel, answers, uid, times)
    defaults = panel["fieldConfig"]["defaults"]
    value = found[0].last() if found else None
    tint = threshold_colour(panel, value)
    mapped = mapping(defaults.get("mappings"), value)
    text = written(value, defaults.get("unit", "short"), defaults.get("decimals"))
    if mapped:
        text, tint = mapped
    if panel["options"].get("graphMode") == "area" and found:
        values = [one or 0.0 for one in found[0].values]
        low, high = min(values), max(values)
        axes = canvas.plot(Box(box.x + 1, box.bottom - 46, box.w - 2, 44))
        axes.axis("off")
        axes.set_xlim(times[0], times[-1])
        spread = (high - low) or 1
        axes.set_ylim(low - spread * 0.15, high + spread * 0.1)
        axes.plot(times, values, color=tint, linewidth=1)
        axes.fill_between(times, values, low - spread, color=tint, alpha=0.16, linewidth=0)
    canvas.text(box.x + box.w / 2, box.y + box.h * 0.5, text, size=BIG, colour=tint, bold=True,
                at="center")


def draw_bars(
    canvas: Canvas, panel: Panel, box: Box, answers: Answers, uid: str, times: Sequence[float],
    events: Sequence[Event],
) -> None:
    """A bar gauge: a bar for each series."""
    found = curves(panel, answers, uid, times)
    defaults = panel["fieldConfig"]["defaults"]
    most = defaults.get("max") or max((one.last() or 0 for one in found), default=1) or 1
    inner = box.inside(14, 42, 14, 12)
    names = max((canvas.wide(one.name, 13) for one in found), default=0) + 14
    row = min(46.0, inner.h / max(1, len(found)))
    for at, one in enumerate(found):
        value = one.last()
        y = inner.y + row * at
        bar = Box(inner.x + names, y + 4, inner.w - names - 84, row - 8)
        tint = threshold_colour(panel, value)
        canvas.text(inner.x + names - 12, y + row / 2, one.name, size=13, at="right")
        canvas.box(bar, EMPTY, order=2)
        share = max(0.0, min(1.0, (value or 0) / most))
        canvas.box(Box(bar.x, bar.y, bar.w * share, bar.h), tint, alpha=0.45, order=3)
        canvas.box(Box(bar.x + bar.w * share - 1, bar.y, 2, bar.h), tint, order=4)
        text = written(value, defaults.get("unit", "short"), defaults.get("decimals"))
        canvas.text(inner.right, y + row / 2, text, size=15, colour=tint, bold=True, at="right")


def draw_table(
    canvas: Canvas, panel: Panel, box: Box, answers: Answers, uid: str, times: Sequence[float],
    events: Sequence[Event],
) -> None:
    """A table panel: as many rows as there is room for."""
    shown = table(panel, answers, uid, times[-1])
    inner = box.inside(1, 36, 1, 4)
    widths = _widths(canvas, panel, shown, inner.w)
    wraps = any(
        (overrides(panel, one).get("custom.cellOptions") or {}).get("wrapText")
        for one in shown.columns
    )
    if not shown.rows:
        none = panel["fieldConfig"]["defaults"].get("noValue", "No data")
        canvas.text(box.x + box.w / 2, box.y + box.h / 2, none, size=14, colour=FAINT, at="center")
        return
    y = inner.y + 12
    x = inner.x + 12
    for at, column in enumerate(shown.columns):
        numeric = shown.rows[0][at].numeric
        canvas.text(x + widths[at] - 24 if numeric else x, y, column, size=12, colour=LINKED,
                    bold=True, at="right" if numeric else "left")
        x += widths[at]
    y += TABLE_ROW / 2
    for row in shown.rows:
        lines = [
            canvas.wrapped(cell.text, widths[at] - 24, 13) if wraps else [cell.text]
            for at, cell in enumerate(row)
        ]
        height = TABLE_ROW + (max(len(one) for one in lines) - 1) * WORDS_ROW
        if y + height > inner.bottom:
            break
        canvas.line(inner.x, y, inner.right, y)
        x = inner.x + 12
        for at, cell in enumerate(row):
            for down, text in enumerate(lines[at]):
                middle = y + TABLE_ROW / 2 + down * WORDS_ROW
                _draw_cell(canvas, cell._replace(text=text), x, middle, widths[at] - 24)
            x += widths[at]
        y += height


LINKED: Final = "#6E9FFF"
"""Grafana writes the heads of columns like links: a click sorts."""


def _draw_cell(canvas: Canvas, cell: Cell, x: float, y: float, room: float) -> None:
    right = x + room
    if cell.bar is None:
        canvas.text(right if cell.numeric else x, y, cell.text, size=13, colour=cell.colour,
                    at="right" if cell.numeric else "left", room=room)
        return
    canvas.text(right, y, cell.text, size=13, colour=cell.colour, at="right")
    track = Box(x, y - 8, room - 66, 16)
    canvas.box(track, EMPTY, order=2)
    canvas.box(track._replace(w=track.w * cell.bar), cell.colour, alpha=0.6, order=3)


def _widths(canvas: Canvas, panel: Panel, shown: Table, room: float) -> list[float]:
    """How wide each column is: as the panel says, or what it needs and a share of the rest."""
    needs: list[float] = []
    fixed = [float(overrides(panel, one).get("custom.width") or 0) for one in shown.columns]
    for at, column in enumerate(shown.columns):
        if fixed[at]:
            needs.append(fixed[at])
            continue
        texts = [(column, 12.0), *((row[at].text, 13.0) for row in shown.rows)]
        need = max(canvas.wide(text, size) for text, size in texts)
        if any(row[at].bar is not None for row in shown.rows):
            need += 120
        needs.append(need + 26)
    spare = room - 12 - sum(needs)
    free = [at for at in range(len(needs)) if not fixed[at]] or list(range(len(needs)))
    if spare < 0:
        widest = max(free, key=lambda at: needs[at])
        needs[widest] = max(80.0, needs[widest] + spare)
        return needs
    return [need + (spare / len(free) if at in free else 0) for at, need in enumerate(needs)]


def draw_words(
    canvas: Canvas, panel: Panel, box: Box, answers: Answers, uid: str, times: Sequence[float],
    events: Sequence[Event],
) -> None:
    """A text panel that is one table of Markdown: as many rows as there is room for."""
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in panel["options"]["content"].splitlines() if line.startswith("|")
    ]
    head, body = rows[0], rows[2:]
    inner = box.inside(14, 40, 14, 6)
    shares = [max(len(re.sub(r"[*`]", "", row[at])) for row in rows) ** 0.72
              for at in range(len(head))]
    widths = [share / sum(shares) * inner.w for share in shares]
    y = inner.y + 8
    x = inner.x
    for at, title in enumerate(head):
        canvas.text(x, y, title, size=SMALL, colour=FAINT, bold=True)
        x += widths[at]
    y += WORDS_ROW
    for row in body:
        cells = []
        for at, cell in enumerate(row):
            mono = cell.startswith("`")
            text = re.sub(r"[*`]", "", cell)
            size = SMALL - 1.5 if mono else SMALL
            cells.append((canvas.wrapped(text, widths[at] - 16, size, mono=mono), mono, size,
                          cell.startswith("**")))
        height = max(len(lines) for lines, *_ in cells) * WORDS_ROW
        if y + height > inner.bottom:
            break
        canvas.line(inner.x, y - 9, inner.right, y - 9, GRID)
        x = inner.x
        for at, (lines, mono, size, bold) in enumerate(cells):
            for down, line in enumerate(lines):
                canvas.text(x, y + 2 + down * WORDS_ROW, line, size=size, colour=TEXT, mono=mono,
                            bold=bold)
            x += widths[at]
        y += height + 4
