"""From what the parser reduces to the nodes of dsl/ast.py, as it goes: there is no other tree.

The methods are named after the rules of the grammar and take what stood there, tokens or nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from lark import Token, Transformer

from dsl import ast
from dsl.findings import ERROR, Finding
from dsl.literals import LiteralError, read_duration, read_ip, read_network, read_string
from dsl.types import BOOL, DECIMAL, DURATION, INT, IP, NETWORK, STRING, Type

MAX_DEPTH = 64
MAX_DIGITS = 18

_LEVELS = {"||": 1, "&&": 2, "..": 4, "+": 5, "-": 5, "*": 6, "/": 6}
_COMPARISON = 3
_LITERALS: dict[str, tuple[Type, Callable[[str], Any]]] = {
    "STRING": (STRING, read_string),
    "DURATION": (DURATION, read_duration),
    "DECIMAL": (DECIMAL, Decimal),
    "INT": (INT, int),
    "IP": (IP, read_ip),
    "NETWORK": (NETWORK, read_network),
    "TRUE": (BOOL, lambda _: True),
    "FALSE": (BOOL, lambda _: False),
}


class Builder(Transformer[Token, Any]):
    """Builds the items of one file; `begin` before each parse, then read `items` and `findings`."""

    def __init__(self) -> None:
        super().__init__()
        self.begin("")

    def begin(self, file: str) -> None:
        """Forget what was built and start with this file."""
        self.file = file
        self.items: list[ast.Node] = []
        self.findings: list[Finding] = []
        self.broken = False
        """whether text was skipped since the last route began"""
        self._calls: list[ast.Call] = []

    # ------------------------------------------------------------------------------ places

    def span(self, first: Token | ast.Node, last: Token | ast.Node) -> ast.Span:
        """From the start of the one to the end of the other."""
        begin: Any = first.span if isinstance(first, ast.Node) else first
        end: Any = last.span if isinstance(last, ast.Node) else last
        return ast.Span(self.file, begin.line, begin.column, end.end_line, end.end_column)

    def report(self, code: str, span: ast.Span, message: str, help: str = "") -> None:
        """Add an error."""
        self.findings.append(
            Finding(
                span.file,
                span.line,
                span.column,
                span.end_line,
                span.end_column,
                ERROR,
                code,
                message,
                help,
            )
        )

    # ------------------------------------------------------------------------------- items

    def item(self, children: list[Any]) -> None:
        node = children[0]
        if not isinstance(node, ast.Node):
            node = ast.Bad(self.span(node, node))
        if self.items and self.items[-1].span == node.span:
            # Built again after the parser was taken back behind a mistake.
            self.items.pop()
        self.items.append(node)

    def include(self, children: list[Any]) -> ast.Node:
        return ast.Include(self.span(children[0], children[1]), self._text(children[1]))

    def import_python(self, children: list[Any]) -> ast.Node:
        name = children[4]
        return ast.ImportPython(
            self.span(children[0], name), self._text(children[2]), str(name), self.span(name, name)
        )

    def test(self, children: list[Any]) -> ast.Node:
        title = children[1]
        lines = [line for line in children[3:-1] if isinstance(line, list)]
        return ast.Test(
            self.span(children[0], children[-1]), self._text(title), lines, self.span(title, title)
        )

    def test_line(self, children: list[Any]) -> list[ast.Value] | None:
        if children[0].type == "BAD":
            return None
        return [self.value([word]) for word in children[:-1]]

    def setting(self, children: list[Any]) -> ast.Node:
        name = children[0]
        values = [child for child in children[2:] if isinstance(child, ast.Value)]
        return ast.Setting(self.span(name, values[-1]), str(name), self.span(name, name), values)

    def value(self, children: list[Any]) -> ast.Value:
        first = children[0]
        span = self.span(first, children[-1])
        if first.type == "ENV":
            return ast.Value(span, self._text(children[2]), "env")
        if first.type == "STRING":
            return ast.Value(span, self._text(first), "string")
        return ast.Value(span, str(first), "word")

    def block(self, children: list[Any]) -> ast.Node:
        kind, second = children[0], children[1]
        named = second.type != "LBRACE"
        name = "" if not named else self._text(second) if second.type == "STRING" else str(second)
        members = [child for child in children[1:] if isinstance(child, ast.Node)]
        return ast.BlockNode(
            self.span(kind, children[-1]),
            str(kind),
            self.span(kind, kind),
            name,
            self.span(second, second) if named else self.span(kind, kind),
            members,
        )

    def route(self, children: list[Any]) -> ast.Node:
        kind, second = children[0], children[1]
        labelled = second.type == "LABEL"
        node = ast.RouteNode(
            self.span(kind, children[-1]),
            str(kind),
            self.span(kind, kind),
            second[1:-1].strip() if labelled else None,
            self.span(kind, second) if labelled else self.span(kind, kind),
            self._body(children[3:-1] if labelled else children[2:-1]),
            self._calls,
            self.broken,
        )
        self._calls = []
        self.broken = False
        return node

    # -------------------------------------------------------------------------- statements

    def let(self, children: list[Any]) -> ast.Node:
        name = children[1]
        return ast.Let(
            self.span(children[0], children[-1]),
            str(name),
            self.span(name, name),
            self._expression(children[3]),
        )

    def assign(self, children: list[Any]) -> ast.Node:
        target = self._expression(children[0])
        return ast.Assign(self.span(target, children[-1]), target, self._expression(children[2]))

    def evaluate(self, children: list[Any]) -> ast.Node:
        value = self._expression(children[0])
        return ast.Evaluate(self.span(value, children[-1]), value)

    def return_(self, children: list[Any]) -> ast.Node:
        value = self._expression(children[1]) if len(children) == 3 else None
        return ast.Return(self.span(children[0], children[-1]), value)

    def stop(self, children: list[Any]) -> ast.Node:
        return ast.Stop(self.span(children[0], children[-1]), str(children[0]))

    def group(self, children: list[Any]) -> ast.Node:
        body = self._body(children[1:-1])
        node = ast.Group(self.span(children[0], children[-1]), body, _deepest(body) + 1)
        return self._bounded(node)

    def condition(self, children: list[Any]) -> ast.Expression:
        return self._expression(children[1])

    def if_(self, children: list[Any]) -> ast.Node:
        word, condition = children[0], children[1]
        body = self._branch(children[2])
        branches = [(condition, body)]
        otherwise = None
        depth = _deepest(body) + 1
        if len(children) == 5:
            last = children[4]
            if isinstance(last, ast.If):
                # An `else if` adds a branch and little depth; a long row of them is not nested.
                depth = max(depth, last.depth - _row_depth(last.branches))
                branches += last.branches
                otherwise = last.otherwise
            else:
                otherwise = self._branch(last)
                depth = max(depth, _deepest(otherwise) + 1)
        depth += _row_depth(branches)
        return self._bounded(ast.If(self.span(word, children[-1]), branches, otherwise, depth))

    def while_(self, children: list[Any]) -> ast.Node:
        body = self._branch(children[2])
        span = self.span(children[0], children[-1])
        return self._bounded(ast.While(span, children[1], body, _deepest(body) + 1))

    def for_(self, children: list[Any]) -> ast.Node:
        at = 2 if children[1].type == "LPAR" else 1
        name, iterable = children[at], self._expression(children[at + 2])
        body = self._branch(children[-1])
        span = self.span(children[0], children[-1])
        node = ast.For(span, str(name), self.span(name, name), iterable, body, _deepest(body) + 1)
        return self._bounded(node)

    def switch(self, children: list[Any]) -> ast.Node:
        word = children[0]
        cases = [child for child in children[3:-1] if isinstance(child, ast.Case)]
        if len(cases) != len(children) - 4:
            self.broken = True
        depth = max((case.depth for case in cases), default=0) + 1 + _row_depth(cases)
        span = self.span(word, children[-1])
        return self._bounded(ast.Switch(span, children[1], cases, self.span(word, word), depth))

    def case(self, children: list[Any]) -> ast.Node | None:
        first = children[0]
        if first.type == "BAD_CASE":
            return None
        colon = next(
            at for at, child in enumerate(children) if getattr(child, "type", "") == "COLON"
        )
        values = [self._expression(child) for child in children[1:colon:2]]
        body = self._body(children[colon + 1 :])
        label = self.span(first, children[colon])
        return ast.Case(
            self.span(first, body[-1] if body else children[colon]),
            values,
            body,
            label,
            first.type == "DEFAULT",
            _deepest(body),
        )

    def _body(self, children: Sequence[Any]) -> list[ast.Node]:
        return [self._statement(child) for child in children]

    def _branch(self, child: Any) -> list[ast.Node]:
        return child.body if isinstance(child, ast.Group) else [self._statement(child)]

    def _statement(self, child: Any) -> ast.Node:
        if isinstance(child, ast.Node):
            return child
        return ast.Bad(self.span(child, child))

    def _bounded(self, node: Any) -> ast.Node:
        if node.depth <= MAX_DEPTH:
            return node  # type: ignore[no-any-return]
        if not any(found.code == "too-deep" for found in self.findings):
            self.report(
                "too-deep",
                node.span,
                f"this is nested more than {MAX_DEPTH} deep",
                "split it: a route of its own, or a local for a part of it",
            )
        self.broken = True
        return ast.Bad(node.span)

    # ------------------------------------------------------------------------- expressions

    def row(self, children: list[Any]) -> ast.Expression:
        operands = [self._expression(children[0])]
        operators: list[tuple[Token, int]] = []
        chained = False
        for at in range(1, len(children), 2):
            operator = children[at]
            level = _LEVELS.get(operator, _COMPARISON)
            while operators and operators[-1][1] >= level:
                if level == _COMPARISON == operators[-1][1]:
                    chained = True
                    self.report(
                        "syntax",
                        self.span(operator, operator),
                        "comparisons do not chain",
                        "compare two values at a time and join them with `&&`",
                    )
                self._join(operands, operators.pop()[0])
            operators.append((operator, level))
            operands.append(self._expression(children[at + 1]))
        while operators:
            self._join(operands, operators.pop()[0])
        return ast.Bad(operands[0].span) if chained else operands[0]

    def _join(self, operands: list[ast.Expression], operator: Token) -> None:
        right: Any = operands.pop()
        left: Any = operands.pop()
        span = self.span(left, right)
        depth = max(left.depth, right.depth) + 1
        sign = str(operator)
        node: ast.Node
        if sign in ("&&", "||"):
            if isinstance(left, ast.Logical) and left.operator == sign:
                # A row of the same operator is flat however long it is.
                left.operands.append(right)
                left.span, left.depth = span, max(left.depth, right.depth + 1)
                node = left
            else:
                node = ast.Logical(span, sign, [left, right], depth=depth)
        elif sign == "..":
            node = ast.RangeOf(span, left, right, depth=depth)
        else:
            node = ast.Binary(span, sign, left, right, self.span(operator, operator), depth=depth)
        operands.append(self._bounded(node))  # type: ignore[arg-type]

    def prefixed(self, children: list[Any]) -> ast.Node:
        value: Any = self._expression(children[-1])
        for sign in reversed(children[:-1]):
            span = self.span(sign, value)
            if (
                sign.type == "MINUS"
                and isinstance(value, ast.Literal)
                and value.type in (INT, DECIMAL, DURATION)
            ):
                value = ast.Literal(span, -value.value, value.type)
            else:
                value = ast.Unary(span, str(sign), value, depth=value.depth + 1)
                value = self._bounded(value)
        return value  # type: ignore[no-any-return]

    def path(self, children: list[Token]) -> tuple[tuple[str, ...], ast.Span]:
        if len(children) == 1:
            return (str(children[0]),), self.span(children[0], children[0])
        return tuple(map(str, children[::2])), self.span(children[0], children[-1])

    def name(self, children: list[Any]) -> ast.Expression:
        parts, span = children[0]
        return ast.Name(span, parts)

    def call(self, children: list[Any]) -> ast.Node:
        parts, name_span = children[0]
        arguments = [
            self._argument(child)
            for child in children[2:-1]
            if not isinstance(child, Token) or child.type != "COMMA"
        ]
        close = children[-1]
        span = ast.Span(
            self.file, name_span.line, name_span.column, close.end_line, close.end_column
        )
        depth = max((_depth(argument.value) for argument in arguments), default=0) + 1
        node = ast.Call(span, parts, name_span, arguments, depth=depth)
        self._calls.append(node)
        return self._bounded(node)

    def keyword_argument(self, children: list[Any]) -> ast.Argument:
        value = self._expression(children[2])
        return ast.Argument(self.span(children[0], value), str(children[0]), value)

    def _argument(self, child: Any) -> ast.Argument:
        if isinstance(child, ast.Argument):
            return child
        value = self._expression(child)
        return ast.Argument(value.span, "", value)

    def list_of(self, children: list[Any]) -> ast.Node:
        items = [self._expression(child) for child in children[1:-1:2]]
        depth = max(map(_depth, items), default=0) + 1
        node = ast.ListOf(self.span(children[0], children[-1]), items, depth=depth)
        return self._bounded(node)

    def parenthesis(self, children: list[Any]) -> ast.Expression:
        return self._expression(children[1])

    def _expression(self, child: Any) -> ast.Expression:
        """A node as it is, a token as the literal, fact or name that it is."""
        if isinstance(child, ast.Expression):
            return child
        if isinstance(child, ast.Node):
            # Only a statement that was too deep arrives here, already reported.
            return ast.Bad(child.span)
        span = self.span(child, child)
        kind = child.type
        if kind == "FACT":
            return _fact(span, str(child))
        if kind == "REGEX":
            pattern, _, flags = child[1:].rpartition("/")
            return ast.Pattern(span, pattern.replace("\\/", "/"), flags)
        if kind not in _LITERALS:
            return ast.Bad(span)
        if kind in ("INT", "DECIMAL") and len(child) > MAX_DIGITS:
            self.report("bad-number", span, f"a number has at most {MAX_DIGITS} digits")
            return ast.Bad(span)
        type_, read = _LITERALS[kind]
        try:
            return ast.Literal(span, read(child), type_)
        except LiteralError as error:
            self.report(error.code, span, error.message, error.help)
            return ast.Bad(span)

    def _text(self, token: Token) -> str:
        try:
            return read_string(token)
        except LiteralError as error:
            self.report(error.code, self.span(token, token), error.message, error.help)
            return ""


def _fact(span: ast.Span, text: str) -> ast.Fact:
    name, bracket, argument = text[1:].partition("(")
    if bracket:
        return ast.Fact(span, name, argument=argument[:-1].strip())
    name, _, attribute = name.partition(".")
    return ast.Fact(span, name, attribute)


def _depth(node: Any) -> int:
    return int(getattr(node, "depth", 0))


def _deepest(body: Sequence[ast.Node]) -> int:
    return max(map(_depth, body), default=0)


def _row_depth(branches: Sequence[Any]) -> int:
    # In Python each branch of a row stands in the `else` of the one before it.
    return len(branches) // 8
