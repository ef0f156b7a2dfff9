"""Names and types of expressions. Every method writes the type into the node and returns it."""

from __future__ import annotations

from typing import Any

from dsl import ast
from dsl.check import kamailio
from dsl.check.calls import CallChecker
from dsl.check.declarations import Route, Use
from dsl.check.facts import FactChecker
from dsl.check.operators import OperatorChecker
from dsl.check.report import article, written
from dsl.check.scope import Scope
from dsl.check.world import World
from dsl.regexes import RegexError, compile_regex
from dsl.types import ANY, BOOL, INT, RANGE, REGEX, STRING, VOID, Type, fits, list_of


class ExpressionChecker:
    """Checks the expressions of one route."""

    def __init__(self, world: World, route: Route, scope: Scope) -> None:
        self.world = world
        self.route = route
        self.scope = scope
        self.report = world.report
        self._calls = CallChecker(self)
        self._facts = FactChecker(self)
        self._operators = OperatorChecker(self)

    def use(self, span: ast.Span, what: str, kinds: frozenset[str]) -> None:
        """Note something that is legal in these kinds of route only."""
        self.route.uses.append(Use(span, what, kinds))

    # ------------------------------------------------------------------------------ entries

    def value(self, node: ast.Expression) -> Type:
        """The type of an expression whose value is needed."""
        type_ = self.infer(node)
        if type_ == VOID:
            self._report_no_value(node)
            return ANY
        return type_

    def condition(self, node: ast.Expression) -> None:
        """An expression that has to be true or false."""
        type_ = self.value(node)
        if not fits(type_, BOOL):
            self.report.add(
                "condition-not-bool",
                node.span,
                f"a condition is true or false, and this is {article(str(type_))}",
                _comparison_help(node, type_),
            )

    def infer(self, node: ast.Expression) -> Type:
        """The type of any expression; VOID for an action."""
        type_ = self._infer(node)
        typed: Any = node  # each kind of expression has the field for itself
        typed.type = type_
        return type_

    def _infer(self, node: ast.Expression) -> Type:
        match node:
            case ast.Literal():
                if node.type == STRING and "$" in node.value:
                    self._facts.look_into(node)
                return node.type
            case ast.Fact():
                return self._facts.read(node)
            case ast.Name():
                return self._name(node)
            case ast.Call():
                return self._calls.check(node)
            case ast.Binary():
                return self._operators.binary(node)
            case ast.Logical():
                return self._operators.logical(node)
            case ast.Unary():
                return self._operators.unary(node)
            case ast.Pattern():
                return self._pattern(node)
            case ast.ListOf():
                return self._list(node)
            case ast.RangeOf():
                return self._range(node)
            case _:
                return ANY

    def _report_no_value(self, node: ast.Expression) -> None:
        what = "this"
        help = ""
        if isinstance(node, ast.Call):
            what = f"`{node.text}(…)`"
            function = self.world.surface.functions.get(node.text)
            if node.route:
                what = f"`route({node.route})`"
                help = f"a `return` with a value in route[{node.route}] would make it one"
            elif function is not None and function.terminal:
                help = "it ends the route: it stands as a statement of its own"
        self.report.add("no-value", node.span, f"{what} gives no value", help)

    # ------------------------------------------------------------------------------- values

    def _name(self, node: ast.Name) -> Type:
        name = node.parts[0]
        local = self.scope.find(name)
        if local is not None:
            local.used = True
            node.meaning = "local"
            return self._attributes(node, local.type)
        for kind, schema in self.world.surface.blocks.items():
            if schema.expression is not None and name in self.world.declarations.blocks.get(
                kind, {}
            ):
                node.meaning = kind
                return self._attributes(node, schema.expression)
        self._report_unknown(node, name)
        return ANY

    def _attributes(self, node: ast.Name, type_: Type) -> Type:
        for part in node.parts[1:]:
            objects = [one for one in self.world.surface.objects.values() if one.type == type_]
            if not objects:
                if type_ != ANY:
                    self.report.add(
                        "unknown-attribute",
                        node.span,
                        f"{article(str(type_))} has no attributes",
                    )
                return ANY
            attribute = objects[0].attributes.get(part)
            if attribute is None:
                self.report.unknown(
                    "unknown-attribute",
                    node.span,
                    f"{article(str(type_))} has no attribute `{part}`",
                    part,
                    objects[0].attributes,
                )
                return ANY
            if not attribute.ready:
                self.not_supported(node.span, f"`{node.text}`")
            type_ = attribute.type
        return type_

    def not_supported(self, span: ast.Span, what: str) -> None:
        """Refuse what the language has and this version cannot carry out."""
        self.report.add(
            "not-supported",
            span,
            f"{what} is part of the language, but not supported in this version",
        )

    def _report_unknown(self, node: ast.Name, name: str) -> None:
        surface = self.world.surface
        blocks = [
            one
            for kind, schema in surface.blocks.items()
            if schema.expression is not None
            for one in self.world.declarations.blocks.get(kind, {})
        ]
        help = ""
        if name in surface.functions:
            help = f"a function is called with parentheses: `{name}()`"
        elif any(route == name for _, route in self.world.declarations.routes):
            help = f"a route is called with `route({name})`"
        elif name in surface.by_dollar or name in surface.objects:
            help = f"a fact begins with a dollar: `${node.text}`"
        if help:
            self.report.add("unknown-name", node.span, f"there is no value `{name}`", help)
            return
        candidates = [*self.scope.names(), *blocks]
        if name in kamailio.NAMES:
            candidates = []
        self.report.unknown(
            "unknown-name",
            node.span,
            f"there is no local or gateway `{name}`",
            name,
            candidates,
            kamailio.NAMES.get(name)
            or f'a text stands in quotes: "{name}"; a local is declared with `let`',
        )

    def _pattern(self, node: ast.Pattern) -> Type:
        try:
            compile_regex(node.pattern, node.flags)
        except RegexError as error:
            code = "explosive-regex" if error.explosive else "bad-regex"
            self.report.add(code, node.span, str(error), error.help)
        return REGEX

    def _list(self, node: ast.ListOf) -> Type:
        element: Type | None = None
        for item in node.items:
            type_ = self.value(item)
            if type_ == ANY:
                continue
            if element is None or (fits(element, type_) and element != ANY):
                element = type_
            elif not fits(type_, element):
                self.report.add(
                    "wrong-type",
                    item.span,
                    f"all values of a list are of one type: this is {article(str(type_))}, the "
                    f"first {article(str(element))}",
                )
        return list_of(element or ANY)

    def _range(self, node: ast.RangeOf) -> Type:
        for end in (node.low, node.high):
            type_ = self.value(end)
            if not fits(type_, INT):
                self.report.add(
                    "wrong-type",
                    end.span,
                    f"a range goes from int to int, and this is {article(str(type_))}",
                )
        low, high = node.low, node.high
        if (
            isinstance(low, ast.Literal)
            and isinstance(high, ast.Literal)
            and low.type == high.type == INT
            and low.value > high.value
        ):
            self.report.add(
                "empty-range",
                node.span,
                "this range has its ends the wrong way round",
                f"did you mean `{high.value}..{low.value}`?",
            )
        return RANGE


def _comparison_help(node: ast.Expression, type_: Type) -> str:
    text = written(node)
    if isinstance(node, ast.Literal) and type_ == INT and node.value in (0, 1):
        return f"write `{'true' if node.value else 'false'}`"
    if not text:
        return ""
    if type_.name == "string":
        return f'did you mean `{text} != ""`?'
    if type_.name in ("int", "decimal"):
        return f"did you mean `{text} != 0`?"
    if type_.name == "list":
        return f"did you mean `len({text}) > 0`?"
    return ""
