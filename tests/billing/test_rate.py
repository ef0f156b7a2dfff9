from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Decimal

import pytest

from router.billing.rate import Rate, rate_call

CASES = 20_000
MINUTE = Rate("86", 60_000_000)  # one unit a second


def oracle(rate: Rate, duration_ms: int, precision_ms: int, decimals: int) -> tuple[int, int]:
    """Counts second by second and cycle by cycle, and rounds with Decimal."""
    seconds = 0
    left = duration_ms
    while left >= 1000:
        seconds, left = seconds + 1, left - 1000
    if left > 0 and not left < precision_ms:
        seconds += 1
    seconds -= min(seconds, rate.free_s)
    billed = 0
    if seconds:
        billed = rate.first_s
        while billed < seconds:
            billed += rate.cycle_s
    per_second = Decimal(rate.rate_per_min) / 1_000_000
    exact = Decimal(rate.connect_fee) / 1_000_000 + per_second * billed / 60
    rounded = exact.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
    return billed, int(rounded * 1_000_000)


def test_the_charge_is_that_of_a_decimal_oracle() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(CASES):
        rate = Rate(
            "",
            dice.choice((0, 1, 7, 120_000, dice.randrange(10**8))),
            dice.choice((0, 5, dice.randrange(10**7))),
            dice.choice((0, 1, 6, 30, 60, dice.randrange(1, 200))),
            dice.choice((1, 6, 60, dice.randrange(1, 200))),
            dice.choice((0, 0, 1, 5, dice.randrange(100))),
        )
        duration_ms = dice.choice((0, 1, 49, 50, 1000, 60_000, dice.randrange(1_000_000)))
        given = duration_ms, dice.choice((0, 1, 50, 999, 1000)), dice.randrange(7)
        assert rate_call(rate, *given) == oracle(rate, *given), (rate, given)


@pytest.mark.parametrize(
    ("duration_ms", "billed_s"),
    [(0, 0), (1, 0), (49, 0), (50, 1), (999, 1), (1000, 1), (1049, 1), (1050, 2), (61_000, 61)],
)
def test_a_remainder_under_the_precision_is_dropped_and_others_round_up(
    duration_ms: int, billed_s: int
) -> None:
    assert rate_call(MINUTE, duration_ms)[0] == billed_s


def test_without_a_precision_every_started_second_counts() -> None:
    assert rate_call(MINUTE, 1001, hold_precision_ms=0)[0] == 2
    assert rate_call(MINUTE, 1000, hold_precision_ms=0)[0] == 1


@pytest.mark.parametrize(
    ("duration_s", "billed_s"), [(1, 60), (60, 60), (61, 66), (66, 66), (67, 72)]
)
def test_the_first_period_is_billed_at_once_and_then_whole_cycles(
    duration_s: int, billed_s: int
) -> None:
    assert rate_call(Rate("", 1, first_s=60, cycle_s=6), duration_s * 1000)[0] == billed_s


def test_free_seconds_are_never_billed() -> None:
    rate = Rate("", 60_000_000, free_s=5, first_s=6, cycle_s=6)
    assert rate_call(rate, 5_000) == (0, 0)
    assert rate_call(rate, 6_000) == (6, 6_000_000)
    assert rate_call(rate, 12_000) == (12, 12_000_000)


def test_the_connect_fee_is_due_for_every_answered_call() -> None:
    rate = Rate("", 60_000, connect_fee=30_000, free_s=10)
    assert rate_call(rate, 3_000) == (0, 30_000)


def test_half_a_unit_rounds_up() -> None:
    assert rate_call(Rate("", 30), 1_000)[1] == 1  # 0.5 millionths
    assert rate_call(Rate("", 29), 1_000)[1] == 0
    assert rate_call(Rate("", 0, connect_fee=5_000), 0, fee_decimals=2)[1] == 10_000
    assert rate_call(Rate("", 0, connect_fee=4_999), 0, fee_decimals=2)[1] == 0


def test_65_seconds_at_11_cents_a_minute_are_the_12_cents_of_the_page() -> None:
    assert rate_call(Rate("86", 110_000), 65_000, fee_decimals=2) == (65, 120_000)
