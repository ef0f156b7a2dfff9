"""Decks without a file: what they find is what the store has now."""

from __future__ import annotations

from router.billing.rate import KINDS, Rate
from router.routing.stored_decks import RatesView, StoredDeck, rate_of, row_of
from router.store.rates import RateRow

RATE = Rate("8613", 120_000, 10_000, 60, 6, 3, "national", "China", True, 5, 50)


class Prices:
    """A store of one price that can change."""

    def __init__(self, price: int) -> None:
        self.price = price

    def longest(self, deck: str, number: str, now_ms: int) -> tuple[str, RateRow] | None:
        return ("86", RateRow(self.price)) if number.startswith("86") else None


def test_a_rate_comes_back_from_the_store_as_it_went() -> None:
    assert rate_of("8613", row_of(RATE)) == RATE
    for kind in ("", *KINDS):
        rate = RATE._replace(kind=kind)
        assert rate_of("8613", row_of(rate)) == rate


def test_a_deck_that_sees_no_store_has_no_rate() -> None:
    assert StoredDeck("retail", RatesView()).find("8613", 1) is None


def test_a_new_version_is_felt_at_the_next_look() -> None:
    view = RatesView()
    view.store = prices = Prices(5)
    deck = StoredDeck("retail", view)
    assert deck.find("8613", 1) == Rate("86", 5)
    assert deck.find("8613", 1) is deck.find("8614", 1)
    prices.price = 6
    assert deck.find("8613", 1) == Rate("86", 6)
    assert deck.find("44", 1) is None
