"""Every timer of an unanswered call, shortened: what the caller gets and what the CDR says."""

from __future__ import annotations

import select
import time

import pytest
from harness.routes import Routes
from harness.switch import Switch
from harness.wire import Call, Heard, Peer

SHORT = {
    "invite_timeout": "1s",
    "trying_timeout": "1500ms",
    "progress_timeout": "1500ms",
    "media_progress_timeout": "2s",
    "ringing_timeout": "2s",
    "max_duration": "3s",
}


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    return module_switch(Routes(pairs=12, settings=SHORT))


def refused(sipp, switch: Switch, number: str, call_id: str, status: int):
    return sipp(
        "caller_is_refused",
        target=switch.port,
        number=number,
        call_id=call_id,
        changes={'response="404"': f'response="{status}"'},
    )


def test_a_silent_gateway_gives_way_to_the_second(switch: Switch, sipp, peer) -> None:
    pair = switch.routes.pair()
    silent = peer(pair.first)
    second = sipp("gateway_answers", port=pair.second)
    caller = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="silent", hold_ms=200
    )
    caller.succeeds()
    second.succeeds()
    heard = silent.listen(0.5)
    assert {message.method for message in heard} == {"INVITE"}, "no CANCEL without a response"
    assert len({message.raw for message in heard}) == 1, "resends are the same bytes"
    assert len(heard) == 2, "RFC 3261 §17.1.1.2: at 0 and 500 ms; the next would be at 1500"
    cdr = switch.cdr("silent")
    assert [a["gateway"] for a in cdr["attempts"]] == [pair.first_name, pair.second_name]
    assert cdr["attempts"][0]["reason"] == "ConnectionTimeout"
    assert 900 <= cdr["attempts"][1]["started"] - cdr["attempts"][0]["started"] < 2500
    switch.is_idle()


def test_two_silent_gateways_are_a_connection_timeout(switch: Switch, sipp, peer) -> None:
    pair = switch.routes.pair()
    peer(pair.first), peer(pair.second)
    refused(sipp, switch, pair.number, "nobody", 504).succeeds()
    cdr = switch.cdr("nobody")
    assert (cdr["end_reason"], cdr["sip_code"]) == ("ConnectionTimeout", 504)
    assert [a["reason"] for a in cdr["attempts"]] == ["ConnectionTimeout"] * 2
    switch.is_idle()


@pytest.mark.parametrize(
    ("scenario", "status", "reason", "rang"),
    [
        ("gateway_rings", 408, "ResponseTimeout", True),
        ("gateway_only_tries", 504, "ProceedingTimeout", False),
        ("gateway_only_progresses", 504, "ProceedingTimeout", None),
        ("gateway_plays_for_ever", 408, "ResponseTimeout", None),
    ],
)
def test_a_gateway_that_stops_half_way_is_cancelled_and_the_reason_names_the_phase(
    switch: Switch, sipp, scenario: str, status: int, reason: str, rang: bool | None
) -> None:
    pair = switch.routes.pair()
    gateway = sipp(scenario, port=pair.first)
    # The phase before ringing may hunt on: the second gateway does the same.
    other = sipp(scenario, port=pair.second, limit_s=8)
    caller = refused(sipp, switch, pair.number, scenario, status)
    caller.succeeds()
    gateway.succeeds()
    cdr = switch.cdr(scenario)
    assert (cdr["end_reason"], cdr["sip_code"]) == (reason, status)
    if rang is not None:
        assert (cdr["ringing"] > 0) is rang
    if rang:
        assert len(cdr["attempts"]) == 1, "after ringing the hunt stops"
    elif len(cdr["attempts"]) == 2:
        other.succeeds()
    assert cdr["answered"] == 0
    switch.is_idle()


def test_the_longest_duration_ends_an_answered_call_on_both_sides(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    # Both ends wait to be hung up on.
    gateway = sipp("gateway_answers", port=pair.first)
    caller = sipp(
        "caller_is_hung_up_on", target=switch.port, number=pair.number, call_id="too-long"
    )
    began = time.monotonic()
    caller.succeeds()
    gateway.succeeds()
    assert 2.5 < time.monotonic() - began < 7
    cdr = switch.cdr("too-long")
    assert (cdr["end_reason"], cdr["end_side"]) == ("SessionTimeout", "server")
    assert 2900 <= cdr["duration_ms"] < 4500
    switch.is_idle()


def test_a_gateway_that_is_silent_five_times_is_set_aside(switch: Switch, sipp, peer) -> None:
    pair = switch.routes.pair()
    silent = peer(pair.first)
    second = sipp("gateway_answers", port=pair.second, calls=6)
    caller = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="five",
        calls=5,
        rate=100,
        hold_ms=100,
    )
    caller.succeeds()
    switch.metric_reaches(0, "gateway_up", gateway=pair.first_name)
    silent.listen(0.3)
    sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="sixth", hold_ms=100
    ).succeeds()
    second.succeeds()
    silent.hears_nothing(0.1)
    cdr = switch.cdr("sixth")
    assert [attempt["gateway"] for attempt in cdr["attempts"]] == [pair.second_name]
    assert f"{pair.first_name}: down" in " ".join(cdr["decision"])
    switch.is_idle()


def test_a_503_with_retry_after_puts_the_gateway_aside_for_that_long(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    first, second = peer(pair.first), peer(pair.second)

    def place_call() -> None:
        caller = peer()
        call = Call(caller, switch.port, pair.number)
        call.invite()
        invite = next(m for m in _first_of(first, second) if m.method == "INVITE")
        gateway = first if f":{first.port}" in invite.uri else second
        if gateway is first:
            first.reply(invite, 503, tag="g", extra=["Retry-After: 2"])
            first.expect("ACK")
            invite = second.expect("INVITE")
        tried.append(gateway is first)
        second.reply(invite, 486, tag="g")
        second.expect("ACK")
        call.ack(caller.expect(486))

    tried: list[bool] = []
    place_call()
    place_call()
    time.sleep(2.2)
    place_call()
    assert tried == [True, False, True]
    switch.is_idle()


def _first_of(*peers: Peer) -> list[Heard]:
    """What the first peer to hear anything has heard, within four seconds."""
    ready, _, _ = select.select([each.socket for each in peers], [], [], 4)
    assert ready, "no gateway heard anything"
    return [each.next() for each in peers if each.socket in ready]
