"""What another language would say, told as one mistake and passed over.

Lines of kamailio.cfg outside of its routes, its transformations, C's `for`, an `else` without `if`,
and words and marks that are no operators here.
"""

from __future__ import annotations

from lark import Token

from dsl.builder import Builder
from dsl.cursor import Cursor
from dsl.expected import describe_expected
from dsl.mistakes import (
    COUNTING_FOR,
    TOP_WORDS,
    TRANSFORMATION,
    WORDS,
    about_mark,
    about_previous,
    about_transformation,
)
from dsl.skipping import Skipper, names_in


class ForeignWords:
    """Looks at the place where the parser stands; `skipped` takes the words that are passed over.

    A token that is returned was given to the parser in place of what stands there.
    """

    def __init__(
        self, builder: Builder, cursor: Cursor, skipper: Skipper, skipped: set[str]
    ) -> None:
        self._builder = builder
        self._cursor = cursor
        self._skipper = skipper
        self._skipped = skipped
        self._told: set[str] = set()

    def line(self) -> Token | None:
        """If the item that could not be read is a line of kamailio.cfg, the line is skipped.

        Each such word is reported once: a file has many of them.
        """
        tokens = self._cursor.state.value_stack[-2:]
        head = next((one for one in tokens if isinstance(one, Token) and one in TOP_WORDS), None)
        if head is None or "item" not in self._cursor.list_table():
            return None
        start = int(head.start_pos or 0)
        if head not in self._told:
            self._told.add(str(head))
            self._report(start, head, f"`{head}` is no word of the language", TOP_WORDS[head])
        self._cursor.pop_element()
        fed = self._cursor.feed("BAD", "", start)
        self._cursor.go_to(self._skipper.end_of_line(start))
        return fed

    def expression(self, pos: int, expected: set[str]) -> Token | None:
        """One of Kamailio's transformations is a name that nobody misses."""
        found = TRANSFORMATION.match(self._cursor.text, pos)
        if found is None or "NAME" not in expected:
            return None
        text = found.group()
        self._report(pos, text, f"`{text}` is no value", about_transformation(text))
        self._skipped.add(text)
        fed = self._cursor.feed("NAME", text, pos)
        self._cursor.go_to(found.end())
        return fed

    def statement(self, pos: int, previous: Token | None) -> bool:
        """C's `for`, and an `else` of no `if`: what follows is read as statements."""
        start = self._skipper.line_start(pos)
        counting = COUNTING_FOR.match(self._cursor.text, start)
        if counting is not None and start < pos < counting.end():
            help = "write `for i in 0..9 { … }`"
            self._report(start, counting.group(), "`for` goes through a list or a range", help)
            self._skipped.update(names_in(counting.group()))
            self._drop_element(counting.end())
            return True
        if previous is not None and previous == "else" and previous.type == "NAME":
            self._report(
                int(previous.start_pos or 0), previous, "this `else` stands behind no `if`"
            )
            self._drop_element(pos)
            return True
        return False

    def report(self, pos: int, found: str, previous: Token | None, expected: set[str]) -> None:
        """Says what is wrong with what is found where only something else is expected."""
        if previous is not None:
            message, help = about_previous(previous, found)
            if message:
                self._report(int(previous.start_pos or 0), previous, message, help)
                return
            before = self._cursor.text[self._skipper.line_start(pos) : pos]
            message, help = about_mark(found, previous, before)
            if message:
                self._report(pos, found, message, help)
                return
        wanted = describe_expected(expected) or "something else"
        self._report(pos, found, f"expected {wanted}, found `{found}`", WORDS.get(found, ""))

    def _drop_element(self, pos: int) -> None:
        self._builder.broken = True
        self._cursor.pop_element()
        self._cursor.go_to(pos)

    def _report(self, pos: int, text: str, message: str, help: str = "") -> None:
        self._builder.report("syntax", self._cursor.span(pos, len(text)), message, help)
