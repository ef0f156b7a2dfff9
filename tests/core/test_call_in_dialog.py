"""Requests inside an answered or early call, from one leg to the other."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from virtual_world import Line, Phone, World

from router.core.agent import SDP

OFFER = SDP.replace(b"20000", b"30000")
ANSWER = SDP.replace(b"20000", b"40000")


class Talk(NamedTuple):
    """An answered call with both sides played by hand."""

    world: World
    caller: Phone
    callee: Phone
    a: Line
    b: Line
    invite: Any
    ok: Any

    def run(self, ms: int = 10) -> None:
        self.world.run(ms)

    def side(self, name: str) -> tuple[Phone, Line, Phone]:
        """The phone and line that ask, and the phone that is asked."""
        if name == "caller":
            return self.caller, self.a, self.callee
        return self.callee, self.b, self.caller

    def tag_of(self, phone: Phone) -> str:
        return "b-tag" if phone is self.callee else ""

    def hang_up(self) -> None:
        self.a.send("BYE")
        self.run()
        bye = self.callee.last("BYE")
        self.callee.reply(bye, 200)
        self.run()


def ring(world: World, headers: str = "", reply: str = "", body: bytes = SDP) -> Talk:
    """A call whose gateway has said 180."""
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call(headers=headers, body=body, cseq=7)
    world.run()
    invite = callee.one("INVITE")
    callee.reply(invite, 180, reply)
    world.run()
    a.learn(caller.one(180))
    return Talk(world, caller, callee, a, callee.line_of(invite), invite, caller.one(180))


def talk(world: World) -> Talk:
    """An answered call; both inboxes begin after its ACKs."""
    ringing = ring(world)
    caller, callee = ringing.caller, ringing.callee
    callee.reply(ringing.invite, 200, body=SDP)
    world.run()
    ok = caller.one(200)
    ringing.a.learn(ok)
    ringing.a.send("ACK")
    world.run()
    callee.one("ACK")
    caller.inbox.clear()
    callee.inbox.clear()
    return ringing._replace(ok=ok)


# -- passing from leg to leg ----------------------------------------------------------------------


@pytest.mark.parametrize("asking", ["caller", "callee"])
@pytest.mark.parametrize(
    ("method", "status"),
    [("UPDATE", 200), ("INFO", 200), ("REFER", 202), ("NOTIFY", 200), ("MESSAGE", 200),
     ("OPTIONS", 200), ("SUBSCRIBE", 489), ("INFO", 415), ("MESSAGE", 600), ("FROB", 501)],
)
def test_a_request_passes_with_its_headers_and_body_and_so_does_its_answer(
    world: World, asking: str, method: str, status: int
) -> None:
    call = talk(world)
    phone, line, other = call.side(asking)
    line.send(method, "X-Odd: 1\r\nContent-Type: text/plain\r\nx-odd: 2\r\n", b"hello")
    call.run()
    passed = other.one(method)
    assert passed.body == b"hello"
    kept = [text for text in passed.lines if text.lower().startswith(("x-odd", "content-type"))]
    assert kept == ["X-Odd: 1", "Content-Type: text/plain", "x-odd: 2"]
    assert passed.to_tag and passed.from_tag
    assert passed.call_id != phone.listener.host
    other.reply(passed, status, "X-Answer: yes\r\nContent-Type: text/plain\r\n", reason="As I Say")
    call.run()
    answer = phone.one(status)
    assert answer.reason == "As I Say"
    assert answer.get("x-answer") == "yes"
    assert answer.cseq_method == method
    call.hang_up()


def test_each_leg_keeps_its_own_numbers(world: World) -> None:
    call = talk(world)
    for _ in range(3):
        call.a.send("INFO")
        call.run()
        call.callee.reply(call.callee.last("INFO"), 200)
        call.run()
    call.b.send("INFO")
    call.run()
    call.caller.reply(call.caller.last("INFO"), 200)
    assert [m.cseq for m in call.callee.got("INFO")] == [8, 9, 10]
    assert call.caller.one("INFO").cseq == 1
    call.hang_up()


def test_a_request_that_is_not_answered_gets_408(world: World) -> None:
    call = talk(world)
    call.a.send("INFO")
    call.run(33_000)
    assert call.caller.one(408).cseq_method == "INFO"
    assert len(world.engine.calls) == 1
    call.hang_up()


def test_a_retransmitted_request_passes_once(world: World) -> None:
    call = talk(world)
    call.a.send("INFO", branch="z9hG4bK-info")
    call.run()
    call.a.send("INFO", branch="z9hG4bK-info", cseq=call.a.cseq)
    call.run()
    call.callee.reply(call.callee.one("INFO"), 200)
    call.run()
    call.a.send("INFO", branch="z9hG4bK-info", cseq=call.a.cseq)
    call.run()
    assert len(call.caller.got(200)) == 2
    assert len(call.callee.got("INFO")) == 1
    call.hang_up()


def test_a_request_whose_number_is_not_higher_gets_500(world: World) -> None:
    call = talk(world)
    call.a.send("INFO", cseq=7)
    call.a.send("INFO", cseq=6)
    call.run()
    assert len(call.caller.got(500)) == 2
    assert call.callee.got("INFO") == []
    call.a.cseq = 20
    call.a.send("INFO")
    call.run()
    call.callee.reply(call.callee.one("INFO"), 200)
    call.a.send("INFO", cseq=20)
    call.run()
    assert len(call.caller.got(500)) == 3
    call.hang_up()


def test_a_peers_first_number_may_be_zero(world: World) -> None:
    call = talk(world)
    call.b.send("INFO", cseq=0)
    call.run()
    call.caller.reply(call.caller.one("INFO"), 200)
    call.run()
    assert call.callee.one(200).cseq == 0
    call.hang_up()


def test_max_forwards_zero_ends_at_us_but_not_for_bye(world: World) -> None:
    call = talk(world)
    phone = call.caller
    call.a.cseq += 1
    text = (
        f"INFO {call.a.target} SIP/2.0\r\nVia: SIP/2.0/UDP {phone.address};branch=z9hG4bKmf\r\n"
        f"Max-Forwards: 0\r\nFrom: {call.a.local}\r\nTo: {call.a.remote}\r\n"
        f"Call-ID: {call.a.call_id}\r\nCSeq: {call.a.cseq} INFO\r\n"
    )
    phone.send(text)
    call.run()
    assert phone.one(483).cseq_method == "INFO"
    call.a.cseq += 1
    phone.send(text.replace("INFO", "BYE").replace("CSeq: 8", "CSeq: 9").replace("bKmf", "bKmg"))
    call.run()
    assert phone.one(200).cseq_method == "BYE"
    call.callee.reply(call.callee.one("BYE"), 200)


@pytest.mark.parametrize(("method", "ends"), [
    ("UPDATE", True), ("INFO", True), ("OPTIONS", True), ("NOTIFY", False), ("SUBSCRIBE", False),
])
def test_a_481_ends_the_call_when_it_speaks_of_the_session(
    world: World, method: str, ends: bool
) -> None:
    """RFC 5057 §5.1: a 481 destroys the usage that its request belongs to, and no other."""
    call = talk(world)
    call.a.send(method)
    call.run()
    call.callee.reply(call.callee.one(method), 481)
    call.run()
    assert call.caller.one(481).cseq_method == method
    assert (world.engine.calls == {}) is ends
    if ends:
        assert world.cdr.end_reason == "SessionTimeout"
        call.caller.reply(call.caller.one("BYE"), 200)
        call.callee.reply(call.callee.one("BYE"), 200)
    else:
        call.hang_up()


# -- re-INVITE ------------------------------------------------------------------------------------


@pytest.mark.parametrize("asking", ["caller", "callee"])
def test_a_reinvite_with_an_offer(world: World, asking: str) -> None:
    call = talk(world)
    phone, line, other = call.side(asking)
    line.send("INVITE", phone.contact + "Content-Type: application/sdp\r\n", OFFER)
    call.run()
    assert phone.one(100)
    invite = other.one("INVITE")
    assert invite.body == OFFER
    other.reply(invite, 200, body=ANSWER, tag=call.tag_of(other))
    call.run()
    ok = phone.one(200)
    assert ok.body == ANSWER
    assert other.one("ACK").cseq == invite.cseq
    line.send("ACK")
    call.run(5_000)
    assert len(phone.got(200)) == 1, "the 200 came again after its ACK"
    assert len(other.got("ACK")) == 1
    call.hang_up()
    assert world.cdr.end_reason == "Normal"


@pytest.mark.parametrize("asking", ["caller", "callee"])
def test_a_reinvite_without_an_offer_brings_the_answer_in_its_ack(
    world: World, asking: str
) -> None:
    call = talk(world)
    phone, line, other = call.side(asking)
    line.send("INVITE", phone.contact)
    call.run()
    invite = other.one("INVITE")
    assert invite.body == b""
    other.reply(invite, 200, body=OFFER, tag=call.tag_of(other))
    call.run()
    assert phone.one(200).body == OFFER
    assert other.got("ACK") == []
    other.reply(invite, 200, body=OFFER, tag=call.tag_of(other))  # again: there is no ACK yet
    call.run()
    assert other.got("ACK") == [], "an old ACK was sent for the new 200"
    line.send("ACK", "Content-Type: application/sdp\r\n", ANSWER)
    call.run()
    ack = other.one("ACK")
    assert (ack.body, ack.cseq, ack.get("content-type")) == (
        ANSWER, invite.cseq, "application/sdp",
    )
    other.reply(invite, 200, body=OFFER, tag=call.tag_of(other))
    call.run()
    assert [m.body for m in other.got("ACK")] == [ANSWER, ANSWER]
    call.hang_up()


@pytest.mark.parametrize("asking", ["caller", "callee"])
def test_a_refused_reinvite_leaves_the_call_as_it_was(world: World, asking: str) -> None:
    world.causes_expected = False
    call = talk(world)
    phone, line, other = call.side(asking)
    line.send("INVITE", phone.contact, OFFER)
    call.run()
    other.reply(other.one("INVITE"), 488, tag=call.tag_of(other))
    call.run()
    assert phone.one(488).cseq_method == "INVITE"
    other.one("ACK")
    line.ack_failure(phone.one(488))
    call.run(100)
    line.send("INVITE", phone.contact, OFFER)  # and the next one may come
    call.run()
    other.reply(other.got("INVITE")[1], 200, body=ANSWER, tag=call.tag_of(other))
    call.run()
    line.send("ACK")
    call.run()
    call.hang_up()


def test_two_reinvites_at_once_are_glare(world: World) -> None:
    """RFC 3261 §14.2: the second gets 491, on whichever leg it comes."""
    call = talk(world)
    call.a.send("INVITE", call.caller.contact, OFFER)
    call.run()
    call.b.send("INVITE", call.callee.contact, OFFER)
    call.run()
    refused = call.callee.one(491)
    call.b.ack_failure(refused)
    call.a.send("INVITE", call.caller.contact, OFFER)
    call.run()
    second = call.a.branch
    call.a.ack_failure(call.caller.one(491))
    assert second
    call.callee.reply(call.callee.one("INVITE"), 200, body=ANSWER)
    call.run()
    call.a.send("ACK", cseq=8)
    call.run()
    call.hang_up()


def test_a_reinvite_before_the_ack_of_the_call_gets_491(world: World) -> None:
    ringing = ring(world)
    ringing.callee.reply(ringing.invite, 200, body=SDP)
    world.run()
    ringing.a.learn(ringing.caller.one(200))
    ringing.a.send("INVITE", ringing.caller.contact, OFFER)
    world.run()
    assert ringing.caller.one(491)
    ringing.a.ack_failure(ringing.caller.one(491))
    ringing.a.send("ACK", cseq=7)
    world.run()
    ringing.hang_up()


@pytest.mark.parametrize("asking", ["caller", "callee"])
def test_a_reinvite_can_be_cancelled(world: World, asking: str) -> None:
    world.causes_expected = False
    call = talk(world)
    phone, line, other = call.side(asking)
    line.send("INVITE", phone.contact, OFFER)
    call.run()
    invite = other.one("INVITE")
    other.reply(invite, 180, tag=call.tag_of(other))
    call.run()
    line.send("CANCEL")
    call.run()
    assert phone.one(200).cseq_method == "CANCEL"
    cancel = other.one("CANCEL")
    assert (cancel.vias, cancel.cseq) == (invite.vias, invite.cseq)
    other.reply(cancel, 200, tag=call.tag_of(other))
    other.reply(invite, 487, tag=call.tag_of(other))
    call.run()
    line.ack_failure(phone.one(487))
    call.run()
    assert len(world.engine.calls) == 1
    call.hang_up()


def test_a_late_ack_of_the_call_does_not_acknowledge_a_reinvite(world: World) -> None:
    call = talk(world)
    call.a.send("INVITE", call.caller.contact)
    call.run()
    call.callee.reply(call.callee.one("INVITE"), 200, body=OFFER)
    call.run()
    call.a.send("ACK", cseq=7)  # the first one, delayed by the network
    call.run()
    assert call.callee.got("ACK") == []
    call.a.send("ACK", "Content-Type: application/sdp\r\n", ANSWER)
    call.run()
    assert call.callee.one("ACK").body == ANSWER
    call.hang_up()


def test_a_reinvite_without_answer_ends_the_call(world: World) -> None:
    call = talk(world)
    call.a.send("INVITE", call.caller.contact, OFFER)
    call.run(33_000)
    assert call.caller.got(408)
    assert world.cdr.end_reason == "SessionTimeout"
    call.caller.reply(call.caller.last("BYE"), 200)
    call.callee.reply(call.callee.last("BYE"), 200)


def test_a_reinvite_whose_200_is_never_acknowledged_ends_the_call(world: World) -> None:
    call = talk(world)
    call.a.send("INVITE", call.caller.contact, OFFER)
    call.run()
    call.callee.reply(call.callee.one("INVITE"), 200, body=ANSWER)
    call.run(33_000)
    assert len(call.caller.got(200)) > 5
    assert world.cdr.end_reason == "SessionTimeout"
    call.caller.reply(call.caller.last("BYE"), 200)
    call.callee.reply(call.callee.last("BYE"), 200)


@pytest.mark.parametrize("provisional", [0, 100, 180])
@pytest.mark.parametrize("hanging_up", ["caller", "callee", "us"])
def test_a_call_may_end_while_a_reinvite_is_open(
    world: World, provisional: int, hanging_up: str
) -> None:
    """RFC 3261 §15.1.2: what waits in the dialog gets 487."""
    call = talk(world)
    call.a.send("INVITE", call.caller.contact, OFFER)
    call.run()
    invite = call.callee.one("INVITE")
    if provisional:
        call.callee.reply(invite, provisional)
        call.run()
    if hanging_up == "us":
        world.engine.end_all(world.network.now)
    else:
        _, line, _ = call.side(hanging_up)
        line.send("BYE")
    call.run()
    for phone in (call.caller, call.callee):
        for bye in phone.got("BYE"):
            phone.reply(bye, 200)
    call.a.ack_failure(call.caller.one(487))
    call.run(40_000)
    assert world.engine.layer.clients == {}
    assert bool(call.callee.got("CANCEL")) is (provisional > 0)


def test_a_200_to_a_reinvite_after_the_end_of_the_call_is_acknowledged(world: World) -> None:
    call = talk(world)
    call.a.send("INVITE", call.caller.contact, OFFER)
    call.run()
    call.a.send("BYE")
    call.run()
    call.callee.reply(call.callee.one("INVITE"), 200, body=ANSWER)
    call.callee.reply(call.callee.one("BYE"), 200)
    call.run()
    assert call.callee.one("ACK").cseq == call.callee.one("INVITE").cseq
    assert call.caller.one(487)


# -- where requests go ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_new_contact_is_followed(world: World, method: str) -> None:
    call = talk(world)
    moved = "Contact: <sip:10.0.0.2:5060;line=2>\r\n"
    call.a.send(method, moved, OFFER)
    call.run()
    answer = "Contact: <sip:10.0.1.1:5060;line=3>\r\n"
    call.callee.reply(call.callee.one(method), 200, answer, ANSWER, contact=False)
    call.run()
    if method == "INVITE":
        call.a.send("ACK")
        assert call.callee.one("ACK").uri == "sip:10.0.1.1:5060;line=3"
    call.b.send("INFO")
    call.a.send("INFO")
    call.run()
    assert call.caller.one("INFO").uri == "sip:10.0.0.2:5060;line=2"
    assert call.callee.one("INFO").uri == "sip:10.0.1.1:5060;line=3"
    call.caller.reply(call.caller.one("INFO"), 200)
    call.callee.reply(call.callee.one("INFO"), 200)
    call.hang_up()


def test_a_contact_in_an_info_changes_nothing(world: World) -> None:
    call = talk(world)
    call.a.send("INFO", "Contact: <sip:10.9.9.9:5060>\r\n")
    call.run()
    call.callee.reply(call.callee.one("INFO"), 200)
    call.b.send("INFO")
    call.run()
    assert call.caller.one("INFO").uri == "sip:10.0.0.2:5060"
    call.caller.reply(call.caller.one("INFO"), 200)
    call.hang_up()


# -- early dialogs --------------------------------------------------------------------------------


def test_prack_names_the_other_legs_invite(world: World) -> None:
    """RFC 3262 §7.2: RAck holds the CSeq of the INVITE, which each leg counts for itself."""
    call = ring(world, "Supported: 100rel\r\n", "Require: 100rel\r\nRSeq: 42\r\n")
    assert call.caller.one(180).get("rseq") == "42"
    assert call.caller.one(180).get("require") == "100rel"
    assert call.invite.get("supported") == "100rel"
    call.a.send("PRACK", f"RAck: 42 {7} INVITE\r\n")
    call.run()
    prack = call.callee.one("PRACK")
    assert prack.get("rack") == f"42 {call.invite.cseq} INVITE"
    assert prack.cseq == call.invite.cseq + 1
    call.callee.reply(prack, 200)
    call.run()
    assert call.caller.one(200).cseq_method == "PRACK"
    call.callee.reply(call.invite, 200, body=SDP)
    call.run()
    call.a.send("ACK", cseq=7)
    call.run()
    call.hang_up()
    assert world.cdr.end_reason == "Normal"


def test_a_prack_for_nothing_does_not_end_the_call(world: World) -> None:
    """RFC 3262 §3: a PRACK that matches nothing gets 481, and the dialog is as it was."""
    call = ring(world, "Supported: 100rel\r\n", "Require: 100rel\r\nRSeq: 1\r\n")
    call.a.send("PRACK", "RAck: 99 7 INVITE\r\n")
    call.run()
    call.callee.reply(call.callee.one("PRACK"), 481)
    call.run()
    assert call.caller.one(481).cseq_method == "PRACK"
    assert len(world.engine.calls) == 1
    call.callee.reply(call.invite, 200, body=SDP)
    call.run()
    call.a.send("ACK", cseq=7)
    call.run()
    call.hang_up()


def test_update_passes_in_an_early_dialog_both_ways(world: World) -> None:
    call = ring(world)
    call.a.send("UPDATE", call.caller.contact, OFFER)
    call.b.send("UPDATE", call.callee.contact, OFFER)
    call.run()
    call.callee.reply(call.callee.one("UPDATE"), 200, body=ANSWER)
    call.caller.reply(call.caller.one("UPDATE"), 200, body=ANSWER)
    call.run()
    assert call.caller.one(200).body == ANSWER
    assert call.callee.one(200).body == ANSWER
    call.callee.reply(call.invite, 486)
    call.run()
    call.a.cseq = 7
    call.a.ack_failure(call.caller.one(486))


def test_a_request_before_any_dialog_of_the_gateway_is_for_later(world: World) -> None:
    caller = world.phone()
    callee = world.phone("g1")
    line = caller.call()
    world.run()
    line.learn(caller.one(100))
    line.send("UPDATE")
    world.run()
    assert caller.one(500).get("retry-after") == "1"
    callee.reply(callee.one("INVITE"), 486)
    world.run()
    line.cseq = 1
    line.ack_failure(caller.one(486))


# -- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("asking", ["caller", "callee"])
def test_a_bye_passes_with_its_reason(world: World, asking: str) -> None:
    call = talk(world)
    phone, line, other = call.side(asking)
    line.send("BYE", "Reason: Q.850;cause=31\r\nX-Stats: mos=4\r\n")
    call.run()
    assert phone.one(200).cseq_method == "BYE"
    bye = other.one("BYE")
    assert (bye.get("reason"), bye.get("x-stats")) == ("Q.850;cause=31", "mos=4")
    other.reply(bye, 200)
    assert (world.cdr.end_reason, world.cdr.end_side) == ("Normal", asking)


def test_two_byes_that_cross_are_both_answered(world: World) -> None:
    call = talk(world)
    call.a.send("BYE")
    call.run(1)
    call.b.send("BYE")
    call.run()
    assert call.caller.one(200).cseq_method == "BYE"
    assert call.callee.one(200).cseq_method == "BYE"
    call.callee.reply(call.callee.one("BYE"), 481)
    call.run()
    assert len(world.cdrs) == 1
    assert call.caller.got("BYE") == []


def test_a_bye_that_is_never_answered_is_given_up(world: World) -> None:
    call = talk(world)
    call.a.send("BYE")
    call.run(40_000)
    assert len(call.callee.got("BYE")) == 11
    assert world.engine.legs == {}


def test_requests_after_the_end_get_481(world: World) -> None:
    call = talk(world)
    call.a.send("BYE")
    call.run()
    call.b.send("INFO")
    call.a.send("INFO")
    call.run()
    assert call.callee.one(481)
    assert call.caller.one(481)
    call.callee.reply(call.callee.one("BYE"), 200)


def test_the_callees_bye_before_the_callers_ack_waits_for_it(world: World) -> None:
    """RFC 3261 §15: no BYE to the caller before its ACK, or before the 200 has timed out."""
    call = ring(world)
    call.callee.reply(call.invite, 200, body=SDP)
    call.run()
    call.b.send("BYE")
    call.run(200)
    assert call.callee.one(200).cseq_method == "BYE"
    assert world.cdr.end_side == "callee"
    assert call.caller.got("BYE") == []
    call.a.send("ACK", cseq=7)
    call.run()
    call.caller.reply(call.caller.one("BYE"), 200)
    call.run()
    assert world.engine.legs == {}


def test_the_callees_bye_waits_no_longer_than_the_200_is_resent(world: World) -> None:
    call = ring(world)
    call.callee.reply(call.invite, 200, body=SDP)
    call.run()
    call.b.send("BYE")
    call.run(31_900)
    assert call.caller.got("BYE") == []
    call.run(200)
    assert len(call.caller.got("BYE")) == 1
    call.caller.reply(call.caller.one("BYE"), 200)


def test_a_callers_bye_instead_of_its_ack_ends_everything(world: World) -> None:
    """The ACK is lost and both hang up: nobody waits for an ACK any more."""
    call = ring(world)
    call.callee.reply(call.invite, 200, body=SDP)
    call.run()
    call.b.send("BYE")
    call.run(100)
    call.a.send("BYE")
    call.run()
    oks = len(call.caller.got(200))
    call.run(40_000)
    assert len(call.caller.got(200)) == oks, "the INVITE's 200 was resent after the BYE"
    assert call.caller.got("BYE") == []


def test_a_bye_of_the_caller_before_its_ack_stops_the_200(world: World) -> None:
    call = ring(world)
    call.callee.reply(call.invite, 200, body=SDP)
    call.run()
    call.a.send("BYE")
    call.run(10_000)
    call.callee.reply(call.callee.last("BYE"), 200)
    assert [m.cseq_method for m in call.caller.got(200)] == ["INVITE", "BYE"]
    assert world.cdr.end_reason == "Normal"


def test_a_delayed_offer_call_that_ends_before_its_ack_is_acknowledged_first(
    world: World,
) -> None:
    call = ring(world, body=b"")
    call.callee.reply(call.invite, 200, body=OFFER)
    call.run()
    assert call.callee.got("ACK") == []
    call.a.send("BYE")
    call.run()
    assert [m.method for m in call.callee.inbox[-2:]] == ["ACK", "BYE"]
    call.callee.reply(call.callee.one("BYE"), 200)


def test_a_delayed_offer_is_answered_by_the_callers_ack(world: World) -> None:
    call = ring(world, body=b"")
    assert call.invite.body == b""
    call.callee.reply(call.invite, 200, body=OFFER)
    call.run()
    assert call.caller.one(200).body == OFFER
    call.callee.reply(call.invite, 200, body=OFFER)
    call.run()
    assert call.callee.got("ACK") == []
    call.a.send("ACK", "Content-Type: application/sdp\r\n", ANSWER, cseq=7)
    call.run()
    ack = call.callee.one("ACK")
    assert (ack.body, ack.cseq) == (ANSWER, call.invite.cseq)
    call.hang_up()


def test_a_reinvite_that_made_an_offer_is_acknowledged_before_the_bye(world: World) -> None:
    call = talk(world)
    call.a.send("INVITE", call.caller.contact)
    call.run()
    call.callee.reply(call.callee.one("INVITE"), 200, body=OFFER)
    call.run()
    assert call.callee.got("ACK") == []
    call.a.send("BYE")
    call.run()
    assert [m.method for m in call.callee.inbox[-2:]] == ["ACK", "BYE"]
    assert call.callee.one("ACK").cseq == call.callee.one("INVITE").cseq
    call.callee.reply(call.callee.one("BYE"), 200)
    call.run(5_000)
    assert [m.cseq_method for m in call.caller.got(200)] == ["INVITE", "BYE"]


def test_rack_follows_when_the_legs_count_differently(world: World) -> None:
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call(cseq=2**31 - 2)
    world.run()
    invite = callee.one("INVITE")
    callee.reply(invite, 183, "Require: 100rel\r\nRSeq: 5\r\n")
    world.run()
    a.learn(caller.one(183))
    a.send("PRACK", f"RAck: 5 {2**31 - 2} INVITE\r\n")
    world.run()
    prack = callee.one("PRACK")
    assert prack.get("rack") == f"5 {invite.cseq} INVITE"
    assert prack.cseq == invite.cseq + 1
    callee.reply(prack, 200)
    callee.reply(invite, 486)
    world.run()
    a.cseq = 2**31 - 2
    a.ack_failure(caller.one(486))
