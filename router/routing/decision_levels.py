"""What a decided call asks of each level of its account: by which rate, how much, and is it there.

For people and machines that ask before a call is made (`decision_run`); calls need none of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from router.billing.amounts import amount
from router.billing.charges import AGENT, RETAIL
from router.billing.rate import Rate
from router.billing.reserve import reserve_seconds
from router.core.call import Call
from router.routing.context import Context
from router.routing.levels import credit_for
from router.routing.objects import Account
from router.store.money import Money

NO_MONEY = Money(0, 0)


class LevelFate(msgspec.Struct):
    """One level: the account that calls (retail), or an agent above it.

    `rate` is what it pays for a minute, "" without a deck or a rate in it. `need` is what has to be
    there for `need_s` seconds; `balance`, `overdraft` and `reserved` are what it has. All of these
    are "" where nothing limits its credit. `why` says what is wrong with the level, "" if nothing.
    """

    account: str
    kind: str
    rate: str = ""
    connect_fee: str = ""
    prefix: str = ""
    deck: str = ""
    need: str = ""
    need_s: int = 0
    balance: str = ""
    overdraft: str = ""
    reserved: str = ""
    why: str = ""


def fates_of_levels(
    context: Context | None, call: Call | None, monies: Mapping[str, Money], now_ms: int
) -> list[LevelFate]:
    """Each level of the account that was found, the account itself first."""
    if context is None or call is None or not context.account.name:
        return []
    account = context.account
    fates = []
    for level in account.chain:
        rate = level.deck.find(call.callee, now_ms) if level.deck is not None else None
        money = monies.get(level.name, NO_MONEY)
        fate = LevelFate(level.name, RETAIL if level is account else AGENT, deck=level.deck_name)
        if rate is not None:
            fate.rate, fate.connect_fee = amount(rate.rate_per_min), amount(rate.connect_fee)
            fate.prefix = rate.prefix
        if level.opening is not None:
            fate.balance, fate.reserved = amount(money.balance), amount(money.reserved)
            fate.overdraft = amount(-level.floor)
        fate.why = _why_not(level, rate, money, fate, now_ms)
        fates.append(fate)
    return fates


def _why_not(
    level: Account, rate: Rate | None, money: Money, fate: LevelFate, now_ms: int
) -> str:
    """What stands against a call; on the way what it needs is written down."""
    why = ""
    if rate is not None and level.opening is not None:
        credit = credit_for(level, rate)
        fate.need, fate.need_s = amount(credit.need), reserve_seconds(rate, level.reserve_s)
        left = money.balance - money.reserved - level.floor
        if credit.need > left and (rate.rate_per_min or rate.connect_fee):
            why = f"it can give {amount(left)}"
    if level.locked:
        return "it is locked"
    if level.expired(now_ms):
        return f"it was valid until {level.expires}"
    if level.deck is not None and rate is None:
        return f"deck {level.deck_name} has no rate for the number"
    if level.permit and rate is not None and rate.kind not in level.permit:
        return f"the rate is {rate.kind or 'of no kind'}, and it permits " + ", ".join(
            sorted(level.permit)
        )
    return why
