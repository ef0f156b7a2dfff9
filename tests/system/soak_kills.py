"""60 s of calls and kills for each of 20 seeds: `make soak`."""

from __future__ import annotations

import random

import pytest
from harness.havoc import Havoc, routes

SEEDS = 20
SECONDS = 60
RATE = 10
FIRST = random.randrange(2**32 - SEEDS)


@pytest.mark.parametrize("number", range(SEEDS))
def test_whoever_dies_each_call_has_one_cdr_and_the_right_bill(
    number: int, run_switch, sipp, peer
) -> None:
    switch = run_switch(routes(), workers=2, start=False)
    havoc = Havoc(switch, FIRST + number, SECONDS, RATE)
    havoc.run(sipp, peer)
    print(f"kills {dict(havoc.kills)}")
