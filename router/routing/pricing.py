"""Prices of a call: which candidates may carry it, in which order, and what it came to.

A gateway without a deck asks nothing. Pure: the moment of a price is the one the call began at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from router.billing.amounts import amount
from router.billing.rate import Rate
from router.routing.levels import RateOf
from router.routing.objects import Gateway
from router.routing.selection import ranked

_NO_PRICE = 1 << 62


def unaffordable(
    gateways: Iterable[Gateway], rate_of: RateOf, pays: Rate | None
) -> dict[str, str]:
    """The gateways that may not carry a call for its price, by key, with the reason.

    `pays` is the account's rate, None for an account without a deck: it needs no vendor's rate.
    """
    dropped: dict[str, str] = {}
    for gateway in gateways:
        deck = gateway.deck
        if deck is None:
            continue
        why = _why_not(gateway, rate_of(deck), pays)
        if why:
            dropped[gateway.key] = why
    return dropped


def _why_not(gateway: Gateway, asks: Rate | None, pays: Rate | None) -> str:
    if asks is None:
        return f"no rate in deck {gateway.deck_name}" if pays is not None else ""
    price = asks.rate_per_min
    if gateway.max_rate is not None and price > gateway.max_rate:
        return f"rate {amount(price)} is over max_rate {amount(gateway.max_rate)}"
    least = gateway.min_margin
    if least is not None and pays is not None and pays.rate_per_min - price < least:
        margin = amount(pays.rate_per_min - price)
        return f"margin {margin} is under min_margin {amount(least)}"
    return ""


def by_cost(candidates: Sequence[Gateway], rate_of: RateOf) -> list[Gateway]:
    """The candidates by what they ask for a minute, cheapest first, those without a rate last.

    Among those that ask the same the order stays, and with it what the load decides.
    """
    prices: dict[str, int] = {}
    for gateway in candidates:
        deck = gateway.deck
        if deck is None:
            prices[gateway.key] = 0
            continue
        rate = rate_of(deck)
        prices[gateway.key] = rate.rate_per_min if rate is not None else _NO_PRICE
    return ranked(candidates, prices)
