"""A checked tree to Python: one function a route, with the positions of routes.cfg.

The result is deterministic and readable through `ast.unparse`; since every node carries the line
of routes.cfg it came from, a traceback points there by itself. Nothing is checked here: types and
meanings are those the checker wrote into the tree.

    request_route, end_route     def request_route(c): …
    route[CALL]                  def route_CALL(c): …          True: a terminal action has decided
    failure_route[NEXT]          def failure_route_NEXT(c): …

A named route that gives a value cannot also say that it has decided; a terminal action in one
raises `Decided`, which the route that the core runs catches.
"""

from __future__ import annotations

import ast as python
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from dsl import ast
from dsl.surface import NAMED, Function, Surface
from dsl.types import DECIMAL, DURATION, INT, NETWORK, Type

_BINARY: Mapping[str, type[python.operator]] = {
    "+": python.Add,
    "-": python.Sub,
    "*": python.Mult,
}
_COMPARE: Mapping[str, type[python.cmpop]] = {
    "==": python.Eq,
    "!=": python.NotEq,
    "<": python.Lt,
    "<=": python.LtE,
    ">": python.Gt,
    ">=": python.GtE,
}
_FLAGS = {"i": re.IGNORECASE, "s": re.DOTALL, "m": re.MULTILINE, "x": re.VERBOSE}


class Decided(Exception):
    """A terminal action inside a route that gives a value."""


def in_networks(address: Any, networks: Iterable[Any]) -> bool:
    """Whether an address lies in one of several networks."""
    return any(address in network for network in networks)


def divide(left: int, right: int) -> int:
    """Whole division that rounds toward zero; ZeroDivisionError as in Python."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def quotient(left: int | Decimal, right: int | Decimal) -> Decimal:
    """Division of which one side is a decimal."""
    return Decimal(left) / Decimal(right)


class Generated:
    """The Python of a configuration: a module for each file, and the names they need."""

    __slots__ = ("modules", "namespace")

    def __init__(self, modules: dict[str, python.Module], namespace: dict[str, Any]) -> None:
        self.modules = modules
        self.namespace = namespace

    @property
    def text(self) -> str:
        """The generated code for a person to read."""
        parts = []
        constants = sorted(
            (name for name in self.namespace if _CONSTANT.fullmatch(name)),
            key=lambda name: int(name[1:]),
        )
        if constants:
            parts.append("\n".join(f"{name} = {self.namespace[name]!r}" for name in constants))
        for file, module in self.modules.items():
            parts.append(f"# {file}\n\n{python.unparse(module)}")
        return "\n\n".join(parts) + "\n"


_CONSTANT = re.compile("K[0-9]+")


def function_name(route: ast.RouteNode) -> str:
    """What the function of a route is called."""
    if route.label is None:
        return route.kind
    return f"{route.kind}_{re.sub('[^A-Za-z0-9_]', '_', route.name)}"


def generate(routes: Sequence[ast.RouteNode], surface: Surface) -> Generated:
    """The Python of checked routes."""
    namespace: dict[str, Any] = {
        "Decided": Decided,
        "divide": divide,
        "in_networks": in_networks,
        "quotient": quotient,
    }
    known = _Knowledge(routes, surface)
    modules: dict[str, python.Module] = {}
    for route in routes:
        module = modules.setdefault(route.span.file, python.Module([], []))
        module.body.append(_Writer(route, surface, known, namespace).function())
    return Generated(modules, namespace)


class _Knowledge:
    """What is known of the named routes: which give a value, which may end everything."""

    def __init__(self, routes: Sequence[ast.RouteNode], surface: Surface) -> None:
        self.named = {route.name: route for route in routes if route.kind == NAMED}
        self.valued = {
            name
            for name, route in self.named.items()
            if any(isinstance(node, ast.Return) and node.value for node in _walk(route.body))
        }
        self.deciding: set[str] = set()
        functions = surface.functions
        changed = True
        while changed:
            changed = False
            for name, route in self.named.items():
                if name not in self.deciding and _decides(route, functions, self.deciding):
                    self.deciding.add(name)
                    changed = True
        # Routes in which Decided may be raised, and those that may pass it on.
        self.raising = self.valued & self.deciding
        changed = True
        while changed:
            changed = False
            for name, route in self.named.items():
                if name not in self.raising and any(
                    call.route in self.raising for call in route.calls
                ):
                    self.raising.add(name)
                    changed = True

    def catches(self, route: ast.RouteNode) -> bool:
        """Whether a route that the core runs has to catch Decided."""
        return route.kind != NAMED and any(call.route in self.raising for call in route.calls)


def _decides(
    route: ast.RouteNode, functions: Mapping[str, Function], deciding: set[str]
) -> bool:
    for node in _walk(route.body):
        if isinstance(node, ast.Stop) and node.word != "break":
            return True
    for call in route.calls:
        function = functions.get(call.text)
        if (function is not None and function.terminal) or call.route in deciding:
            return True
    return False


def _walk(body: Iterable[ast.Node]) -> Iterable[ast.Node]:
    """All statements, nested ones too."""
    for node in body:
        yield node
        if isinstance(node, ast.Group | ast.For | ast.While):
            yield from _walk(node.body)
        elif isinstance(node, ast.If):
            for _, branch in node.branches:
                yield from _walk(branch)
            yield from _walk(node.otherwise or ())
        elif isinstance(node, ast.Switch):
            for case in node.cases:
                yield from _walk(case.body)


def _placed(node: Any, span: ast.Span) -> Any:
    """Gives a new node, and what is new inside it, its place in the configuration."""
    one: Any
    for one in python.walk(node):
        if "lineno" in one._attributes and not hasattr(one, "lineno"):
            one.lineno = span.line
            one.col_offset = span.column - 1
            one.end_lineno = span.end_line
            one.end_col_offset = max(span.end_column - 1, 0)
    return node


def _type(node: Any) -> Type:
    """The type that the checker wrote into an expression."""
    found: Type = node.type
    return found


def _name(name: str) -> python.expr:
    return python.Name(name, python.Load())


def _context(attribute: str) -> python.Attribute:
    return python.Attribute(_name("c"), attribute, python.Load())


def _call(function: python.expr, *arguments: python.expr) -> python.Call:
    return python.Call(function, list(arguments), [])


class _Writer:
    """Writes the function of one route."""

    def __init__(
        self,
        route: ast.RouteNode,
        surface: Surface,
        known: _Knowledge,
        namespace: dict[str, Any],
    ) -> None:
        self._route = route
        self._surface = surface
        self._known = known
        self._namespace = namespace
        self._valued = route.kind == NAMED and route.name in known.valued
        self._subjects = 0

    def function(self) -> python.FunctionDef:
        """The function definition."""
        route = self._route
        body = self._body(route.body)
        if route.kind == NAMED:
            body.insert(0, python.Expr(_call(_context("step"))))
        if self._known.catches(route):
            handler = python.ExceptHandler(
                _name("Decided"), None, [python.Return(python.Constant(True))]
            )
            body = [python.Try(body, [handler], [], [])]
        arguments = python.arguments([], [python.arg("c")], None, [], [], None, [])
        return _placed(  # type: ignore[no-any-return]
            python.FunctionDef(function_name(route), arguments, body, []), route.kind_span
        )

    # ---------------------------------------------------------------------------- statements

    def _body(self, nodes: Sequence[ast.Node]) -> list[python.stmt]:
        statements = [statement for node in nodes for statement in self._statement(node)]
        return statements or [python.Pass()]

    def _statement(self, node: ast.Node) -> list[python.stmt]:
        match node:
            case ast.Let():
                target = python.Name(f"v_{node.name}", python.Store())
                made: list[python.stmt] = [python.Assign([target], self._expression(node.value))]
            case ast.Assign():
                made = [self._assign(node)]
            case ast.Evaluate():
                made = self._evaluate(node.value)
            case ast.Return():
                value = self._expression(node.value) if node.value is not None else None
                made = [python.Return(value)]
            case ast.Stop():
                made = self._stop(node)
            case ast.Group():
                return self._body(node.body)
            case ast.If():
                made = self._if(node)
            case ast.Switch():
                made = self._switch(node)
            case ast.For():
                target = python.Name(f"v_{node.name}", python.Store())
                body = [self._step(), *self._body(node.body)]
                made = [python.For(target, self._expression(node.iterable), body, [])]
            case ast.While():
                body = [self._step(), *self._body(node.body)]
                made = [python.While(self._expression(node.condition), body, [])]
            case _:
                raise AssertionError(f"no Python for {type(node).__name__}")
        return [_placed(statement, node.span) for statement in made]

    def _step(self) -> python.stmt:
        return python.Expr(_call(_context("step")))

    def _assign(self, node: ast.Assign) -> python.stmt:
        value = self._expression(node.value)
        target = node.target
        place: python.expr
        if isinstance(target, ast.Fact):
            if target.meaning == "variable":
                place = python.Subscript(
                    _context("variables"), python.Constant(target.attribute), python.Store()
                )
            else:
                place = python.Attribute(_name("c"), target.alias, python.Store())
        else:
            assert isinstance(target, ast.Name)
            place = python.Name(f"v_{target.text}", python.Store())
        return python.Assign([_placed(place, target.span)], value)

    def _decided(self) -> python.stmt:
        """What follows a terminal action."""
        if self._valued:
            return python.Raise(_name("Decided"), None)
        return python.Return(python.Constant(True))

    def _evaluate(self, value: ast.Expression) -> list[python.stmt]:
        done = self._expression(value)
        if not isinstance(value, ast.Call):
            return [python.Expr(done)]
        route = value.route
        if route:
            if route in self._known.deciding and route not in self._known.valued:
                return [python.If(done, [self._decided()], [])]
            return [python.Expr(done)]
        function = self._surface.functions.get(value.text)
        if function is not None and function.terminal:
            return [python.Expr(done), self._decided()]
        return [python.Expr(done)]

    def _stop(self, node: ast.Stop) -> list[python.stmt]:
        if node.word == "drop":
            return [python.Expr(_call(_context("drop"))), self._decided()]
        return [self._decided()]

    def _if(self, node: ast.If) -> list[python.stmt]:
        otherwise = self._body(node.otherwise) if node.otherwise else []
        for condition, body in reversed(node.branches):
            branch = python.If(self._expression(condition), self._body(body), otherwise)
            otherwise = [_placed(branch, condition.span)]
        return otherwise

    def _switch(self, node: ast.Switch) -> list[python.stmt]:
        subject = f"s_{self._subjects}"
        self._subjects += 1
        first = python.Assign(
            [python.Name(subject, python.Store())], self._expression(node.subject)
        )
        otherwise: list[python.stmt] = []
        for case in reversed(node.cases):
            body = self._body(case.body)
            if case.default:
                otherwise = body
                continue
            tests = [self._matches(subject, value) for value in case.values]
            test = tests[0] if len(tests) == 1 else python.BoolOp(python.Or(), tests)
            otherwise = [_placed(python.If(test, body, otherwise), case.label)]
        return [_placed(first, node.head), *otherwise]

    def _matches(self, subject: str, value: ast.Expression) -> python.expr:
        if isinstance(value, ast.RangeOf):
            test: python.expr = self._between(_name(subject), value)
        elif isinstance(value, ast.Pattern):
            test = self._searched(value, _name(subject), found=True)
        else:
            test = python.Compare(_name(subject), [python.Eq()], [self._expression(value)])
        return _placed(test, value.span)  # type: ignore[no-any-return]

    # --------------------------------------------------------------------------- expressions

    def _expression(self, node: ast.Expression) -> python.expr:
        return _placed(self._bare(node), node.span)  # type: ignore[no-any-return]

    def _bare(self, node: ast.Expression) -> python.expr:
        match node:
            case ast.Literal():
                return self._literal(node.value)
            case ast.Pattern():
                return self._pattern(node)
            case ast.ListOf():
                return self._list(node)
            case ast.Name():
                return self._named(node)
            case ast.Fact():
                return self._fact(node)
            case ast.Call():
                return self._called(node)
            case ast.Unary():
                operator = python.Not() if node.operator == "!" else python.USub()
                return python.UnaryOp(operator, self._expression(node.operand))
            case ast.Logical():
                word = python.And() if node.operator == "&&" else python.Or()
                return python.BoolOp(word, [self._expression(one) for one in node.operands])
            case ast.Binary():
                return self._binary(node)
            case ast.RangeOf():
                low = self._expression(node.low)
                high = python.BinOp(self._expression(node.high), python.Add(), python.Constant(1))
                return python.Call(_name("range"), [low, high], [])
        raise AssertionError(f"no Python for {type(node).__name__}")

    def _constant(self, value: Any) -> python.expr:
        """A module-level constant with this value; equal ones share a name."""
        for name, known in self._namespace.items():
            if _CONSTANT.fullmatch(name) and type(known) is type(value) and known == value:
                return _name(name)
        number = sum(1 for name in self._namespace if _CONSTANT.fullmatch(name))
        self._namespace[f"K{number}"] = value
        return _name(f"K{number}")

    def _literal(self, value: Any) -> python.expr:
        if isinstance(value, str | int):
            return python.Constant(value)
        return self._constant(value)

    def _pattern(self, node: ast.Pattern) -> python.expr:
        flags = 0
        for letter in node.flags:
            flags |= _FLAGS[letter]
        return self._constant(re.compile(node.pattern, flags))

    def _list(self, node: ast.ListOf) -> python.expr:
        if node.items and all(isinstance(item, ast.Literal) for item in node.items):
            return self._constant([item.value for item in node.items])  # type: ignore[attr-defined]
        return python.List([self._expression(item) for item in node.items], python.Load())

    def _named(self, node: ast.Name) -> python.expr:
        if node.meaning == "local":
            return _name(f"v_{node.text}")
        if node.meaning == "route":
            return python.Constant(node.text)
        if node.meaning == "word":
            return self._literal(node.value)
        return _call(_context(f"{node.meaning}_named"), python.Constant(node.text))

    def _fact(self, node: ast.Fact) -> python.expr:
        match node.meaning:
            case "variable":
                return python.Subscript(
                    _context("variables"), python.Constant(node.attribute), python.Load()
                )
            case "header":
                return _call(_context("header"), python.Constant(node.argument))
            case "object":
                return _context(node.name)
            case "attribute":
                return python.Attribute(_context(node.name), node.attribute, python.Load())
        return _context(node.alias)

    def _called(self, node: ast.Call) -> python.expr:
        route = node.route
        if route:
            known = self._known.named[route]
            return _call(_name(function_name(known)), _name("c"))
        function = self._surface.functions[node.text]
        if isinstance(function.target, str):
            target: python.expr = _context(function.target)
        else:
            name = function.name
            self._namespace[name] = function.target
            target = _name(name)
        positional = [self._expression(one.value) for one in node.arguments if not one.name]
        keywords = [
            python.keyword(one.name, self._expression(one.value))
            for one in node.arguments
            if one.name
        ]
        return python.Call(target, positional, keywords)

    def _binary(self, node: ast.Binary) -> python.expr:
        operator = node.operator
        if operator in ("=~", "!~"):
            return self._searched(node.right, self._expression(node.left), operator == "=~")
        left = self._expression(node.left)
        if operator == "in":
            return self._contained(left, node.right)
        right = self._expression(node.right)
        if operator in _COMPARE:
            return python.Compare(left, [_COMPARE[operator]()], [right])
        if operator == "/":
            sides = (_type(node.left), _type(node.right))
            whole = node.type in (INT, DURATION) and DECIMAL not in sides
            made: python.expr = _call(_name("divide" if whole else "quotient"), left, right)
        else:
            made = python.BinOp(left, _BINARY[operator](), right)
        if node.type == DURATION and DECIMAL in (_type(node.left), _type(node.right)):
            made = _call(_name("int"), made)
        return made

    def _searched(
        self, pattern: ast.Expression, subject: python.expr, found: bool
    ) -> python.expr:
        search = python.Attribute(self._expression(pattern), "search", python.Load())
        word = python.IsNot() if found else python.Is()
        return python.Compare(_call(search, subject), [word], [python.Constant(None)])

    def _contained(self, left: python.expr, right: ast.Expression) -> python.expr:
        if isinstance(right, ast.RangeOf):
            return self._between(left, right)
        if _type(right).element == NETWORK:
            return _call(_name("in_networks"), left, self._expression(right))
        return python.Compare(left, [python.In()], [self._expression(right)])

    def _between(self, subject: python.expr, bounds: ast.RangeOf) -> python.expr:
        return python.Compare(
            self._expression(bounds.low),
            [python.LtE(), python.LtE()],
            [subject, self._expression(bounds.high)],
        )
