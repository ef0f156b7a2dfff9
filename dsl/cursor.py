"""Lark's parser in mid-parse, as the recovery needs it: asked what it would take, moved, fed."""

from __future__ import annotations

import re
from bisect import bisect_right
from copy import copy
from typing import Any

from lark import Token
from lark.exceptions import UnexpectedInput
from lark.parsers.lalr_analysis import Shift

from dsl import ast

_BEGINNINGS = frozenset({"BAD", "BAD_CASE"})


class Cursor:
    """Where the parser stands in a text. Places are offsets into the text."""

    def __init__(self, text: str, file: str, state: Any, thread: Any) -> None:
        self.text = text
        self.state = state
        self._file = file
        self._thread = thread
        self._starts = [0, *(at.end() for at in re.finditer("\n", text))]
        self._tables = state.parse_conf.states

    # ------------------------------------------------------------------------------- places

    def place(self, pos: int) -> tuple[int, int]:
        """Line and column, counted from 1."""
        line = bisect_right(self._starts, pos)
        return line, pos - self._starts[line - 1] + 1

    def line_text(self, line: int) -> str:
        """The text of a line."""
        end = self._starts[line] if line < len(self._starts) else len(self.text) + 1
        return self.text[self._starts[line - 1] : end - 1]

    def span(self, pos: int, width: int) -> ast.Span:
        """A stretch of at least one character on one line."""
        line, column = self.place(pos)
        return ast.Span(self._file, line, column, line, column + max(1, width))

    # -------------------------------------------------------------------------------- asking

    @property
    def table(self) -> dict[str, Any]:
        """What the parser may meet where it stands: terminals and, at a list, its elements."""
        table: dict[str, Any] = self._tables[self.state.position]
        return table

    def _quiet(self) -> Any:
        """A copy of the parser's state that builds nothing."""
        state = self.state.copy(deepcopy_values=False)
        conf = copy(state.parse_conf)
        conf.callbacks = {}
        state.parse_conf = conf
        return state

    def accepted(self) -> set[str]:
        """The terminals that the parser would take now."""
        return {kind for kind in self.table if kind.isupper() and self.takes(kind)}

    def takes(self, *kinds: str) -> bool:
        """Whether the parser would take these terminals one after the other."""
        state = self._quiet()
        try:
            for kind in kinds:
                state.feed_token(Token(kind, ""), kind == "$END")
        except UnexpectedInput:
            return False
        return True

    def goes_on(self, inserted: tuple[str, ...], pos: int) -> bool:
        """Whether the parser, given these terminals, could go on with the text at `pos`."""
        state = self._quiet()
        try:
            for kind in inserted:
                state.feed_token(Token(kind, ""))
            lexer_state = copy(self._thread.state)
            self._move(lexer_state, pos)
            try:
                token = self._thread.lexer.lexers[state.position].next_token(lexer_state, state)
            except EOFError:
                return True
            state.feed_token(token)
        except UnexpectedInput:
            return False
        return True

    # -------------------------------------------------------------------------------- moving

    def _move(self, lexer_state: Any, pos: int) -> None:
        counter = lexer_state.line_ctr = copy(lexer_state.line_ctr)
        counter.char_pos = pos
        counter.line, counter.column = self.place(pos)
        counter.line_start_pos = self._starts[counter.line - 1]

    def go_to(self, pos: int) -> None:
        """Let the lexer go on here."""
        self._move(self._thread.state, pos)

    def feed(self, kind: str, text: str, pos: int) -> Token:
        """Give the parser a token that is not in the text."""
        line, column = self.place(pos)
        width = len(text)
        token = Token(kind, text, pos, line, column, line, column + width, pos + width)
        self.state.feed_token(token)
        return token

    # ------------------------------------------------------------------- taking the stack back

    def list_table(self) -> dict[str, Any]:
        """The table of the innermost state in which a statement, setting or item may begin."""
        for state in reversed(self.state.state_stack):
            if self._begins(state):
                table: dict[str, Any] = self._tables[state]
                return table
        return self.table

    def _begins(self, state: Any) -> bool:
        """Whether BAD itself may stand here, not only behind what is still to be reduced."""
        table = self._tables[state]
        return any(table[kind][0] is Shift for kind in _BEGINNINGS & table.keys())

    def pop_to_list(self) -> int:
        """Take the parser back to where the innermost list can go on.

        What is complete on its stack stays. Returns where the text that is dropped begins.
        """
        start = len(self.text)
        while not any(kind in self.table and self.takes(kind) for kind in _BEGINNINGS):
            start = min(start, *self._pop())
        return start

    def pop_element(self) -> int:
        """Take the parser back to before the list's element that it is in; where that begins."""
        start = len(self.text)
        while not self._begins(self.state.position):
            start = min(start, *self._pop())
        return start

    def pop_to_condition(self) -> int:
        """Take the parser back to the `(` of a condition; where the dropped text begins.

        -1, and nothing is done, if the parser is not in a condition.
        """
        size = len(self.state.state_stack)
        while "BAD_EXPRESSION" not in self._tables[self.state.state_stack[size - 1]]:
            size -= 1
            if not size or _BEGINNINGS & self._tables[self.state.state_stack[size]].keys():
                return -1
        start = len(self.text)
        while len(self.state.state_stack) > size:
            start = min(start, *self._pop())
        return start

    def pop_to_token(self, token: Token) -> None:
        """Take the parser back to right behind a token that it has on its stack."""
        while self.state.value_stack and self.state.value_stack[-1] is not token:
            self._pop()

    def pop_before(self, token: Token) -> None:
        """Take the parser back to right before a token that it has on its stack."""
        self.pop_to_token(token)
        self._pop()

    def _pop(self) -> tuple[int, int]:
        self.state.state_stack.pop()
        value = self.state.value_stack.pop()
        start = int(value.start_pos or 0) if isinstance(value, Token) else len(self.text)
        return start, start
