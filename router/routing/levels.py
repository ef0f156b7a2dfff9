"""The levels of an account: itself and the agents above it, each with a deck and credit of its own.

What one level refuses the call is refused, and the decision names the level. What each pays stands
on the CDR from admission on, with the terms of its rate (`Charge`), so that a call is billed by the
price it began with wherever it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from router.billing.amounts import amount
from router.billing.charges import AGENT, RETAIL, VENDOR, rate_of, terms
from router.billing.rate import Rate
from router.billing.reserve import FOR_EVER, longest_paid_ms, price_of, reserve_seconds
from router.core.credit import Payer
from router.core.end_reasons import EndReason
from router.routing.objects import Account, Gateway
from router.routing.stored_decks import AnyDeck
from router.store.money import Money
from router.store.ops import Credit, Tiers
from router.store.records import Cdr, Charge

MAX_CREDITS = 1_024
"""for how many rates an account remembers what a call needs"""
RateOf = Callable[[AnyDeck], Rate | None]
"""The rate that a deck has for the number that is called, looked up once."""


class Refusal(NamedTuple):
    """Why a level lets the call not through."""

    reason: EndReason
    why: str


class Priced(NamedTuple):
    """What a call costs its account and those above it; `rate` is the account's own, if any.

    What the credits ask for pays for the first `paid_s` seconds, 0: for ever.
    """

    rate: Rate | None
    charges: list[Charge]
    credits: tuple[Credit, ...]
    paid_s: int = 0


def barred(account: Account, now_ms: int) -> Refusal | None:
    """Whether the account or one above it is locked or over."""
    for level in account.chain:
        if level.locked:
            return Refusal(EndReason.AccountLocked, f"{_title(level, account)} is locked")
        if level.expires is not None and level.expired(now_ms):
            why = f"{_title(level, account)} was valid until {level.expires}"
            return Refusal(EndReason.AccountExpired, why)
    return None


def price_levels(
    account: Account, number: str, rate_in: RateOf, inside: bool = False
) -> Priced | Refusal:
    """What each level pays for a call to a number, and the credit that it needs for that.

    `inside`: a phone of ours is called, which costs nothing where a deck has no rate for it.
    """
    own: Rate | None = None
    charges: list[Charge] = []
    credits: list[Credit] = []
    paid_s = 0
    for level in account.chain:
        deck = level.deck
        rate = None
        if deck is not None:
            rate = rate_in(deck)
            if rate is None and inside:
                continue
            if rate is None:
                whose = f" of {_title(level, account)}" if level is not account else ""
                why = f"no rate for {number} in deck {level.deck_name}{whose}"
                return Refusal(EndReason.RateNotFound, why)
            if level is account:
                own = rate
            charges.append(_charge(level, rate, RETAIL if level is account else AGENT))
            if level.opening is not None and not _free(rate):
                credits.append(credit_for(level, rate))
                if rate.rate_per_min > 0:
                    seconds = reserve_seconds(rate, level.reserve_s)
                    paid_s = min(paid_s or seconds, seconds)
        if level.permit:
            judged = rate if rate is not None else own
            if judged is not None and judged.kind not in level.permit:
                return Refusal(EndReason.CallNotPermitted, _why_not_permitted(level, judged))
    return Priced(own, charges, tuple(credits), paid_s)


def credit_for(account: Account, rate: Rate) -> Credit:
    """What an account has to be able to give for a call at a rate to begin."""
    known = account.credits
    credit = known.get(rate)
    if credit is None:
        if len(known) >= MAX_CREDITS:
            known.clear()
        need = price_of(rate, reserve_seconds(rate, account.reserve_s), account.fee_decimals)
        credit = known[rate] = Credit(account.name, need, account.floor)
    return credit


def with_clearing(tiers: Tiers, gateways: Mapping[str, Gateway], rate_in: RateOf) -> Tiers:
    """The tiers, where each gateway asks its clearing account for the vendor's price."""
    return tuple(
        tuple(
            candidate if credit is None else msgspec.structs.replace(candidate, credits=(credit,))
            for candidate in tier
            for credit in (_clearing_credit(gateways[candidate.key], rate_in),)
        )
        for tier in tiers
    )


def with_more(
    tiers: Tiers, credits: Iterable[Credit], reserved: Iterable[tuple[str, int]]
) -> Tiers:
    """The tiers for a call that goes on to a dearer number: each asks for what is not reserved."""
    held = dict(reserved)
    more = tuple(
        Credit(credit.account, credit.need - held.get(credit.account, 0), credit.floor)
        for credit in credits
        if credit.need > held.get(credit.account, 0)
    )
    if not more:
        return tiers
    return tuple(
        tuple(
            msgspec.structs.replace(candidate, credits=(*candidate.credits, *more))
            for candidate in tier
        )
        for tier in tiers
    )


def _clearing_credit(gateway: Gateway, rate_in: RateOf) -> Credit | None:
    account, deck = gateway.clearing, gateway.deck
    if account is None or account.opening is None or deck is None:
        return None
    rate = rate_in(deck)
    return credit_for(account, rate) if rate is not None and not _free(rate) else None


def note_vendor(cdr: Cdr, gateway: Gateway, rate: Rate) -> None:
    """Writes to the CDR what the vendor of an answered call asks, whoever pays it."""
    account = gateway.clearing
    if account is not None:
        cdr.charges.append(_charge(account, rate, VENDOR))
    else:
        cdr.cost_terms = [terms("", VENDOR, rate)]


def payers(cdr: Cdr, accounts: Mapping[str, Account]) -> list[Payer]:
    """Whose credit limits an answered call, by the terms on its CDR."""
    found: list[Payer] = []
    for charge in cdr.charges:
        account = accounts.get(charge.account)
        if account is None or account.opening is None:
            continue
        if charge.rate > 0 or charge.connect_fee > 0:
            found.append(Tariff(charge, account))
    return found


class Tariff:
    """What one account pays for one call, by its duration."""

    __slots__ = ("_charge", "_rate", "account", "floor", "step_ms")

    def __init__(self, charge: Charge, account: Account) -> None:
        self._charge = charge
        self._rate = rate_of(charge)
        self.account = account.name
        self.floor = account.floor
        self.step_ms = account.reserve_s * 1000

    def charge(self, duration_ms: int) -> int:
        """The charge of a call of whole seconds."""
        return price_of(self._rate, -(-duration_ms // 1000), self._charge.fee_decimals)

    def longest_ms(self, amount: int) -> int | None:
        """How long an amount pays for, in whole seconds; None: for ever."""
        charge = self._charge
        paid = longest_paid_ms(self._rate, amount, charge.hold_precision_ms, charge.fee_decimals)
        return None if paid == FOR_EVER else max(paid - paid % 1000, 0)


def short_of_credit(name: str, money: Money, floor: int, need: int) -> str:
    """What a call's decision says of an account that could not give what the call needs."""
    below = f", overdraft {amount(-floor)}" if floor else ""
    asks = f"{amount(need)} needed" if need else "used up"
    have = f"balance {amount(money.balance)}{below}, reserved {amount(money.reserved)}"
    return f"credit:{name}: {asks}, {have}"


def _charge(account: Account, rate: Rate, kind: str) -> Charge:
    return terms(account.name, kind, rate, account.hold_precision_ms, account.fee_decimals)


def _free(rate: Rate) -> bool:
    return rate.rate_per_min <= 0 and rate.connect_fee <= 0


def _title(level: Account, account: Account) -> str:
    return f"account {level}" if level is account else f"agent {level} of account {account}"


def _why_not_permitted(level: Account, rate: Rate) -> str:
    kind = f"is {rate.kind}" if rate.kind else "has no kind"
    allowed = ", ".join(sorted(level.permit))
    return f"rate {rate.prefix or '*'} {kind}, account {level} permits {allowed}"
