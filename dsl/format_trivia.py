"""The comments and blank lines of a text, each with the token that it belongs to.

A comment behind a token on its line belongs to that token; any other to the token that follows it.
A comment right below one that stands behind a token, in the same column, goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple
from unicodedata import east_asian_width

from lark import Token

TAB = 8


class Comment(NamedTuple):
    """A comment; `lines` after the first are indented from its first column on.

    `inline` is a `/* … */` with a token behind it on its line. `blank` says that a blank line
    stands above it.
    """

    lines: tuple[str, ...]
    inline: bool = False
    blank: bool = False

    @property
    def ends_line(self) -> bool:
        """Whether nothing may stand behind it on its line."""
        return not self.lines[-1].startswith("/*")


class Trivia:
    """What stands between the tokens of one text; every comment is taken once."""

    def __init__(self, text: str, tokens: Iterable[Token], comments: Iterable[Token]) -> None:
        self._before: dict[int, list[Comment]] = {}
        self._after: dict[int, list[Comment]] = {}
        self._blank: set[int] = set()
        pieces = sorted([*tokens, *comments], key=lambda piece: int(piece.start_pos or 0))
        waiting: list[Comment] = []
        owner: Token | None = None
        previous: Token | None = None
        behind_line, behind_column = 0, -1
        for piece, follower in zip(pieces, [*pieces[1:], None], strict=True):
            line = int(piece.line or 1)
            blank = previous is not None and line > _end_line(previous) + 1
            previous = piece
            if piece.type != "COMMENT":
                if waiting:
                    self._before[_place(piece)] = waiting
                    waiting = []
                if blank:
                    self._blank.add(_place(piece))
                owner, behind_line, behind_column = piece, _end_line(piece), -1
                continue
            column = _column(text, piece)
            lines = _lines(piece, column)
            inline = len(lines) == 1 and _is_followed(piece, follower)
            goes_on = column == behind_column and line == behind_line + 1
            if owner is None or waiting or inline or not (line == behind_line or goes_on):
                waiting.append(Comment(lines, inline, blank))
                continue
            self._after.setdefault(_place(owner), []).append(Comment(lines))
            if line != behind_line or behind_column < 0:
                behind_column = column
            behind_line = _end_line(piece)

    @property
    def is_used_up(self) -> bool:
        """Whether all comments were taken."""
        return not (self._before or self._after)

    def blank_at(self, token: Token) -> bool:
        """Whether a blank line stands directly above the token."""
        return _place(token) in self._blank

    def blank_above(self, token: Token) -> bool:
        """Whether a blank line stands above the token, or above a comment that belongs to it."""
        return self.blank_at(token) or any(one.blank for one in self._before.get(_place(token), ()))

    def has_above(self, token: Token) -> bool:
        """Whether a comment that is not on the token's line belongs before it."""
        return any(not one.inline for one in self._before.get(_place(token), ()))

    def has_inline(self, token: Token) -> bool:
        """Whether a comment stands before the token on its line."""
        return any(one.inline for one in self._before.get(_place(token), ()))

    def has_trail(self, token: Token) -> bool:
        """Whether a comment belongs behind the token."""
        return _place(token) in self._after

    def has_any(self, tokens: Iterable[Token]) -> bool:
        """Whether a comment belongs to any of the tokens."""
        return any(place in self._before or place in self._after for place in map(_place, tokens))

    def take_before(self, token: Token) -> list[Comment]:
        """All comments before a token."""
        return self._before.pop(_place(token), [])

    def take_inline(self, token: Token) -> list[Comment]:
        """The comments before a token that stand on its line."""
        return _take(self._before, token, lambda one: one.inline)

    def take_above(self, token: Token) -> list[Comment]:
        """The comments before a token that do not stand on its line."""
        return _take(self._before, token, lambda one: not one.inline)

    def take_trail(self, token: Token) -> list[Comment]:
        """The comments of one line behind a token, and those that go on with them below."""
        return _take(self._after, token, lambda one: len(one.lines) == 1)

    def take_rest(self, tokens: Iterable[Token]) -> list[Comment]:
        """Whatever is left at these tokens."""
        return [
            one
            for place in map(_place, tokens)
            for one in [*self._before.pop(place, ()), *self._after.pop(place, ())]
        ]


def _take(
    found: dict[int, list[Comment]], token: Token, wanted: Callable[[Comment], bool]
) -> list[Comment]:
    place = _place(token)
    comments = found.pop(place, [])
    taken = [one for one in comments if wanted(one)]
    if len(taken) < len(comments):
        found[place] = [one for one in comments if not wanted(one)]
    return taken


def _is_followed(comment: Token, follower: Token | None) -> bool:
    """Whether a token stands on the line behind the comment."""
    return (
        follower is not None
        and follower.type not in ("COMMENT", "$END")
        and follower.line == comment.end_line
    )


def _place(token: Token) -> int:
    return int(token.start_pos or 0)


def _end_line(token: Token) -> int:
    return int(token.end_line or token.line or 1)


def _column(text: str, comment: Token) -> int:
    """The column of a comment, counted from 0, as the eye sees it."""
    at = _place(comment)
    return width(text[text.rfind("\n", 0, at) + 1 : at].expandtabs(TAB))


def _lines(comment: Token, column: int) -> tuple[str, ...]:
    first, *rest = str(comment).split("\n")
    lines = [first.rstrip()]
    for line in rest:
        body = line.expandtabs(TAB).rstrip()
        indent = len(body) - len(body.lstrip())
        lines.append(" " * max(0, indent - column) + body.lstrip())
    return tuple(lines)


def width(text: str) -> int:
    """The columns that a text takes; East Asian wide characters take two."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)
