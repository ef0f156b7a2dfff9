"""Laying out what may have to be broken over lines.

A document is text with places where a line may end. A group stays on one line if it fits there;
else all of its own places become line ends, and the groups in it are asked one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dsl.format_trivia import Comment, width

MAX_COLUMNS = 100
INDENT = 4


@dataclass(slots=True)
class Row:
    """A line of the result without its comments; those after the first go on below it."""

    indent: int
    text: str
    comments: list[str] = field(default_factory=list)
    ended: bool = False
    """whether nothing may stand behind the last comment on its line"""

    def trail(self, comments: Sequence[Comment]) -> None:
        """Put comments behind the line, and below where they do not fit behind each other."""
        for one in comments:
            if self.comments and not self.ended:
                self.comments[-1] += f" {one.lines[0]}"
            else:
                self.comments.append(one.lines[0])
            self.ended = one.ends_line


class Line:
    """A place where a line may end; `flat` stands there if it does not."""

    __slots__ = ("flat",)

    def __init__(self, flat: str = "") -> None:
        self.flat = flat


class Trail:
    """Comments at the end of the line."""

    __slots__ = ("comments",)

    def __init__(self, comments: Sequence[Comment]) -> None:
        self.comments = comments


class Above:
    """Comments on lines of their own; what follows begins a line."""

    __slots__ = ("comments",)

    def __init__(self, comments: Sequence[Comment]) -> None:
        self.comments = comments


class Nest:
    """A part whose further lines are indented by so much more."""

    __slots__ = ("by", "docs")

    def __init__(self, by: int, *docs: Doc) -> None:
        self.by = by
        self.docs = docs


class Group:
    """A part that is laid out on one line, or else broken."""

    __slots__ = ("broken", "docs")

    def __init__(self, *docs: Doc, broken: bool = False) -> None:
        self.docs = docs
        self.broken = broken or has_comments(docs)


Doc = str | Line | Trail | Above | Nest | Group
_Item = tuple[int, bool, Doc]


def has_comments(docs: Sequence[Doc]) -> bool:
    """Whether a comment in it ends a line."""
    for doc in docs:
        if isinstance(doc, (Trail, Above)):
            return True
        if isinstance(doc, Group):
            if doc.broken:
                return True
        elif isinstance(doc, Nest) and has_comments(doc.docs):
            return True
    return False


def flat(docs: Sequence[Doc]) -> str:
    """The documents on one line; there is no comment in them."""
    parts = []
    for doc in docs:
        if isinstance(doc, str):
            parts.append(doc)
        elif isinstance(doc, Line):
            parts.append(doc.flat)
        elif isinstance(doc, (Nest, Group)):
            parts.append(flat(doc.docs))
    return "".join(parts)


def comment_rows(comments: Sequence[Comment], indent: int) -> list[Row]:
    """Comments on lines of their own."""
    return [Row(indent if line else 0, line) for one in comments for line in one.lines]


def render(docs: Sequence[Doc], indent: int) -> list[Row]:
    """The documents as lines."""
    rows: list[Row] = [Row(indent, "")]
    column = indent
    stack: list[_Item] = [(indent, False, doc) for doc in reversed(docs)]
    while stack:
        level, is_flat, doc = stack.pop()
        if isinstance(doc, str):
            text = doc if rows[-1].text else doc.lstrip(" ")
            rows[-1].text += text
            column += width(text)
        elif isinstance(doc, Line):
            if is_flat:
                rows[-1].text += doc.flat
                column += len(doc.flat)
            else:
                rows[-1].text = rows[-1].text.rstrip(" ")
                rows.append(Row(level, ""))
                column = level
        elif isinstance(doc, Trail):
            rows[-1].trail(doc.comments)
        elif isinstance(doc, Above):
            rows[-1:-1] = comment_rows(doc.comments, level)
        elif isinstance(doc, Nest):
            stack += [(level + doc.by, is_flat, one) for one in reversed(doc.docs)]
        else:
            fits = not doc.broken and (is_flat or _fits(doc, stack, MAX_COLUMNS - column))
            stack += [(level, fits, one) for one in reversed(doc.docs)]
    rows[-1].text = rows[-1].text.rstrip(" ")
    return rows


def _fits(group: Group, rest: list[_Item], room: int) -> bool:
    """Whether the group fits on the line with all that stands behind it before a line may end."""
    waiting: list[tuple[bool, Doc]] = [(True, group)]
    at = len(rest)
    while room >= 0:
        if not waiting:
            if at == 0:
                return True
            at -= 1
            waiting.append(rest[at][1:])
        is_flat, doc = waiting.pop()
        if isinstance(doc, str):
            room -= width(doc)
        elif isinstance(doc, Line):
            if not is_flat:
                return True
            room -= len(doc.flat)
        elif isinstance(doc, (Nest, Group)):
            if isinstance(doc, Group) and not is_flat:
                # It can be broken by itself: only up to its first place.
                is_flat = False
            waiting += [(is_flat, one) for one in reversed(doc.docs)]
    return False
