"""Which numbers are let through: prefixes and lists of numbers that are allowed or denied.

The longest prefix that begins the number decides; of equally long ones the denial. A whole number
in a list is longer than any prefix. Where nothing decides, something that is allowed lets nothing
else through. Every level is asked by itself: the server, the account, the trunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from router.routing.number_lists import KEY, NumberList


class Screening(Protocol):
    """What may have something against a number."""

    def refusal(self, number: str) -> str:
        """Why the number is not let through, "" when it is."""


class Level:
    """Allowed and denied numbers of one kind; `what` is its setting: caller, callee.

    `lists` are the lists by the name of their setting's end and their own; `where` says whose they
    are where that is not the trunk or gateway at hand.
    """

    __slots__ = ("_lengths", "_lists", "_otherwise", "_table", "_where", "what")

    def __init__(
        self, what: str, allow: Iterable[str], deny: Iterable[str],
        allowed: Mapping[str, NumberList], denied: Mapping[str, NumberList], where: str = "",
    ) -> None:
        self.what = what
        self._where = where
        self._table = dict.fromkeys(allow, True)
        self._otherwise = not self._table and not allowed
        self._table.update(dict.fromkeys(deny, False))
        self._lengths = sorted({len(prefix) for prefix in self._table}, reverse=True)
        # Denials first: of equally long entries they decide.
        self._lists = tuple(
            [(False, name, one) for name, one in denied.items()]
            + [(True, name, one) for name, one in allowed.items()]
        )

    def refusal(self, number: str) -> str:
        """Why the number is not let through, "" when it is."""
        decided, length = self._by_prefix(number)
        told = f"begins with {number[:length]} of {self.what}_deny" if length >= 0 else ""
        for allows, name, numbers in self._lists:
            longer, entry = numbers.find(number)
            if longer > length or (longer == length >= 0 and decided and not allows):
                decided, length = allows, longer
                told = f"is {entry} of list {name}" if longer > len(number) else (
                    f"begins with {entry} of list {name}"
                )
        if decided:
            return ""
        if length < 0:
            told = f"begins with nothing of {self.what}_allow"
        return f"{self.what} {number} {told}{self._where}"

    def _by_prefix(self, number: str) -> tuple[bool, int]:
        for length in self._lengths:
            allowed = self._table.get(number[:length])
            if allowed is not None:
                return allowed, min(length, len(number))
        return self._otherwise, -1


class Levels:
    """Several levels, each of which has to let a number through."""

    __slots__ = ("_levels",)

    def __init__(self, levels: tuple[Screening, ...]) -> None:
        self._levels = levels

    def refusal(self, number: str) -> str:
        """Why the first level that has something against the number refuses it, "" for none."""
        for level in self._levels:
            if why := level.refusal(number):
                return why
        return ""


def screening(
    what: str, settings: Mapping[str, Any], tables: Mapping[str, Any], where: str = ""
) -> Screening | None:
    """The screening that settings ask for, None where they ask for none.

    `tables` holds the lists by `KEY` and their names.
    """
    allow, deny = settings.get(f"{what}_allow", ()), settings.get(f"{what}_deny", ())
    if not allow and not deny:
        return None
    return Level(
        what, [one for one in allow if not is_list(one)], [one for one in deny if not is_list(one)],
        {one: tables[KEY + one] for one in allow if is_list(one)},
        {one: tables[KEY + one] for one in deny if is_list(one)}, where,
    )


def is_list(value: str) -> bool:
    """Whether a value among prefixes is the name of a list."""
    return value[:1].isalpha() or value[:1] == "_"


def together(*levels: Screening | None) -> Screening | None:
    """All levels that there are, as one."""
    there = tuple(level for level in levels if level is not None)
    return there[0] if len(there) == 1 else Levels(there) if there else None
