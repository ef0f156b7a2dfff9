"""CANCEL and its races (RFC 3261 §9), and the early BYE (§15)."""

from __future__ import annotations

import pytest
from virtual_world import World

from router.core.agent import SDP, Behaviour

SILENT = Behaviour(silent=True)
RINGS_FOR_EVER = Behaviour(answer_after_ms=None)


def assert_cancelled(world: World) -> None:
    cdr = world.cdr
    assert (cdr.end_reason, cdr.end_side, cdr.sip_code) == ("Cancelled", "caller", 487)
    assert cdr.answered == 0


def test_the_caller_gives_up_while_it_rings(world: World) -> None:
    world.behaviours["g1"] = RINGS_FOR_EVER
    call = world.place()
    call.cancel_after(3_000)
    world.run(5_000)
    assert call.status == 487
    assert_cancelled(world)
    assert sorted(world.ladder()[-8:]) == sorted([
        "caller>us CANCEL",
        "us>caller 200 CANCEL",
        "us>caller 487 INVITE",
        "us>g1 CANCEL",
        "caller>us ACK",
        "g1>us 200 CANCEL",
        "g1>us 487 INVITE",
        "us>g1 ACK",
    ])


def test_the_caller_gives_up_after_trying_and_before_ringing(world: World) -> None:
    world.behaviours["g1"] = Behaviour(ring_after_ms=None, answer_after_ms=None)
    call = world.place()
    call.cancel_after(1_000)
    world.run(3_000)
    assert call.status == 487
    assert_cancelled(world)
    assert len(world.on_wire("us>g1 CANCEL")) == 1


def test_the_cancel_carries_the_invites_via_and_number(world: World) -> None:
    gateway = world.phone("g1")
    phone = world.phone()
    line = phone.call(cseq=77)
    world.run()
    invite = gateway.one("INVITE")
    gateway.reply(invite, 180)
    world.run()
    line.send("CANCEL")
    world.run()
    cancel = gateway.one("CANCEL")
    assert cancel.uri == invite.uri
    assert cancel.vias == invite.vias
    assert cancel.cseq == invite.cseq
    for key in ("from", "to", "call-id"):
        assert cancel.get(key) == invite.get(key)
    assert cancel.body == b""
    gateway.reply(cancel, 200)
    gateway.reply(invite, 487)
    world.run()
    assert gateway.one("ACK").get("to").endswith("tag=b-tag")


def test_a_cancel_waits_for_the_gateways_first_provisional(world: World) -> None:
    gateway = world.phone("g1")
    call = world.place()
    call.cancel_after(100)
    world.run(2_000)
    assert call.status == 487
    assert gateway.got("CANCEL") == []
    gateway.reply(gateway.last("INVITE"), 180)
    world.run()
    gateway.reply(gateway.one("CANCEL"), 200)
    gateway.reply(gateway.last("INVITE"), 487)
    world.run()
    assert len(gateway.got("ACK")) == 1
    assert_cancelled(world)


def test_a_gateway_that_never_answers_is_never_cancelled(world: World) -> None:
    world.behaviours["g1"] = SILENT
    call = world.place()
    call.cancel_after(100)
    world.run(60_000)
    assert call.status == 487
    assert world.on_wire("us>g1 CANCEL") == []
    assert_cancelled(world)


def test_a_200_that_crosses_the_cancel_is_acknowledged_and_ended(world: World) -> None:
    gateway = world.phone("g1")
    call = world.place()
    world.run()
    invite = gateway.one("INVITE")
    gateway.reply(invite, 180)
    world.run()
    call.cancel_after(0)
    world.run()
    gateway.reply(invite, 200, body=SDP)
    gateway.reply(gateway.one("CANCEL"), 481)
    world.run()
    ack, bye = gateway.one("ACK"), gateway.one("BYE")
    assert ack.cseq == invite.cseq
    assert bye.cseq == invite.cseq + 1
    gateway.reply(bye, 200)
    world.run()
    assert call.status == 487
    assert_cancelled(world)


def test_the_late_200_of_a_cancelled_call_is_acknowledged_each_time(world: World) -> None:
    gateway = world.phone("g1")
    call = world.place()
    world.run()
    invite = gateway.one("INVITE")
    gateway.reply(invite, 180)
    call.cancel_after(0)
    world.run()
    for _ in range(3):
        gateway.reply(invite, 200, body=SDP)
        world.run(500)
    assert len(gateway.got("ACK")) == 3
    assert len({ack.top_via.branch for ack in gateway.got("ACK")}) == 1
    gateway.reply(gateway.got("BYE")[0], 200)


def test_a_200_without_any_provisional_before_it_is_ended_too(world: World) -> None:
    gateway = world.phone("g1")
    call = world.place()
    call.cancel_after(50)
    world.run(100)
    assert gateway.got("CANCEL") == []
    gateway.reply(gateway.one("INVITE"), 200, body=SDP)
    world.run()
    assert gateway.got("CANCEL") == []
    gateway.one("ACK")
    gateway.reply(gateway.one("BYE"), 200)
    assert_cancelled(world)


def test_a_gateway_that_ignores_the_cancel_is_forgotten_in_time(world: World) -> None:
    gateway = world.phone("g1")
    call = world.place()
    world.run()
    gateway.reply(gateway.one("INVITE"), 180)
    call.cancel_after(0)
    world.run(40_000)
    assert world.engine.layer.clients == {}
    assert world.engine.legs == {}
    assert_cancelled(world)


def test_a_cancel_after_the_answer_changes_nothing(world: World) -> None:
    phone = world.phone()
    line = phone.call()
    world.run(30)
    ok = phone.one(200)
    line.send("CANCEL")
    world.run()
    assert [m.cseq_method for m in phone.got(200)] == ["INVITE", "CANCEL"]
    line.learn(ok)
    line.send("ACK")
    world.run(1_000)
    assert len(world.engine.calls) == 1
    line.send("BYE")
    world.run()
    assert world.cdr.end_reason == "Normal"


def test_a_cancel_between_two_gateways_ends_the_hunt(world: World) -> None:
    """CANCEL, and the failure that would lead to the next gateway, in one turn."""
    gateway = world.phone("g1")
    phone = world.phone()
    line = phone.call()
    world.run()
    gateway.reply(gateway.one("INVITE"), 503)
    line.send("CANCEL")
    world.run()
    assert [attempt.gateway for attempt in world.cdr.attempts] == ["g1"]
    assert_cancelled(world)
    line.ack_failure(phone.one(487))


def test_a_cancel_in_the_turn_of_the_invite_takes_no_line(world: World) -> None:
    phone = world.phone()
    line = phone.call()
    line.send("CANCEL")
    world.run(100)
    assert "us>g1 INVITE" not in world.ladder()
    assert_cancelled(world)
    line.ack_failure(phone.one(487))


def test_a_cancel_for_nothing_gets_481(world: World) -> None:
    phone = world.phone()
    line = phone.call()
    world.run(30)
    line.send("CANCEL", branch="z9hG4bK-other")
    world.run()
    assert phone.one(481).cseq_method == "CANCEL"
    line.learn(phone.one(200))
    line.send("ACK")
    line.send("BYE")


def test_a_cancel_that_comes_twice_is_answered_twice_and_done_once(world: World) -> None:
    world.behaviours["g1"] = RINGS_FOR_EVER
    phone = world.phone()
    line = phone.call()
    world.run(30)
    line.send("CANCEL")
    line.send("CANCEL")
    world.run(30)
    assert len([m for m in phone.got(200) if m.cseq_method == "CANCEL"]) == 2
    assert len(phone.got(487)) == 1
    line.ack_failure(phone.one(487))
    assert_cancelled(world)


@pytest.mark.parametrize("silent", [False, True])
def test_a_call_that_is_left_by_a_timeout_is_cancelled_like_by_the_caller(
    world: World, silent: bool
) -> None:
    gateway = world.phone("g1")
    call = world.place()
    world.run()
    if not silent:
        gateway.reply(gateway.one("INVITE"), 100)
    world.run(20_020)
    for cancel in gateway.got("CANCEL"):
        gateway.reply(cancel, 200)
    world.run(5_000)
    assert call.status == 200  # by g2
    assert len(gateway.got("CANCEL")) == (0 if silent else 1)
    gateway.reply(gateway.last("INVITE"), 200, body=SDP)  # too late
    world.run()
    assert len(gateway.got("ACK")) == 1
    gateway.reply(gateway.one("BYE"), 200)
    world.run(10)
    assert world.cdr.gateway == "g2"


def test_a_bye_in_the_early_dialog_ends_the_invite_with_487(world: World) -> None:
    gateway = world.phone("g1")
    phone = world.phone()
    line = phone.call()
    world.run()
    gateway.reply(gateway.one("INVITE"), 180)
    world.run()
    line.learn(phone.one(180))
    line.send("BYE")
    world.run()
    assert phone.one(200).cseq_method == "BYE"
    assert phone.one(487).cseq_method == "INVITE"
    assert_cancelled(world)
    gateway.reply(gateway.one("CANCEL"), 200)
    gateway.reply(gateway.one("INVITE"), 487)
    line.ack_failure(phone.one(487))


def test_a_bye_of_the_gateway_in_the_early_dialog_ends_nothing(world: World) -> None:
    gateway = world.phone("g1")
    call = world.place()
    world.run()
    invite = gateway.one("INVITE")
    gateway.reply(invite, 180)
    world.run()
    gateway.line_of(invite).send("BYE")
    world.run()
    assert gateway.one(200).cseq_method == "BYE"
    gateway.reply(invite, 486)
    world.run()
    assert call.status == 486
