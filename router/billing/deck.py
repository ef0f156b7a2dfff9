"""A deck: rates by prefix, of which the longest that matches a number counts.

Filled once from a rates file; calls never see it change. It is kept in columns, since a deck may
have a million prefixes and every worker has it: a rate becomes an object only when it is found.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from router.billing.rate import Rate

_Terms = tuple[int, int, int, str, str]
_NEVER = 0
MAX_MADE = 4_096
"""how many rates are kept as objects"""


class Deck:
    """The enabled rates of a rates file; those that are disabled match nothing and are left out."""

    __slots__ = (
        "_bounded", "_fees", "_from", "_lengths", "_made", "_others", "_rates", "_rows", "_seen",
        "_terms", "_terms_of", "_to",
    )

    def __init__(self, rates: Iterable[Rate] = ()) -> None:
        self._rows: dict[str, int] = {}
        self._others: dict[str, list[int]] = {}  # prefixes whose price changes at some moment
        self._rates = array("q")
        self._fees = array("q")
        self._from = array("q")
        self._to = array("q")
        self._terms_of = array("I")
        self._terms: list[_Terms] = []
        self._seen: dict[_Terms, int] = {}
        self._lengths: tuple[int, ...] = ()
        self._made: dict[int, Rate] = {}  # what calls ask for again and again
        self._bounded = False  # whether any rate has a beginning or an end
        for rate in rates:
            self.add(rate)

    def add(self, rate: Rate) -> bool:
        """Add a rate; False, and nothing is added, if its prefix has one for the same time."""
        if not rate.enabled:
            return True
        row = len(self._rates)
        prefix = rate.prefix
        first = self._rows.setdefault(prefix, row)
        if first != row:
            others = self._others.setdefault(prefix, [])
            if any(self._overlap(one, rate) for one in (first, *others)):
                return False
            others.append(row)
        if len(prefix) not in self._lengths:
            self._lengths = tuple(sorted((*self._lengths, len(prefix)), reverse=True))
        self._bounded = self._bounded or bool(rate.valid_from or rate.valid_to)
        self._rates.append(rate.rate_per_min)
        self._fees.append(rate.connect_fee)
        self._from.append(rate.valid_from)
        self._to.append(rate.valid_to)
        terms = (rate.first_s, rate.cycle_s, rate.free_s, rate.kind, rate.name)
        number = self._seen.setdefault(terms, len(self._terms))
        if number == len(self._terms):
            self._terms.append(terms)
        self._terms_of.append(number)
        return True

    def find(self, number: str, now_ms: int) -> Rate | None:
        """The rate of the longest prefix of a number that has one valid at a moment."""
        rows = self._rows
        longest = len(number)
        for length in self._lengths:
            if length > longest:
                continue
            row = rows.get(number[:length])
            if row is None:
                continue
            if self._bounded and not self._holds(row, now_ms):
                for other in self._others.get(number[:length], ()):
                    if self._holds(other, now_ms):
                        row = other
                        break
                else:
                    continue
            rate = self._made.get(row)
            return rate if rate is not None else self._make(number[:length], row)
        return None

    def prefixes(self) -> Iterator[str]:
        """Every prefix, once, in the order of the file."""
        return iter(self._rows)

    def highest(self, prefix: str) -> int:
        """The highest rate that a prefix of the deck has at any time, in millionths a minute."""
        return max(self._rates[row] for row in self._rows_of(prefix))

    def lowest_for(self, number: str) -> int | None:
        """The lowest rate at any time of the longest prefix of a number; None: it has no rate."""
        for length in self._lengths:
            if length <= len(number) and number[:length] in self._rows:
                return min(self._rates[row] for row in self._rows_of(number[:length]))
        return None

    def prices_part_of(self, prefix: str) -> bool:
        """Whether some number with this prefix has a rate at some time."""
        return self.lowest_for(prefix) is not None or any(
            one.startswith(prefix) for one in self._rows
        )

    def _rows_of(self, prefix: str) -> list[int]:
        return [self._rows[prefix], *self._others.get(prefix, ())]

    def rates(self) -> Iterator[Rate]:
        """Every rate, by prefix in the order of the file."""
        for prefix, row in self._rows.items():
            yield self._rate(prefix, row)
            for other in self._others.get(prefix, ()):
                yield self._rate(prefix, other)

    def __len__(self) -> int:
        return len(self._rates)

    def _overlap(self, row: int, rate: Rate) -> bool:
        until = self._to[row]
        return (until == _NEVER or rate.valid_from < until) and (
            rate.valid_to == _NEVER or self._from[row] < rate.valid_to
        )

    def _holds(self, row: int, now_ms: int) -> bool:
        until = self._to[row]
        return self._from[row] <= now_ms and (until == _NEVER or now_ms < until)

    def _make(self, prefix: str, row: int) -> Rate:
        made = self._made
        if len(made) >= MAX_MADE:
            made.clear()
        rate = made[row] = self._rate(prefix, row)
        return rate

    def _rate(self, prefix: str, row: int) -> Rate:
        first_s, cycle_s, free_s, kind, name = self._terms[self._terms_of[row]]
        return Rate(
            prefix, self._rates[row], self._fees[row], first_s, cycle_s, free_s, kind, name, True,
            self._from[row], self._to[row],
        )
