"""Where paths go: what can follow a statement, what nothing can reach, what never answers.

The outcomes of a statement, as bits; one or more of them are possible:

    FALL    the next statement runs
    ANSWER  a terminal action ended the request
    SILENT  `exit` ended it with nothing decided
    LEAVE   `return` left the route
    BREAK   `break` left the loop

Those of a route are FALL (its caller goes on), ANSWER and SILENT. Routes are looked at behind those
that they call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsl import ast
from dsl.check.declarations import Route
from dsl.check.report import link
from dsl.check.world import World
from dsl.surface import NAMED, REQUEST
from dsl.types import VOID

FALL, ANSWER, SILENT, LEAVE, BREAK = 1, 2, 4, 8, 16


def check_flow(world: World, route: Route) -> None:
    """Report what cannot be reached and paths that lead nowhere; fill the route's outcomes."""
    _FlowChecker(world, route).check()


class _FlowChecker:
    def __init__(self, world: World, route: Route) -> None:
        self._world = world
        self._route = route
        self._report = world.report
        self._targets = world.declarations.routes_of(NAMED)

    def check(self) -> None:
        route = self._route
        outcomes = self._body(route.node.body)
        if route.node.broken or route.recursive or route.unsure:
            # What was skipped, or is unknown, may have done anything.
            route.outcomes = outcomes | FALL | ANSWER
            return
        route.outcomes = outcomes & (ANSWER | SILENT)
        if outcomes & (FALL | LEAVE):
            route.outcomes |= FALL
        if route.returns != VOID and outcomes & FALL:
            self._report.add(
                "missing-return",
                route.node.label_span,
                f"{route.title} gives a value, and one path through it does not",
                self._explain(route.node.body, "that path"),
            )
        if route.node.kind == REQUEST and outcomes & (FALL | LEAVE | SILENT):
            self._report.add(
                "no-answer",
                route.node.kind_span,
                "one path through request_route neither answers the request nor drops it",
                self._explain_leaving(route.node.body, outcomes),
            )

    # ---------------------------------------------------------------------------- outcomes

    def _body(self, body: Sequence[ast.Node]) -> int:
        outcomes = FALL
        before: ast.Node | None = None
        for statement in body:
            if not outcomes & FALL:
                self._unreachable(statement, before)
                # Once is enough for one list; the rest is as unreachable as this.
                return outcomes
            outcomes = outcomes & ~FALL | self._statement(statement)
            before = statement
        return outcomes

    def _statement(self, node: ast.Node) -> int:
        match node:
            case ast.Evaluate():
                return self._call(node.value)
            case ast.Stop():
                return {"drop": ANSWER, "exit": SILENT, "break": BREAK}[node.word]
            case ast.Return():
                return LEAVE
            case ast.Group():
                return self._body(node.body)
            case ast.If():
                outcomes = self._body(node.otherwise) if node.otherwise is not None else FALL
                for _, body in node.branches:
                    outcomes |= self._body(body)
                return outcomes
            case ast.Switch():
                outcomes = 0 if any(case.default for case in node.cases) else FALL
                for case in node.cases:
                    # A `break` in a case is a mistake of its own, reported as such.
                    inner = self._body(case.body)
                    outcomes |= inner & ~BREAK | (FALL if inner & BREAK else 0)
                return outcomes
            case ast.For() | ast.While():
                inner = self._body(node.body)
                return inner & ~BREAK | FALL
            case _:
                return FALL

    def _call(self, value: ast.Expression) -> int:
        if not isinstance(value, ast.Call):
            return FALL
        if value.parts == ("route",):
            target = self._targets.get(value.route)
            if target is None or target.recursive:
                return FALL | ANSWER
            self._route.unsure |= target.unsure or target.node.broken
            return target.outcomes
        function = self._world.surface.functions.get(value.text)
        if function is None and len(value.parts) == 1:
            self._route.unsure = True
        return ANSWER if function is not None and function.terminal else FALL

    def _unreachable(self, node: ast.Node, before: ast.Node | None) -> None:
        span = node.span
        if self._route.node.broken:
            return
        if isinstance(node, ast.Stop) and node.word == "break":
            # After an action at the end of a case: the habit of other languages, reported there.
            return
        why = "the statement before it does not go on"
        if isinstance(before, ast.Evaluate) and isinstance(before.value, ast.Call):
            call = before.value
            name = f"route({call.route})" if call.route else f"{call.text}()"
            why = f"`{name}` ends the route"
        elif isinstance(before, ast.Stop):
            why = f"`{before.word}` ends the route" if before.word != "break" else why
        elif isinstance(before, ast.Return):
            why = "`return` leaves the route"
        elif isinstance(before, (ast.If, ast.Switch)):
            word = "if" if isinstance(before, ast.If) else "switch"
            why = f"every way through the `{word}` before it ends the route"
        place = (link(before.span, "the last statement that runs"),) if before else ()
        self._report.add("unreachable", span, f"this is never reached: {why}", chain=place)

    # ------------------------------------------------------------------------- explanations

    def _explain_leaving(self, body: Sequence[ast.Node], outcomes: int) -> str:
        """Where a path leaves request_route without an answer, as a help line."""
        if outcomes & FALL:
            return self._explain(body, "it")
        for statement in self._reached(body):
            match statement:
                case ast.Stop(word="exit") | ast.Return():
                    word = "exit" if isinstance(statement, ast.Stop) else "return"
                    return f"`{word}` of line {statement.span.line} answers nothing"
                case ast.Evaluate(value=ast.Call() as call) if call.route:
                    target = self._targets.get(call.route)
                    if target is not None and target.outcomes & SILENT:
                        return f"route[{call.route}] of line {call.span.line} may `exit`"
        return ""

    def _explain(self, body: Sequence[ast.Node], what: str) -> str:
        """Where a path falls out of a list of statements, as a help line."""
        last = body[-1] if body else None
        match last:
            case None:
                return "it has no statements"
            case ast.If() if last.otherwise is None:
                return f"{what} goes on when the `if` of line {last.span.line} is not taken"
            case ast.If():
                for branch in [*(body for _, body in last.branches), last.otherwise or []]:
                    if self._quiet(branch) & FALL:
                        return self._explain_inner(branch, last, what)
            case ast.Switch() if not any(case.default for case in last.cases):
                return f"{what} goes on when no case of the `switch` of line {last.head.line} fits"
            case ast.Switch():
                for case in last.cases:
                    if self._quiet(case.body) & FALL:
                        return self._explain_inner(case.body, case, what)
            case ast.Group():
                return self._explain(last.body, what)
            case ast.Evaluate(value=ast.Call() as call) if call.route:
                return f"{what} goes on when route[{call.route}] of line {last.span.line} returns"
        return f"{what} ends at line {last.span.end_line}" if last is not None else ""

    def _explain_inner(self, body: Sequence[ast.Node], node: ast.Node, what: str) -> str:
        if not body:
            return f"{what} ends at line {node.span.line}"
        return self._explain(body, what)

    def _quiet(self, body: Sequence[ast.Node]) -> int:
        """Outcomes without reporting anything a second time."""
        count = len(self._report.findings)
        outcomes = self._body(body)
        del self._report.findings[count:]
        return outcomes

    def _reached(self, body: Sequence[ast.Node]) -> Iterator[ast.Node]:
        """All statements of a body that can be reached, those inside others too."""
        for statement in body:
            yield statement
            match statement:
                case ast.Group() | ast.For() | ast.While():
                    yield from self._reached(statement.body)
                case ast.If():
                    for _, branch in statement.branches:
                        yield from self._reached(branch)
                    yield from self._reached(statement.otherwise or [])
                case ast.Switch():
                    for case in statement.cases:
                        yield from self._reached(case.body)
            if not self._quiet([statement]) & FALL:
                return
