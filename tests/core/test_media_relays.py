"""Relays that fail, forget, are silent or lie; takeover; in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from relayed_talk import HELD, MOVED, OTHER, PLACE, RAW, Talk, media_entries, with_relays
from stand_in_relay import StandIn, port_in
from virtual_world import World, gateway

from router.core.agent import SDP, Behaviour
from router.core.media.session import Wish
from router.core.parameters import CallTimers


@pytest.fixture
def relay(world: World) -> StandIn:
    """The world's relay; calls to g1 go through it."""
    return with_relays(world, PLACE)[0]


# -- relays that fail -----------------------------------------------------------------------------


def test_without_a_relay_the_next_gateway_is_tried(world: World, relay: StandIn) -> None:
    relay.silent = True
    world.errors_expected = True
    world.place()
    world.run(1_100)
    assert b"m=audio %d " % RAW in world.on_wire("us>g2 INVITE")[0]
    world.run(8_000)
    relay.silent = False
    world.run(3_000)
    assert world.cdr.gateway == "g2"
    assert media_entries(world) == ["media: no relay answers"]
    assert [one.reason for one in world.cdr.attempts] == ["NoAvailableRouter", "Normal"]
    assert world.on_wire("us>g1 INVITE") == []
    logged = [line[1] for line in world.engine.logs if "relay" in line[1]]
    assert logged == ["media relay does not answer", "media relay answers again"]
    assert world.engine.tally.relays["10.0.9.1:2223", "missed"] >= 1


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        ("Parallel sessions limit reached", 503, "NoAvailableRouter"),
        ("Failed to parse SDP", 488, "CodecMismatch"),
        ("Incomplete SDP specification", 488, "CodecMismatch"),
    ],
)
def test_without_a_relay_and_another_gateway_the_call_ends(
    make_world: Callable[..., World], error: str, status: int, reason: str
) -> None:
    world = make_world([gateway("g1", 1)])
    world.errors_expected = True
    (relay,) = with_relays(world, PLACE)
    relay.error = error
    call = world.place()
    world.run(1_000)
    assert call.status == status
    assert world.cdr.end_reason == reason
    assert media_entries(world) == [f"media: 10.0.9.1:2223: {error}"]
    assert world.engine.health is not None and not world.store.gateway_states()


def test_the_next_relay_is_asked_and_the_first_one_left_alone_until_it_answers(
    world: World,
) -> None:
    world.errors_expected = True
    relays = with_relays(world, PLACE, OTHER)
    calls = [world.place(hang_up_after_ms=1_000) for _ in range(20)]
    world.run(5_000)
    assert all("offer" in one.asked for one in relays), "each has its share"
    dead, living = relays
    dead.silent = True
    calls = [world.place(hang_up_after_ms=1_000) for _ in range(20)]
    world.run(10_000)
    assert all(call.status == 200 for call in calls)
    before = len(dead.commands)
    calls = [world.place(hang_up_after_ms=1_000) for _ in range(20)]
    world.run(5_000)
    assert len(dead.commands) == before, "nobody waits for it any more"
    dead.silent = False
    world.run(3_000)
    assert dead.asked[-1] == "ping"
    calls = [world.place(hang_up_after_ms=1_000) for _ in range(20)]
    world.run(5_000)
    assert "offer" in dead.asked[before:]
    assert living.sessions == {}
    assert {cdr.end_reason for cdr in world.cdrs} == {"Normal"}


def test_a_relay_at_its_limit_sends_calls_to_the_next(world: World) -> None:
    relays = with_relays(world, PLACE, OTHER)
    full = relays[0]
    answers = StandIn._answer

    def at_limit(command: dict[bytes, Any]) -> dict[str, Any]:
        if command[b"command"] == b"offer":
            return {"result": "load limit", "message": "too many calls"}
        return answers(full, command)

    full._answer = at_limit  # type: ignore[method-assign]
    calls = [world.place(hang_up_after_ms=1_000) for _ in range(10)]
    world.run(5_000)
    assert all(call.status == 200 for call in calls)
    assert full.commands and full.sessions == {}
    assert world.errors() == []


def test_a_relay_that_dies_before_the_answer_costs_the_attempt(
    world: World, relay: StandIn
) -> None:
    world.errors_expected = True
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call()
    world.run()
    relay.silent = True
    callee.reply(callee.one("INVITE"), 200, body=SDP)
    world.run(1_200)
    callee.one("ACK")
    callee.reply(callee.one("BYE"), 200)
    world.run(100)
    assert caller.one(200).body, "another gateway took the call"
    a.learn(caller.one(200))
    a.send("ACK")
    world.run()
    a.send("BYE")
    relay.silent = False
    world.run(3_000)
    assert world.cdr.gateway == "g2"
    assert media_entries(world)[-1] == "media: no relay answers"


def test_a_new_offer_without_a_relay_is_refused_and_the_call_goes_on(
    world: World, relay: StandIn
) -> None:
    talk = Talk(world)
    relay.error = "no"
    talk.a.send("INVITE", talk.caller.contact + "Content-Type: application/sdp\r\n", MOVED)
    world.run()
    talk.a.ack_failure(talk.caller.one(500))
    world.run()
    assert talk.callee.inbox == []
    relay.error = ""
    talk.hang_up()
    assert world.cdr.end_reason == "Normal"


def test_an_answer_that_cannot_be_written_ends_the_call(world: World, relay: StandIn) -> None:
    talk = Talk(world)
    talk.a.send("INVITE", talk.caller.contact + "Content-Type: application/sdp\r\n", MOVED)
    world.run()
    relay.error = "no"
    talk.callee.reply(talk.callee.one("INVITE"), 200, body=SDP)
    world.run()
    assert world.cdr.end_reason == "ServerFailure"
    for phone in (talk.caller, talk.callee):
        phone.reply(phone.one("BYE"), 200, tag="")
    talk.a.ack_failure(talk.caller.one(487))
    world.run()


# -- silence --------------------------------------------------------------------------------------


def test_a_call_without_packets_ends(world: World, relay: StandIn) -> None:
    talk = Talk(world)
    for _ in range(20):
        relay.packets += 100
        world.run(10_000)
    world.run(55_000)
    assert world.cdrs == []
    world.run(20_000)
    assert (world.cdr.end_reason, world.cdr.end_side, world.cdr.q850) == (
        "MediaTimeout", "server", 102,
    )
    assert "ended: no media from either side for 60 s" in world.cdr.decision
    for phone in (talk.caller, talk.callee):
        phone.reply(phone.last("BYE"), 200, tag="")
    world.run()
    assert relay.sessions == {}


def test_silence_on_hold_is_no_fault(world: World, relay: StandIn) -> None:
    talk = Talk(world)
    for body, wait_ms in ((HELD, 600_000), (SDP, 0)):
        talk.caller.inbox.clear()
        talk.callee.inbox.clear()
        talk.a.send("INVITE", talk.caller.contact + "Content-Type: application/sdp\r\n", body)
        world.run()
        answer = body.replace(b"sendonly", b"recvonly")
        talk.callee.reply(talk.callee.one("INVITE"), 200, body=answer)
        world.run()
        talk.a.send("ACK")
        world.run(wait_ms)
    assert world.cdrs == []
    world.run(80_000)
    assert world.cdr.end_reason == "MediaTimeout"


def test_silence_on_hold_is_no_fault_to_a_successor_either(world: World, relay: StandIn) -> None:
    talk = Talk(world)
    talk.a.send("INVITE", talk.caller.contact + "Content-Type: application/sdp\r\n", HELD)
    world.run()
    talk.callee.reply(
        talk.callee.one("INVITE"), 200, body=HELD.replace(b"sendonly", b"recvonly")
    )
    world.run()
    talk.a.send("ACK")
    world.run()
    world.crash()
    world.run(600_000)
    assert world.cdrs == []
    talk.callee.inbox.clear()
    talk.hang_up()


def test_a_relay_that_forgot_the_call_ends_it_and_a_silent_one_does_not(
    world: World, relay: StandIn
) -> None:
    world.errors_expected = True
    Talk(world)
    relay.silent = True
    world.run(600_000)
    assert world.cdrs == []
    relay.silent = False
    relay.sessions.clear()
    world.run(12_000)
    assert world.cdr.end_reason == "MediaTimeout"
    assert any("Unknown call-id" in entry for entry in world.cdr.decision)


def test_without_a_timeout_nobody_is_asked(world: World) -> None:
    (relay,) = with_relays(world, PLACE, wish=Wish((), 0))
    talk = Talk(world)
    world.run(600_000)
    talk.hang_up()
    assert [one[b"command"] for one in relay.commands] == [b"offer", b"answer", b"delete"]


# -- takeover and refreshes -----------------------------------------------------------------------


def test_a_successor_goes_on_with_the_session(world: World, relay: StandIn) -> None:
    talk = Talk(world)
    world.routes.relays = ()  # as after a reload that took the relay away
    world.crash()
    talk.a.send("INVITE", talk.caller.contact + "Content-Type: application/sdp\r\n", MOVED)
    world.run()
    assert port_in(talk.callee.one("INVITE")) == port_in(talk.invite)
    talk.callee.reply(talk.callee.one("INVITE"), 200, body=SDP)
    world.run()
    assert port_in(talk.caller.one(200)) == port_in(talk.ok)
    talk.a.send("ACK")
    world.run()
    relay.packets = 10
    world.run(15_000)
    talk.hang_up()
    assert relay.sessions == {}
    assert world.cdr.end_reason == "Normal"


def test_a_worker_that_dies_while_the_offer_waits_leaves_nothing(
    world: World, relay: StandIn
) -> None:
    relay.late = True
    caller = world.phone()
    a = caller.call()
    world.run(50)
    world.crash()
    world.run()
    a.ack_failure(caller.one(500))
    relay.release(world)
    assert world.cdr.end_reason == "ServerFailure"
    assert world.phone("g1").got("INVITE") == []


def test_a_refresh_of_ours_says_what_the_relay_wrote_and_moves_nothing(
    world: World, relay: StandIn
) -> None:
    world.routes.timers = CallTimers(session_ms=200_000)
    talk = Talk(world, reply="Session-Expires: 200;refresher=uac\r\nRequire: timer\r\n")
    relay.packets = 1
    for _ in range(3):
        relay.packets += 1
        world.run(40_000)
        for refresh in talk.callee.got("INVITE"):
            assert refresh.body == talk.invite.body
            talk.callee.reply(
                refresh, 200, "Session-Expires: 200;refresher=uac\r\nRequire: timer\r\n", body=SDP
            )
        world.run()
        talk.callee.inbox.clear()
    assert talk.caller.got("INVITE") == [], "its media have not moved"
    assert relay.asked == ["offer", "answer", "offer"]
    told = [one for one in relay.commands if one[b"command"] == b"offer"][-1]
    assert (told[b"from-tag"], told[b"sdp"]) == (b"callee", SDP)
    talk.hang_up()


# -- all at once ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_calls_through_relays_that_lose_datagrams_all_end(
    make_world: Callable[..., World], seed: int
) -> None:
    world = make_world(seed=seed)
    world.errors_expected = True
    chance = random.Random(seed)
    relays = with_relays(world, PLACE, OTHER)
    world.routes.media = dict.fromkeys(("gateway:g1", "gateway:g2"), Wish((), 30_000))
    for relay in relays:
        relay.loses = lambda: chance.random() < 0.4
    kinds = [
        Behaviour(), Behaviour(status=503), Behaviour(early_media=True, answer_after_ms=300),
        Behaviour(answer_after_ms=None), Behaviour(early_media=True, status=486),
        Behaviour(hang_up_after_ms=500),
    ]
    for _ in range(60):
        for name in ("g1", "g2", "g3"):
            world.behaviours[name] = chance.choice(kinds)
        call = world.place(hang_up_after_ms=chance.choice([1_000, 20_000]))
        if chance.random() < 0.4:
            call.cancel_after(chance.choice([1, 100, 250, 800, 2_000]))
        if chance.random() < 0.1:
            relays[0].silent = not relays[0].silent
        world.run(chance.choice([10, 300, 2_000]))
    for relay in relays:
        relay.silent = False
        relay.loses = lambda: False
    world.run(300_000)
    assert len(world.cdrs) == 60


@pytest.mark.parametrize("together", [False, True])
def test_with_every_relay_down_all_is_tried_that_needs_none(
    world: World, relay: StandIn, together: bool
) -> None:
    world.errors_expected = True
    world.routes.ring_all = together
    world.routes.media = dict.fromkeys(("gateway:g1", "gateway:g2"), Wish())
    relay.silent = True
    world.place(hang_up_after_ms=1_000)
    world.run(5_000)
    began = world.now
    call = world.place(hang_up_after_ms=1_000)
    world.run(500)
    assert (call.status, world.now - began) == (200, 500), "nobody waits for a relay that is down"
    world.run(5_000)
    relay.silent = False
    world.run(3_000)
    assert {cdr.gateway for cdr in world.cdrs} == {"g3"}
    for cdr in world.cdrs:
        assert cdr.b_call_id == cdr.attempts[cdr.attempt - 1].b_call_id
        assert cdr.attempts[cdr.attempt - 1].gateway == "g3"
        assert len(cdr.attempts) == 3
