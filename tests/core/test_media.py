"""Media through a relay, in virtual time: what waits for it, what goes on, what is left."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_in_relay import StandIn, port_in
from virtual_world import Line, Phone, World, gateway

from router.core.agent import SDP, Behaviour
from router.core.flow import Flow
from router.core.media.session import Wish
from router.core.parameters import CallTimers, Login
from router.sip.bencode import encode

PLACE, OTHER = ("10.0.9.1", 2223), ("10.0.9.2", 2223)
RAW = 20_000
MOVED = SDP.replace(b"20000", b"30000")
HELD = SDP.replace(b"a=sendrecv", b"a=sendonly")


@pytest.fixture
def relay(world: World) -> StandIn:
    """The world's relay; calls to g1 go through it."""
    return with_relays(world, PLACE)[0]


def with_relays(world: World, *places: tuple[str, int], wish: Wish | None = None) -> list[StandIn]:
    world.routes.relays = places
    world.engine.relays.use(places)
    world.routes.media = {"gateway:g1": wish or Wish((), 60_000)}
    relays = [StandIn(place) for place in places]
    world.network.relays = dict(zip(places, relays, strict=True))
    return relays


def media_entries(world: World) -> list[str]:
    return [entry for entry in world.cdr.decision if entry.startswith("media: ")]


class Talk:
    """An answered call, both sides played by hand."""

    def __init__(self, world: World, headers: str = "", reply: str = "", body: bytes = SDP) -> None:
        self.world = world
        self.caller, self.callee = world.phone(), world.phone("g1")
        self.a: Line = self.caller.call(headers=headers, body=body)
        world.run()
        self.invite = self.callee.one("INVITE")
        self.callee.reply(self.invite, 200, reply, body=SDP)
        world.run()
        self.ok = self.caller.one(200)
        self.a.learn(self.ok)
        self.a.send("ACK")
        world.run()
        self.b = self.callee.line_of(self.invite)
        self.caller.inbox.clear()
        self.callee.inbox.clear()

    def side(self, name: str) -> tuple[Phone, Line, Phone]:
        if name == "caller":
            return self.caller, self.a, self.callee
        return self.callee, self.b, self.caller

    def hang_up(self) -> None:
        self.a.send("BYE")
        self.world.run()
        self.callee.reply(self.callee.last("BYE"), 200)
        self.world.run()


# -- offer and answer -----------------------------------------------------------------------------


def test_both_sides_are_told_the_relays_ports(world: World, relay: StandIn) -> None:
    talk = Talk(world)
    assert port_in(talk.invite) >= 50_000
    assert port_in(talk.ok) >= 50_000
    assert port_in(talk.invite) != port_in(talk.ok)
    talk.hang_up()
    assert relay.asked == ["offer", "answer", "delete"]
    assert relay.sessions == {}
    assert media_entries(world) == ["media: through 10.0.9.1:2223"]
    offer, answer = relay.commands[:2]
    assert offer[b"sdp"] == answer[b"sdp"] == SDP
    assert offer[b"from-tag"] == answer[b"from-tag"] == b"caller"
    assert b"to-tag" not in offer and answer[b"to-tag"] == b"callee"
    assert b"codec" not in offer


def test_codecs_are_asked_for_where_media_are_converted(world: World) -> None:
    (relay,) = with_relays(world, PLACE, wish=Wish(("PCMU", "G722"), 60_000))
    Talk(world).hang_up()
    assert relay.commands[0][b"codec"] == {b"transcode": [b"PCMU", b"G722"]}
    assert b"codec" not in relay.commands[1]


def test_calls_elsewhere_ask_nobody(world: World, relay: StandIn) -> None:
    world.routes.media = {"gateway:g2": Wish()}
    talk = Talk(world)
    assert port_in(talk.invite) == port_in(talk.ok) == RAW
    talk.hang_up()
    assert relay.commands == []


def test_the_callee_may_make_the_offer(world: World, relay: StandIn) -> None:
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call(body=b"")
    world.run()
    invite = callee.one("INVITE")
    assert invite.body == b"" and relay.commands == []
    callee.reply(invite, 200, body=SDP)
    world.run()
    assert callee.got("ACK") == [], "it brings the answer"
    a.learn(caller.one(200))
    a.send("ACK", "Content-Type: application/sdp\r\n", SDP)
    world.run()
    assert port_in(caller.one(200)) >= 50_000 and port_in(callee.one("ACK")) >= 50_000
    a.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)
    world.run()
    assert relay.asked == ["offer", "answer", "delete"]
    assert [one[b"from-tag"] for one in relay.commands[:2]] == [b"callee", b"callee"]


@pytest.mark.parametrize("asking", ["caller", "callee"])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_new_offer_inside_the_call_goes_through_the_same_session(
    world: World, relay: StandIn, asking: str, method: str
) -> None:
    talk = Talk(world)
    phone, line, other = talk.side(asking)
    contact = phone.contact if method == "INVITE" else ""
    line.send(method, contact + "Content-Type: application/sdp\r\n", MOVED)
    world.run()
    passed = other.one(method)
    to_callee, to_caller = port_in(talk.invite), port_in(talk.ok)
    assert port_in(passed) == (to_callee if asking == "caller" else to_caller)
    other.reply(passed, 200, body=SDP, tag="b-tag" if other is talk.callee else "")
    world.run()
    answer = next(one for one in phone.got(200) if one.cseq_method == method)
    assert port_in(answer) == (to_caller if asking == "caller" else to_callee)
    if method == "INVITE":
        line.send("ACK")
        world.run()
    offer, answered = relay.commands[2:4]
    assert (offer[b"command"], offer[b"from-tag"], offer[b"sdp"]) == (
        b"offer", asking.encode(), MOVED,
    )
    assert (answered[b"command"], answered[b"from-tag"]) == (b"answer", asking.encode())
    talk.hang_up()
    assert relay.sessions == {}


def test_other_requests_and_bodies_pass_as_they_came(world: World, relay: StandIn) -> None:
    talk = Talk(world)
    talk.a.send("INFO", "Content-Type: application/dtmf-relay\r\n", b"Signal=1\r\n")
    world.run()
    assert talk.callee.one("INFO").body == b"Signal=1\r\n"
    talk.callee.reply(talk.callee.one("INFO"), 200, tag="")
    world.run()
    talk.hang_up()
    assert relay.asked == ["offer", "answer", "delete"]


def test_a_challenged_invite_is_sent_again_with_the_same_offer(
    make_world: Callable[..., World],
) -> None:
    world = make_world([gateway("g1", 1, login=Login("us", "secret"))])
    (relay,) = with_relays(world, PLACE)
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call()
    world.run()
    first = callee.one("INVITE")
    callee.reply(first, 401, 'WWW-Authenticate: Digest realm="r", nonce="n"\r\n')
    world.run()
    second = callee.last("INVITE")
    assert second.has("authorization") and second.body == first.body
    callee.reply(second, 486)
    world.run()
    a.ack_failure(caller.one(486))
    world.run()
    assert relay.asked == ["offer", "delete"]


# -- attempts and branches ------------------------------------------------------------------------


def test_each_attempt_is_a_session_of_its_own(world: World, relay: StandIn) -> None:
    world.routes.media = {"gateway:g1": Wish(), "gateway:g2": Wish()}
    world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
    world.place()
    world.run(8_000)
    assert world.cdr.gateway == "g2"
    assert relay.asked == ["offer", "delete", "offer", "answer", "delete"]
    assert len({one[b"call-id"] for one in relay.commands}) == 2
    assert relay.sessions == {}


def test_branches_that_ring_at_once_have_a_session_each(world: World, relay: StandIn) -> None:
    world.routes.ring_all = True
    world.routes.media = dict.fromkeys(("gateway:g1", "gateway:g2"), Wish())
    world.behaviours["g1"] = Behaviour(answer_after_ms=None)
    world.behaviours["g2"] = Behaviour(answer_after_ms=500)
    world.behaviours["g3"] = Behaviour(answer_after_ms=None)
    world.place()
    world.run(8_000)
    assert world.cdr.gateway == "g2"
    assert sorted(relay.asked) == ["answer", "delete", "delete", "offer", "offer"]
    assert relay.sessions == {}


# -- while the relay is asked ---------------------------------------------------------------------


def test_who_gives_up_before_the_offer_is_written_reaches_no_gateway(
    world: World, relay: StandIn
) -> None:
    relay.late = True
    caller = world.phone()
    a = caller.call()
    world.run(50)
    a.send("CANCEL", cseq=1)
    world.run(50)
    a.ack_failure(caller.one(487))
    relay.release(world)
    assert world.phone("g1").inbox == []
    assert world.cdr.end_reason == "Cancelled"
    assert relay.asked == ["offer", "delete"], "what came too late is taken back"
    assert relay.sessions == {}


def test_an_answer_that_waits_when_the_caller_gives_up_gets_bye(
    world: World, relay: StandIn
) -> None:
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call()
    world.run()
    relay.late = True
    invite = callee.one("INVITE")
    callee.reply(invite, 200, body=SDP)
    world.run(50)
    assert caller.got(200) == []
    a.send("CANCEL", cseq=1)
    world.run(50)
    a.ack_failure(caller.one(487))
    relay.release(world)
    callee.one("ACK")
    callee.reply(callee.one("BYE"), 200)
    world.run()
    assert world.cdr.end_reason == "Cancelled"
    assert relay.sessions == {}


def test_what_comes_while_an_answer_waits_keeps_its_order(world: World, relay: StandIn) -> None:
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call()
    world.run()
    relay.late = True
    invite = callee.one("INVITE")
    callee.reply(invite, 183, body=SDP)
    world.run(20)
    callee.reply(invite, 180)
    world.run(20)
    callee.reply(invite, 200, body=SDP)
    world.run(20)
    callee.reply(invite, 200, body=SDP)  # nobody has acknowledged it
    world.run(20)
    relay.release(world)
    statuses = [one.status for one in caller.inbox if one.status > 100]
    assert statuses == [183, 180, 200]
    a.learn(caller.one(200))
    a.send("ACK")
    world.run()
    assert callee.got("ACK")
    callee.line_of(invite).send("BYE")
    world.run()
    caller.reply(caller.one("BYE"), 200, tag="")
    world.run()
    assert relay.asked == ["offer", "answer", "answer", "delete"]


def test_a_gateway_that_refuses_while_its_early_media_wait(world: World, relay: StandIn) -> None:
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call()
    world.run()
    relay.late = True
    invite = callee.one("INVITE")
    callee.reply(invite, 183, body=SDP)
    callee.reply(invite, 486)
    world.run(50)
    relay.release(world)
    assert [one.status for one in caller.inbox if one.status > 100] == [183, 486]
    a.ack_failure(caller.one(486))
    world.run()
    assert world.cdr.end_reason == "UserBusy"
    assert relay.sessions == {}


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_call_that_ends_while_a_new_offer_waits(
    world: World, relay: StandIn, method: str
) -> None:
    talk = Talk(world)
    relay.late = True
    contact = talk.caller.contact if method == "INVITE" else ""
    talk.a.send(method, contact + "Content-Type: application/sdp\r\n", MOVED)
    world.run(20)
    talk.b.send("BYE")
    world.run(20)
    refused = talk.caller.one(487)
    assert refused.cseq_method == method
    talk.caller.reply(talk.caller.one("BYE"), 200, tag="")
    if method == "INVITE":
        talk.a.ack_failure(refused)
    relay.release(world)
    assert talk.callee.got(method) == []
    assert world.cdr.end_reason == "Normal"
    assert relay.sessions == {}


def test_a_new_offer_is_taken_back_while_it_waits(world: World, relay: StandIn) -> None:
    talk = Talk(world)
    relay.late = True
    talk.a.send("INVITE", talk.caller.contact + "Content-Type: application/sdp\r\n", MOVED)
    world.run(20)
    talk.a.send("CANCEL")
    world.run(20)
    talk.a.ack_failure(talk.caller.one(487))
    relay.release(world)
    assert talk.callee.got("INVITE") == []
    talk.a.send("INVITE", talk.caller.contact + "Content-Type: application/sdp\r\n", SDP)
    world.run()
    talk.callee.reply(talk.callee.one("INVITE"), 200, body=SDP)
    world.run()
    talk.a.send("ACK")
    world.run()
    talk.hang_up()
    assert relay.sessions == {}


def test_a_gateway_that_is_lost_while_its_early_media_wait(world: World, relay: StandIn) -> None:
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call()
    world.run()
    relay.late = True
    callee.reply(callee.one("INVITE"), 183, body=SDP)
    world.run(20)
    host, port = callee.listener.host, callee.listener.port
    world.engine.on_transport_error(Flow("udp", host, port), world.network.now)
    world.run(20)
    relay.release(world)
    assert caller.got(183) == []
    a.learn(caller.one(200))
    a.send("ACK")
    world.run()
    a.send("BYE")
    world.run()
    assert world.cdr.gateway == "g2"
    assert relay.sessions == {}


@pytest.mark.parametrize("status", [183, 200, 488, 481])
@pytest.mark.parametrize("asking", ["caller", "callee"])
def test_a_call_that_ends_while_the_answer_to_a_new_offer_waits(
    world: World, relay: StandIn, status: int, asking: str
) -> None:
    talk = Talk(world)
    phone, line, other = talk.side(asking)
    line.send("INVITE", phone.contact + "Content-Type: application/sdp\r\n", MOVED)
    world.run()
    relay.late = True
    tag = "b-tag" if other is talk.callee else ""
    invite = other.one("INVITE")
    other.reply(invite, 183, body=SDP, tag=tag)
    if status > 183:
        other.reply(invite, status, body=SDP if status == 200 else b"", tag=tag)
    world.run(20)
    ends = talk.side("callee" if asking == "caller" else "caller")[1]
    ends.send("BYE")
    world.run(20)
    relay.release(world)
    line.ack_failure(phone.one(487))
    if status == 200:
        assert other.got("ACK")
    phone.reply(phone.one("BYE"), 200, tag="")
    world.run()
    if status == 183:
        other.reply(invite, 487, tag=tag)
        world.run()
    assert world.cdr.end_reason == "Normal"
    assert relay.sessions == {}


@given(st.binary(max_size=80))
def test_whatever_a_relay_says_costs_at_most_the_attempt(said: bytes) -> None:
    world = World()
    world.errors_expected = True
    (relay,) = with_relays(world, PLACE)
    world.network.relays = {PLACE: lambda data: data.partition(b" ")[0] + b" " + said}
    call = world.place(hang_up_after_ms=1_000)
    world.run(1_500)
    assert call.status == 200, "another gateway took it"
    world.network.relays = {PLACE: relay}
    world.run(10_000)
    world.assert_nothing_is_left()


@pytest.mark.parametrize(
    "said",
    [
        {"result": "ok"}, {"result": "ok", "sdp": 5}, {"result": "ok", "sdp": b""}, {"result": 1},
        {"result": ["ok"]}, {}, {"error-reason": {"a": 1}}, {"result": "error", "error-reason": 7},
        {"result": "error", "error-reason": b"\xff" * 500},
    ],
)
def test_an_answer_without_what_was_asked_for_is_a_refusal(
    world: World, relay: StandIn, said: dict[str, Any]
) -> None:
    relay._answer = lambda command: said  # type: ignore[method-assign]
    world.place(hang_up_after_ms=1_000)
    world.run(5_000)
    assert world.cdr.gateway == "g2"
    (entry,) = media_entries(world)
    assert len(entry) < 200 and world.errors() == []


def test_a_datagram_from_elsewhere_is_no_answer(world: World, relay: StandIn) -> None:
    relay.late = True
    call = world.place(hang_up_after_ms=1_000)
    world.run(50)
    engine, now = world.engine, world.network.now
    (cookie,) = relay._seen
    forged = cookie + b" " + encode({"result": "ok", "sdp": SDP})
    engine.relays.receive(forged, OTHER, now)
    engine.relays.receive(b"other" + forged, PLACE, now)
    engine.relays.receive(b"", PLACE, now)
    world.run(50)
    assert call.status == 0 and world.on_wire("us>g1 INVITE") == []
    relay.release(world)
    world.run(5_000)
    assert world.cdr.gateway == "g1"


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


def test_without_a_relay_and_another_gateway_the_call_ends(
    make_world: Callable[..., World],
) -> None:
    world = make_world([gateway("g1", 1)])
    world.errors_expected = True
    (relay,) = with_relays(world, PLACE)
    relay.error = "Failed to parse SDP"
    call = world.place()
    world.run(1_000)
    assert call.status == 503
    assert world.cdr.end_reason == "NoAvailableRouter"
    assert media_entries(world) == ["media: 10.0.9.1:2223: Failed to parse SDP"]
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
