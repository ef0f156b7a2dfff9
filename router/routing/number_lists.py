"""Lists of numbers in files: blacklists and whitelists, of a million numbers and more.

A file has one number a line, as it is dialled; what follows a comma or a semicolon is a note. A
number that ends in `*` stands for all that begin so. Empty lines and lines that begin with `#` are
passed over, and so is a first line whose first word is `number`.

Numbers are kept sorted, eight bytes each: workers that are forked share them, and nothing is
changed by a look-up.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any

from dsl.program import Block
from dsl.surface import Remark, TableFault, TableSide

KEY = "list "
"""how the keys of lists begin among the tables of a program"""
MAX_TOLD = 100
"""how many wrong lines are told one by one"""
MAX_DIGITS = 17
EVERY = 256
BOM = b"\xef\xbb\xbf"
MAX_LENGTH = 32

_is_number = re.compile(r"\+?[0-9*#]+").fullmatch
# Digits as an integer: a digit in front keeps zeros, and says whether there was a "+".
_PLAIN, _PLUS = "1", "2"


class Numbers:
    """A set of numbers: almost all of them as sorted integers."""

    __slots__ = ("_marks", "_packed", "_rest", "lengths")

    def __init__(self, numbers: Iterable[str]) -> None:
        rest: set[str] = set()
        packed = array("Q")
        lengths: set[int] = set()
        for number in numbers:
            lengths.add(len(number))
            code = _code(number)
            if code:
                packed.append(code)
            else:
                rest.add(number)
        self._packed = array("Q", sorted(packed))
        self._marks = self._packed[::EVERY].tolist()  # few enough to be found in the cache
        self._rest = frozenset(rest)
        self.lengths = tuple(sorted(lengths, reverse=True))

    def __contains__(self, number: str) -> bool:
        code = _code(number)
        if not code:
            return number in self._rest
        packed = self._packed
        end = bisect_right(self._marks, code) * EVERY
        if not end:
            return False
        at = bisect_left(packed, code, end - EVERY, min(end, len(packed)))
        return at < len(packed) and packed[at] == code

    def __len__(self) -> int:
        return len(self._packed) + len(self._rest)


class NumberList:
    """The numbers and prefixes of a file."""

    __slots__ = ("numbers", "prefixes")

    def __init__(self, entries: Iterable[str]) -> None:
        prefixes: list[str] = []
        self.numbers = Numbers(_without_prefixes(entries, prefixes))
        self.prefixes = Numbers(prefixes)

    def find(self, number: str) -> tuple[int, str]:
        """How much of a number the longest entry says, and that entry; (-1, "") without one.

        A whole number says more than any prefix.
        """
        if number in self.numbers:
            return len(number) + 1, number
        for length in self.prefixes.lengths:
            if length <= len(number) and number[:length] in self.prefixes:
                return length, f"{number[:length]}*"
        return -1, ""

    def __len__(self) -> int:
        return len(self.numbers) + len(self.prefixes)


def _without_prefixes(entries: Iterable[str], prefixes: list[str]) -> Iterator[str]:
    for entry in entries:
        if entry[-1] == "*":
            prefixes.append(entry[:-1])
        else:
            yield entry


def _code(number: str) -> int:
    """The number as an integer, 0 where it is none of digits, or too long."""
    if len(number) <= MAX_DIGITS and number.isascii():
        if number.isdigit():
            return int(_PLAIN + number)
        if number[:1] == "+" and number[1:].isdigit():
            return int(_PLUS + number[1:])
    return 0


def read_list(raw: bytes) -> tuple[NumberList | None, Sequence[TableFault]]:
    """The list of a file, or None and what is wrong with its lines."""
    faults: list[TableFault] = []
    numbers = NumberList(_entries(BytesIO(raw.removeprefix(BOM)), faults))
    return (None if faults else numbers), faults


def _entries(lines: Iterable[bytes], faults: list[TableFault]) -> Iterator[str]:
    """The entries of the lines; what is wrong with them goes to `faults`."""
    wrong = at = 0
    for at, line in enumerate(lines, 1):
        entry = line.partition(b",")[0].partition(b";")[0].strip().strip(b'"')
        if entry.isdigit() and len(entry) <= MAX_LENGTH:
            yield entry.decode()
            continue
        word = entry.decode("utf-8", "replace")
        if _is_number(word) and len(word) <= MAX_LENGTH and word.strip("#") not in ("", "*"):
            yield word
        elif line.strip() and line[:1] != b"#" and (at > 1 or word != "number"):
            wrong += 1
            if wrong <= MAX_TOLD:
                message = f"`{word[:MAX_LENGTH]}` is no number of up to {MAX_LENGTH} digits"
                faults.append(TableFault(at, "bad-list", message))
    if wrong > MAX_TOLD:
        message = f"{wrong - MAX_TOLD} more lines are no numbers"
        faults.append(TableFault(at, "bad-list", message))


def _compare(blocks: Sequence[Block], tables: Mapping[str, Any]) -> Iterable[Remark]:
    """What lists and blocks say together: nothing that could be wrong."""
    return ()


LISTS = TableSide("list", "file", read_list, _compare, KEY)
