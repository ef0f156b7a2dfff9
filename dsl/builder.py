"""From what the parser reduces to the nodes of dsl/ast.py, as it goes: there is no other tree.

The methods are named after the rules of the grammar and take what stood there, tokens or nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lark import Token

from dsl import ast
from dsl.builder_expressions import ExpressionBuilder, depth_of
from dsl.literals import LiteralError, read_string


class Builder(ExpressionBuilder):
    """Builds the items of one file; `begin` before each parse, then read `items` and `findings`."""

    def begin(self, file: str) -> None:
        """Forget what was built and start with this file."""
        super().begin(file)
        self.items: list[ast.Node] = []

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
            self.calls,
            self.broken,
        )
        self.calls = []
        self.broken = False
        return node

    # -------------------------------------------------------------------------- statements

    def let(self, children: list[Any]) -> ast.Node:
        name = children[1]
        return ast.Let(
            self.span(children[0], children[-1]),
            str(name),
            self.span(name, name),
            self.expression(children[3]),
        )

    def assign(self, children: list[Any]) -> ast.Node:
        target = self.expression(children[0])
        return ast.Assign(self.span(target, children[-1]), target, self.expression(children[2]))

    def evaluate(self, children: list[Any]) -> ast.Node:
        value = self.expression(children[0])
        return ast.Evaluate(self.span(value, children[-1]), value)

    def return_(self, children: list[Any]) -> ast.Node:
        value = self.expression(children[1]) if len(children) == 3 else None
        return ast.Return(self.span(children[0], children[-1]), value)

    def stop(self, children: list[Any]) -> ast.Node:
        return ast.Stop(self.span(children[0], children[-1]), str(children[0]))

    def group(self, children: list[Any]) -> ast.Node:
        body = self._body(children[1:-1])
        node = ast.Group(self.span(children[0], children[-1]), body, _deepest(body) + 1)
        return self.bounded(node)

    def condition(self, children: list[Any]) -> ast.Expression:
        return self.expression(children[1])

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
        return self.bounded(ast.If(self.span(word, children[-1]), branches, otherwise, depth))

    def while_(self, children: list[Any]) -> ast.Node:
        body = self._branch(children[2])
        span = self.span(children[0], children[-1])
        return self.bounded(ast.While(span, children[1], body, _deepest(body) + 1))

    def for_(self, children: list[Any]) -> ast.Node:
        at = 2 if children[1].type == "LPAR" else 1
        name, iterable = children[at], self.expression(children[at + 2])
        body = self._branch(children[-1])
        span = self.span(children[0], children[-1])
        node = ast.For(span, str(name), self.span(name, name), iterable, body, _deepest(body) + 1)
        return self.bounded(node)

    def switch(self, children: list[Any]) -> ast.Node:
        word = children[0]
        cases = [child for child in children[3:-1] if isinstance(child, ast.Case)]
        if len(cases) != len(children) - 4:
            self.broken = True
        depth = max((case.depth for case in cases), default=0) + 1 + _row_depth(cases)
        span = self.span(word, children[-1])
        return self.bounded(ast.Switch(span, children[1], cases, self.span(word, word), depth))

    def case(self, children: list[Any]) -> ast.Node | None:
        first = children[0]
        if first.type == "BAD_CASE":
            return None
        colon = next(
            at for at, child in enumerate(children) if getattr(child, "type", "") == "COLON"
        )
        values = [self.expression(child) for child in children[1:colon:2]]
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

    def _text(self, token: Token) -> str:
        try:
            return read_string(token)
        except LiteralError as error:
            self.report(error.code, self.span(token, token), error.message, error.help)
            return ""


def _deepest(body: Sequence[ast.Node]) -> int:
    return max(map(depth_of, body), default=0)


def _row_depth(branches: Sequence[Any]) -> int:
    # In Python each branch of a row stands in the `else` of the one before it.
    return len(branches) // 8
