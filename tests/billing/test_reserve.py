from __future__ import annotations

import random

import pytest

from router.billing.rate import Rate, rate_call
from router.billing.reserve import (
    FOR_EVER,
    NOT_AT_ALL,
    longest_paid_ms,
    price_of,
    reserve_seconds,
)

CASES = 20_000
MINUTE = Rate("86", 60_000_000)  # one unit a second


def test_what_an_amount_pays_for_is_charged_at_most_it_and_a_millisecond_more_is_not() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    ends = 0
    for _ in range(CASES):
        rate = Rate(
            "",
            dice.choice((0, 1, 7, 120_000, dice.randrange(10**8))),
            dice.choice((0, 5, dice.randrange(10**7))),
            dice.choice((0, 1, 6, 30, 60, dice.randrange(1, 200))),
            dice.choice((1, 6, 60, dice.randrange(1, 200))),
            dice.choice((0, 0, 1, 5, dice.randrange(100))),
        )
        terms = dice.choice((0, 1, 50, 999, 1000, 5000)), dice.randrange(7)
        amount = dice.choice((0, 1, -1, dice.randrange(10**6), dice.randrange(10**9)))
        longest = longest_paid_ms(rate, amount, *terms)
        if longest == NOT_AT_ALL:
            assert rate_call(rate, 0, *terms)[1] > amount, (rate, amount, terms)
        elif longest == FOR_EVER:
            assert rate_call(rate, 10**12, *terms)[1] <= amount, (rate, amount, terms)
        else:
            ends += 1
            assert rate_call(rate, longest, *terms)[1] <= amount, (rate, amount, terms)
            assert rate_call(rate, longest + 1, *terms)[1] > amount, (rate, amount, terms)
    assert ends > CASES // 4


@pytest.mark.parametrize(
    ("amount", "longest_ms"),
    [(-1, NOT_AT_ALL), (0, 49), (999_999, 49), (1_000_000, 1049), (5_500_000, 5049)],
)
def test_an_amount_pays_for_whole_seconds_and_for_the_remainder_that_is_dropped(
    amount: int, longest_ms: int
) -> None:
    assert longest_paid_ms(MINUTE, amount) == longest_ms


def test_cycles_are_paid_whole_or_not() -> None:
    rate = Rate("", 60_000_000, first_s=60, cycle_s=6)
    assert longest_paid_ms(rate, 59_000_000, 0) == 0
    assert longest_paid_ms(rate, 65_000_000, 0) == 60_000
    assert longest_paid_ms(rate, 66_000_000, 0) == 66_000


def test_a_connect_fee_that_cannot_be_paid_lets_no_call_begin() -> None:
    assert longest_paid_ms(Rate("", 0, connect_fee=2), 1) == NOT_AT_ALL
    assert longest_paid_ms(Rate("", 0, connect_fee=2), 2) == FOR_EVER


def test_the_reserve_is_at_least_the_first_period_behind_the_free_seconds() -> None:
    rate = Rate("", 60_000_000, first_s=30, cycle_s=6, free_s=10)
    assert reserve_seconds(rate, 0) == 40
    assert reserve_seconds(rate, 60) == 60
    assert price_of(rate, 40) == 30_000_000
    assert price_of(rate, 60) == 54_000_000
