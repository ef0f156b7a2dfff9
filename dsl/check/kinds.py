"""What may be used where: every use in every route, for each kind of route that reaches it."""

from __future__ import annotations

from collections import deque

from dsl.check.declarations import Declarations, Route, Use
from dsl.check.report import Report, article, link
from dsl.findings import ChainLink
from dsl.surface import NAMED, ROUTE_KINDS


def check_kinds(declarations: Declarations, report: Report) -> None:
    """Report uses that a kind of route forbids, with the calls on the way to them."""
    reported: set[int] = set()
    for entry in declarations.routes.values():
        if entry.node.kind == NAMED:
            continue
        for route, chain in _reached(entry):
            for use in route.uses:
                if entry.node.kind not in use.kinds and id(use) not in reported:
                    reported.add(id(use))
                    _report(use, entry, chain, report)


def _reached(entry: Route) -> list[tuple[Route, tuple[ChainLink, ...]]]:
    """The entry and the named routes it reaches, each with the shortest chain of calls."""
    found: list[tuple[Route, tuple[ChainLink, ...]]] = [(entry, ())]
    seen = {entry.key}
    waiting = deque(found)
    while waiting:
        route, chain = waiting.popleft()
        for target, call in route.calls:
            if target.key in seen:
                continue
            seen.add(target.key)
            step = link(call.span, f"{route.title} calls {target.title}")
            item = (target, (*chain, step))
            found.append(item)
            waiting.append(item)
    return found


def _listed(kinds: list[str]) -> str:
    return " and ".join([", ".join(kinds[:-1]), kinds[-1]] if kinds[1:] else kinds)


def _report(use: Use, entry: Route, chain: tuple[ChainLink, ...], report: Report) -> None:
    kind = entry.node.kind
    allowed = [one for one in ROUTE_KINDS if one in use.kinds]
    where = f"in {article(kind)}" if not chain else f"in {article(kind)}, which reaches it"
    report.add(
        "not-here",
        use.span,
        f"{use.what} is not allowed {where}",
        f"it is allowed in {_listed(allowed)}" if allowed else "",
        chain=chain,
    )
