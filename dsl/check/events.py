"""Events that an event_route may wait for: `gateway:down`, `timer:NAME every 10s`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dsl import ast
from dsl.check.report import Report, did_you_mean
from dsl.literals import LiteralError, read_duration

EVENTS = ("gateway:down", "gateway:up", "config:loaded", "balance:low")
TIMER = "timer:"
SHORTEST_MS = 100
LONGEST_MS = 86_400_000

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TIMER = "a timer is written `event_route[timer:NAME every 10s]`"


def check_event(node: ast.RouteNode, report: Report) -> bool:
    """Check the label of an event_route; False if it cannot be entered."""
    event, _, rest = (node.label or "").partition(" ")
    if event.startswith(TIMER):
        return _check_timer(node, event, rest.strip(), report)
    if event not in EVENTS:
        known = (*EVENTS, "timer:NAME")
        help = did_you_mean(event, known) or f"the events are {', '.join(known)}"
        report.add("bad-name", node.label_span, f"there is no event `{event}`", help)
        return False
    if rest:
        report.add("bad-name", node.label_span, f"`{event}` comes by itself: it has no period")
        return False
    return True


def _check_timer(node: ast.RouteNode, event: str, rest: str, report: Report) -> bool:
    name = event.removeprefix(TIMER)
    if _NAME.fullmatch(name) is None:
        report.add("bad-name", node.label_span, f"`{name}` is no name of a timer", _TIMER)
        return False
    every, _, period = rest.partition(" ")
    if every != "every" or not period:
        report.add("bad-name", node.label_span, f"`{event}` does not say how often", _TIMER)
        return False
    try:
        period_ms = read_duration(period.strip())
    except LiteralError as error:
        report.add(error.code, node.label_span, error.message, error.help)
        return False
    if not SHORTEST_MS <= period_ms <= LONGEST_MS:
        what = f"a timer runs every {SHORTEST_MS} ms at the most and every day at the least"
        report.add("out-of-range", node.label_span, what)
        return False
    return True


def periods_of(nodes: Iterable[ast.RouteNode]) -> dict[str, int]:
    """The timers among checked routes by their names: every how many ms each runs."""
    return {
        node.name.removeprefix(TIMER): read_duration((node.label or "").split()[-1])
        for node in nodes
        if node.kind == "event_route" and node.name.startswith(TIMER)
    }
