"""What is lost and sent again: RFC 3261's timers on the wire, T1 = 50 ms and T2 = 200 ms.

64 x T1 is then 3.2 s, so that even the longest of them fits in a test.
"""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from harness.routes import Routes
from harness.switch import Switch
from harness.wire import ANSWER, Call, Heard, Peer, dialog_request

TAG = "gateway-tag"


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    settings = {"t1": "50ms", "t2": "200ms", "invite_timeout": "5s"}
    return module_switch(Routes(pairs=30, settings=settings), workers=2)


def gaps(heard: list[Heard]) -> list[int]:
    """Milliseconds between one message and the next."""
    return [round((after.at - before.at) * 1000) for before, after in pairwise(heard)]


def starts(switch: Switch, peer) -> tuple[Call, Peer, Peer, Heard]:
    """A call whose INVITE has reached the gateway: call, caller, gateway, that INVITE."""
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    return call, caller, gateway, gateway.expect("INVITE")


def talks(switch: Switch, peer) -> tuple[Call, Peer, Peer, Heard]:
    """An answered call: call, caller, gateway, the INVITE the gateway got."""
    call, caller, gateway, invite = starts(switch, peer)
    gateway.reply(invite, 200, tag=TAG, body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    return call, caller, gateway, invite


def ends(switch: Switch, call: Call, caller: Peer, gateway: Peer, reason: str = "Normal") -> dict:
    """The caller hangs up; returns the CDR, lines being free again."""
    call.bye()
    gateway.reply(gateway.expect("BYE"), 200)
    caller.expect("200 BYE")
    cdr = switch.cdr(call.call_id)
    assert cdr["end_reason"] == reason
    switch.is_idle()
    return cdr


def test_a_resent_invite_is_answered_again_and_goes_out_once(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    raw = call.invite()
    invite = gateway.expect("INVITE")
    gateway.reply(invite, 180, tag=TAG)
    caller.expect(180)
    for _ in range(3):
        call.send(raw)
        assert caller.expect(180).to_tag, "the last provisional again (§17.2.1)"
    gateway.hears_nothing(0.3)
    gateway.reply(invite, 200, tag=TAG, body=ANSWER)
    call.ack(caller.expect("200 INVITE", skip=(100, 180)))
    gateway.expect("ACK")
    call.send(raw)
    gateway.hears_nothing(0.3)
    cdr = ends(switch, call, caller, gateway)
    assert len(cdr["attempts"]) == 1


def test_an_invite_is_resent_to_a_silent_gateway_at_doubling_intervals(
    switch: Switch, peer
) -> None:
    call, caller, gateway, invite = starts(switch, peer)
    heard = [invite, *gateway.listen(1.1)]
    assert len({message.raw for message in heard}) == 1
    intervals = gaps(heard)[:4]
    assert len(intervals) == 4, f"50, 100, 200, 400 ms expected, heard {intervals}"
    for measured, nominal in zip(intervals, (50, 100, 200, 400), strict=True):
        assert 0.7 * nominal <= measured <= nominal + 150, f"{intervals}: Timer A doubles"
    gateway.reply(invite, 100)
    gateway.listen(0.1)
    gateway.hears_nothing(1.2)
    gateway.reply(invite, 200, tag=TAG, body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    ends(switch, call, caller, gateway)


def test_the_200_is_resent_until_the_ack_comes(switch: Switch, peer) -> None:
    call, caller, gateway, invite = starts(switch, peer)
    gateway.reply(invite, 200, tag=TAG, body=ANSWER)
    first = caller.expect("200 INVITE")
    heard = [first, *caller.listen(0.9)]
    assert len({message.raw for message in heard}) == 1
    intervals = gaps(heard)[:4]
    for measured, nominal in zip(intervals, (50, 100, 200, 200), strict=True):
        assert 0.7 * nominal <= measured <= nominal + 150, f"{intervals}: §13.3.1.4, capped by T2"
    call.ack(first)
    caller.listen(0.1)
    caller.hears_nothing(0.6)
    gateway.listen(0.1)
    ends(switch, call, caller, gateway)


def test_an_answer_that_is_never_acknowledged_ends_with_bye_to_both(switch: Switch, peer) -> None:
    call, caller, gateway, invite = starts(switch, peer)
    gateway.reply(invite, 200, tag=TAG, body=ANSWER)
    answer = call.answered(caller.expect("200 INVITE"))
    began = answer.at
    bye = caller.expect("BYE", timeout=6)
    assert 2.8 <= bye.at - began <= 4.5, "after 64 x T1 = 3.2 s (RFC 3261 §13.3.1.4)"
    caller.reply(bye, 200)
    bye = gateway.expect("BYE", skip=("ACK",))
    gateway.reply(bye, 200)
    cdr = switch.cdr(call.call_id)
    assert cdr["end_side"] == "server"
    assert cdr["end_reason"] == "ConnectionTimeout"
    assert cdr["answered"] > 0
    switch.is_idle()


def test_a_gateway_that_resends_its_200_gets_the_ack_again(switch: Switch, peer) -> None:
    call, caller, gateway, invite = starts(switch, peer)
    gateway.reply(invite, 200, tag=TAG, body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    ack = gateway.expect("ACK")
    for _ in range(3):
        gateway.reply(invite, 200, tag=TAG, body=ANSWER)
        again = gateway.expect("ACK")
        assert again.raw == ack.raw, "RFC 3261 §13.2.2.4: the same ACK, branch and all"
    caller.hears_nothing(0.3)
    ends(switch, call, caller, gateway)


def test_a_resent_bye_is_answered_again_and_passed_on_once(switch: Switch, peer) -> None:
    call, caller, gateway, _ = talks(switch, peer)
    raw = call.bye()
    caller.expect("200 BYE")
    bye = gateway.expect("BYE")
    gateway.reply(bye, 200)
    call.send(raw)
    caller.expect("200 BYE")
    gateway.hears_nothing(0.3)
    assert len(switch.cdrs(call.call_id)) == 1
    switch.is_idle()


def test_a_bye_that_the_gateway_does_not_answer_is_resent(switch: Switch, peer) -> None:
    call, caller, gateway, _ = talks(switch, peer)
    call.bye()
    caller.expect("200 BYE")
    bye = gateway.expect("BYE")
    heard = [bye, *gateway.listen(1.0)]
    assert {message.raw for message in heard} == {bye.raw}
    intervals = gaps(heard)[:4]
    for measured, nominal in zip(intervals, (50, 100, 200, 200), strict=True):
        assert 0.7 * nominal <= measured <= nominal + 150, f"{intervals}: Timer E (§17.1.2.2)"
    assert switch.cdr(call.call_id)["end_reason"] == "Normal", "the CDR does not wait for it"
    gateway.reply(bye, 200)
    gateway.listen(0.1)
    gateway.hears_nothing(0.5)
    switch.is_idle()


def test_a_refusal_is_resent_until_the_ack_comes(switch: Switch, peer) -> None:
    call, caller, gateway, invite = starts(switch, peer)
    gateway.reply(invite, 486, tag=TAG)
    gateway.expect("ACK")
    first = caller.expect(486)
    heard = [first, *caller.listen(0.7)]
    assert len(heard) >= 4, "Timer G (§17.2.1)"
    assert len({message.raw for message in heard}) == 1
    call.ack(first)
    caller.listen(0.1)
    caller.hears_nothing(0.6)
    assert len(switch.cdrs(call.call_id)) == 1
    switch.is_idle()


def test_a_gateway_that_resends_its_refusal_gets_the_ack_again(switch: Switch, peer) -> None:
    call, caller, gateway, invite = starts(switch, peer)
    gateway.reply(invite, 486, tag=TAG)
    ack = gateway.expect("ACK")
    assert ack.get("Via") == invite.get("Via"), "RFC 3261 §17.1.1.3: the branch of the INVITE"
    assert ack.uri == invite.uri
    assert ack.to_tag == TAG
    call.ack(caller.expect(486))
    gateway.reply(invite, 486, tag=TAG)
    assert gateway.expect("ACK").raw == ack.raw
    caller.hears_nothing(0.3)
    switch.is_idle()


def test_a_resent_cancel_is_answered_again(switch: Switch, peer) -> None:
    call, caller, gateway, invite = starts(switch, peer)
    gateway.reply(invite, 180, tag=TAG)
    caller.expect(180)
    raw = call.cancel()
    caller.expect("200 CANCEL", skip=(100, 487))
    call.send(raw)
    caller.expect("200 CANCEL", skip=(100, 487))
    gateway.reply(gateway.expect("CANCEL"), 200)
    gateway.reply(invite, 487, tag=TAG)
    gateway.expect("ACK")
    refusal = next(each for each in caller.heard if each.status == 487)
    call.ack(refusal)
    assert switch.cdr(call.call_id)["end_reason"] == "Cancelled"
    switch.is_idle()


def test_a_cancel_waits_for_the_gateways_first_response(switch: Switch, peer) -> None:
    call, caller, gateway, invite = starts(switch, peer)
    call.cancel()
    refusal = caller.expect(487, skip=(100, 200))
    call.ack(refusal)
    came = gateway.listen(0.5)
    assert all(each.method == "INVITE" for each in came), "RFC 3261 §9.1: no CANCEL before a 1xx"
    gateway.reply(invite, 180, tag=TAG)
    cancel = gateway.expect("CANCEL", skip=("INVITE",))
    assert cancel.get("Via") == invite.get("Via")
    gateway.reply(cancel, 200)
    gateway.reply(invite, 487, tag=TAG)
    gateway.expect("ACK", skip=("INVITE",))
    caller.hears_nothing(0.2)
    assert switch.cdr(call.call_id)["end_reason"] == "Cancelled"
    switch.is_idle()


def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up(
    switch: Switch, peer
) -> None:
    call, caller, gateway, invite = starts(switch, peer)
    gateway.reply(invite, 180, tag=TAG)
    caller.expect(180)
    call.cancel()
    call.ack(caller.expect(487, skip=(100, 200)))
    cancel = gateway.expect("CANCEL")
    gateway.reply(invite, 200, tag=TAG, body=ANSWER)  # it had answered just before
    gateway.reply(cancel, 200)
    gateway.expect("ACK", skip=("CANCEL",))
    bye = gateway.expect("BYE", skip=("CANCEL",))
    assert bye.to_tag == TAG
    gateway.reply(bye, 200)
    caller.hears_nothing(0.3)
    cdr = switch.cdr(call.call_id)
    assert (cdr["end_reason"], cdr["answered"]) == ("Cancelled", 0)
    switch.is_idle()


def test_a_cancel_after_the_answer_changes_nothing(switch: Switch, peer) -> None:
    call, caller, gateway, invite = starts(switch, peer)
    gateway.reply(invite, 200, tag=TAG, body=ANSWER)
    answer = caller.expect("200 INVITE")
    call.cancel()
    caller.expect("200 CANCEL", 481)  # §9.2: 200 while the transaction is known
    call.ack(answer)
    gateway.expect("ACK")
    gateway.hears_nothing(0.3)
    ends(switch, call, caller, gateway)


def test_two_byes_that_cross_are_both_answered(switch: Switch, peer) -> None:
    call, caller, gateway, invite = talks(switch, peer)
    call.bye()
    dialog_request(gateway, invite, "BYE", tag=TAG)
    caller.expect("200 BYE", skip=("BYE",))
    gateway.expect("200 BYE", 481, skip=("BYE",))
    for each in (caller, gateway):
        for message in each.heard:
            if message.method == "BYE":
                each.reply(message, 200)
    for each in (caller, gateway):
        each.listen(0.1)
        each.hears_nothing(0.3)
    assert len(switch.cdrs(call.call_id)) == 1
    switch.is_idle()


def test_two_re_invites_that_cross_get_491(switch: Switch, peer) -> None:
    call, caller, gateway, invite = talks(switch, peer)
    call.invite()
    offered = gateway.expect("INVITE")
    dialog_request(gateway, invite, "INVITE", tag=TAG, body=ANSWER, branch="z9hG4bK-glare")
    glare = gateway.expect(491, 500)
    assert glare.status == 491, "RFC 3261 §14.2: ours is still in progress"
    dialog_request(gateway, invite, "ACK", tag=TAG, branch="z9hG4bK-glare")
    gateway.reply(offered, 200, tag=TAG, body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    ends(switch, call, caller, gateway)


def test_a_refused_re_invite_leaves_the_call_as_it_was(switch: Switch, peer) -> None:
    call, caller, gateway, _ = talks(switch, peer)
    call.invite()
    gateway.reply(gateway.expect("INVITE"), 488, "Not Acceptable Here", tag=TAG)
    refusal = caller.expect(488)
    call.ack(refusal)
    gateway.expect("ACK")
    ends(switch, call, caller, gateway)


def test_a_late_offer_is_answered_in_the_ack(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite(body="")
    invite = gateway.expect("INVITE")
    assert invite.body == b""
    gateway.reply(invite, 200, tag=TAG, body=ANSWER)
    answer = caller.expect("200 INVITE")
    assert answer.body == ANSWER.encode()
    final = ANSWER.replace("s=answer", "s=in-the-ack")
    call.ack(answer, body=final)
    ack = gateway.expect("ACK")
    assert ack.body == final.encode(), "RFC 3261 §13.2.2.4: a late offer's answer"
    ends(switch, call, caller, gateway)


def test_a_merged_invite_gets_482(switch: Switch, peer) -> None:
    call, caller, gateway, _ = starts(switch, peer)
    call.cseq = 0
    branch = call.invite_branch
    call.invite()  # same From tag, Call-ID and CSeq, another branch: it came by two ways
    call.ack(caller.expect(482))  # RFC 3261 §8.2.2.2
    call.invite_branch = branch
    gateway.listen(0.1)
    call.cancel()
    call.ack(caller.expect(487, skip=(100, 200)))
    assert len(switch.cdrs(call.call_id)) == 1
    gateway.listen(0.1)
    switch.is_idle(12)


def test_a_request_with_an_older_number_in_the_call_gets_500(switch: Switch, peer) -> None:
    call, caller, gateway, _ = talks(switch, peer)
    call.cseq = 5
    call.request("INFO")
    gateway.reply(gateway.expect("INFO"), 200)
    caller.expect("200 INFO")
    call.cseq = 2
    call.request("INFO")
    caller.expect(500)  # RFC 3261 §12.2.2
    gateway.hears_nothing(0.2)
    call.cseq = 6
    ends(switch, call, caller, gateway)


def test_a_call_survives_when_every_message_comes_twice(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)

    def twice(raw: bytes, sender: Peer) -> None:
        sender.send(raw, switch.port)

    twice(call.invite(), caller)
    invite = gateway.expect("INVITE")
    for status, body in ((100, ""), (183, ANSWER), (200, ANSWER)):
        twice(gateway.reply(invite, status, tag=TAG, body=body), gateway)
    answer = caller.expect("200 INVITE", skip=(100, 183))
    twice(call.ack(answer), caller)
    gateway.expect("ACK")
    time.sleep(0.2)
    twice(call.bye(), caller)
    bye = gateway.expect("BYE", skip=("ACK",))
    twice(gateway.reply(bye, 200), gateway)
    caller.expect("200 BYE")
    assert len(switch.cdrs(call.call_id)) == 1
    assert {each.method for each in gateway.heard} == {"INVITE", "ACK", "BYE"}
    switch.is_idle()
