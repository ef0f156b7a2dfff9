"""The words of one statement of a test block, taken one after the other.

A word that is not what was expected is reported, and `Unreadable` ends the statement: one mistake
gives one finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsl import ast
from dsl.check.report import Report, article
from dsl.check.values import read_value
from dsl.literals import LiteralError
from dsl.surface import ValueType

_CONTROLS = frozenset(map(chr, (*range(0x20), 0x7F)))
# RFC 3261 §25.1, token.
_HEADER_SIGNS = frozenset("-.!%*_+`'~")
_WRITTEN_BY_TRIALS = frozenset(
    (
        *("via", "from", "to", "call-id", "cseq", "contact", "content-length", "content-type"),
        *("v", "f", "t", "i", "m", "l", "c"),
    )
)


class Unreadable(Exception):
    """A statement that cannot be read; its finding is in the report."""


class Words:
    """The words of a statement; `form` is how it is written, for the help."""

    def __init__(self, words: list[ast.Value], report: Report) -> None:
        self._words = words
        self._report = report
        self._at = 0
        self.form = ""

    @property
    def left(self) -> list[ast.Value]:
        """The words that were not taken."""
        return self._words[self._at :]

    @property
    def taken(self) -> list[ast.Value]:
        """The words that were."""
        return self._words[: self._at]

    def peek(self) -> ast.Value | None:
        """The next word."""
        return self._words[self._at] if self._at < len(self._words) else None

    def take(self) -> ast.Value:
        """The next word, which there is."""
        self._at += 1
        return self._words[self._at - 1]

    def accept(self, word: str) -> bool:
        """Whether the next word is this one; it is taken then."""
        found = self.peek()
        if found is None or found.form != "word" or found.text != word:
            return False
        self._at += 1
        return True

    # ------------------------------------------------------------------------------ mistakes

    def fail(self, code: str, span: ast.Span, message: str, help: str = "") -> Unreadable:
        """Report a mistake; what to raise then."""
        self._report.add(code, span, message, help)
        return Unreadable()

    def wrong(self, what: str) -> Unreadable:
        """Report that something else was expected where the next word is; what to raise then."""
        found = self.peek()
        if found is None:
            end = self._words[-1].span
            span = ast.Span(
                end.file, end.end_line, end.end_column, end.end_line, end.end_column + 1
            )
            return self.fail("bad-step", span, f"expected {what} here", self.form)
        text = written(found)
        return self.fail("bad-step", found.span, f"expected {what}, found `{text}`", self.form)

    # -------------------------------------------------------------------------------- values

    def word(self, what: str) -> ast.Value:
        """A word without quotes."""
        found = self.peek()
        if found is None:
            raise self.wrong(what)
        if found.form != "word":
            raise self.fail(
                "wrong-type",
                found.span,
                f"{article(what.split()[-1])} is written without quotes here",
                f"did you mean `{found.text}`?",
            )
        return self.take()

    def string(self, what: str) -> ast.Value:
        """A text in quotes, without control characters."""
        found = self.peek()
        if found is None:
            raise self.wrong(what)
        if found.form != "string":
            raise self.fail(
                "wrong-type",
                found.span,
                f"{what} stands in double quotes",
                f'did you mean "{found.text}"?',
            )
        if _CONTROLS & set(found.text):
            raise self.fail("bad-value", found.span, f"{what} holds no control characters")
        return self.take()

    def number(self) -> str:
        """A telephone number in quotes."""
        found = self.string("a number")
        if any(char.isspace() for char in found.text):
            raise self.fail("bad-value", found.span, f'"{found.text}" is no number: it has blanks')
        return found.text

    def value(self, what: str, kind: ValueType) -> Any:
        """A value of one of the types of settings."""
        found = self.word(what)
        try:
            return read_value(found.text, False, kind)
        except LiteralError as error:
            raise self.fail(error.code, found.span, error.message, error.help) from None

    def status(self, low: int, high: int) -> int:
        """A SIP status between these."""
        found = self.word("a status")
        text = found.text
        if not (text.isascii() and text.isdigit() and len(text) == 3 and low <= int(text) <= high):
            raise self.fail("bad-value", found.span, f"`{text}` is no status from {low} to {high}")
        return int(text)

    def header(self, own: bool) -> tuple[str, str]:
        """Name and value of a header; with `own`, one that a trial may send."""
        found = self.string("a header")
        name, colon, value = found.text.partition(":")
        name = name.strip()
        if not colon:
            raise self.fail(
                "bad-value", found.span, f'"{found.text}" is no header', 'write "Name: value"'
            )
        if not name or not all(
            char.isascii() and (char.isalnum() or char in _HEADER_SIGNS) for char in name
        ):
            raise self.fail("bad-header-name", found.span, f"`{name}` is no name of a header")
        if own and name.lower() in _WRITTEN_BY_TRIALS:
            raise self.fail(
                "bad-value",
                found.span,
                f"`{name}` of the INVITE is written by the test itself",
                'numbers are given with `caller "…"` and `callee "…"`',
            )
        return name, value.strip()

    def named(self, code: str, what: str, known: Mapping[str, object], list_up_to: int = 0) -> str:
        """A word out of a closed list or the name of a block."""
        found = self.word(f"the name of {article(what)}")
        if found.text not in known:
            help = f"they are: {', '.join(known)}" if len(known) <= list_up_to else ""
            self._report.unknown(
                code, found.span, f"there is no {what} `{found.text}`", found.text, known, help
            )
            raise Unreadable
        return found.text


def written(word: ast.Value) -> str:
    """A word as it was written, or could have been."""
    if word.form != "string":
        return word.text
    text = word.text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("\n", "\\n").replace("\t", "\\t") + '"'
