"""After a syntax mistake: say what it is, and get the parser going again close behind it.

Three repairs, the first that works:

    1. What the writer surely meant is put there: a missing `;`, `)`, `]` or `:`, `==` for `=` in a
       condition, double quotes for single ones. The statement is kept.
    2. A mark that nothing can do with is taken away: a `)` or `;` too many.
    3. The parser's stack is taken back to where a statement (or setting, or item) may begin, BAD is
       fed in place of the broken one, and the text is skipped up to its end: behind `;`, before
       `}`, at the end of a setting's line.

What is skipped is remembered word by word, so that a declaration in it is not missed later.
"""

from __future__ import annotations

import re
from typing import Any

from lark import Token
from lark.exceptions import UnexpectedInput

from dsl import ast
from dsl.builder import Builder
from dsl.cursor import Cursor
from dsl.expected import describe_expected
from dsl.foreign import ForeignWords
from dsl.mistakes import ODD_QUOTES, OPERATORS, WORDS
from dsl.skipping import STATEMENT_WORDS, Skipper, names_in, word_at

MAX_REPEATS = 3
"""how many repairs at one place are tried before its character is passed over"""

_CLOSERS = {"RPAR": ")", "RBRACKET": "]", "SEMICOLON": ";", "COLON": ":"}
_INSERTIONS = (
    ("SEMICOLON",),
    ("COLON",),
    ("RPAR",),
    ("RBRACKET",),
    ("RPAR", "SEMICOLON"),
    ("RPAR", "RPAR"),
    ("RBRACKET", "RPAR"),
    ("RPAR", "RPAR", "SEMICOLON"),
    ("RBRACKET", "RPAR", "SEMICOLON"),
)
_CLOSED_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_SINGLE_QUOTED = re.compile(r"'([^'\"\\\n]*)'")


class Recovery:
    """The mistakes of one file and the braces open in it; `recover` after each UnexpectedInput.

    `previous` is the last token that the parser took.
    """

    def __init__(
        self, text: str, builder: Builder, state: Any, thread: Any, block_kinds: frozenset[str]
    ) -> None:
        self.text = text
        self.skipped: set[str] = set()
        self.previous: Token | None = None
        self._builder = builder
        self._cursor = Cursor(text, builder.file, state, thread)
        self._skipper = Skipper(text, block_kinds)
        self._foreign = ForeignWords(builder, self._cursor, self._skipper, self.skipped)
        self._block_kinds = block_kinds
        self._braces: list[Token] = []
        self._suspect: Token | None = None
        self._owed_closers = 0
        self._last_pos = -1
        self._repeats = 0
        self._unending = False

    # ------------------------------------------------------------------------------- braces

    def open_brace(self, token: Token) -> None:
        """A `{` was read; an item at the start of a line inside braces tells of one left open."""
        if self._braces and self._suspect is None:
            head = self._skipper.item_head(int(token.start_pos or 0))
            if head >= 0 and self._cursor.place(head)[0] > int(self._braces[-1].line or 0):
                self._suspect = self._braces[-1]
        self._braces.append(token)

    def close_brace(self, token: Token) -> None:
        """A `}` was read; one that stands left of its `{`'s line closes the wrong one."""
        if not self._braces:
            return
        opened = self._braces.pop()
        if not self._braces:
            self._suspect = None
        elif self._suspect is None:
            opening = self._cursor.line_text(opened.line or 1)
            indent = len(opening) - len(opening.lstrip())
            before = self._cursor.line_text(token.line or 1)[: (token.column or 1) - 1]
            if not before.strip() and len(before) < indent:
                self._suspect = opened

    # ------------------------------------------------------------------------------ recover

    def recover(self, error: UnexpectedInput) -> bool:
        """Report the mistake and repair; True if there is nothing left to parse."""
        token = getattr(error, "token", None)
        at_end = token is not None and token.type == "$END"
        pos = len(self.text) if at_end else _position_of(error)
        # A repair that left the parser at the same place must not be tried again there.
        stuck = pos == self._last_pos
        self._repeats = self._repeats + 1 if stuck else 0
        self._last_pos = pos
        if self._repeats > MAX_REPEATS:
            self._cursor.go_to(min(pos + 1, len(self.text)))
            return at_end
        if at_end:
            self._at_end()
            return stuck
        if self._took(self._foreign.line()) or self._in_unknown_block() or self._unclosed(pos):
            return False
        expected = self._cursor.accepted()
        if stuck or not (
            self._missing_in_setting(pos)
            or self._replace(pos, expected)
            or self._took(self._foreign.expression(pos, expected))
            or self._foreign.statement(pos, self.previous)
            or self._insert(pos, expected)
            or self._delete(pos, expected)
        ):
            self._skip(pos, expected, stuck)
        return False

    def _at_end(self) -> None:
        if self._braces:
            if not self._unending:
                self._report_unclosed()
            self._close_open_braces(len(self.text))
            return
        expected = describe_expected(self._cursor.accepted())
        span = self._cursor.span(len(self.text.rstrip()), 1)
        self._report(span, f"the file ends here; expected {expected}")
        self._cursor.pop_to_list()
        self._feed("BAD", "", len(self.text))

    def _took(self, token: Token | None) -> bool:
        """Whether the parser was given a token."""
        self.previous = token or self.previous
        return token is not None

    def _feed(self, kind: str, text: str, pos: int) -> None:
        self.previous = self._cursor.feed(kind, text, pos)

    def _report(self, span: ast.Span, message: str, help: str = "", code: str = "syntax") -> None:
        self._builder.report(code, span, message, help)

    # ------------------------------------------------------------- braces that do not match

    def _in_unknown_block(self) -> bool:
        """Whether this is inside a block of a kind that does not exist: the checker says that."""
        if "setting" not in self._cursor.list_table():
            return False
        for depth, brace in enumerate(self._braces):
            head = self._head_of(brace)
            if head is None or str(head) in self._block_kinds:
                continue
            start = self._skipper.item_head(int(brace.start_pos or 0))
            if depth and start >= 0:
                # A route at the start of a line, inside braces: one of them was left open.
                del self._braces[depth:]
                self._report_unclosed()
                self._cursor.pop_before(head)
                self._close_open_braces(start)
                self._cursor.go_to(start)
            else:
                self._skip_block(brace)
            return True
        return False

    def _head_of(self, brace: Token) -> Token | None:
        """The kind of the block that this brace opens; None if it opens no block."""
        tokens = [one for one in self._cursor.state.value_stack if isinstance(one, Token)]
        at = next((at for at, one in enumerate(tokens) if one is brace), 0)
        for back in (1, 2):
            if at >= back and tokens[at - back].type == "NAME":
                return tokens[at - back]
        return None

    def _skip_block(self, brace: Token) -> None:
        """Skip the rest of the block that this brace opens, up to its closing one."""
        while self._braces[-1] is not brace:
            self._braces.pop()
        start = int(brace.start_pos or 0)
        end = self._skipper.matching_brace(start)
        self._remember(start, end)
        self._cursor.pop_to_token(brace)
        self._cursor.go_to(end - 1 if self.text[end - 1] == "}" else end)

    def _unclosed(self, pos: int) -> bool:
        """Whether an item begins here although a brace is open: then that one is not closed."""
        if not self._braces:
            return False
        start = self._skipper.item_head(pos)
        if start <= int(self._braces[0].start_pos or 0):
            return False
        self._report_unclosed()
        self._close_open_braces(start)
        self._cursor.go_to(start)
        return True

    def _close_open_braces(self, pos: int) -> None:
        self._builder.broken = True
        self._remember(min(pos, self._cursor.pop_to_list()), pos)
        while self._braces:
            self._feed("RBRACE", "", pos)
            self._braces.pop()
        self._suspect = None

    def _report_unclosed(self) -> None:
        brace = self._suspect or self._braces[-1]
        span = self._cursor.span(int(brace.start_pos or 0), 1)
        self._report(span, "this `{` is never closed", code="unclosed-brace")

    # -------------------------------------------------------------- 1. what was surely meant

    def _replace(self, pos: int, expected: set[str]) -> bool:
        found = word_at(self.text, pos)
        if found in OPERATORS and "BINARY" in expected:
            meant = OPERATORS[found]
            what = "`=` assigns" if found == "=" else f"`{found}` is no operator"
            self._report(self._cursor.span(pos, len(found)), what, f"did you mean `{meant}`?")
            self._feed("BINARY", meant, pos)
            self._cursor.go_to(pos + len(found))
            return True
        quoted = _SINGLE_QUOTED.match(self.text, pos)
        if quoted is not None and "STRING" in expected:
            inner = quoted.group(1)
            span = self._cursor.span(pos, len(quoted.group()))
            self._report(span, "a string stands in double quotes", f'did you mean "{inner}"?')
            self._feed("STRING", f'"{inner}"', pos)
            self._cursor.go_to(quoted.end())
            return True
        return False

    def _insert(self, pos: int, expected: set[str]) -> bool:
        previous = self.previous
        if previous is None:
            return False
        found = self.text[pos : pos + 1]
        word = word_at(self.text, pos)
        if expected == {"LPAR"} and self._cursor.goes_on(("LPAR",), pos):
            span = self._cursor.span(pos, len(word))
            self._report(span, f"the condition of `{previous}` stands in parentheses")
            self._owed_closers += 1
            self._feed("LPAR", "(", pos)
            self._cursor.go_to(pos)
            return True
        # On one line a missing mark is only believed where the next one closes something, or
        # begins a statement.
        if self._cursor.place(pos)[0] == previous.end_line and not (
            found in "{};)" or word in STATEMENT_WORDS or "COLON" in expected
        ):
            return False
        if found == "{" and word_at(self.text, self._skipper.line_start(pos)) in WORDS:
            return False
        for kinds in _INSERTIONS:
            if kinds[0] in expected and self._cursor.takes(*kinds):
                if not self._cursor.goes_on(kinds, pos):
                    continue
                self._report_missing(kinds, previous)
                for kind in kinds:
                    self._feed(kind, _CLOSERS[kind], int(previous.end_pos or pos))
                self._cursor.go_to(pos)
                return True
        return False

    def _report_missing(self, kinds: tuple[str, ...], previous: Token) -> None:
        if kinds == ("RPAR",) and self._owed_closers:
            # Its opening one was put there by us, and reported.
            self._owed_closers -= 1
            return
        marks = "".join(_CLOSERS[kind] for kind in kinds)
        span = self._cursor.span(int(previous.end_pos or 0), 1)
        self._report(span, f"expected `{marks}` here")

    def _missing_in_setting(self, pos: int) -> bool:
        """A setting without its value, or without its `=`: the next line was taken for it."""
        stack = self._cursor.state.value_stack
        if len(stack) < 2 or "setting" not in self._cursor.list_table():
            return False
        before, word = stack[-2:]
        if not (isinstance(before, Token) and isinstance(word, Token) and word.type == "WORD"):
            return False
        end = int(before.end_pos or 0)
        if before.type in ("ASSIGN", "COMMA") and int(word.line or 0) > int(before.line or 0):
            if self.text[pos] not in "={":
                return False
            self._report(self._cursor.span(end, 1), "expected a value here")
            again = int(word.start_pos or 0)
        elif before.type == "NAME" and str(before) not in self._block_kinds:
            if self.text[pos] == "{":
                return False
            self._report(self._cursor.span(end, 1), "expected `=` here")
            again = pos
        else:
            return False
        self._remember(self._cursor.pop_element(), again)
        self._feed("BAD", "", end)
        self._cursor.go_to(again)
        return True

    # ------------------------------------------------------------------ 2. what is too much

    def _delete(self, pos: int, expected: set[str]) -> bool:
        found = self.text[pos : pos + 1]
        word = word_at(self.text, pos)
        if word == "else" and self._builder.broken:
            # Its `if` was skipped; what it says is read as statements of their own.
            self._cursor.go_to(pos + len(word))
            return True
        if found not in (")", "]", ",", ";") or not self._cursor.goes_on((), pos + 1):
            return False
        if "LET" not in expected and (found == ";" or "STRING" in expected):
            # Something is missing before it: that is the mistake.
            return False
        if found == ";":
            self._report(self._cursor.span(pos, 1), "nothing stands before this `;`")
        else:
            self._report(self._cursor.span(pos, 1), f"this `{found}` is one too many")
        self._cursor.go_to(pos + 1)
        return True

    # ------------------------------------------------------------------- 3. what is skipped

    def _skip(self, pos: int, expected: set[str], stuck: bool) -> None:
        self._report_unexpected(pos, expected)
        if self.text[pos] == "}" and not self._braces:
            self._cursor.go_to(pos + 1)
            return
        self._builder.broken = True
        if self._skip_condition(pos):
            return
        start = min(pos, self._cursor.pop_to_list())
        table = self._cursor.list_table()
        kind = "BAD" if self._cursor.takes("BAD") else "BAD_CASE"
        if kind == "BAD_CASE":
            end = self._skipper.end_of_case(pos)
        elif "let" in table or "test_line" in table:
            end = self._skipper.end_of_statement(pos)
            if self.text[pos] in ('"', "/") and not _CLOSED_STRING.match(self.text, pos):
                # It was to be closed on its line; the next line is as good as any.
                end = min(end, self._skipper.end_of_line(pos))
        else:
            end = self._skipper.end_of_setting(pos, top="item" in table)
        if end <= pos and (stuck or self.text[pos] not in "{}"):
            end = pos + 1
        self._remember(start, end)
        self._feed(kind, "", pos)
        self._cursor.go_to(end)

    def _skip_condition(self, pos: int) -> bool:
        """Replace a broken condition, so that what depends on it is still read."""
        end = self._skipper.end_of_condition(pos)
        start = self._cursor.pop_to_condition() if end >= 0 else -1
        if start < 0:
            return False
        self._remember(min(pos, start), end)
        self._feed("BAD_EXPRESSION", "", pos)
        if self.text[end] == "{":
            self._feed("RPAR", ")", end)
        self._cursor.go_to(end)
        return True

    def _remember(self, start: int, end: int) -> None:
        self.skipped.update(names_in(self.text[start:end]))

    def _report_unexpected(self, pos: int, expected: set[str]) -> None:
        found = word_at(self.text, pos)
        span = self._cursor.span(pos, len(found))
        first = self.text[pos]
        start = self._skipper.line_start(pos)
        word = word_at(self.text, start)
        if first == '"' and not _CLOSED_STRING.match(self.text, pos):
            self._report(span, "this string has no closing quote on its line")
        elif self.text.startswith("/*", pos):
            self._unending = True
            self._report(span, "this comment is never closed")
        elif first == "/" and "REGEX" in expected:
            help = "write `\\/` for a `/` in it"
            self._report(span, "this regex has no closing `/` on its line", help)
        elif first in ODD_QUOTES:
            self._report(span, f"`{first}` is no quote here", 'strings stand in "double quotes"')
        elif first == "}" and not self._braces:
            self._report(span, "this `}` closes nothing")
        elif word in WORDS:
            span = self._cursor.span(start, len(word))
            self._report(span, f"`{word}` is no word of the language", WORDS[word])
        else:
            self._foreign.report(pos, found, self.previous, expected)


def _position_of(error: UnexpectedInput) -> int:
    token = getattr(error, "token", None)
    pos = token.start_pos if token is not None else error.pos_in_stream
    return int(pos or 0)
