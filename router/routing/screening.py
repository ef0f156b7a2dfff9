"""Which numbers are let through: lists of prefixes that are allowed or denied.

The longest prefix that begins the number decides; of equally long ones the denial. Where none
does, a list of allowed prefixes lets nothing else through.
"""

from __future__ import annotations

from collections.abc import Iterable


class Screening:
    """Allowed and denied prefixes of one kind of number; `what` is its setting: caller, callee."""

    __slots__ = ("_lengths", "_otherwise", "_table", "what")

    def __init__(self, what: str, allow: Iterable[str], deny: Iterable[str]) -> None:
        self.what = what
        self._table = dict.fromkeys(allow, True)
        self._otherwise = not self._table
        self._table.update(dict.fromkeys(deny, False))
        self._lengths = sorted({len(prefix) for prefix in self._table}, reverse=True)

    def refusal(self, number: str) -> str:
        """Why the number is not let through, "" when it is."""
        for length in self._lengths:
            allowed = self._table.get(number[:length])
            if allowed:
                return ""
            if allowed is False:
                return f"{self.what} {number} begins with {number[:length]} of {self.what}_deny"
        if self._otherwise:
            return ""
        return f"{self.what} {number} begins with nothing of {self.what}_allow"


def screening(what: str, allow: Iterable[str], deny: Iterable[str]) -> Screening | None:
    """The screening of two lists, None when both are empty."""
    allowed, denied = list(allow), list(deny)
    return Screening(what, allowed, denied) if allowed or denied else None
