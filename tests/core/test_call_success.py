"""Calls that are answered, from INVITE to CDR."""

from __future__ import annotations

from virtual_world import World

from router.core.agent import Behaviour


def test_a_call_is_fourteen_messages(world: World) -> None:
    call = world.place()
    world.run(20_000)
    assert world.ladder() == [
        "caller>us INVITE",
        "us>caller 100 INVITE",
        "us>g1 INVITE",
        "g1>us 100 INVITE",
        "g1>us 180 INVITE",
        "g1>us 200 INVITE",
        "us>caller 180 INVITE",
        "us>g1 ACK",
        "us>caller 200 INVITE",
        "caller>us ACK",
        "caller>us BYE",
        "us>caller 200 BYE",
        "us>g1 BYE",
        "g1>us 200 BYE",
    ]
    assert (call.status, call.progress, call.ended_by) == (200, [100, 180], "us")


def test_the_cdr_of_an_answered_call_has_its_times_and_its_gateway(world: World) -> None:
    world.behaviours["g1"] = Behaviour(ring_after_ms=700, answer_after_ms=3_000)
    world.place("8613800", hang_up_after_ms=60_000)
    world.run(100_000)
    cdr = world.cdr
    assert (cdr.caller_in, cdr.callee_in, cdr.gateway) == ("100", "8613800", "g1")
    assert (cdr.end_reason, cdr.end_side, cdr.sip_code, cdr.q850) == ("Normal", "caller", 200, 16)
    assert cdr.started < cdr.ringing < cdr.answered < cdr.ended
    assert 700 <= cdr.pdd_ms < 750
    assert 60_000 <= cdr.duration_ms < 60_050
    assert cdr.duration_ms == cdr.ended - cdr.answered
    assert cdr.attempt == 1
    (attempt,) = cdr.attempts
    assert (attempt.gateway, attempt.sip_code, attempt.reason) == ("g1", 200, "Normal")
    assert attempt.b_call_id == cdr.b_call_id
    assert cdr.decision == ["g1: taken"]


def test_the_callee_can_hang_up(world: World) -> None:
    world.behaviours["g1"] = Behaviour(hang_up_after_ms=2_000)
    call = world.place(hang_up_after_ms=None)
    world.run(10_000)
    assert call.ended_by == "peer"
    assert (world.cdr.end_reason, world.cdr.end_side) == ("Normal", "callee")
    assert "us>caller BYE" in world.ladder()
