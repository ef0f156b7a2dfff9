"""Decks whose rates were loaded by command: a name in routes.cfg, the rates in the state folder.

A configuration is made before there is a state folder: it is bound to one in the process that
runs it. Every look-up asks for the version that counts now, so a load is felt at once.
"""

from __future__ import annotations

from typing import Protocol

from router.billing.deck import Deck
from router.billing.rate import KINDS, Rate
from router.store.rates import RateRow

# What is stored is the place in this list: it only ever grows at its end.
_KINDS = ("", *KINDS)
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
MAX_MADE = 4_096
"""how many rates are kept as objects"""


class StoredRates(Protocol):
    """The part of the store of rates that decks ask."""

    def longest(self, deck: str, number: str, now_ms: int) -> tuple[str, RateRow] | None:
        """The longest prefix of a number with a rate valid at a moment, and that rate."""


class RatesView:
    """The store of rates of one process; None: nothing was loaded, as far as can be seen here."""

    __slots__ = ("store",)

    def __init__(self) -> None:
        self.store: StoredRates | None = None


class StoredDeck:
    """A deck of routes.cfg without a file; asked as `billing.deck.Deck` is."""

    __slots__ = ("_made", "_view", "name")

    def __init__(self, name: str, view: RatesView) -> None:
        self.name = name
        self._view = view
        self._made: dict[tuple[str, RateRow], Rate] = {}

    def find(self, number: str, now_ms: int) -> Rate | None:
        """The rate of the longest prefix of a number that has one valid at a moment."""
        store = self._view.store
        found = store.longest(self.name, number, now_ms) if store is not None else None
        if found is None:
            return None
        made = self._made
        rate = made.get(found)
        if rate is None:
            if len(made) >= MAX_MADE:
                made.clear()
            rate = made[found] = rate_of(*found)
        return rate


AnyDeck = Deck | StoredDeck


def rate_of(prefix: str, row: RateRow) -> Rate:
    """A stored rate as billing knows it."""
    return Rate(
        prefix, row.rate_per_min, row.connect_fee, row.first_s, row.cycle_s, row.free_s,
        _KINDS[row.kind], row.name, True, row.valid_from, row.valid_to,
    )


def row_of(rate: Rate) -> RateRow:
    """A rate as it is stored; its prefix is the key."""
    return RateRow(
        rate.rate_per_min, rate.connect_fee, rate.first_s, rate.cycle_s, rate.free_s,
        _NUMBERS[rate.kind], rate.name, rate.valid_from, rate.valid_to,
    )
