"""Whole calls through a real router, SIPp at both ends, and what the CDR says of each."""

from __future__ import annotations

import pytest
from harness.routes import Routes
from harness.switch import Switch


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    return module_switch(Routes(pairs=20), workers=2)


def test_a_call_is_answered_and_the_caller_hangs_up(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, hold_ms=300)
    caller = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="basic", hold_ms=1200
    )
    caller.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("basic")
    assert cdr["end_reason"] == "Normal"
    assert cdr["end_side"] == "caller"
    assert cdr["sip_code"] == 200
    assert cdr["q850"] == 16
    assert cdr["gateway"] == pair.first_name
    assert cdr["account"] == "acme"
    assert cdr["trunk"] == "office"
    assert cdr["source"].startswith("127.0.0.1")
    assert cdr["caller_in"] == "1000"
    assert cdr["callee_in"] == cdr["callee_out"] == pair.number
    assert cdr["attempt"] == 1
    assert [attempt["gateway"] for attempt in cdr["attempts"]] == [pair.first_name]
    assert cdr["started"] <= cdr["ringing"] < cdr["answered"] < cdr["ended"]
    assert 250 <= cdr["answered"] - cdr["ringing"] < 1000, "rang for 300 ms"
    assert 1150 <= cdr["duration_ms"] < 2200, "talked for 1.2 s"
    assert cdr["duration_ms"] == cdr["ended"] - cdr["answered"]
    assert 0 <= cdr["pdd_ms"] < 1000
    assert cdr["b_call_id"] and cdr["b_call_id"] != cdr["call_id"]
    assert len(cdr["config"]) >= 8, "the hash of the routes.cfg that decided"
    switch.is_idle()


def test_the_callee_hangs_up(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_hangs_up", port=pair.first, hold_ms=400)
    caller = sipp(
        "caller_is_hung_up_on", target=switch.port, number=pair.number, call_id="callee-bye"
    )
    caller.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("callee-bye")
    assert (cdr["end_reason"], cdr["end_side"]) == ("Normal", "callee")
    assert 350 <= cdr["duration_ms"] < 1400
    switch.is_idle()


def test_the_caller_gives_up_while_it_rings(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_rings", port=pair.first)
    caller = sipp(
        "caller_cancels", target=switch.port, number=pair.number, call_id="cancel", hold_ms=300
    )
    caller.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("cancel")
    assert (cdr["end_reason"], cdr["end_side"]) == ("Cancelled", "caller")
    assert cdr["sip_code"] == 487
    assert cdr["ringing"] > 0
    assert cdr["answered"] == 0
    assert cdr["duration_ms"] == 0
    switch.is_idle()


def test_the_caller_gives_up_before_it_rings(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_only_tries", port=pair.first)
    caller = sipp(
        "caller_cancels_early", target=switch.port, number=pair.number, call_id="early", hold_ms=300
    )
    caller.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("early")
    assert (cdr["end_reason"], cdr["ringing"], cdr["pdd_ms"]) == ("Cancelled", 0, -1)
    switch.is_idle()


def test_a_busy_callee_ends_the_hunt(switch: Switch, sipp, peer) -> None:
    pair = switch.routes.pair()
    second = peer(pair.second)
    gateway = sipp(
        "gateway_refuses",
        port=pair.first,
        changes={"503 Service Unavailable": "486 Busy Here"},
    )
    caller = sipp(
        "caller_is_refused",
        target=switch.port,
        number=pair.number,
        call_id="busy",
        changes={'response="404"': 'response="486"'},
    )
    caller.succeeds()
    gateway.succeeds()
    second.hears_nothing(0.3)
    cdr = switch.cdr("busy")
    assert (cdr["end_reason"], cdr["sip_code"], cdr["q850"]) == ("UserBusy", 486, 17)
    assert [attempt["sip_code"] for attempt in cdr["attempts"]] == [486]
    switch.is_idle()


def test_after_503_the_second_gateway_is_tried(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    first = sipp("gateway_refuses", port=pair.first)
    second = sipp("gateway_answers", port=pair.second)
    caller = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="failover", hold_ms=300
    )
    caller.succeeds()
    first.succeeds()
    second.succeeds()
    cdr = switch.cdr("failover")
    assert (cdr["end_reason"], cdr["gateway"], cdr["attempt"]) == ("Normal", pair.second_name, 2)
    attempts = [(attempt["gateway"], attempt["sip_code"]) for attempt in cdr["attempts"]]
    assert attempts == [(pair.first_name, 503), (pair.second_name, 200)]
    assert cdr["attempts"][0]["b_call_id"] != cdr["attempts"][1]["b_call_id"]
    switch.is_idle()


def test_both_gateways_refuse_and_the_caller_gets_503(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateways = [sipp("gateway_refuses", port=port) for port in (pair.first, pair.second)]
    caller = sipp(
        "caller_is_refused",
        target=switch.port,
        number=pair.number,
        call_id="both-503",
        changes={'response="404"': 'response="503"'},
    )
    for run in (caller, *gateways):
        run.succeeds()
    cdr = switch.cdr("both-503")
    assert cdr["end_reason"] == "NoAvailableRouter"
    assert len(cdr["attempts"]) == 2
    switch.is_idle()


def test_a_closed_port_is_a_transport_error_and_the_second_gateway_is_tried_at_once(
    switch: Switch, sipp
) -> None:
    pair = switch.routes.pair()  # nobody opens the first gateway's port: ICMP says so
    second = sipp("gateway_answers", port=pair.second)
    caller = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="closed", limit_s=15
    )
    caller.succeeds()
    second.succeeds()
    cdr = switch.cdr("closed")
    assert [attempt["gateway"] for attempt in cdr["attempts"]] == [
        pair.first_name,
        pair.second_name,
    ]
    waited = cdr["attempts"][1]["started"] - cdr["attempts"][0]["started"]
    assert waited < 3000, f"RFC 3261 §8.1.3.1: an ICMP error is a 503 at once; waited {waited} ms"
    switch.is_idle()


def test_a_refusal_after_ringing_ends_the_hunt(switch: Switch, sipp, peer) -> None:
    pair = switch.routes.pair()
    second = peer(pair.second)
    gateway = sipp("gateway_rings_then_refuses", port=pair.first, hold_ms=200)
    caller = sipp(
        "caller_is_refused",
        target=switch.port,
        number=pair.number,
        call_id="rang-503",
        changes={'response="404"': 'response="503"'},
    )
    caller.succeeds()
    gateway.succeeds()
    second.hears_nothing(0.3)
    cdr = switch.cdr("rang-503")
    assert len(cdr["attempts"]) == 1
    assert cdr["ringing"] > 0
    switch.is_idle()


def test_a_code_without_a_reason_of_its_own_passes_through(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp(
        "gateway_refuses",
        port=pair.first,
        changes={"503 Service Unavailable": "603 Decline"},
    )
    caller = sipp(
        "caller_is_refused",
        target=switch.port,
        number=pair.number,
        call_id="decline",
        changes={'response="404"': 'response="603"'},
    )
    caller.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("decline")
    assert (cdr["end_reason"], cdr["sip_code"]) == ("GatewayRejected(603)", 603)
    switch.is_idle()


def test_early_media_passes_with_its_sdp(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_plays_early_media", port=pair.first, hold_ms=300)
    caller = sipp(
        "caller_hears_early_media",
        target=switch.port,
        number=pair.number,
        call_id="media",
        hold_ms=300,
    )
    caller.succeeds()
    gateway.succeeds()
    assert switch.cdr("media")["end_reason"] == "Normal"
    switch.is_idle()


def test_the_caller_puts_the_call_on_hold(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_is_held", port=pair.first)
    caller = sipp(
        "caller_holds", target=switch.port, number=pair.number, call_id="hold", hold_ms=200
    )
    caller.succeeds()
    gateway.succeeds()
    assert switch.cdr("hold")["end_reason"] == "Normal"
    switch.is_idle()


def test_the_callee_puts_the_call_on_hold(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_holds", port=pair.first, hold_ms=200)
    caller = sipp(
        "caller_is_held", target=switch.port, number=pair.number, call_id="held", hold_ms=200
    )
    caller.succeeds()
    gateway.succeeds()
    assert switch.cdr("held")["end_reason"] == "Normal"
    switch.is_idle()


def test_options_info_and_update_inside_a_call_reach_the_other_side(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers_requests", port=pair.first)
    caller = sipp(
        "caller_sends_requests", target=switch.port, number=pair.number, call_id="in-dialog"
    )
    caller.succeeds()
    gateway.succeeds()
    assert switch.cdr("in-dialog")["end_reason"] == "Normal"
    switch.is_idle()


def test_a_hundred_calls_at_once_have_a_hundred_cdrs(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, calls=100)
    caller = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="hundred",
        calls=100,
        rate=100,
        hold_ms=500,
    )
    caller.succeeds()
    gateway.succeeds()
    cdrs = switch.cdrs("hundred", 100)
    assert len({cdr["call_id"] for cdr in cdrs}) == 100
    assert {cdr["end_reason"] for cdr in cdrs} == {"Normal"}
    assert {cdr["worker"] for cdr in cdrs} == {0, 1}, "both workers took calls"
    switch.is_idle()
