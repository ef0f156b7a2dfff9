"""Billing against the oracle, some thousands of cases; `make fuzz` does a million."""

from __future__ import annotations

import random

from oracle import Terms, charge, check

from router.billing.rate import Rate

CASES = 5_000


def test_billing_comes_to_what_the_oracle_says() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(CASES):
        check(dice)


def test_the_oracle_knows_the_examples_of_the_specification() -> None:
    minute = Terms(Rate("86", 120_000, first_s=60, cycle_s=60), 50, 6)
    assert charge(minute, 61_000) == (120, 240_000)
    assert charge(minute, 60_049) == (60, 120_000)
    fee = Terms(Rate("86", 240_000, connect_fee=10_000, first_s=1, cycle_s=1), 50, 3)
    assert charge(fee, 7_000) == (7, 38_000)
    half = Terms(Rate("86", 300_000), 50, 2)
    assert charge(half, 1_000) == (1, 10_000)  # 0.005 goes up
