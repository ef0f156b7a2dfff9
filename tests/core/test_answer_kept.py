"""The answer that a caller may not have heard when its worker died (RFC 3261 §13.3.1.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from relayed_talk import PLACE, with_relays
from stand_in_relay import port_in
from virtual_world import CALLER, SDP_TYPE, T0, Line, Phone, World

from router.core import answer
from router.core.agent import SDP
from router.core.flow import Flow

TIMER_L_MS = 32_000


class Waiting:
    """A call that a gateway has answered in a turn after whose commit the worker died.

    Neither the 200 to the caller nor the ACK to the gateway has left.
    """

    def __init__(self, world: World, body: bytes = SDP) -> None:
        self.world = world
        self.caller, self.callee = world.phone(), world.phone("g1")
        self.a: Line = self.caller.call(body=body)
        world.run()
        self.invite = self.callee.one("INVITE")
        self.answer()
        world.engine.take_sends = list  # type: ignore[method-assign]
        world.run(5)
        assert self.caller.told() == ["100 INVITE"]
        assert [record.answered for record in world.store.copies()] == [True]

    def answer(self) -> None:
        self.callee.reply(self.invite, 200, body=SDP)

    def hear(self) -> Any:
        """The last 200 of the caller's INVITE, acknowledged."""
        ok = self.caller.got(200)[-1]
        assert ok.cseq_method == "INVITE"
        self.a.learn(ok)
        self.a.send("ACK")
        self.world.run(5)
        return ok

    def hang_up(self) -> None:
        hang_up(self.world, self.a, self.callee)


def hang_up(world: World, a: Line, callee: Phone) -> None:
    a.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)
    world.run()
    assert world.cdr.end_reason == "Normal"


def answers(phone: Phone) -> list[Any]:
    return [ok for ok in phone.got(200) if ok.cseq_method == "INVITE"]


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_a_worker_that_dies_before_it_sends_the_answer(world: World, told: bool) -> None:
    waiting = Waiting(world)
    world.run(2_000)
    world.crash(told=told)
    world.run(5)
    ok = waiting.hear()
    assert (ok.body, ok.contact_uri) == (SDP, "sip:10.0.0.1:5060")
    waiting.answer()  # the gateway has no ACK either
    world.run(TIMER_L_MS)
    assert len(answers(waiting.caller)) == 1
    assert len(waiting.callee.got("ACK")) == 1
    assert world.engine.active_calls == 1
    waiting.hang_up()


def test_an_answer_that_was_lost_goes_on_being_sent(make_world: Callable[..., World]) -> None:
    lost = True

    def fate(data: bytes) -> list[int]:
        return [] if lost and data.startswith(b"SIP/2.0 200") and b"UDP 10.0.0.2" in data else [1]

    world = make_world(fate=fate)
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call()
    world.run()
    callee.reply(callee.one("INVITE"), 200, body=SDP)
    world.run(100)
    world.crash()
    world.run(3_000)
    lost = False
    died = world.now - 3_000
    sent = [
        round(wire.at_ms - T0 - died, -2) for wire in world.network.wires
        if wire.target == CALLER and wire.data.startswith(b"SIP/2.0 200")
        and wire.at_ms >= T0 + died
    ]
    assert sent == [0, 500, 1_500], "at once, then T1 apart, doubled"
    assert answers(caller) == []
    world.run(600)
    (ok,) = answers(caller)
    a.learn(ok)
    a.send("ACK")
    world.run(TIMER_L_MS)
    assert len(answers(caller)) == 1
    hang_up(world, a, callee)


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_a_caller_that_had_acknowledged_is_asked_again_only_where_nobody_knows(
    world: World, told: bool
) -> None:
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call()
    world.run()
    callee.reply(callee.one("INVITE"), 200, body=SDP)
    world.run()
    a.learn(caller.one(200))
    a.send("ACK")
    world.run(20)
    world.crash(told=told)
    world.run(20)
    assert len(answers(caller)) == (1 if told else 2)
    if not told:
        a.send("ACK")  # RFC 3261 §13.2.2.4
    world.run(TIMER_L_MS)
    assert len(answers(caller)) == (1 if told else 2)
    assert [call.record.answer for call in world.engine.calls.values()] == [b""]
    hang_up(world, a, callee)


def test_the_next_time_that_the_record_is_stored_it_is_without_the_answer(world: World) -> None:
    waiting = Waiting(world)
    assert world.store.copies()[0].answer
    world.crash()
    world.run(5)
    assert world.store.copies()[0].answer
    waiting.hear()
    waiting.a.send("UPDATE", "Contact: <sip:10.0.0.2:5060;moved>\r\n", SDP)
    world.run()
    waiting.callee.reply(waiting.callee.one("UPDATE"), 200)
    world.run()
    assert world.store.copies()[0].answer == b""
    waiting.hang_up()


def test_without_any_ack_both_sides_get_bye(world: World) -> None:
    waiting = Waiting(world)
    world.crash()
    waiting.answer()
    world.run(TIMER_L_MS - 1_000)
    assert waiting.callee.got("BYE") == waiting.caller.got("BYE") == []
    world.run(1_100)
    for phone in (waiting.caller, waiting.callee):
        phone.reply(phone.one("BYE"), 200)
    cdr = world.cdr
    assert (cdr.end_reason, cdr.end_side) == ("ConnectionTimeout", "server")
    assert cdr.decision[-1] == "ended: the caller never acknowledged the answer"


@pytest.mark.parametrize(("late_ms", "left_ms"), [(0, 32_000), (20_000, 12_000), (90_000, 8_000)])
def test_however_often_workers_die_an_ack_is_waited_for_no_longer(
    world: World, late_ms: int, left_ms: int
) -> None:
    waiting = Waiting(world)
    world.network.now += late_ms
    world.crash()
    world.run(left_ms - 200)
    assert waiting.callee.got("BYE") == []
    assert len(answers(waiting.caller)) >= 5
    world.run(400)
    for phone in (waiting.caller, waiting.callee):
        phone.reply(phone.one("BYE"), 200)
    assert world.cdr.end_reason == "ConnectionTimeout"


def test_an_invite_that_comes_again_gets_the_answer(world: World) -> None:
    waiting = Waiting(world)
    world.crash()
    world.run(5)
    assert len(answers(waiting.caller)) == 1
    waiting.a.send("INVITE", waiting.caller.contact + SDP_TYPE, SDP, cseq=1,
                   branch=waiting.a.branch)
    world.run(5)
    assert len(answers(waiting.caller)) == 2
    assert waiting.callee.one("INVITE")
    waiting.hear()
    waiting.a.send("INVITE", waiting.caller.contact + SDP_TYPE, SDP, cseq=1,
                   branch=waiting.a.branch)
    world.run(5)
    assert len(answers(waiting.caller)) == 2, "RFC 6026 §7.1: absorbed"
    waiting.hang_up()


def test_the_first_invite_over_another_path_is_no_new_call(world: World) -> None:
    waiting = Waiting(world)
    world.crash()
    world.run(5)
    waiting.hear()
    tag, call_id = "a-tag", waiting.a.call_id
    waiting.caller.call(call_id=call_id, tag=tag, branch="z9hG4bK-elsewhere")
    world.run(5)
    assert waiting.caller.one(482)
    waiting.hang_up()


@pytest.mark.parametrize("hears", [True, False], ids=["hears", "deaf"])
def test_a_caller_that_gives_up_is_hung_up_when_it_has_the_answer(
    world: World, hears: bool
) -> None:
    waiting = Waiting(world)
    world.crash()
    waiting.caller.inbox.clear()
    waiting.a.send("CANCEL")
    world.run(5)
    assert "200 CANCEL" in waiting.caller.told()
    waiting.callee.reply(waiting.callee.one("BYE"), 200)
    cdr = world.cdr
    assert (cdr.end_reason, cdr.end_side) == ("Cancelled", "caller")
    assert world.engine.active_calls == 0
    assert waiting.caller.got("BYE") == [], "RFC 3261 §15: not before its ACK"
    if hears:
        waiting.a.learn(answers(waiting.caller)[0])
        waiting.a.send("ACK")
        world.run(5)
    else:
        world.run(TIMER_L_MS + 100)
    waiting.caller.reply(waiting.caller.one("BYE"), 200)


def test_a_callee_that_hangs_up_first_leaves_nobody_alone(world: World) -> None:
    waiting = Waiting(world)
    world.crash()
    waiting.callee.line_of(waiting.invite).send("BYE")
    world.run(5)
    assert waiting.caller.got("BYE") == []
    waiting.hear()
    waiting.caller.reply(waiting.caller.one("BYE"), 200)
    assert world.cdr.end_side == "callee"


def test_a_reinvite_is_as_good_as_an_ack(world: World) -> None:
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call()
    world.run()
    callee.reply(callee.one("INVITE"), 200, body=SDP)
    world.run()
    a.learn(caller.one(200))
    a.send("ACK")
    world.run()
    world.crash(told=False)
    a.send("INVITE", caller.contact + SDP_TYPE, SDP)
    world.run()
    callee.reply(callee.last("INVITE"), 200, body=SDP)
    world.run()
    a.send("ACK")
    world.run(TIMER_L_MS)
    assert caller.got(491) == []
    assert world.engine.active_calls == 1
    hang_up(world, a, callee)


def test_where_the_gateway_made_the_offer_its_ack_waits_for_the_callers(world: World) -> None:
    waiting = Waiting(world, body=b"")
    world.crash()
    waiting.answer()
    world.run(5)
    assert waiting.callee.got("ACK") == []
    ok = waiting.caller.got(200)[-1]
    assert ok.body == SDP
    waiting.a.learn(ok)
    waiting.a.send("ACK", SDP_TYPE, SDP)
    world.run(5)
    assert waiting.callee.one("ACK").body == SDP
    waiting.answer()
    world.run(5)
    assert [ack.body for ack in waiting.callee.got("ACK")] == [SDP, SDP]
    waiting.hang_up()


def test_a_successor_of_the_successor_sends_it_too(world: World) -> None:
    waiting = Waiting(world)
    world.crash()
    world.run(100)
    world.crash()
    world.run(100)
    assert len(answers(waiting.caller)) == 2
    waiting.hear()
    waiting.hang_up()


def test_media_that_are_relayed_stay_at_the_relay(world: World) -> None:
    with_relays(world, PLACE)
    waiting = Waiting(world)
    world.crash()
    world.engine.relays.use([PLACE])
    world.run(5)
    ok = waiting.hear()
    assert ok.body != SDP
    assert port_in(ok) == 50_004
    waiting.hang_up()


def test_an_answer_that_is_too_long_is_not_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "MAX_ANSWER_BYTES", 100)
    waiting = Waiting(world)
    assert world.store.copies()[0].answer == b""
    assert world.engine.unheard == set()
    world.crash(told=False)
    world.run(100)
    assert answers(waiting.caller) == []
    waiting.a.send("CANCEL")
    world.run(5)
    assert waiting.caller.got(200)[-1].cseq_method == "CANCEL"
    waiting.callee.reply(waiting.callee.one("BYE"), 200)
    assert world.cdr.end_reason == "Cancelled"


def test_an_answer_that_cannot_be_read_costs_nobody_the_call(world: World) -> None:
    waiting = Waiting(world)
    records = world.store.copies()
    records[0].answer = b"\xc1"
    world.engine = world.network.engine = world.make_engine(2)
    world.engine.adopt(records, world.network.now)
    world.run(5)
    assert world.engine.active_calls == 1
    assert answers(waiting.caller) == []
    waiting.a.learn(waiting.caller.one(100))
    waiting.a.send("CANCEL")
    world.run(5)
    waiting.callee.reply(waiting.callee.one("BYE"), 200)


@pytest.mark.parametrize(("slot", "ways"), [
    (0, [("10.0.0.2", 5060, 0), ("10.0.0.2", 5060, 0)]),  # ours: it died with the worker
    (1, [("10.0.0.2", 41_000, 7), ("10.0.0.2", 5060, 0)]),  # another worker's may live
])
def test_a_caller_on_a_stream_is_reached_where_it_listens(
    world: World, slot: int, ways: list[tuple[str, int, int]]
) -> None:
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call(headers="Contact: <sip:10.0.0.2:5060;transport=tcp>\r\n")
    ((data, _),) = caller.take_sends()
    stream = Flow("tcp", "10.0.0.2", 41_000, 1, 7, slot)
    world.engine.receive(data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP"), stream, world.network.now)
    world.run(5)
    callee.reply(callee.one("INVITE"), 200, body=SDP)
    world.engine.take_sends = list  # type: ignore[method-assign]
    world.run(5)
    successor = world.crash()
    begun = len(world.network.wires)
    sent: list[Flow] = []
    take = successor.take_sends

    def note() -> list[tuple[bytes, Flow]]:
        sends = take()
        sent.extend(flow for data, flow in sends if data.startswith(b"SIP/2.0 200"))
        return sends

    successor.take_sends = note  # type: ignore[method-assign]
    world.run(600)
    assert [(flow.host, flow.port, flow.connection) for flow in sent] == ways
    assert len(world.network.wires) > begun
    del successor.take_sends
    a.learn(answers(caller)[-1])
    a.send("ACK")
    a.send("BYE")
    world.run(5)
    callee.reply(callee.one("BYE"), 200)
