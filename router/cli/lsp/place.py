"""What stands around a place in a text, by the text alone: it may be broken there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dsl.surface import ROUTE_KINDS

FILE = "file"
BLOCK = "block"
ROUTE = "route"
TEST = "test"

_PIECE = re.compile(
    r"""(?P<comment>\#[^\n]*|//[^\n]*|/\*.*?(?:\*/|\Z))
      | (?P<string>"(?:[^"\\\n]|\\.)*(?:"|(?=\n)|\Z))
      | (?P<regex>(?<=[=!]~)\s*/(?:[^/\\\n]|\\.)*(?:/[a-z]*|(?=\n)|\Z))
      | (?P<fact>\$(?:hdr\([^()\n]*\)?|[A-Za-z_]\w*(?:\.\w*)*)?)
      | (?P<word>[A-Za-z_]\w*(?:\.\w*)*)
      | (?P<value>(?:\d|\[[0-9A-Fa-f:.]+\])[^\s,;{}()=\#"]*)
      | (?P<mark>[=!<>]=|[=!]~|&&|\|\||\.\.|\S)""",
    re.VERBOSE | re.DOTALL,
)
_KINDS = frozenset(ROUTE_KINDS)
_GOING_ON = frozenset({"let", "return", "in", "case"})


class Piece(NamedTuple):
    """A piece of the text: `kind` is comment, string, regex, fact, word, value or mark."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.start + len(self.text)


@dataclass(slots=True)
class Frame:
    """What an open brace belongs to: `kind` and `name` are those of the block or route.

    `pieces` are those since the last `;` or brace in it, or since it began; `given` are the
    settings that were written in it.
    """

    sort: str
    kind: str = ""
    name: str = ""
    pieces: list[Piece] = field(default_factory=list)
    given: set[str] = field(default_factory=set)


class OpenCall(NamedTuple):
    """A parenthesis that is open: the name before it, and what is written of the argument.

    `place` counts the arguments from 0.
    """

    name: str
    place: int
    argument: list[Piece]


class Place(NamedTuple):
    """A place in a text.

    `frames` are what is around it, the file first. `prefix` is the word that ends at the place and
    `start` the offset where it begins; `line` is that of its line. `quiet` says that it is inside a
    comment or a string.
    """

    frames: list[Frame]
    prefix: str
    start: int
    line: int
    quiet: bool = False

    @property
    def frame(self) -> Frame:
        """The innermost one."""
        return self.frames[-1]

    @property
    def sort(self) -> str:
        """Where it is: in the FILE, a BLOCK, a ROUTE or a TEST."""
        return self.frame.sort

    @property
    def route(self) -> Frame | None:
        """The route around it."""
        return next((one for one in self.frames if one.sort == ROUTE and one.kind), None)

    @property
    def before(self) -> list[Piece]:
        """What is written before the prefix in the statement, setting or line of a test."""
        return self.frame.pieces

    def call(self) -> OpenCall | None:
        """The innermost call whose parentheses are open, if it has a name."""
        stack: list[tuple[str, int, int]] = []
        for at, piece in enumerate(self.before):
            if piece.kind != "mark":
                continue
            if piece.text in ("(", "["):
                previous = self.before[at - 1] if at else None
                named = piece.text == "(" and previous is not None and previous.kind == "word"
                stack.append((previous.text if named and previous else "", 0, at + 1))
            elif piece.text in (")", "]") and stack:
                stack.pop()
            elif piece.text == "," and stack:
                name, index, _ = stack[-1]
                stack[-1] = (name, index + 1, at + 1)
        if not stack or not stack[-1][0] or stack[-1][0] in ("if", "while", "switch", "for"):
            return None
        name, index, start = stack[-1]
        return OpenCall(name, index, self.before[start:])


def place_at(text: str, offset: int) -> Place:
    """What stands around an offset of a text."""
    frames = [Frame(FILE)]
    line = text.rfind("\n", 0, offset) + 1
    for match in _PIECE.finditer(text, 0, offset):
        kind = match.lastgroup or ""
        found = match.group().lstrip() if kind == "regex" else match.group()
        piece = Piece(kind, found, match.end() - len(found))
        if piece.end == offset:
            if kind in ("fact", "word", "value"):
                return Place(frames, piece.text, piece.start, line)
            if kind in ("string", "regex", "comment") and _is_open(piece):
                return Place(frames, "", offset, line, quiet=True)
        if kind != "comment":
            _enter(frames, piece)
    return Place(frames, "", offset, line)


def piece_at(text: str, offset: int) -> Piece | None:
    """The piece of a text that an offset is in, or right behind of."""
    start = text.rfind("\n", 0, offset) + 1
    for match in _PIECE.finditer(text, start):
        if match.start() > offset:
            return None
        if offset <= match.end() and match.lastgroup in ("fact", "word", "string", "comment"):
            if offset == match.end() and match.lastgroup in ("string", "comment"):
                continue
            return Piece(match.lastgroup, match.group(), match.start())
    return None


def _is_open(piece: Piece) -> bool:
    text = piece.text
    if piece.kind == "comment":
        return not (text.startswith("/*") and len(text) > 3 and text.endswith("*/"))
    if piece.kind == "string":
        return len(text) < 2 or not text.endswith('"')
    return len(text) < 2 or not re.search(r"[^\\]/[a-z]*$", text)


def _enter(frames: list[Frame], piece: Piece) -> None:
    frame = frames[-1]
    text = piece.text if piece.kind == "mark" else ""
    if text == "{":
        frames.append(_frame(frame))
        frame.pieces = []
    elif text == "}":
        if len(frames) > 1:
            frames.pop()
        frames[-1].pieces = []
    elif text == ";" or (text == ":" and frame.sort == ROUTE and _is_label(frame.pieces)):
        frame.pieces = []
    else:
        if text == "=" and frame.sort in (FILE, BLOCK) and frame.pieces:
            frame.given.add(frame.pieces[-1].text)
        frame.pieces.append(piece)


def _is_label(pieces: Sequence[Piece]) -> bool:
    return bool(pieces) and pieces[0].text in ("case", "default")


def _frame(outer: Frame) -> Frame:
    """The frame of a `{` behind what was written."""
    if outer.sort == ROUTE:
        return Frame(ROUTE)
    if outer.sort == TEST:
        return Frame(TEST)
    pieces = outer.pieces
    for at in range(len(pieces) - 1, max(-1, len(pieces) - 8), -1):
        piece = pieces[at]
        if piece.kind != "word":
            continue
        if piece.text in _KINDS:
            name = "".join(one.text for one in pieces[at + 1 :]).strip("[]")
            return Frame(ROUTE, piece.text, name)
        if piece.text == "test" and at == len(pieces) - 2:
            return Frame(TEST)
    named = len(pieces) > 1 and pieces[-2].kind == "word"
    head = pieces[-2:] if named else pieces[-1:]
    kind = head[0].text if head else ""
    return Frame(BLOCK, kind, head[1].text.strip('"') if named else "")


def setting_at(place: Place) -> str:
    """The setting behind whose `=` the prefix stands; "" where the name of one is expected."""
    name = ""
    waiting = False
    pieces = place.before
    for at, piece in enumerate(pieces):
        follower = pieces[at + 1].text if at + 1 < len(pieces) else ""
        if piece.kind == "mark" and piece.text == "=":
            # A value begins on the line of the `=`; only after a comma it goes on below.
            waiting = piece.start >= place.line or at + 1 < len(pieces)
        elif piece.kind == "mark" and piece.text == ",":
            waiting = bool(name)
        elif piece.kind == "word" and not waiting and follower == "=":
            name = piece.text
        else:
            waiting = False
    return name if waiting else ""


def begins_statement(place: Place) -> bool:
    """Whether a statement of a route may begin at the prefix."""
    pieces = place.before
    if not pieces:
        return True
    last = pieces[-1]
    depth = sum(
        {"(": 1, "[": 1, ")": -1, "]": -1}.get(one.text, 0) for one in pieces if one.kind == "mark"
    )
    if depth > 0:
        return False
    if last.text == "else" or (
        last.text == ")" and pieces[0].text in ("if", "while", "for", "else")
    ):
        return True
    # On a line of its own behind one whose `;` is missing.
    ended = last.text == ")" or (last.kind != "mark" and last.text not in _GOING_ON)
    return ended and last.end <= place.line
