"""Phones that have to register before they may call, where no route takes a registration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dsl import ast
from dsl.check.report import Report
from dsl.check.settings import CheckedBlock, Given

SETTING = "must_register"
TAKES = ("save",)


def check_registering(
    settings: Given, blocks: list[CheckedBlock], routes: Iterable[ast.RouteNode], report: Report
) -> None:
    """Report `must_register = true` where no route has `save()`: those phones could never call."""
    places = list(_asked_for(settings, blocks))
    if not places or report.broken or SETTING in report.skipped:
        return
    if any(call.parts == TAKES for route in routes for call in route.calls):
        return
    for place in places:
        report.warn(
            "never-registered",
            place,
            "no route takes registrations, so no phone that `must_register` can ever call",
            'REGISTER needs `save();` in a route, behind `if (!authenticate()) challenge();`',
        )


def _asked_for(settings: Given, blocks: list[CheckedBlock]) -> Iterator[ast.Span]:
    if settings.values.get(SETTING):
        yield settings.nodes[SETTING].span
    for block in blocks:
        yield from _asked_for(block.given, block.children)
