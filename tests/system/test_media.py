"""Media through a real rtpengine: RTP from both sides, conversion, silence, failures."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from harness.handset import Handset
from harness.ports import LOOPBACK, free_ports, wait_until
from harness.routes import Routes
from harness.rtpengine import RELAY_HOST, Rtpengine, RtpPeer, media_at
from harness.wire import OFFER, Call, dialog_request

PCMU, PCMA = 0, 8


@pytest.fixture
def rtp() -> Iterator[Callable[..., RtpPeer]]:
    """Ports for RTP of a test."""
    own: list[RtpPeer] = []

    def open_port(payload: int = PCMA) -> RtpPeer:
        own.append(RtpPeer(payload))
        return own[-1]

    yield open_port
    for one in own:
        one.close()


def routes(*relays: int, media: str = "relay", timeout: str = "60s", **more: str) -> Routes:
    """Pairs of gateways; the first one's media are relayed."""
    named = ", ".join(f"{LOOPBACK}:{relay}" for relay in relays)
    settings = {"rtpengine": named, "media_timeout": timeout}
    return Routes(settings=settings, first={"media": media, **more})


class Talk:
    """An answered call with RTP in both directions."""

    def __init__(self, switch, peer, rtp, callee_payload: int = PCMA) -> None:
        pair = self.pair = switch.routes.pair()
        self.caller, self.gateway = peer(), peer(pair.first)
        self.near, self.far = rtp(), rtp(callee_payload)
        self.call = Call(self.caller, switch.port, pair.number)
        self.call.invite(body=self.near.sdp)
        self.invite = self.gateway.expect("INVITE")
        self.gateway.reply(self.invite, 200, tag="g", body=self.far.sdp)
        self.ok = self.caller.expect("200 INVITE")
        self.call.ack(self.ok)
        self.gateway.expect("ACK")
        self.near.talk(media_at(self.ok.body))
        self.far.talk(media_at(self.invite.body))
        self.flows()

    def flows(self) -> None:
        """RTP arrives on both sides, from the relay and from nobody else."""
        near, far = len(self.near.heard), len(self.far.heard)
        wait_until(
            lambda: len(self.near.heard) > near + 10 and len(self.far.heard) > far + 10,
            "RTP arrives on both sides",
        )
        assert self.near.sources == self.far.sources == {RELAY_HOST}

    def hang_up(self) -> None:
        """The caller hangs up."""
        self.call.bye()
        self.gateway.reply(self.gateway.expect("BYE"), 200, tag="g")
        self.caller.expect("200 BYE")


def test_media_of_both_sides_go_through_the_relay(run_switch, peer, rtpengine, rtp) -> None:
    relay: Rtpengine = rtpengine()
    switch = run_switch(routes(relay.ng))
    talk = Talk(switch, peer, rtp)
    assert media_at(talk.invite.body)[0] == media_at(talk.ok.body)[0] == RELAY_HOST
    assert f"m=audio {talk.near.port} " not in str(talk.invite)
    talk.hang_up()
    cdr = switch.cdr(talk.call.call_id)
    assert cdr["end_reason"] == "Normal"
    assert f"media: through {LOOPBACK}:{relay.ng}" in cdr["decision"]
    assert cdr["codec"] == "PCMA"
    switch.metric_reaches(
        3, "media_requests_total", relay=f"{LOOPBACK}:{relay.ng}", result="answered"
    )
    switch.is_idle()


def test_how_a_call_sounded_is_what_the_relay_makes_of_the_reports_of_both_sides(
    run_switch, peer, rtpengine, rtp
) -> None:
    switch = run_switch(routes(rtpengine().ng, timeout="6s"))  # it is asked every two seconds
    talk = Talk(switch, peer, rtp)
    for _ in range(5):
        talk.near.report(talk.far)
        talk.far.report(talk.near)
        time.sleep(1.1)
    talk.hang_up()
    gateway = talk.pair.first_name
    switch.metric_reaches(1, "call_mos_count", gateway=gateway)
    assert 4.0 < switch.metrics().value("call_mos_sum", gateway=gateway) < 4.5
    assert 400 < switch.cdr(talk.call.call_id)["mos_hundredths"] < 450


def test_a_gateway_that_asks_for_no_relay_gets_the_sdp_untouched(
    run_switch, peer, rtpengine
) -> None:
    switch = run_switch(routes(rtpengine().ng, media="pass"))
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    invite = gateway.expect("INVITE")
    assert invite.body == OFFER.encode()
    gateway.reply(invite, 486, tag="g")
    call.ack(caller.expect("486 INVITE"))
    gateway.expect("ACK")
    assert switch.cdr(call.call_id)["end_reason"] == "UserBusy"


def test_transcode_lets_peers_without_a_common_codec_talk(
    run_switch, peer, rtpengine, rtp
) -> None:
    switch = run_switch(routes(rtpengine().ng, media="transcode", codecs="PCMU"))
    talk = Talk(switch, peer, rtp, callee_payload=PCMU)
    assert b"PCMU/8000" in talk.invite.body, "what the caller cannot speak is offered for it"
    assert b"PCMA/8000" in talk.ok.body and b"PCMU" not in talk.ok.body
    assert {packet[1] & 0x7F for packet in talk.near.heard} == {PCMA}
    assert {packet[1] & 0x7F for packet in talk.far.heard} == {PCMU}
    talk.hang_up()
    assert switch.cdr(talk.call.call_id)["end_reason"] == "Normal"


def test_without_conversion_peers_without_a_common_codec_are_a_mismatch(
    run_switch, peer, rtpengine
) -> None:
    switch = run_switch(routes(rtpengine().ng))
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    gateway.reply(gateway.expect("INVITE"), 488, "Not Acceptable Here", tag="g")
    gateway.expect("ACK")
    assert caller.expect("488 INVITE").status == 488
    assert switch.cdr(call.call_id)["end_reason"] == "CodecMismatch"


def test_a_call_whose_media_stop_ends_as_media_timeout(run_switch, peer, rtpengine, rtp) -> None:
    switch = run_switch(routes(rtpengine().ng, timeout="4s"))
    talk = Talk(switch, peer, rtp)
    talk.near.fall_silent()
    talk.caller.hears_nothing(5)  # the other side still speaks
    talk.far.fall_silent()
    talk.gateway.reply(talk.gateway.expect("BYE", timeout=12), 200, tag="g")
    talk.caller.reply(talk.caller.expect("BYE"), 200)
    cdr = switch.cdr(talk.call.call_id)
    assert (cdr["end_reason"], cdr["end_side"]) == ("MediaTimeout", "server")
    assert cdr["q850"] == 102
    assert any("no media from either side" in entry for entry in cdr["decision"])
    switch.is_idle()


def test_a_call_goes_on_through_the_relay_when_its_worker_was_killed(
    run_switch, peer, rtpengine, rtp
) -> None:
    switch = run_switch(routes(rtpengine().ng, timeout="4s"))
    talk = Talk(switch, peer, rtp)
    os.kill(switch.worker_pids()[0], signal.SIGKILL)
    talk.flows()
    # The successor knows the session: a re-INVITE of the caller goes through the same relay.
    talk.call.invite(body=talk.near.sdp)
    again = talk.gateway.expect("INVITE", timeout=8)
    assert media_at(again.body) == media_at(talk.invite.body)
    talk.gateway.reply(again, 200, tag="g", body=talk.far.sdp)
    ok = talk.caller.expect("200 INVITE")
    assert media_at(ok.body) == media_at(talk.ok.body)
    talk.call.ack(ok)
    talk.gateway.expect("ACK")
    talk.flows()
    # And it watches over the media, as its predecessor did.
    talk.near.fall_silent()
    talk.far.fall_silent()
    talk.gateway.reply(talk.gateway.expect("BYE", timeout=12), 200, tag="g")
    talk.caller.reply(talk.caller.expect("BYE"), 200)
    assert switch.cdr(talk.call.call_id)["end_reason"] == "MediaTimeout"
    switch.is_idle()


def test_the_next_relay_is_asked_when_one_is_dead(run_switch, peer, rtpengine, rtp) -> None:
    relay = rtpengine()
    dead = free_ports(2)
    switch = run_switch(routes(dead[0], relay.ng, dead[1]))
    for _ in range(3):
        talk = Talk(switch, peer, rtp)
        talk.hang_up()
        cdr = switch.cdr(talk.call.call_id)
        assert f"media: through {LOOPBACK}:{relay.ng}" in cdr["decision"]


ASKING = """
account acme {
    media = relay
    trunk office { ips = 127.0.0.1 }
    phone 1001   { password = "secret" }
}
"""
TO_PHONES = """
request_route {
    switch ($rm) {
        case "OPTIONS":  reply(200);
        case "REGISTER": { if (!authenticate()) challenge(); save(); }
        case "INVITE":   route(CALL);
        default:         reply(405);
    }
}
route[CALL] {
    if (!identify()) end(IllegalCall);
    if (registered($rU)) call(phone($rU));
    call(gateways($rU), ring = all);
}
"""


def asking_account(relay: int) -> Routes:
    """An account whose calls are all relayed, to gateways that ring together and to a phone."""
    return Routes(
        settings={"rtpengine": f"{LOOPBACK}:{relay}"}, accounts=ASKING, policy=TO_PHONES
    )


def test_an_account_asks_and_gateways_that_ring_together_have_ports_of_their_own(
    run_switch, peer, rtpengine, rtp
) -> None:
    switch = run_switch(asking_account(rtpengine().ng))
    pair = switch.routes.pair()
    caller, first, second = peer(), peer(pair.first), peer(pair.second)
    near, far = rtp(), rtp()
    call = Call(caller, switch.port, pair.number)
    call.invite(body=near.sdp)
    ringing = [(one, one.expect("INVITE")) for one in (first, second)]
    assert media_at(ringing[0][1].body) != media_at(ringing[1][1].body)
    first.reply(ringing[0][1], 180, tag="f")
    caller.expect("180 INVITE")
    winner, invite = ringing[1]
    winner.reply(invite, 200, tag="g", body=far.sdp)
    ok = caller.expect("200 INVITE")
    call.ack(ok)
    winner.expect("ACK")
    first.reply(first.expect("CANCEL"), 200, tag="f")
    first.reply(ringing[0][1], 487, "Request Terminated", tag="f")
    near.talk(media_at(ok.body))
    far.talk(media_at(invite.body))
    wait_until(lambda: len(near.heard) > 10 and len(far.heard) > 10, "RTP on both sides")
    assert near.sources == far.sources == {RELAY_HOST}
    call.bye()
    winner.reply(winner.expect("BYE"), 200, tag="g")
    assert switch.cdr(call.call_id)["gateway"] == pair.second_name


def test_a_call_to_a_phone_is_relayed_and_a_hold_too(run_switch, peer, rtpengine, rtp) -> None:
    switch = run_switch(asking_account(rtpengine().ng))
    caller, phone = peer(), peer()
    assert Handset(phone, switch.port).register().status == 200
    near, far = rtp(), rtp()
    call = Call(caller, switch.port, "1001")
    call.invite(body=near.sdp)
    invite = phone.expect("INVITE")
    phone.reply(invite, 200, tag="p", body=far.sdp)
    ok = caller.expect("200 INVITE")
    call.ack(ok)
    phone.expect("ACK")
    assert media_at(invite.body)[0] == media_at(ok.body)[0] == RELAY_HOST
    # The phone holds the call.
    dialog_request(phone, invite, "INVITE", tag="p", body=far.sdp + "a=sendonly\r\n")
    held = caller.expect("INVITE")
    assert b"a=sendonly" in held.body and media_at(held.body) == media_at(ok.body)
    caller.reply(held, 200, body=near.sdp + "a=recvonly\r\n")
    answer = phone.expect("200 INVITE")
    assert b"a=recvonly" in answer.body and media_at(answer.body) == media_at(invite.body)
    dialog_request(phone, invite, "ACK", tag="p", cseq=answer.cseq[0])
    caller.expect("ACK")
    call.bye()
    phone.reply(phone.expect("BYE"), 200, tag="p")
    assert switch.cdr(call.call_id)["end_reason"] == "Normal"


def test_a_relay_comes_into_use_by_a_reload(run_switch, peer, rtpengine, rtp) -> None:
    relay = rtpengine()
    switch = run_switch(Routes())
    text = switch.file.read_text()
    changed = text.replace("ping = 0s", "ping = 0s  media = relay")
    switch.file.write_text(f"rtpengine = {LOOPBACK}:{relay.ng}\n{changed}")
    assert switch.command("reload", "--state", str(switch.state)).returncode == 0
    Talk(switch, peer, rtp).hang_up()


def test_without_any_relay_the_next_gateway_takes_the_call(run_switch, peer) -> None:
    switch = run_switch(routes(*free_ports(1)))
    pair = switch.routes.pair()
    caller, gateway, second = peer(), peer(pair.first), peer(pair.second)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    invite = second.expect("INVITE")
    assert invite.body == OFFER.encode()
    second.reply(invite, 200, tag="g", body=OFFER)
    call.ack(caller.expect("200 INVITE"))
    second.expect("ACK")
    gateway.hears_nothing(0.2)
    call.bye()
    second.reply(second.expect("BYE"), 200, tag="g")
    caller.expect("200 BYE")
    cdr = switch.cdr(call.call_id)
    assert "media: no relay answers" in cdr["decision"]
    assert [one["reason"] for one in cdr["attempts"]] == ["NoAvailableRouter", "Normal"]
    assert "media relay does not answer" in switch.log()
    switch.is_idle()


def test_the_callee_may_make_the_offer(run_switch, peer, rtpengine, rtp) -> None:
    switch = run_switch(routes(rtpengine().ng))
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    near, far = rtp(), rtp()
    call = Call(caller, switch.port, pair.number)
    call.invite(body="")
    invite = gateway.expect("INVITE")
    assert invite.body == b""
    gateway.reply(invite, 200, tag="g", body=far.sdp)
    ok = caller.expect("200 INVITE")
    assert media_at(ok.body)[0] == RELAY_HOST
    call.ack(ok, body=near.sdp)
    ack = gateway.expect("ACK")
    assert media_at(ack.body)[0] == RELAY_HOST
    near.talk(media_at(ok.body))
    far.talk(media_at(ack.body))
    wait_until(lambda: len(near.heard) > 10 and len(far.heard) > 10, "RTP on both sides")
    dialog_request(gateway, invite, "BYE", tag="g")
    gateway.expect("200 BYE")
    caller.reply(caller.expect("BYE"), 200)
    assert switch.cdr(call.call_id)["end_reason"] == "Normal"


def test_media_go_on_as_before_when_a_new_offer_is_refused(
    run_switch, peer, rtpengine, rtp
) -> None:
    """rtpengine acts on an offer at once, and has another port for it: both are taken back."""
    switch = run_switch(routes(rtpengine().ng))
    talk = Talk(switch, peer, rtp)
    elsewhere = rtp()
    talk.call.invite(body=elsewhere.sdp)
    offered = talk.gateway.expect("INVITE")
    talk.gateway.reply(offered, 488, tag="g")
    talk.gateway.expect("ACK")
    talk.call.ack(talk.caller.expect("488 INVITE"))
    talk.near.fall_silent()  # else the relay would find it by what it sends
    time.sleep(0.1)
    elsewhere.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while elsewhere.socket.recv(2048):
            pass  # what was on the way
    heard = len(talk.near.heard)
    wait_until(lambda: len(talk.near.heard) > heard + 10, "RTP arrives where it did before")
    with pytest.raises(BlockingIOError):
        elsewhere.socket.recv(2048)
    talk.hang_up()
    assert switch.cdr(talk.call.call_id)["end_reason"] == "Normal"
    switch.is_idle()


def test_an_offer_that_no_relay_can_read_is_not_acceptable(
    run_switch, peer, rtpengine, rtp
) -> None:
    switch = run_switch(routes(rtpengine().ng))
    talk = Talk(switch, peer, rtp)
    talk.call.invite(body="v=0\r\nno description\r\n")
    talk.call.ack(talk.caller.expect("488 INVITE"))
    talk.flows()
    talk.hang_up()
    pair = switch.routes.pair()
    caller, second = peer(), peer(pair.second)
    call = Call(caller, switch.port, pair.number)
    call.invite(body="v=0\r\nno description\r\n")
    # A gateway that wants no relay is asked, and sees for itself.
    second.reply(second.expect("INVITE"), 488, tag="g")
    call.ack(caller.expect("488 INVITE"))
    cdr = switch.cdr(call.call_id)
    assert cdr["end_reason"] == "CodecMismatch"
    assert [one["reason"] for one in cdr["attempts"]] == ["CodecMismatch"] * 2
    assert any(entry.endswith("Failed to parse SDP") for entry in cdr["decision"])
    switch.is_idle()
