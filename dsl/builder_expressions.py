"""From what the parser reduces to the expressions of dsl/ast.py; the rest is dsl/builder.py's.

An expression comes as a flat row of operands and operators, and gets its precedence here.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

from lark import Token, Transformer

from dsl import ast
from dsl.findings import ERROR, Finding
from dsl.literals import LiteralError, read_duration, read_ip, read_network, read_string
from dsl.types import BOOL, DECIMAL, DURATION, INT, IP, NETWORK, STRING, Type

NodeT = TypeVar("NodeT", bound=ast.Node)

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


class ExpressionBuilder(Transformer[Token, Any]):
    """Builds the expressions of one file; `begin` before each parse, then read `findings`."""

    def __init__(self) -> None:
        super().__init__()
        self.begin("")

    def begin(self, file: str) -> None:
        """Forget what was built and start with this file."""
        self.file = file
        self.findings: list[Finding] = []
        self.broken = False
        """whether text was skipped since the last route began"""
        self.calls: list[ast.Call] = []
        """the calls since the last route began"""

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

    def bounded(self, node: NodeT) -> NodeT | ast.Bad:
        """The node, or one of text that was skipped if it is nested too deep."""
        if depth_of(node) <= MAX_DEPTH:
            return node
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
        operands = [self.expression(children[0])]
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
            operands.append(self.expression(children[at + 1]))
        while operators:
            self._join(operands, operators.pop()[0])
        return ast.Bad(operands[0].span) if chained else operands[0]

    def _join(self, operands: list[ast.Expression], operator: Token) -> None:
        right: Any = operands.pop()
        left: Any = operands.pop()
        span = self.span(left, right)
        depth = max(left.depth, right.depth) + 1
        sign = str(operator)
        node: ast.Expression
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
        operands.append(self.bounded(node))

    def prefixed(self, children: list[Any]) -> ast.Expression:
        value = self.expression(children[-1])
        for sign in reversed(children[:-1]):
            span = self.span(sign, value)
            if (
                sign.type == "MINUS"
                and isinstance(value, ast.Literal)
                and value.type in (INT, DECIMAL, DURATION)
            ):
                value = ast.Literal(span, -value.value, value.type)
            else:
                value = ast.Unary(span, str(sign), value, depth=depth_of(value) + 1)
                value = self.bounded(value)
        return value

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
        depth = max((depth_of(argument.value) for argument in arguments), default=0) + 1
        node = ast.Call(span, parts, name_span, arguments, depth=depth)
        self.calls.append(node)
        return self.bounded(node)

    def keyword_argument(self, children: list[Any]) -> ast.Argument:
        value = self.expression(children[2])
        return ast.Argument(self.span(children[0], value), str(children[0]), value)

    def _argument(self, child: Any) -> ast.Argument:
        if isinstance(child, ast.Argument):
            return child
        value = self.expression(child)
        return ast.Argument(value.span, "", value)

    def list_of(self, children: list[Any]) -> ast.Node:
        items = [self.expression(child) for child in children[1:-1:2]]
        depth = max(map(depth_of, items), default=0) + 1
        node = ast.ListOf(self.span(children[0], children[-1]), items, depth=depth)
        return self.bounded(node)

    def parenthesis(self, children: list[Any]) -> ast.Expression:
        return self.expression(children[1])

    def expression(self, child: Any) -> ast.Expression:
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


def _fact(span: ast.Span, text: str) -> ast.Fact:
    name, bracket, argument = text[1:].partition("(")
    if bracket:
        return ast.Fact(span, name, argument=argument[:-1].strip())
    name, _, attribute = name.partition(".")
    return ast.Fact(span, name, attribute)


def depth_of(node: ast.Node) -> int:
    """How many expressions are nested in a node."""
    return int(getattr(node, "depth", 0))
