"""Media through a relay, in virtual time: offers, answers, and what waits for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relayed_talk import MOVED, OTHER, PLACE, RAW, Talk, media_entries, with_relays
from stand_in_relay import StandIn, port_in
from virtual_world import World, gateway

from router.core.agent import SDP, Behaviour
from router.core.flow import Flow
from router.core.media.session import Wish
from router.core.parameters import Login
from router.sip.bencode import encode


@pytest.fixture
def relay(world: World) -> StandIn:
    """The world's relay; calls to g1 go through it."""
    return with_relays(world, PLACE)[0]


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


# -- how it sounded -------------------------------------------------------------------------------


def stream(mos: Any, samples: Any = 3) -> dict[str, Any]:
    return {"average MOS": {"MOS": mos, "jitter": 3, "packet loss": 1, "samples": samples}}


def test_the_mean_opinion_score_of_a_call_is_what_the_relay_said_last(
    world: World, relay: StandIn
) -> None:
    talk = Talk(world)
    relay.heard = {"SSRC": {"7": stream(20)}}
    world.run(11_000)
    relay.heard = {"SSRC": {"2071600809": {}, "201209520": stream(41, 3), "7": stream(33, 1)}}
    world.run(10_000)
    relay.heard = {}
    world.run(10_000)
    talk.hang_up()
    assert world.cdr.mos_hundredths == 390
    (heard,) = world.engine.tally.mos.items()
    assert heard[0] == "g1"
    assert sum(heard[1].counts) == 1
    assert heard[1].sum == pytest.approx(3.9)


@pytest.mark.parametrize(
    "heard",
    [
        {}, {"SSRC": {}}, {"SSRC": []}, {"SSRC": {"7": {}}}, {"SSRC": {"7": []}},
        {"SSRC": {"7": {"average MOS": 41}}}, {"SSRC": {"7": stream("41")}},
        {"SSRC": {"7": stream(0)}}, {"SSRC": {"7": stream(410)}}, {"SSRC": {"7": stream(-41)}},
        {"SSRC": {"7": stream(41, "x")}},
    ],
    ids=range(11),
)
def test_a_relay_that_says_none_gives_no_score(
    world: World, relay: StandIn, heard: dict[str, Any]
) -> None:
    relay.heard = heard
    talk = Talk(world)
    world.run(11_000)
    talk.hang_up()
    assert world.cdr.end_reason == "Normal"
    assert world.cdr.mos_hundredths == 0
    assert not world.engine.tally.mos
