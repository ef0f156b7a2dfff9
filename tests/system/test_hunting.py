"""Hunting with several real workers: limits of gateways, their quality, protected ones."""

from __future__ import annotations

import time
from typing import Any

from harness.routes import POLICY, Routes

BY_QUALITY = POLICY.replace("call(gateways($rU),", "call(by_quality(gateways($rU)),")


def attempts(cdrs: list[dict[str, Any]], gateway: str) -> list[dict[str, Any]]:
    """The attempts at one gateway, oldest first."""
    found = [one for cdr in cdrs for one in cdr["attempts"] if one["gateway"] == gateway]
    return sorted(found, key=lambda one: one["started"])


def most_at_once(found: list[dict[str, Any]]) -> int:
    """The most attempts that were open at one instant."""
    changes = [(one["started"], 1) for one in found] + [(one["ended"], -1) for one in found]
    open_now = most = 0
    for _, change in sorted(changes):  # of one instant the ends come first
        open_now += change
        most = max(most, open_now)
    return most


def test_four_workers_pass_neither_lines_nor_cps_of_a_gateway(run_switch, sipp) -> None:
    routes = Routes(pairs=1, first={"lines": "6", "cps": "12"})
    pair = routes.pair()
    switch = run_switch(routes, workers=4)
    first = sipp("gateway_answers", port=pair.first, calls=500, limit_s=12, messages=False)
    second = sipp("gateway_answers", port=pair.second, calls=500, limit_s=12, messages=False)
    caller = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="race", calls=150,
        rate=50, hold_ms=300, messages=False,
    )
    caller.succeeds()
    assert first is not second
    cdrs = switch.cdrs("race", 150)
    assert {cdr["end_reason"] for cdr in cdrs} == {"Normal"}
    assert len({cdr["worker"] for cdr in cdrs}) == 4
    taken = attempts(cdrs, pair.first_name)
    assert len(taken) > 12 and attempts(cdrs, pair.second_name)
    assert most_at_once(taken) <= 6
    starts = [one["started"] for one in taken]
    for early, late in zip(starts, starts[12:], strict=False):
        assert late - early >= 940, "more than 12 in a second"
    switch.is_idle()


def test_what_one_worker_learns_of_a_gateways_quality_all_know(run_switch, sipp) -> None:
    routes = Routes(pairs=1, policy=BY_QUALITY)
    pair = routes.pair()
    switch = run_switch(routes, workers=4)
    sipp("gateway_refuses", port=pair.first, calls=200, limit_s=15, messages=False)
    sipp("gateway_answers", port=pair.second, calls=200, limit_s=15, messages=False)

    def calls(name: str, count: int) -> list[dict[str, Any]]:
        caller = sipp(
            "caller_hangs_up", target=switch.port, number=pair.number, call_id=name, calls=count,
            rate=20, hold_ms=100, messages=False,
        )
        caller.succeeds()
        return switch.cdrs(name, count)

    learning = calls("learning", 8)
    assert attempts(learning, pair.first_name), "it is preferred, and nothing is known of it"


    time.sleep(2.5)
    knowing = calls("knowing", 24)
    assert len({cdr["worker"] for cdr in knowing}) == 4
    assert attempts(knowing, pair.first_name) == []
    switch.is_idle()


def test_a_protected_gateway_is_tried_last(run_switch, sipp) -> None:
    routes = Routes(pairs=1, first={"protect": "true"})
    pair = routes.pair()
    switch = run_switch(routes, workers=1)
    sipp("gateway_refuses", port=pair.second, limit_s=10)
    sipp("gateway_answers", port=pair.first, limit_s=10)
    caller = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="kept", hold_ms=100
    )
    caller.succeeds()
    tried = [one["gateway"] for one in switch.cdr("kept")["attempts"]]
    assert tried == [pair.second_name, pair.first_name]
