"""`trunkline fmt`: the one layout of a routes.cfg, with every comment, and its meaning unchanged.

Text that has a syntax mistake is left alone. A result that would not be read as the same
configuration is never given out.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from lark import Lark, Token, Tree

from dsl import ast
from dsl.findings import Finding
from dsl.format_expressions import tokens_of
from dsl.format_items import ItemLayout
from dsl.format_rows import Rows
from dsl.format_statements import LayoutError
from dsl.format_trivia import Trivia
from dsl.parse import grammar_text, parse_text

__all__ = ["Formatted", "LayoutError", "format_text", "same_meaning"]


class Formatted(NamedTuple):
    """The text in its layout; with `findings`, the text as it was."""

    text: str
    findings: list[Finding]


def format_text(text: str, file: str, block_kinds: frozenset[str]) -> Formatted:
    """Lay out the text of one file.

    `findings` are its syntax mistakes. Raises LayoutError, which is a fault of ours, if the result
    would not mean the same.
    """
    parsed = parse_text(text, file, block_kinds)
    if parsed.findings:
        return Formatted(text, parsed.findings)
    result = _lay_out(text)
    again = parse_text(result, file, block_kinds)
    if again.findings or not same_meaning(parsed.items, again.items):
        raise LayoutError(f"{file}: the layout would change what the text means")
    if _words_of_comments(text) != _words_of_comments(result):
        raise LayoutError(f"{file}: the layout would lose a comment")
    return Formatted(result, [])


def same_meaning(one: Iterable[ast.Node], other: Iterable[ast.Node]) -> bool:
    """Whether two trees differ in nothing but the places of their nodes."""
    same: bool = _shape(list(one)) == _shape(list(other))
    return same


class _Reader:
    """The grammar once more, this time with plain trees that have every token in them."""

    def __init__(self) -> None:
        self._comments: list[Token] = []
        self._lark = Lark(
            grammar_text(),
            parser="lalr",
            lexer="contextual",
            maybe_placeholders=False,
            lexer_callbacks={"COMMENT": self._comment},
        )

    def _comment(self, token: Token) -> Token:
        self._comments.append(token)
        return token

    def read(self, text: str) -> tuple[Tree[Token], list[Token]]:
        """The tree of a text without mistakes, and its comments."""
        self._comments.clear()
        tree: Any = self._lark.parse(text)
        return tree, self._comments[:]


@lru_cache(maxsize=1)
def _reader() -> _Reader:
    return _Reader()


def _lay_out(text: str) -> str:
    tree, comments = _reader().read(text)
    lines = text.count("\n") + 1
    end = Token("$END", "", len(text), lines, 1, lines, 1, len(text))
    trivia = Trivia(text, [*tokens_of(tree), end], comments)
    rows = Rows(trivia)
    items = [item.children[0] for item in tree.children if isinstance(item, Tree)]
    ItemLayout(rows).items(items, 0)
    rows.above(trivia.take_before(end), 0)
    return rows.text()


def _words_of_comments(text: str) -> list[list[str]]:
    return sorted(comment.split() for comment in _reader().read(text)[1])


def _shape(node: Any) -> Any:
    if isinstance(node, ast.Span):
        return None
    if isinstance(node, msgspec.Struct):
        return (type(node), *(_shape(getattr(node, name)) for name in node.__struct_fields__))
    if isinstance(node, (list, tuple)):
        return [_shape(one) for one in node]
    return node
