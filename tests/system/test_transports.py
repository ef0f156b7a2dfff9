"""TCP and UDP mixed, framing on streams, and connections that go away."""

from __future__ import annotations

import pytest
from harness.routes import Routes
from harness.switch import Switch
from harness.wire import ANSWER, OFFER, Call


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    """Gateways by UDP."""
    return module_switch(Routes(pairs=12), workers=2)


@pytest.fixture(scope="module")
def tcp_switch(module_switch) -> Switch:
    """Gateways by TCP."""
    return module_switch(Routes(pairs=6, transport="tcp"), workers=2)


def test_a_tcp_caller_reaches_a_udp_gateway(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, calls=10)
    caller = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="tcp-udp",
        transport="t1",
        calls=10,
        hold_ms=300,
    )
    caller.succeeds()
    gateway.succeeds()
    assert {cdr["end_reason"] for cdr in switch.cdrs("tcp-udp", 10)} == {"Normal"}
    switch.is_idle()


def test_a_udp_caller_reaches_a_tcp_gateway(tcp_switch: Switch, sipp) -> None:
    switch = tcp_switch
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, calls=10, transport="t1")
    caller = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="udp-tcp",
        calls=10,
        hold_ms=300,
    )
    caller.succeeds()
    gateway.succeeds()
    assert {cdr["end_reason"] for cdr in switch.cdrs("udp-tcp", 10)} == {"Normal"}
    switch.is_idle()


def test_a_callee_behind_tcp_hangs_up_on_a_tcp_caller(tcp_switch: Switch, sipp) -> None:
    switch = tcp_switch
    pair = switch.routes.pair()
    gateway = sipp("gateway_hangs_up", port=pair.first, transport="t1", hold_ms=300)
    caller = sipp(
        "caller_is_hung_up_on",
        target=switch.port,
        number=pair.number,
        call_id="tcp-tcp",
        transport="t1",
    )
    caller.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("tcp-tcp")
    assert (cdr["end_reason"], cdr["end_side"]) == ("Normal", "callee")
    switch.is_idle()


def test_a_tcp_gateway_that_refuses_connections_gives_way_to_the_second(
    tcp_switch: Switch, sipp
) -> None:
    switch = tcp_switch
    pair = switch.routes.pair()
    second = sipp("gateway_answers", port=pair.second, transport="t1")
    caller = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="tcp-refused", limit_s=15
    )
    caller.succeeds()
    second.succeeds()
    attempts = switch.cdr("tcp-refused")["attempts"]
    assert [a["gateway"] for a in attempts] == [pair.first_name, pair.second_name]
    assert attempts[1]["started"] - attempts[0]["started"] < 2000, "a refusal is known at once"
    switch.is_idle()


def test_messages_on_a_stream_are_cut_by_their_length_however_they_arrive(
    switch: Switch, peer
) -> None:
    caller = peer(tcp=switch.port)
    call = Call(caller, switch.port, "")
    texts = [call.compose("OPTIONS", cseq=number, body="12345") for number in (1, 2, 3)]
    stream = "\r\n\r\n".join(texts).encode()
    for byte in stream[:200]:
        caller.send(bytes([byte]), 0)
    caller.send(stream[200:], 0)
    assert [caller.expect(200).cseq[0] for _ in texts] == [1, 2, 3]


def test_a_keep_alive_on_a_stream_is_answered(switch: Switch, peer) -> None:
    caller = peer(tcp=switch.port)
    caller.send(b"\r\n\r\n", 0)
    caller.socket.settimeout(3)
    assert caller.socket.recv(16) == b"\r\n", "RFC 5626 §4.4.1: the pong"
    Call(caller, switch.port, "").request("OPTIONS")
    caller.expect(200)


@pytest.mark.parametrize(
    "stream",
    [
        b"A" * 200_000,
        b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bKx\r\n\r\n",
        b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 999999999\r\n\r\n",
        b"OPTIONS sip:x SIP/2.0\r\nContent-Length: minus\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 300 + b"\r\n\r\n",
    ],
    ids=["endless", "no length", "huge length", "bad length", "TLS"],
)
def test_a_stream_that_cannot_be_cut_is_closed(switch: Switch, peer, stream: bytes) -> None:
    caller = peer(tcp=switch.port)
    try:
        caller.send(stream, 0)
    except (BrokenPipeError, ConnectionResetError):
        return
    assert caller.closed_by_peer(4.0), "RFC 3261 §18.3: the place of the next message is unknown"


def test_a_caller_whose_connection_is_gone_is_hung_up_on_elsewhere(switch: Switch, peer) -> None:
    """A response finds a new connection or is lost; the call and its lines end all the same."""
    pair = switch.routes.pair()
    caller, gateway = peer(tcp=switch.port), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    invite = gateway.expect("INVITE")
    gateway.reply(invite, 180, tag="g")
    caller.expect(180)
    caller.close()
    gateway.reply(invite, 486, tag="g")
    gateway.expect("ACK")
    assert switch.cdr(call.call_id)["end_reason"] == "UserBusy"
    switch.is_idle()


def test_a_large_invite_comes_whole_over_a_stream(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(tcp=switch.port), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    body = OFFER + "a=x:" + "y" * 8000 + "\r\n"
    call.invite(body=body)
    invite = gateway.expect("INVITE")
    assert invite.body == body.encode()
    gateway.reply(invite, 200, tag="g", body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    call.bye()
    gateway.reply(gateway.expect("BYE"), 200)
    caller.expect("200 BYE")
    switch.is_idle()
