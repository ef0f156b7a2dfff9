"""Expressions as Python syntax trees, each with its place in routes.cfg."""

from __future__ import annotations

import ast as python
from collections.abc import Container
from typing import Any

from dsl import ast
from dsl.constants import Constants
from dsl.naming import CONTEXT, handler_name, local_name
from dsl.places import Places
from dsl.surface import NAMED, Function, Surface
from dsl.types import BOOL, DECIMAL, INT, IP, NETWORK, STRING, Type

_COMPARE: dict[str, type[python.cmpop]] = {
    "==": python.Eq,
    "!=": python.NotEq,
    "<": python.Lt,
    "<=": python.LtE,
    ">": python.Gt,
    ">=": python.GtE,
}
_ARITHMETIC: dict[str, type[python.operator]] = {
    "+": python.Add,
    "-": python.Sub,
    "*": python.Mult,
}
_UNSET: dict[Type, object] = {STRING: "", BOOL: False}
_PLAIN = (STRING, INT, BOOL)


class ExpressionGenerator:
    """Makes the Python of one configuration's expressions; `waiting` are coroutines' names."""

    def __init__(
        self,
        surface: Surface,
        constants: Constants,
        places: Places,
        waiting: Container[str] = (),
    ) -> None:
        self._surface = surface
        self._constants = constants
        self._put = places.put
        self._waiting = waiting

    # ------------------------------------------------------------------------------- pieces

    def name(self, text: str, span: ast.Span) -> python.expr:
        """A name that is read."""
        return self._put(python.Name(text, python.Load()), span)

    def constant(self, value: Any, span: ast.Span) -> python.expr:
        """A constant."""
        return self._put(python.Constant(value), span)

    def attribute(self, value: python.expr, name: str, span: ast.Span) -> python.expr:
        """An attribute that is read."""
        return self._put(python.Attribute(value, name, python.Load()), span)

    def call(
        self, function: python.expr, arguments: list[python.expr], span: ast.Span
    ) -> python.Call:
        """A call with arguments by their places."""
        return self._put(python.Call(function, arguments, []), span)

    def context(self, name: str, span: ast.Span) -> python.expr:
        """An attribute of the context."""
        return self.attribute(self.name(CONTEXT, span), name, span)

    # -------------------------------------------------------------------------- expressions

    def expression(self, node: ast.Expression) -> python.expr:
        """The Python of an expression."""
        match node:
            case ast.Literal():
                return self._literal(node)
            case ast.Fact():
                return self._fact(node)
            case ast.Name():
                return self._name(node)
            case ast.Call():
                return self._call(node)
            case ast.Binary():
                return self._binary(node)
            case ast.Logical():
                operator = python.And() if node.operator == "&&" else python.Or()
                parts = [self.expression(operand) for operand in node.operands]
                return self._put(python.BoolOp(operator, parts), node.span)
            case ast.Unary():
                sign = python.Not() if node.operator == "!" else python.USub()
                return self._put(python.UnaryOp(sign, self.expression(node.operand)), node.span)
            case ast.Pattern():
                return self.name(self._constants.regex(node.pattern, node.flags), node.span)
            case ast.ListOf():
                return self._list(node)
            case ast.RangeOf():
                return self._range(node)
        raise AssertionError(f"{type(node).__name__} in a configuration without errors")

    def _literal(self, node: ast.Literal) -> python.expr:
        if node.type == DECIMAL:
            return self.name(self._constants.decimal(node.value), node.span)
        if node.type == IP:
            return self.name(self._constants.address(node.value), node.span)
        if node.type == NETWORK:
            return self.name(self._constants.network(node.value), node.span)
        return self.constant(node.value, node.span)

    def _fact(self, node: ast.Fact) -> python.expr:
        span = node.span
        if node.meaning == "header":
            return self.call(
                self.context("header", span), [self.constant(node.argument, span)], span
            )
        if node.meaning == "variable":
            getter = self.attribute(self.context("variables", span), "get", span)
            unset = self.constant(_UNSET.get(node.type, 0), span)
            return self.call(getter, [self.constant(node.attribute, span), unset], span)
        if node.meaning == "fact":
            return self.context(node.alias, span)
        value = self.context(node.name, span)
        return self.attribute(value, node.attribute, span) if node.attribute else value

    def _name(self, node: ast.Name) -> python.expr:
        span = node.span
        if node.meaning in ("word", "route"):
            return self.constant(node.value, span)
        if node.meaning == "local":
            value = self.name(local_name(node.parts[0], self._surface), span)
        else:
            getter = self.context(f"{node.meaning}_named", span)
            value = self.call(getter, [self.constant(node.parts[0], span)], span)
        for part in node.parts[1:]:
            value = self.attribute(value, part, span)
        return value

    def _call(self, node: ast.Call) -> python.expr:
        if node.route:
            handler = self.name(handler_name(NAMED, node.route), node.name_span)
            made = self.call(handler, [self.name(CONTEXT, node.span)], node.span)
            return self._awaited(made, node) if node.route in self._waiting else made
        if node.hook:
            made = self._hook(node)
            return self._awaited(made, node) if node.waits else made
        function = self._surface.functions[node.text]
        if callable(function.target):
            callee = self.name(function.name, node.name_span)
        else:
            callee = self.context(function.target, node.name_span)
        call = self.call(callee, self._places(node, function), node.span)
        if function.labels:
            call.args += self._labels(node, function)
            return call
        keyword_only = {one.name for one in function.parameters if one.keyword_only}
        call.keywords = [
            self._put(python.keyword(argument.name, self.expression(argument.value)), argument.span)
            for argument in node.arguments
            if argument.name in keyword_only
        ]
        return call

    def _awaited(self, call: python.expr, node: ast.Call) -> python.expr:
        return self._put(python.Await(call), node.span)

    def _hook(self, node: ast.Call) -> python.Call:
        """A call of a function of a Python file, with its arguments as they were written."""
        span = node.name_span
        alias = self.name(local_name(node.parts[0], self._surface), span)
        callee = self.attribute(alias, node.parts[1], span)
        by_place = [one for one in node.arguments if not one.name]
        arguments = [self.expression(one.value) for one in by_place]
        call = self.call(callee, [self.name(CONTEXT, node.span), *arguments], node.span)
        call.keywords = [
            self._put(python.keyword(one.name, self.expression(one.value)), one.span)
            for one in node.arguments
            if one.name
        ]
        return call

    def _places(self, node: ast.Call, function: Function) -> list[python.expr]:
        """Arguments in the order of the parameters, however they were given."""
        parameters = [one for one in function.parameters if not one.keyword_only]
        given: dict[str, ast.Expression] = {}
        free = iter(parameters)
        more: list[ast.Expression] = []
        known = {one.name for one in parameters}
        for argument in node.arguments:
            if argument.name:
                if argument.name in known:
                    given[argument.name] = argument.value
                continue
            parameter = next(free, None)
            if parameter is None:
                more.append(argument.value)
            else:
                given[parameter.name] = argument.value
        while parameters and parameters[-1].name not in given:
            parameters.pop()
        made = [
            self.expression(given[one.name])
            if one.name in given
            else self.constant(one.default, node.span)
            for one in parameters
        ]
        return made + [self.expression(value) for value in more]

    def _labels(self, node: ast.Call, function: Function) -> list[python.expr]:
        """The names of a metric's labels as one constant, and their values in the same order."""
        known = {one.name for one in function.parameters}
        labels = [one for one in node.arguments if one.name and one.name not in known]
        if not labels:
            return []
        labels.sort(key=lambda one: one.name)
        names = self.constant(tuple(one.name for one in labels), node.span)
        return [names, *(self.expression(one.value) for one in labels)]

    def _list(self, node: ast.ListOf) -> python.expr:
        if node.type.element == NETWORK:
            return self._networks(node)
        items = [self.expression(item) for item in node.items]
        return self._put(python.List(items, python.Load()), node.span)

    def _networks(self, node: ast.ListOf) -> python.expr:
        values = [item.value for item in node.items if isinstance(item, ast.Literal)]
        if len(values) == len(node.items):
            return self.name(self._constants.networks(values), node.span)
        items = [self.expression(item) for item in node.items]
        made = self._put(python.List(items, python.Load()), node.span)
        return self.call(self.name("NetworkSet", node.span), [made], node.span)

    def _range(self, node: ast.RangeOf) -> python.expr:
        one = self.constant(1, node.high.span)
        end = python.BinOp(self.expression(node.high), python.Add(), one)
        ends = [self.expression(node.low), self._put(end, node.high.span)]
        return self.call(self.name("range", node.span), ends, node.span)

    # ---------------------------------------------------------------------------- operators

    def _binary(self, node: ast.Binary) -> python.expr:
        sign = node.operator
        left = self.expression(node.left)
        if sign == "in":
            return self._membership(left, node)
        right = self.expression(node.right)
        if sign in _COMPARE:
            return self._compare(left, _COMPARE[sign](), right, node.span)
        if sign in ("=~", "!~"):
            return self.search(left, right, sign == "=~", node.span)
        if sign in _ARITHMETIC:
            return self._put(python.BinOp(left, _ARITHMETIC[sign](), right), node.span)
        if node.type == DECIMAL:
            # Both may be ints by now, and a float must never come of it.
            left = self.call(self.name("Decimal", node.span), [left], node.span)
            return self._put(python.BinOp(left, python.Div(), right), node.span)
        return self._put(python.BinOp(left, python.FloorDiv(), right), node.span)

    def _compare(
        self, left: python.expr, operator: python.cmpop, right: python.expr, span: ast.Span
    ) -> python.expr:
        return self._put(python.Compare(left, [operator], [right]), span)

    def search(
        self, text: python.expr, regex: python.expr, found: bool, span: ast.Span
    ) -> python.expr:
        """Whether a regex is found in a text, or is not."""
        match = self.call(self.attribute(regex, "search", span), [text], span)
        operator = python.IsNot() if found else python.Is()
        return self._compare(match, operator, self.constant(None, span), span)

    def between(
        self, low: python.expr, value: python.expr, high: python.expr, span: ast.Span
    ) -> python.expr:
        """Whether a value lies in a range, both ends included."""
        operators: list[python.cmpop] = [python.LtE(), python.LtE()]
        return self._put(python.Compare(low, operators, [value, high]), span)

    def one_of(
        self, value: python.expr, items: list[ast.Expression], span: ast.Span
    ) -> python.expr:
        """Whether a value equals one of these."""
        made = [self.expression(item) for item in items]
        if len(made) == 1:
            return self._compare(value, python.Eq(), made[0], span)
        plain = all(isinstance(one, ast.Literal) and one.type in _PLAIN for one in items)
        # Python keeps a set of constants as one constant.
        group: python.expr = python.Set(made) if plain else python.Tuple(made, python.Load())
        return self._compare(value, python.In(), self._put(group, span), span)

    def _membership(self, left: python.expr, node: ast.Binary) -> python.expr:
        right = node.right
        if isinstance(right, ast.RangeOf):
            low, high = self.expression(right.low), self.expression(right.high)
            return self.between(low, left, high, node.span)
        if isinstance(right, ast.ListOf) and right.items and right.type.element != NETWORK:
            return self.one_of(left, right.items, node.span)
        if isinstance(right, ast.Literal) and right.type == NETWORK:
            container = self.name(self._constants.networks([right.value]), right.span)
        else:
            container = self.expression(right)
        return self._compare(left, python.In(), container, node.span)
