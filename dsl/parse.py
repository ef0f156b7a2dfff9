"""Text to tree: runs the LALR parser over one file and hands every mistake to the recovery.

The loop is lark's own, written out, because a mistake must neither end the parse nor cost more
than the statement it stands in.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from lark import Lark, Token
from lark.exceptions import UnexpectedInput

from dsl import ast
from dsl.builder import Builder
from dsl.findings import Finding
from dsl.recovery import Recovery

MAX_FINDINGS = 100
"""A file with more mistakes than this is no routes.cfg; the parse ends there."""


class ParsedFile:
    """One file's items in the order of the text, and what is wrong with its syntax.

    `skipped` are the words of all text that was skipped: what is missed elsewhere may be there.
    """

    __slots__ = ("file", "findings", "items", "skipped", "text")

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.items: list[ast.Node] = []
        self.findings: list[Finding] = []
        self.skipped: frozenset[str] = frozenset()


@lru_cache(maxsize=1)
def grammar_text() -> str:
    """The grammar, for those who read it in another way."""
    return Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _parser() -> tuple[Lark, Builder]:
    builder = Builder()
    lark = Lark(
        grammar_text(),
        parser="lalr",
        lexer="contextual",
        transformer=builder,
        maybe_placeholders=False,
    )
    return lark, builder


def parse_text(text: str, file: str, block_kinds: frozenset[str]) -> ParsedFile:
    """Parse one file; never raises for what stands in it.

    `block_kinds` are the kinds of block that exist, so that a misspelt one is not read as settings.
    """
    lark, builder = _parser()
    builder.begin(file)
    interactive = lark.parse_interactive(text)
    state: Any = interactive.parser_state
    thread: Any = interactive.lexer_thread
    recovery = Recovery(text, builder, state, thread, block_kinds)
    ended = False
    before: tuple[list[Any], list[Any]] | None = None
    while not ended and len(builder.findings) < MAX_FINDINGS:
        try:
            for token in thread.lex(state):
                # A token that fits nowhere may still have set off reductions, after which the
                # parser no longer knows what else could have stood there.
                before = (state.state_stack[:], state.value_stack[:])
                state.feed_token(token)
                before = None
                recovery.previous = token
                kind = token.type
                if kind == "LBRACE":
                    recovery.open_brace(token)
                elif kind == "RBRACE":
                    recovery.close_brace(token)
            before = (state.state_stack[:], state.value_stack[:])
            state.feed_token(_end_token(recovery.previous), True)
            ended = True
        except UnexpectedInput as error:
            if before is not None:
                state.state_stack[:], state.value_stack[:] = before
                before = None
            ended = recovery.recover(error)
    parsed = ParsedFile(file, text)
    parsed.items = builder.items
    parsed.findings = builder.findings
    parsed.skipped = frozenset(recovery.skipped)
    return parsed


def _end_token(previous: Token | None) -> Token:
    if previous is None:
        return Token("$END", "", 0, 1, 1)
    return Token.new_borrow_pos("$END", "", previous)
