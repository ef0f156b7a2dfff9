"""How long an amount pays for a call, and what a call has to set aside: `rate_call` backwards.

Pure arithmetic on integers, as the rate itself: amounts are millionths, durations milliseconds.
"""

from __future__ import annotations

from router.billing.rate import DEFAULT_HOLD_PRECISION_MS, MAX_DECIMALS, Rate, rate_call

FOR_EVER = -1
"""An amount that pays for any duration: the rate asks nothing for the time."""
NOT_AT_ALL = -2
"""An amount that does not even pay for the connection."""


def longest_paid_ms(
    rate: Rate,
    amount: int,
    hold_precision_ms: int = DEFAULT_HOLD_PRECISION_MS,
    fee_decimals: int = MAX_DECIMALS,
) -> int:
    """The longest duration whose charge is no more than an amount; FOR_EVER or NOT_AT_ALL.

    One millisecond more is charged more than the amount.
    """
    step: int = 10 ** (MAX_DECIMALS - fee_decimals)
    # A charge is at most `amount` while what is rounded stays below half a step above it.
    room = (60 * (amount // step) + 30) * step - 1 - 60 * rate.connect_fee
    if amount < 0 or room < 0:
        return NOT_AT_ALL
    per_min = rate.rate_per_min
    if per_min <= 0:
        return FOR_EVER
    billed_s = room // per_min
    seconds = rate.free_s
    if billed_s >= rate.first_s:
        seconds += billed_s - (billed_s - rate.first_s) % rate.cycle_s
    return seconds * 1000 + min(max(hold_precision_ms - 1, 0), 999)




def reserve_seconds(rate: Rate, reserve_s: int) -> int:
    """What a call sets aside credit for at first: the reserve, or its first period if longer.

    The first period begins behind the free seconds.
    """
    return max(rate.free_s + rate.first_s, reserve_s)


def price_of(rate: Rate, seconds: int, fee_decimals: int = MAX_DECIMALS) -> int:
    """What a call of so many whole seconds is charged, in millionths."""
    return rate_call(rate, seconds * 1000, DEFAULT_HOLD_PRECISION_MS, fee_decimals)[1]
