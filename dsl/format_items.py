"""The items of a file as lines: settings, blocks, includes, routes and tests."""

from __future__ import annotations

from collections.abc import Sequence

from lark import Token, Tree

from dsl.format_document import INDENT
from dsl.format_expressions import ExpressionLayout, Node, first_token, last_token, tokens_of
from dsl.format_rows import Rows
from dsl.format_statements import LayoutError, StatementLayout
from dsl.format_trivia import Comment, width

MAX_SHORT_NAME = 9
"""Settings with names up to this share one column; longer ones that follow each other another."""
MAX_SHORT_BLOCK = 110
"""A block that was written on one line stays there up to this: broken it takes many more."""


class ItemLayout:
    """Lays out the items of a file into `rows`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._trivia = rows.trivia
        self._make = ExpressionLayout(rows.trivia)
        self._statements = StatementLayout(rows)

    def items(self, nodes: Sequence[Node], indent: int) -> None:
        """The items of a file, or the members of a block, one below the other."""
        trees = [node for node in nodes if isinstance(node, Tree)]
        if len(trees) < len(nodes):
            raise LayoutError("there is no layout for an item that is a mark")
        columns = self._columns(trees)
        apart = False
        for tree, column in zip(trees, columns, strict=True):
            apart_before, apart = apart, tree.data in ("route", "test")
            if apart or apart_before:
                self._rows.blank()
            start = self._rows.begin(tree, indent)
            self._item(tree, column, indent)
            self._rows.finish(tree, start, indent)

    def _item(self, tree: Tree[Token], column: int, indent: int) -> None:
        if tree.data == "setting":
            self._setting(tree, column, indent)
        elif tree.data == "block":
            self._block(tree, column, indent)
        elif tree.data == "route":
            self._route(tree.children, indent)
        elif tree.data == "test":
            self._test(tree.children, indent)
        elif tree.data in ("include", "import_python"):
            words = [child for child in tree.children if first_token(child).type != "SEMICOLON"]
            trail = self._trail(words, tree)
            self._rows.put([" ".join(map(self._make.text, words))], indent, trail)
        else:
            raise LayoutError(f"there is no layout for the rule {tree.data}")

    # ------------------------------------------------------------------------------ columns

    def _columns(self, trees: Sequence[Tree[Token]]) -> list[int]:
        """For each item where its `=`, or the `{` of a block on one line, stands."""
        columns = [0] * len(trees)
        start = 0
        while start < len(trees):
            kind = self._kind(trees[start])
            end = start + 1
            while (
                end < len(trees)
                and self._kind(trees[end]) == kind
                and not self._trivia.blank_above(first_token(trees[end]))
            ):
                end += 1
            run = trees[start:end]
            if kind == "setting":
                columns[start:end] = _setting_columns(run)
            elif kind == "block":
                columns[start:end] = self._block_columns(run)
            start = end
        return columns

    def _kind(self, tree: Tree[Token]) -> str:
        if tree.data == "setting" or (tree.data == "block" and self._is_short(tree)):
            return str(tree.data)
        return ""

    def _block_columns(self, run: Sequence[Tree[Token]]) -> list[int]:
        heads = [width(_head(tree)) for tree in run]
        column = max(heads)
        lengths = [
            width(_short(tree)) + column - head for tree, head in zip(run, heads, strict=True)
        ]
        return [column if max(lengths) <= MAX_SHORT_BLOCK else head for head in heads]

    # ----------------------------------------------------------------------------- settings

    def _setting(self, tree: Tree[Token], column: int, indent: int) -> None:
        name, sign, *values = tree.children
        if first_token(values[-1]).type == "SEMICOLON":
            values.pop()
        trail = self._trail(values, tree)
        head = f"{self._make.text(name).ljust(column)} {self._make.text(sign)} "
        self._rows.put([head, *self._make.listed(values, width(head))], indent, trail)

    def _trail(self, written: Sequence[Node], tree: Tree[Token]) -> Sequence[Comment]:
        """The comments behind an item, also behind a `;` that is not written."""
        trail = self._trivia.take_trail(last_token(written[-1]))
        end = last_token(tree)
        return trail + self._trivia.take_trail(end) if end.type == "SEMICOLON" else trail

    # ------------------------------------------------------------------------------- blocks

    def _is_short(self, tree: Tree[Token]) -> bool:
        """Whether the block is written on one line, and may stay there."""
        tokens = tokens_of(tree)
        brace = first_token(tree.children[-1])
        members = [child for child in tree.children if isinstance(child, Tree)]
        opening = next(token for token in tokens if token.type == "LBRACE")
        return (
            opening.line == brace.line
            and all(member.data == "setting" for member in members)
            and not self._trivia.has_inline(tokens[0])
            and not self._trivia.has_trail(tokens[0])
            and not self._trivia.has_any(tokens[1:-1])
            and not self._trivia.has_above(brace)
            and not self._trivia.has_inline(brace)
            and width(_short(tree)) <= MAX_SHORT_BLOCK
        )

    def _block(self, tree: Tree[Token], column: int, indent: int) -> None:
        brace = last_token(tree)
        if self._is_short(tree):
            trail = self._trivia.take_trail(brace)
            head = _head(tree)
            text = _short(tree)[width(head) :]
            self._rows.put([head.ljust(column), text], indent, trail)
            return
        children = list(tree.children)
        at = next(place for place, child in enumerate(children) if _is_brace(child))
        head = " ".join(map(self._make.text, children[: at + 1]))
        self._rows.put([head], indent, self._trivia.take_trail(first_token(children[at])))
        self.items(children[at + 1 : -1], indent + INDENT)
        self._rows.close(brace, indent)

    # --------------------------------------------------------------------- routes and tests

    def _route(self, children: Sequence[Node], indent: int) -> None:
        at = next(place for place, child in enumerate(children) if _is_brace(child))
        name = "".join(map(self._make.text, children[:at]))
        head = f"{name} {self._make.text(children[at])}"
        self._rows.put([head], indent, self._trivia.take_trail(first_token(children[at])))
        self._statements.body(children[at + 1 : -1], indent + INDENT)
        self._rows.close(last_token(children[-1]), indent)

    def _test(self, children: Sequence[Node], indent: int) -> None:
        word, title, brace, *lines, closing = children
        head = " ".join(map(self._make.text, (word, title, brace)))
        self._rows.put([head], indent, self._trivia.take_trail(first_token(brace)))
        for line in lines:
            start = self._rows.begin(line, indent + INDENT)
            *words, end = tokens_of(line)
            trail = self._trivia.take_trail(end)
            text = " ".join(map(self._make.text, words)) + self._make.text(end)
            self._rows.put([text], indent + INDENT, trail)
            self._rows.finish(line, start, indent + INDENT)
        self._rows.close(last_token(closing), indent)


def _setting_columns(run: Sequence[Tree[Token]]) -> list[int]:
    names = [width(str(first_token(tree))) for tree in run]
    short = max((name for name in names if name <= MAX_SHORT_NAME), default=0)
    columns = [short] * len(names)
    start = 0
    for at in range(len(names) + 1):
        if at == len(names) or names[at] <= MAX_SHORT_NAME:
            if at > start:
                columns[start:at] = [max(names[start:at])] * (at - start)
            start = at + 1
    return columns


def _head(tree: Tree[Token]) -> str:
    words = [str(child) for child in tree.children if isinstance(child, Token)]
    return " ".join(words[: words.index("{")])


def _short(tree: Tree[Token]) -> str:
    """A block on one line."""
    settings = "  ".join(_plain(child) for child in tree.children if isinstance(child, Tree))
    return f"{_head(tree)} {{ {settings} }}" if settings else f"{_head(tree)} {{ }}"


def _plain(setting: Tree[Token]) -> str:
    words = []
    for token in tokens_of(setting):
        if token.type == "ASSIGN":
            words.append(" = ")
        elif token.type == "COMMA":
            words.append(", ")
        elif token.type != "SEMICOLON":
            words.append(str(token))
    return "".join(words)


def _is_brace(node: Node) -> bool:
    return isinstance(node, Token) and node.type == "LBRACE"
