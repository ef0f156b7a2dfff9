"""Credit: what accounts can still give, reserve and pay. Pure, so that every backend counts alike.

An account's live money is a pair of millionths: its balance (the ledger's, and everything of it
that still waits in the outbox) and what calls in progress have reserved of it. The functions change
both in place in a mapping that knows every account; its lists begin with balance, reserved. Whoever
calls them does so inside the transaction that stores the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from router.store.ops import Credit
from router.store.records import Charge

Moneys = Mapping[str, list[int]]
Reserved = list[tuple[str, int]]


class Money(NamedTuple):
    """An account's balance and what calls in progress have reserved of it, millionths."""

    balance: int
    reserved: int


def short_of(moneys: Moneys, credits: Sequence[Credit]) -> str:
    """The first account that cannot give what is asked of it, "" when all can."""
    asked: dict[str, int] = {}
    for credit in credits:
        account = credit.account
        money = moneys[account]
        # An account asked twice, of two levels, must have it all.
        need = asked[account] = asked.get(account, 0) + credit.need
        if money[0] - money[1] - need < credit.floor:
            return account
    return ""


def reserve(moneys: Moneys, credits: Sequence[Credit]) -> Reserved:
    """Reserves what is asked, whether or not it is there; what was reserved, by account."""
    for credit in credits:
        moneys[credit.account][1] += credit.need
    return [(credit.account, credit.need) for credit in credits]


def release(moneys: Moneys, reserved: Iterable[tuple[str, int]]) -> None:
    """Gives back what a call had reserved."""
    for account, amount in reserved:
        moneys[account][1] -= amount


def charge(
    moneys: Moneys, charges: Iterable[Charge], watched: Iterable[tuple[str, int]] = ()
) -> tuple[str, ...]:
    """Takes what a call has cost; the accounts whose balance fell below what is watched for."""
    before = [(account, low) for account, low in watched if moneys[account][0] >= low]
    for one in charges:
        moneys[one.account][0] -= one.amount
    return tuple(account for account, low in before if moneys[account][0] < low)


def free(moneys: Moneys, credits: Iterable[Credit]) -> dict[str, int]:
    """What each of the accounts could still give, never below 0."""
    found: dict[str, int] = {}
    for credit in credits:
        balance, reserved, *_ = moneys[credit.account]
        left = max(balance - reserved - credit.floor, 0)
        found[credit.account] = min(left, found.get(credit.account, left))
    return found


def joined(reserved: Reserved, more: Reserved) -> Reserved:
    """Both, with one entry for each account: a long call renews often."""
    sums = dict(reserved)
    if len(sums) < len(reserved):
        sums = {}
        for account, amount in reserved:
            sums[account] = sums.get(account, 0) + amount
    for account, amount in more:
        sums[account] = sums.get(account, 0) + amount
    return list(sums.items())
