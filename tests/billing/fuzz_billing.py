"""A million random calls against the oracle: `make fuzz`. The suite does not collect this file.

FUZZ_SEED repeats a run that failed, FUZZ_CASES does more or fewer.
"""

from __future__ import annotations

import os
import random

from oracle import check

CASES = int(os.environ.get("FUZZ_CASES", "1000000"))
SEED = int(os.environ.get("FUZZ_SEED", random.randrange(2**32)))
TELL_EVERY = 100_000


def test_billing_comes_to_what_the_oracle_says() -> None:
    print(f"\n{CASES} cases, FUZZ_SEED={SEED}", flush=True)
    dice = random.Random(SEED)
    for number in range(1, CASES + 1):
        try:
            check(dice)
        except AssertionError:
            print(f"case {number} of FUZZ_SEED={SEED} failed", flush=True)
            raise
        if number % TELL_EVERY == 0:
            print(f"{number} cases are right", flush=True)
