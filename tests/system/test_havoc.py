"""kill -9 of every process in turn while calls run; the long version is soak_kills."""

from __future__ import annotations

import random

from harness.havoc import Havoc, routes

SECONDS = 10
RATE = 10


def test_whoever_dies_each_call_has_one_cdr_and_the_right_bill(run_switch, sipp, peer) -> None:
    switch = run_switch(routes(), workers=2, start=False)
    havoc = Havoc(switch, random.randrange(2**32), SECONDS, RATE)
    havoc.run(sipp, peer)
    assert havoc.kills
