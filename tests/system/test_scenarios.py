"""The SIPp scenarios themselves: each caller against the gateway it is meant for, nothing between.

A failure here is a fault of a scenario; what fails only elsewhere is a fault of the router.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.sipp import Sipp

PAIRS = [
    ("caller_hangs_up", "gateway_answers"),
    ("caller_is_hung_up_on", "gateway_hangs_up"),
    ("caller_cancels", "gateway_rings"),
    ("caller_cancels_early", "gateway_only_tries"),
    ("caller_is_refused", "gateway_refuses"),
    ("caller_is_refused", "gateway_rings_then_refuses"),
    ("caller_hears_early_media", "gateway_plays_early_media"),
    ("caller_holds", "gateway_is_held"),
    ("caller_is_held", "gateway_holds"),
    ("caller_sends_requests", "gateway_answers_requests"),
]
CHANGES = {"caller_is_refused": {'response="404"': 'response="503"'}}


@pytest.mark.parametrize(("caller", "gateway"), PAIRS, ids=lambda name: name)
def test_caller_and_gateway_agree_without_a_router_between_them(
    caller: str, gateway: str, tmp_path: Path
) -> None:
    answering = Sipp(gateway, tmp_path, hold_ms=100, limit_s=10)
    try:
        calling = Sipp(
            caller,
            tmp_path,
            target=answering.port,
            changes=CHANGES.get(caller),
            hold_ms=100,
            limit_s=10,
        )
        calling.succeeds()
        answering.succeeds()
    finally:
        answering.stop()
