"""What the configuration declares: routes, blocks and imports by name, each name once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from dsl import ast
from dsl.check.events import check_event
from dsl.check.python_files import Import
from dsl.check.report import Report, link
from dsl.check.settings import CheckedBlock
from dsl.surface import EVENT, NAMED, ROUTE_KINDS, UNNAMED_KINDS, Surface
from dsl.types import VOID, Type

MAX_CHAIN = 100
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True)
class Use:
    """Something in a route that is legal in some kinds of route only."""

    span: ast.Span
    what: str
    kinds: frozenset[str]


@dataclass(slots=True, eq=False)
class Route:
    """A route with what the checks learn of it.

    `returns` is the type of its `return`s, VOID if it gives no value. `calls` are the routes that
    it calls, with the place of the call. The outcomes are bits of dsl/check/flow.py.
    """

    node: ast.RouteNode
    returns: Type = VOID
    uses: list[Use] = field(default_factory=list)
    calls: list[tuple[Route, ast.Call]] = field(default_factory=list)
    outcomes: int = 0
    referenced: bool = False
    recursive: bool = False
    waits: bool = False
    """whether it calls an async function by itself"""
    unsure: bool = False
    """whether it calls what is unknown, after which anything may be"""

    @property
    def key(self) -> tuple[str, str]:
        """Kind and name."""
        return self.node.kind, self.node.name

    @property
    def title(self) -> str:
        """The route as messages call it."""
        return self.node.title


@dataclass(slots=True)
class Declarations:
    """Everything that has a name."""

    routes: dict[tuple[str, str], Route] = field(default_factory=dict)
    blocks: dict[str, dict[str, CheckedBlock]] = field(default_factory=dict)
    imports: dict[str, Import] = field(default_factory=dict)
    unplaced: set[str] = field(default_factory=set)
    """the names of routes of kinds that there are not: they are not missed elsewhere"""

    def mention(self, names: Iterable[object]) -> None:
        """Note texts that may be meant as names of routes, so that those are not called unused."""
        texts = frozenset(names)
        for (_, name), route in self.routes.items():
            if name and name in texts:
                route.referenced = True

    def routes_of(self, kind: str) -> dict[str, Route]:
        """The routes of a kind by their names."""
        return {name: route for (one, name), route in self.routes.items() if one == kind}


def declare_blocks(declarations: Declarations, blocks: list[CheckedBlock]) -> None:
    """Enter the top-level blocks by kind and name."""
    for block in blocks:
        declarations.blocks.setdefault(block.node.kind, {})[block.node.name] = block


def declare_routes(
    declarations: Declarations, nodes: list[ast.RouteNode], surface: Surface, report: Report
) -> None:
    """Enter the routes; unknown kinds, wrong labels and second ones of a name are reported.

    One with a wrong name is entered all the same, so that its calls are not missing it.
    """
    for node in nodes:
        if node.kind not in ROUTE_KINDS:
            help = "Kamailio's onreply_route is reply_route here" if "reply" in node.kind else ""
            report.unknown(
                "unknown-route-kind",
                node.kind_span,
                f"there is no kind of route `{node.kind}`",
                node.kind,
                ROUTE_KINDS,
                help,
            )
            declarations.unplaced.add(node.name)
            continue
        if node.kind not in surface.ready_kinds:
            report.add(
                "not-supported",
                node.kind_span,
                f"{node.kind} is part of the language, but not supported in this version",
            )
        if not _check_label(node, report):
            continue
        route = Route(node)
        first = declarations.routes.setdefault(route.key, route)
        if first is not route:
            report.add(
                "duplicate-route",
                node.label_span,
                f"there is a {node.title} already",
                chain=(link(first.node.label_span, "the first one"),),
            )


def _check_label(node: ast.RouteNode, report: Report) -> bool:
    if node.kind in UNNAMED_KINDS:
        if node.label is not None:
            report.add(
                "bad-name",
                node.label_span,
                f"there is only one {node.kind}: it has no name",
                f"write `{node.kind} {{ … }}`",
            )
            node.label = None
        return True
    if not node.label:
        main = "the first one to run is `request_route`; others are " if node.kind == NAMED else ""
        report.add(
            "missing-name",
            node.kind_span,
            f"this {node.kind} has no name",
            f"{main or 'write '}`{node.kind}[NAME] {{ … }}`",
        )
        return False
    if node.kind == EVENT:
        return check_event(node, report)
    if _NAME.fullmatch(node.label) is None:
        report.add(
            "bad-name",
            node.label_span,
            f"`{node.label}` is no name of a route",
            "a name is letters, digits and `_`, and begins with a letter"
            + (f": `R{node.label}`" if node.label.isdecimal() else ""),
        )
    return True


def order_routes(declarations: Declarations, report: Report) -> list[Route]:
    """All routes, each behind those that it calls; a route that can call itself is reported."""
    named = declarations.routes_of(NAMED)
    for route in declarations.routes.values():
        for call in route.node.calls:
            target = named.get(call.route)
            if target is not None:
                target.referenced = True
                route.calls.append((target, call))
    ordered: list[Route] = []
    done: set[tuple[str, str]] = set()
    for start in declarations.routes.values():
        if start.key not in done:
            _visit(start, ordered, done, report)
    _check_chains(ordered, report)
    return ordered


def _check_chains(ordered: list[Route], report: Report) -> None:
    """A chain of calls has to fit on Python's stack."""
    lengths: dict[tuple[str, str], int] = {}
    for route in ordered:
        longest = max((lengths.get(target.key, 0) for target, _ in route.calls), default=0)
        lengths[route.key] = longest + 1
        if longest == MAX_CHAIN:
            report.add(
                "too-deep",
                route.node.label_span,
                f"{route.title} begins a chain of more than {MAX_CHAIN} routes",
                "each of them calls the next one; let one call several instead",
            )


def _visit(start: Route, ordered: list[Route], done: set[tuple[str, str]], report: Report) -> None:
    # By hand instead of recursion: a chain of routes may be longer than Python's stack.
    path: list[tuple[Route, int]] = [(start, 0)]
    open_keys = {start.key}
    while path:
        route, at = path.pop()
        if at == len(route.calls):
            open_keys.discard(route.key)
            done.add(route.key)
            ordered.append(route)
            continue
        path.append((route, at + 1))
        target, call = route.calls[at]
        if target.key in open_keys:
            _report_recursion(path, target, call, report)
        elif target.key not in done:
            open_keys.add(target.key)
            path.append((target, 0))


def _report_recursion(
    path: list[tuple[Route, int]], target: Route, call: ast.Call, report: Report
) -> None:
    routes = [route for route, _ in path]
    cycle = path[routes.index(target) :]
    for route, _ in cycle:
        route.recursive = True
    steps = tuple(
        link(route.calls[at - 1][1].span, f"{route.title} calls {route.calls[at - 1][0].title}")
        for route, at in cycle[:-1]
    )
    what = "calls itself" if len(cycle) == 1 else "calls itself through others"
    report.add(
        "recursion",
        call.span,
        f"{target.title} {what}",
        "a loop is written with `for` or `while`",
        chain=steps,
    )
