"""What a dashboard asks Prometheus: its panels' own queries, with Grafana's variables filled in.

A dashboard shows hours and its figures reach over hours; a run for pictures lasts minutes. So time
is short here, everywhere by the same factor: `SPEED` seconds of a dashboard are one of the run.
Knows the dashboards' JSON; does not know how panels look.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

FOLDER: Final = Path(__file__).parents[1] / "dashboards"
SPEED: Final = 30
SPAN_S: Final = 3 * 3600 // SPEED
"""How long a run has to be for the three hours that a dashboard opens with."""
SCRAPE_S: Final = 1
SHORTEST_S: Final = 4
"""A rate needs some scrapes."""
STEP_S: Final = 2
RATE_S: Final = 12
"""$__rate_interval, of which Grafana wants four scrapes at least."""
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION: Final = re.compile(r"(\[| offset )(\d+)([smhdw])\b")
_NEGLIGIBLE: Final = 1e-9

Series = list[dict[str, Any]]
"""As the HTTP API of Prometheus gives them: `metric` and `value`, or `values`."""
Now = Callable[[str, float], Series]
OverTime = Callable[[str, float, float, float], Series]


class Question(NamedTuple):
    """One query of a panel or of an annotation, under the name of its answer."""

    key: str
    expr: str
    instant: bool


def dashboards() -> list[dict[str, Any]]:
    """The committed dashboards."""
    return [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]


def chosen(name: str) -> str:
    """What a variable of a dashboard is set to: everything, as when it is opened."""
    return "All" if name != "datasource" else "Trunkline"


def filled_in(expr: str) -> str:
    """The expression as Grafana would send it, with every duration shortened."""

    def shorter(match: re.Match[str]) -> str:
        seconds = int(match[2]) * _UNITS[match[3]] // SPEED
        return f"{match[1]}{max(seconds, SHORTEST_S)}s"

    expr = _DURATION.sub(shorter, expr)
    expr = expr.replace("$__rate_interval", f"{RATE_S}s").replace("$__range", f"{SPAN_S}s")
    expr = expr.replace("$__interval", f"{STEP_S}s")
    return re.sub(r'=~"\$\w+"', '=~".*"', expr)


def questions(dashboard: dict[str, Any]) -> Iterator[Question]:
    """Everything that a dashboard asks."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets") or ():
            yield Question(
                f"{dashboard['uid']}/{panel['id']}/{target['refId']}",
                filled_in(target["expr"]), bool(target.get("instant")),
            )
    for number, one in enumerate(dashboard["annotations"]["list"]):
        if "expr" in one:
            yield Question(f"{dashboard['uid']}/event/{number}", filled_in(one["expr"]), False)


def ask_all(now: Now, over_time: OverTime, end_s: float, path: Path) -> None:
    """Asks everything and writes the answers, by the questions' keys, with `end` to a file."""
    answers: dict[str, Any] = {"end": end_s}
    for dashboard in dashboards():
        for question in questions(dashboard):
            if question.instant:
                answers[question.key] = now(question.expr, end_s)
            else:
                answers[question.key] = over_time(question.expr, end_s - SPAN_S, end_s, STEP_S)
    path.write_text(json.dumps(answers))
