"""Prices of a call: which candidates may carry it, in which order, and what it came to.

A gateway without a deck asks nothing. Pure: the moment of a price is the one the call began at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from router.billing.rate import Rate, rate_call
from router.routing.objects import Account, Gateway
from router.routing.selection import Candidates
from router.routing.stored_decks import AnyDeck
from router.store.records import Cdr

_NO_PRICE = 1 << 62


def unaffordable(
    gateways: Iterable[Gateway], number: str, now_ms: int, pays: Rate | None
) -> dict[str, str]:
    """The gateways that may not carry a call for its price, by key, with the reason.

    `pays` is the account's rate, None for an account without a deck: it needs no vendor's rate.
    """
    found: dict[AnyDeck, Rate | None] = {}
    dropped: dict[str, str] = {}
    for gateway in gateways:
        deck = gateway.deck
        if deck is None:
            continue
        if deck in found:
            rate = found[deck]
        else:
            rate = found[deck] = deck.find(number, now_ms)
        why = _why_not(gateway, rate, pays)
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


def by_cost(candidates: Sequence[Gateway], number: str, now_ms: int) -> list[Gateway]:
    """The candidates by what they ask for a minute, cheapest first, those without a rate last.

    Among those that ask the same the order stays, and with it what the load decides.
    """
    prices: dict[str, int] = {}
    found: dict[AnyDeck, int] = {}
    for gateway in candidates:
        deck = gateway.deck
        if deck is None:
            prices[gateway.key] = 0
            continue
        if deck not in found:
            rate = deck.find(number, now_ms)
            found[deck] = rate.rate_per_min if rate is not None else _NO_PRICE
        prices[gateway.key] = found[deck]
    if not isinstance(candidates, Candidates):
        return sorted(candidates, key=lambda gateway: prices[gateway.key])
    by_key = {gateway.key: gateway for gateway in candidates}
    return Candidates(
        [
            [by_key[one.key] for one in tier if prices[one.key] == price]
            for price in sorted(set(prices.values()))
            for tier in candidates.tiers
        ],
        candidates.prefixes,
    )


def bill(cdr: Cdr, account: Account | None, gateway: Gateway | None, number: str) -> None:
    """Writes what an answered call costs its account, and us at the gateway, into its CDR.

    The account pays the rate that the CDR names since the call was admitted; `number` is the one
    that the gateway was called for, before its own rewrite.
    """
    if account is not None and account.deck is not None:
        rate = account.deck.find(cdr.rate_prefix, cdr.started)
        if rate is None or rate.prefix != cdr.rate_prefix:
            rate = Rate(cdr.rate_prefix, cdr.rate)  # another deck since: at least the price stays
        elif rate.rate_per_min != cdr.rate:
            rate = rate._replace(rate_per_min=cdr.rate)
        cdr.billed_s, cdr.charge = rate_call(
            rate, cdr.duration_ms, account.hold_precision_ms, account.fee_decimals
        )
    if gateway is not None and gateway.deck is not None:
        asks = gateway.deck.find(number, cdr.started)
        if asks is not None:
            cdr.cost = rate_call(asks, cdr.duration_ms)[1]


def amount(millionths: int) -> str:
    """An amount as people write it: 0.12."""
    return f"{(Decimal(millionths) / 1_000_000).normalize():f}"
