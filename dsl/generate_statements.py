"""Routes as Python functions, statement by statement."""

from __future__ import annotations

import ast as python
from collections.abc import Sequence, Set

from dsl import ast
from dsl.check.declarations import Declarations, Route
from dsl.check.flow import ANSWER, FALL, SILENT
from dsl.constants import Constants
from dsl.generate_expressions import ExpressionGenerator
from dsl.naming import CONTEXT, SUBJECT, local_name
from dsl.places import Places
from dsl.surface import NAMED, Surface
from dsl.types import VOID


class RouteGenerator:
    """Makes the Python function of one route.

    `waiting` are the routes that are coroutines; `main` is the file that includes the others.
    """

    def __init__(
        self,
        route: Route,
        surface: Surface,
        declarations: Declarations,
        constants: Constants,
        places: Places,
        waiting: Set[tuple[str, str]],
        main: str,
    ) -> None:
        self._route = route
        self._surface = surface
        self._targets = declarations.routes_of(NAMED)
        named = {name for kind, name in waiting if kind == NAMED}
        self._expressions = ExpressionGenerator(surface, constants, places, named)
        self._waits = route.key in waiting
        self._put = places.put
        self._switches = 0
        node = route.node
        place = "" if node.span.file == main else f"{node.span.file.rpartition('/')[2]}:"
        self._place = f"{node.name or node.kind}:{place}"
        self._told: ast.Span | None = None
        """the statement that the last mark stands before"""

    def function(self, name: str, catches: bool) -> python.stmt:
        """The function; `catches` says that a route which it reaches raises Stop."""
        node = self._route.node
        body = self._body(node.body)
        if node.kind == NAMED:
            body.insert(0, self._step(node.label_span))
        if catches:
            body = [self._catching(body)]
        arguments = python.arguments(
            posonlyargs=[],
            args=[self._put(python.arg(CONTEXT), node.label_span)],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        )
        if self._waits:
            return self._put(python.AsyncFunctionDef(name, arguments, body, []), node.span)
        return self._put(python.FunctionDef(name, arguments, body, []), node.span)

    def _catching(self, body: list[python.stmt]) -> python.stmt:
        span = self._route.node.kind_span
        handler = python.ExceptHandler(
            self._expressions.name("Stop", span), None, [self._return(True, span)]
        )
        return self._put(python.Try(body, [self._put(handler, span)], [], []), span)

    # --------------------------------------------------------------------------- statements

    def _body(self, body: Sequence[ast.Node]) -> list[python.stmt]:
        made = self._statements(body)
        if made:
            return made
        return [self._put(python.Pass(), body[0].span if body else self._route.node.kind_span)]

    def _statements(self, body: Sequence[ast.Node]) -> list[python.stmt]:
        return [made for statement in body for made in self._statement(statement)]

    def _arm(self, body: Sequence[ast.Node]) -> list[python.stmt]:
        """What is run where a condition holds: its first line tells that the call came by."""
        if not body:
            return []
        return [*self._mark(body[0].span), *self._statements(body)]

    def _mark(self, span: ast.Span) -> list[python.stmt]:
        """Notes that a call came by this statement, once."""
        if span == self._told:
            return []
        self._told = span
        start = ast.Span(span.file, span.line, span.column, span.line, span.column + 1)
        place = self._expressions.constant(f"{self._place}{span.line}", start)
        call = self._expressions.call(self._expressions.context("at", start), [place], start)
        return [self._put(python.Expr(call), start)]

    def _statement(self, node: ast.Node) -> list[python.stmt]:
        match node:
            case ast.Evaluate():
                return self._evaluate(node)
            case ast.Let():
                target = self._store(node.name, node.name_span)
                return [self._assign(target, node.value, node.span)]
            case ast.Assign():
                return [self._assign(self._target(node.target), node.value, node.span)]
            case ast.If():
                return [self._if(node)]
            case ast.Switch():
                return self._switch(node)
            case ast.Return():
                value = self._expressions.expression(node.value) if node.value else None
                return [self._put(python.Return(value), node.span)]
            case ast.Stop():
                return self._stop(node)
            case ast.Group():
                return self._statements(node.body)
            case ast.For():
                loop = python.For(
                    self._store(node.name, node.name_span),
                    self._expressions.expression(node.iterable),
                    [self._step(node.name_span), *self._statements(node.body)],
                    [],
                )
                return [self._put(loop, node.span)]
            case ast.While():
                test = self._expressions.expression(node.condition)
                turn = [self._step(node.condition.span), *self._statements(node.body)]
                return [self._put(python.While(test, turn, []), node.span)]
        raise AssertionError(f"{type(node).__name__} in a configuration without errors")

    def _step(self, span: ast.Span) -> python.stmt:
        call = self._expressions.call(self._expressions.context("step", span), [], span)
        return self._put(python.Expr(call), span)

    def _return(self, value: object, span: ast.Span) -> python.stmt:
        return self._put(python.Return(self._expressions.constant(value, span)), span)

    def _leave(self, span: ast.Span) -> python.stmt:
        """The request has ended: tell the callers."""
        if self._route.returns != VOID:
            return self._put(python.Raise(self._expressions.name("Stop", span)), span)
        return self._return(True, span)

    # ------------------------------------------------------------------------------- simple

    def _evaluate(self, node: ast.Evaluate) -> list[python.stmt]:
        value = node.value
        expression = self._expressions.expression(value)
        statement = self._put(python.Expr(expression), node.span)
        if not isinstance(value, ast.Call):
            return [statement]
        if value.route:
            way = self._mark(node.span)
            return way + self._call_route(self._targets[value.route], expression, node.span)
        if value.hook:
            return [statement]
        if self._surface.functions[value.text].terminal:
            return [*self._mark(node.span), statement, self._leave(node.span)]
        return [statement]

    def _call_route(self, target: Route, call: python.expr, span: ast.Span) -> list[python.stmt]:
        statement = self._put(python.Expr(call), span)
        ends = target.outcomes & (ANSWER | SILENT)
        if target.returns != VOID or not ends:
            return [statement]
        if not target.outcomes & FALL:
            if self._route.returns == VOID:
                return [self._put(python.Return(call), span)]
            return [statement, self._leave(span)]
        return [self._put(python.If(call, [self._leave(span)], []), span)]

    def _stop(self, node: ast.Stop) -> list[python.stmt]:
        if node.word == "break":
            return [self._put(python.Break(), node.span)]
        target = self._surface.functions[node.word].target
        leave = self._leave(node.span)
        way = self._mark(node.span)
        if not isinstance(target, str) or not target:
            return [*way, leave]
        call = self._expressions.call(self._expressions.context(target, node.span), [], node.span)
        return [*way, self._put(python.Expr(call), node.span), leave]

    def _store(self, name: str, span: ast.Span) -> python.expr:
        return self._put(python.Name(local_name(name, self._surface), python.Store()), span)

    def _assign(self, target: python.expr, value: ast.Expression, span: ast.Span) -> python.stmt:
        made = self._expressions.expression(value)
        return self._put(python.Assign([target], made), span)

    def _target(self, node: ast.Expression) -> python.expr:
        if isinstance(node, ast.Name):
            return self._store(node.parts[0], node.span)
        assert isinstance(node, ast.Fact)
        if node.meaning == "variable":
            variables = self._expressions.context("variables", node.span)
            key = self._expressions.constant(node.attribute, node.span)
            return self._put(python.Subscript(variables, key, python.Store()), node.span)
        context = self._expressions.name(CONTEXT, node.span)
        return self._put(python.Attribute(context, node.alias, python.Store()), node.span)

    # ----------------------------------------------------------------------------- compound

    def _if(self, node: ast.If) -> python.stmt:
        otherwise = self._arm(node.otherwise) if node.otherwise is not None else []
        made: python.If | None = None
        for condition, body in reversed(node.branches):
            test = self._expressions.expression(condition)
            arm = self._arm(body) or self._body(body)
            made = self._put(python.If(test, arm, otherwise), condition.span)
            otherwise = [made]
        assert made is not None
        return made

    def _switch(self, node: ast.Switch) -> list[python.stmt]:
        subject = self._expressions.expression(node.subject)
        made: list[python.stmt] = []
        if not isinstance(subject, python.Name):
            self._switches += 1
            number = "" if self._switches == 1 else f"{self._switches}_"
            store = python.Name(SUBJECT + number, python.Store())
            target = self._put(store, node.subject.span)
            made.append(self._put(python.Assign([target], subject), node.subject.span))
            subject = self._expressions.name(SUBJECT + number, node.subject.span)
        otherwise: list[python.stmt] = []
        for case in reversed(node.cases):
            if case.default:
                otherwise = self._arm(case.body)
                continue
            test = self._test(case, subject)
            arm = self._arm(case.body) or self._body(case.body)
            branch = self._put(python.If(test, arm, otherwise), case.label)
            otherwise = [branch]
        return made + otherwise

    def _test(self, case: ast.Case, subject: python.expr) -> python.expr:
        """Whether the subject is one of the values of a case."""
        plain = [value for value in case.values if isinstance(value, ast.Literal)]
        tests: list[python.expr] = []
        if plain:
            tests.append(self._expressions.one_of(subject, list(plain), case.label))
        for value in case.values:
            if isinstance(value, ast.RangeOf):
                low = self._expressions.expression(value.low)
                high = self._expressions.expression(value.high)
                tests.append(self._expressions.between(low, subject, high, value.span))
            elif isinstance(value, ast.Pattern):
                regex = self._expressions.expression(value)
                tests.append(self._expressions.search(subject, regex, True, value.span))
        if len(tests) == 1:
            return tests[0]
        return self._put(python.BoolOp(python.Or(), tests), case.label)
