"""Draws every dashboard out of the answers of a run: `python -m grafana.pictures`.

`make pictures` makes the answers first (`tests/system/draw_dashboards.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from grafana.generate import picture_of
from grafana.pictures.canvas import BORDER, FAINT, PLATE, TEXT, Canvas
from grafana.pictures.curves import Event, draw_curves, draw_heat, draw_states
from grafana.pictures.frames import Answers, colour, regions
from grafana.pictures.layout import GAP, MARGIN, WIDTH, Box, box_of, height_of
from grafana.pictures.plates import draw_bars, draw_number, draw_table, draw_words
from grafana.pictures.questions import SPAN_S, STEP_S, chosen, dashboards

ROOT: Final = Path(__file__).parents[2]
ANSWERS: Final = ROOT / "build/pictures/answers.json"
KINDS: Final[Mapping[str, Any]] = {
    "timeseries": draw_curves, "heatmap": draw_heat, "state-timeline": draw_states,
    "stat": draw_number, "bargauge": draw_bars, "table": draw_table, "text": draw_words,
}


def draw(dashboard: Mapping[str, Any], answers: Answers, path: Path) -> None:
    """One dashboard as one picture."""
    canvas = Canvas(WIDTH, height_of(dashboard))
    end_s = answers["end"]
    start_s = end_s - SPAN_S
    times = [start_s + STEP_S * n for n in range(int(SPAN_S / STEP_S) + 1)]
    events = _events(dashboard, answers)
    _head(canvas, dashboard, times)
    for panel in dashboard["panels"]:
        box = box_of(panel)
        canvas.box(box, PLATE, border=BORDER, radius=3)
        canvas.text(box.x + 12, box.y + 20, panel["title"], size=14, bold=True, room=box.w - 24)
        kind = KINDS[panel["type"]]
        kind(canvas, panel, box, answers, dashboard["uid"], times, events)
    canvas.save(path)


def _events(dashboard: Mapping[str, Any], answers: Answers) -> list[Event]:
    found = []
    for number, one in enumerate(dashboard["annotations"]["list"]):
        for series in answers.get(f"{dashboard['uid']}/event/{number}", ()):
            for start, end in regions(series["values"], STEP_S):
                found.append(Event(start, end, colour(one["iconColor"])))
    return found


def _head(canvas: Canvas, dashboard: Mapping[str, Any], times: Sequence[float]) -> None:
    """The name of the dashboard, its time, its variables and its events."""
    canvas.text(MARGIN, 26, "Dashboards  ›  Trunkline  ›", size=14, colour=FAINT)
    x = MARGIN + canvas.wide("Dashboards  ›  Trunkline  ›", 14) + 10
    canvas.text(x, 26, dashboard["title"], size=14, bold=True)
    first, last = (datetime.fromtimestamp(at, UTC) for at in (times[0], times[-1]))
    span = f"{first:%H:%M:%S} to {last:%H:%M:%S} UTC"
    width = canvas.wide(span, 13) + 28
    box = Box(WIDTH - MARGIN - width, 10, width, 32)
    canvas.box(box, PLATE, border="#3A3D44", radius=2)
    canvas.text(box.x + 14, 26, span, size=13)
    canvas.line(0, 48, WIDTH, 48, BORDER)
    x = MARGIN
    for one in dashboard["templating"]["list"]:
        x = _choice(canvas, x, one.get("label") or one["name"], chosen(one["name"])) + GAP
    for one in dashboard["annotations"]["list"]:
        if "expr" in one:
            x += GAP
            canvas.box(Box(x, 66, 10, 10), colour(one["iconColor"]), radius=5)
            canvas.text(x + 16, 71, one["name"], size=13)
            x += 22 + canvas.wide(one["name"], 13)
    right = "Trunkline dashboards  ▾"
    canvas.text(WIDTH - MARGIN, 71, right, size=13, colour=TEXT, at="right")


def _choice(canvas: Canvas, x: float, label: str, value: str) -> float:
    wide = canvas.wide(label, 13) + 18
    canvas.box(Box(x, 56, wide, 30), PLATE, border=BORDER, radius=2)
    canvas.text(x + 9, 71, label, size=13, bold=True)
    x += wide
    box = Box(x, 56, canvas.wide(value, 13) + 40, 30)
    canvas.box(box, PAGE_FIELD, border="#3A3D44", radius=2)
    canvas.text(x + 10, 71, f"{value}   ▾", size=13)
    return box.right


PAGE_FIELD: Final = "#111217"


def main() -> int:
    """Draws all."""
    answers = json.loads(ANSWERS.read_text())
    (ROOT / "docs/images").mkdir(exist_ok=True)
    for dashboard in dashboards():
        path = ROOT / "docs" / picture_of(dashboard["uid"])
        draw(dashboard, answers, path)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
