"""The statements of routes as lines."""

from __future__ import annotations

from collections.abc import Sequence

from lark import Token, Tree

from dsl.format_document import INDENT, MAX_COLUMNS, Doc, Group, flat, has_comments
from dsl.format_expressions import ExpressionLayout, Node, first_token, last_token
from dsl.format_rows import Rows
from dsl.format_trivia import width

_COMPOUND = frozenset({"if_", "while_", "for_", "switch", "group"})


class LayoutError(Exception):
    """A rule of the grammar for which there is no layout."""


class StatementLayout:
    """Lays out statements into `rows`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._trivia = rows.trivia
        self._make = ExpressionLayout(rows.trivia)

    def body(self, nodes: Sequence[Node], indent: int) -> None:
        """Statements one below the other."""
        for node in nodes:
            self._statement(node, indent)

    def _statement(self, node: Node, indent: int, docs: Sequence[Doc] | None = None) -> None:
        """A statement and what stands above it; `docs` are those of a simple one if made before."""
        start = self._rows.begin(node, indent)
        if docs is not None or not _is_compound(node):
            trail = self._trivia.take_trail(last_token(node))
            self._rows.put(docs or self._simple(node), indent, trail)
        else:
            self._compound(_tree(node), indent)
        self._rows.finish(node, start, indent)

    # ------------------------------------------------------------------------------- simple

    def _simple(self, node: Node) -> list[Doc]:
        """A statement that ends with `;`."""
        text, expression = self._make.text, self._make.expression
        tree = _tree(node)
        children = tree.children
        if tree.data == "let":
            word, name, sign, value, end = children
            head = f"{text(word)} {text(name)} {text(sign)} "
            return [Group(head, self._make.indented(value), text(end))]
        if tree.data == "assign":
            target, sign, value, end = children
            head = f" {text(sign)} "
            return [Group(expression(target), head, self._make.indented(value), text(end))]
        if tree.data == "evaluate":
            return [Group(self._make.indented(children[0]), text(children[1]))]
        if tree.data == "return_" and len(children) == 3:
            word, value, end = children
            return [Group(f"{text(word)} ", self._make.indented(value), text(end))]
        if tree.data in ("return_", "stop"):
            # The parentheses of `drop()` are not written.
            return [text(children[0]), text(children[-1])]
        raise LayoutError(f"there is no layout for the rule {tree.data}")

    # ----------------------------------------------------------------------------- compound

    def _compound(self, node: Tree[Token], indent: int) -> None:
        children = node.children
        if node.data == "if_":
            self._if(node, indent)
        elif node.data == "while_":
            self._branch(self._head(children[0], children[1]), children[1], children[2], indent)
        elif node.data == "for_":
            self._for(children, indent)
        elif node.data == "switch":
            self._switch(children, indent)
        else:
            self._braced([], None, children, indent)

    def _head(self, word: Node, condition: Node) -> list[Doc]:
        return [f"{self._make.text(word)} ", self._make.condition(_tree(condition))]

    def _if(self, node: Tree[Token], indent: int) -> None:
        before: list[Doc] = []
        while True:
            word, condition, body, *rest = node.children
            self._branch([*before, *self._head(word, condition)], condition, body, indent)
            if not rest:
                return
            word, otherwise = rest
            before = self._else(first_token(word), body, indent)
            if not _is(otherwise, "if_") or self._trivia.has_above(first_token(otherwise)):
                self._branch(before, word, otherwise, indent)
                return
            before.append(" ")
            node = _tree(otherwise)

    def _else(self, word: Token, body: Node, indent: int) -> list[Doc]:
        """The `else`, on the line of the `}` before it unless a comment stands between the two."""
        rows = self._rows.rows
        if _is(body, "group") and not rows[-1].comments and not self._trivia.has_above(word):
            return [f"{rows.pop().text} {self._make.text(word)}"]
        self._rows.above(self._trivia.take_above(word), indent)
        return [self._make.text(word)]

    def _for(self, children: Sequence[Node], indent: int) -> None:
        text, expression = self._make.text, self._make.expression
        body = children[-1]
        word, *head = children[:-1]
        opening, closing = "", ""
        if first_token(head[0]).type == "LPAR":
            # The parentheses are only written where the body has no braces.
            if not _is(body, "group"):
                opening, closing = text(head[0]), text(head[-1])
            head = head[1:-1]
        name, sign, iterable = head
        docs: list[Doc] = [
            f"{text(word)} {opening}{text(name)} {text(sign)} ",
            expression(iterable),
            closing,
        ]
        self._branch([Group(*docs)], children[-2], body, indent)

    # ------------------------------------------------------------------------------- bodies

    def _branch(self, head: list[Doc], last: Node, body: Node, indent: int) -> None:
        """A head that ends with the node `last`, and the statement that depends on it."""
        if _is(body, "group"):
            self._braced([*head, " "], last_token(last), _tree(body).children, indent)
            return
        trail = self._trivia.take_trail(last_token(last))
        if trail or _is_compound(body) or self._trivia.has_above(first_token(body)):
            self._rows.put(head, indent, trail)
            self._statement(body, indent + INDENT)
            return
        simple = self._simple(body)
        whole = [*head, " ", *simple]
        commented = has_comments(whole)
        alone = not has_comments(head) and indent + width(flat(head)) <= MAX_COLUMNS
        if has_comments(simple) or (
            alone and not commented and indent + width(flat(whole)) > MAX_COLUMNS
        ):
            self._rows.put(head, indent)
            self._statement(body, indent + INDENT, simple)
        else:
            self._rows.put(whole, indent, self._trivia.take_trail(last_token(body)))

    def _braced(
        self, head: list[Doc], last: Token | None, children: Sequence[Node], indent: int
    ) -> None:
        """A group of statements behind a head that ends with the token `last`."""
        brace, closing = first_token(children[0]), last_token(children[-1])
        trail = self._trivia.take_trail(last) if last is not None else []
        trail += self._trivia.take_trail(brace)
        self._rows.put([*head, self._make.text(brace)], indent, trail)
        self.body(children[1:-1], indent + INDENT)
        self._rows.close(closing, indent)

    def _switch(self, children: Sequence[Node], indent: int) -> None:
        word, condition, brace, *cases, closing = children
        trail = self._trivia.take_trail(last_token(condition))
        trail += self._trivia.take_trail(first_token(brace))
        head = [*self._head(word, condition), f" {self._make.text(brace)}"]
        self._rows.put(head, indent, trail)
        self._cases([_tree(case) for case in cases], indent + INDENT)
        self._rows.close(last_token(closing), indent)

    def _cases(self, cases: Sequence[Tree[Token]], indent: int) -> None:
        """The cases; statements that stand alone behind their labels are aligned in each run."""
        run: list[tuple[int, str, str]] = []
        for case in cases:
            if self._trivia.blank_above(first_token(case)):
                self._align(run, indent)
                run = []
            start = self._rows.begin(case, indent)
            line = self._case(case, indent)
            start += self._rows.finish(case, start, indent)
            if line is None:
                self._align(run, indent)
                run = []
            else:
                run.append((start, *line))
        self._align(run, indent)

    def _case(self, case: Tree[Token], indent: int) -> tuple[str, str] | None:
        """Lay out a case; its label and its statement if they share a line."""
        children = case.children
        at = next(
            place
            for place, child in enumerate(children)
            if isinstance(child, Token) and child.type == "COLON"
        )
        label = self._label(children[: at + 1])
        trail = self._trivia.take_trail(first_token(children[at]))
        body = children[at + 1 :]
        alone = len(body) == 1 and not trail and not _is_compound(body[0])
        if alone and not self._trivia.has_above(first_token(body[0])):
            simple = self._simple(body[0])
            whole = [*label, " ", *simple]
            if not has_comments(whole) and indent + width(flat(whole)) <= MAX_COLUMNS:
                self._rows.put([flat(whole)], indent, self._trivia.take_trail(last_token(body[0])))
                return flat(label), flat(simple)
            self._rows.put(label, indent)
            self._statement(body[0], indent + INDENT, simple)
            return None
        self._rows.put(label, indent, trail)
        self.body(body, indent + INDENT)
        return None

    def _label(self, children: Sequence[Node]) -> list[Doc]:
        word, *values, colon = children
        if not values:
            return [self._make.text(word), self._make.text(colon)]
        listed = self._make.listed(values)
        return [Group(f"{self._make.text(word)} ", *listed, self._make.text(colon))]

    def _align(self, run: Sequence[tuple[int, str, str]], indent: int) -> None:
        if not run:
            return
        column = max(width(label) for _, label, _ in run)
        if any(indent + column + 1 + width(text) > MAX_COLUMNS for _, _, text in run):
            return
        for at, label, text in run:
            self._rows.rows[at].text = label + " " * (column - width(label) + 1) + text


def _is(node: Node, rule: str) -> bool:
    return isinstance(node, Tree) and node.data == rule


def _is_compound(node: Node) -> bool:
    return isinstance(node, Tree) and node.data in _COMPOUND


def _tree(node: Node) -> Tree[Token]:
    if isinstance(node, Token):
        raise LayoutError(f"there is no layout for {node!r}")
    return node
