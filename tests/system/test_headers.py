"""What passes through, byte by byte: headers, bodies, spellings, and where responses go."""

from __future__ import annotations

import pytest
from harness.routes import Routes
from harness.switch import Switch
from harness.wire import ANSWER, OFFER, Call, dialog_request

TAG = "gateway-tag"
ODD = [
    "X-First: 1",
    "P-Charging-Vector: icid-value=1234bc9876e;icid-generated-at=192.0.6.8",
    "x-lower-case:   spaces   inside   stay",
    "Subject: 多媒体 ünïcode \U0001f4de",
    'Alert-Info: <http://example.com/ring?a=1,2>;info="a, b; c"',
    "X-Twice: a",
    "X-Between: b",
    "X-Twice: c",
    "X-Empty:",
    "User-Agent: Odd Phone (v1.0; build=7)",
    "P-Early-Media: supported",
    "Allow: INVITE, ACK, CANCEL, BYE",
    "Supported: replaces, 100rel",
    "X-Last: z",
]


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    return module_switch(Routes(pairs=16, settings={"session_expires": "0s"}))


def kept(message, wanted: list[str]) -> list[str]:
    """The lines of a message whose names are among those wanted, as "Name: value", in order."""
    names = {line.partition(":")[0] for line in wanted}
    return [f"{name}: {value}" for name, value in message.lines if name in names]


def trimmed(lines: list[str]) -> list[str]:
    """The lines with the blanks between colon and value, which mean nothing, as one."""
    return [f"{name}: {value.strip()}" for name, _, value in (x.partition(":") for x in lines)]


def test_unknown_headers_reach_the_gateway_unchanged_and_in_order(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite(extra=ODD)
    invite = gateway.expect("INVITE")
    assert kept(invite, ODD) == trimmed(ODD)
    assert invite.body == OFFER.encode(), "the SDP is untouched"
    assert invite.get("Content-Type") == "application/sdp"
    answer_headers = [line for line in ODD if not line.startswith("Subject")]
    gateway.reply(invite, 180, tag=TAG, extra=answer_headers)
    assert kept(caller.expect(180), answer_headers) == trimmed(answer_headers)
    gateway.reply(invite, 200, tag=TAG, extra=answer_headers, body=ANSWER)
    answer = caller.expect("200 INVITE")
    assert kept(answer, answer_headers) == trimmed(answer_headers)
    assert answer.body == ANSWER.encode()
    call.ack(answer)
    gateway.expect("ACK")
    call.request("INFO", extra=["X-Info: 1", "Content-Type: text/plain"], body="Signal=1\r\n")
    info = gateway.expect("INFO")
    assert info.get("X-Info") == "1"
    assert (info.get("Content-Type"), info.body) == ("text/plain", b"Signal=1\r\n")
    gateway.reply(info, 200, extra=["X-Info-Answer: 2"])
    assert caller.expect("200 INFO").get("X-Info-Answer") == "2"
    call.request("BYE", extra=['Reason: Q.850;cause=16;text="bye"', "X-Bye: 3"])
    bye = gateway.expect("BYE")
    assert bye.get("X-Bye") == "3"
    assert bye.get("Reason") == 'Q.850;cause=16;text="bye"'
    gateway.reply(bye, 200)
    caller.expect("200 BYE")
    switch.is_idle()


def test_the_two_legs_share_no_identifier(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite(max_forwards=20)
    invite = gateway.expect("INVITE")
    assert invite.get("Call-ID") != call.call_id
    assert invite.from_tag != call.from_tag
    assert call.branch not in "".join(invite.all("Via"))
    assert len(invite.all("Via")) == 1, "a B2BUA's INVITE is its own: the caller's Via stays behind"
    assert f"127.0.0.1:{switch.port}" in invite.get("Via")
    assert f"127.0.0.1:{switch.port}" in invite.contact_uri
    assert int(invite.get("Max-Forwards")) == 19, "RFC 7332 §5: what the caller sent, less one"
    assert invite.uri.startswith(f"sip:{pair.number}@127.0.0.1:{pair.first}")
    assert not invite.all("Route")
    gateway.reply(invite, 200, tag=TAG, body=ANSWER)
    answer = caller.expect("200 INVITE")
    assert answer.to_tag not in ("", TAG)
    assert f"127.0.0.1:{switch.port}" in answer.contact_uri
    assert answer.from_tag == call.from_tag
    call.ack(answer)
    gateway.expect("ACK")
    call.bye()
    gateway.reply(gateway.expect("BYE"), 200)
    caller.expect("200 BYE")
    switch.is_idle()


COMPACT_INVITE = """INVITE {uri} SIP/2.0
v: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKcompact{port};rport
f: <sip:1000@127.0.0.1>;tag=short
t: <{uri}>
i: {call_id}
CSeq: 1 INVITE
m: <sip:1000@127.0.0.1:{port}>
Max-Forwards: 70
k: replaces
s: compact forms
c: application/sdp
l: {length}

"""


def test_compact_header_forms_are_understood(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number, call_id="compact@test")
    head = COMPACT_INVITE.format(
        uri=call.uri, port=caller.port, call_id=call.call_id, length=len(OFFER.encode())
    ).replace("\n", "\r\n")
    call.from_tag, call.cseq = "short", 1
    call.caller_address = "<sip:1000@127.0.0.1>"
    call.send(head + OFFER)
    invite = gateway.expect("INVITE")
    assert invite.get("Subject") == "compact forms"
    assert invite.get("Supported") == "replaces"
    assert invite.get("Content-Type") == "application/sdp"
    assert invite.body == OFFER.encode()
    gateway.reply(invite, 200, tag=TAG, body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    call.bye()
    gateway.reply(gateway.expect("BYE"), 200)
    caller.expect("200 BYE")
    assert switch.cdr("compact@test")["end_reason"] == "Normal"
    switch.is_idle()


def test_odd_but_legal_spelling_is_understood(switch: Switch, peer) -> None:
    """Folded lines, blanks before colons, names in any case, quoted commas (RFC 3261 §7.3.1)."""
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    text = call.compose("INVITE", cseq=1, body=OFFER)
    call.cseq, call.invite_branch, call.invite_cseq = 1, call.branch, 1
    text = (
        text.replace("Via: ", "VIA   :  ")
        .replace("From: <", 'fRoM: "Comma, \\"Quote\\" <x>" <')
        .replace("CSeq: 1 INVITE", "cseq:\r\n 1\r\n\tINVITE")
        .replace("Max-Forwards: 70", "MAX-FORWARDS :70")
    )
    call.caller_address = f'"Comma, \\"Quote\\" <x>" {call.caller_address}'
    call.send(text)
    invite = gateway.expect("INVITE")
    assert invite.get("Max-Forwards") == "69"
    gateway.reply(invite, 486, tag=TAG)
    gateway.expect("ACK")
    refusal = caller.expect(486)
    assert refusal.from_tag == call.from_tag
    call.ack(refusal)
    assert switch.cdr(call.call_id)["caller_in"] == "1000"
    switch.is_idle()


def test_responses_carry_every_via_and_record_route_of_the_request(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    caller, gateway, proxy = peer(), peer(pair.first), peer()
    call = Call(caller, switch.port, pair.number)
    record = [f"<sip:127.0.0.1:{proxy.port};lr>", "<sip:far.example.com;lr;x=1>"]
    call.invite(
        extra=[
            "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKfar, SIP/2.0/TCP [2001:db8::9]:5062"
            ";branch=z9hG4bKfarther",
            *(f"Record-Route: {value}" for value in record),
        ]
    )
    invite = gateway.expect("INVITE")
    assert not invite.all("Record-Route"), "the caller's proxies are not on the other leg"
    gateway.reply(invite, 200, tag=TAG, body=ANSWER)
    answer = caller.expect("200 INVITE")
    vias = ", ".join(answer.all("Via"))
    assert vias.index("z9hG4bKfar,") < vias.index("z9hG4bKfarther")
    assert f"rport={caller.port}" in vias, "RFC 3581 §4"
    assert answer.all("Record-Route") == record, "RFC 3261 §12.1.1"
    call.ack(answer)
    gateway.expect("ACK")
    # The callee hangs up: our BYE to the caller goes the way its proxies recorded.
    dialog_request(gateway, invite, "BYE", tag=TAG)
    gateway.expect("200 BYE")
    bye = proxy.expect("BYE")
    assert bye.uri == f"sip:1000@127.0.0.1:{caller.port}", "RFC 3261 §12.2.1.1: loose routing"
    assert ", ".join(bye.all("Route")) == ", ".join(record)
    proxy.reply(bye, 200)
    switch.is_idle()


def test_a_response_goes_to_the_port_of_the_via_without_rport(switch: Switch, peer) -> None:
    sender, receiver = peer(), peer()
    call = Call(sender, switch.port, "")
    text = call.compose("OPTIONS", cseq=1).replace(";rport", "")
    text = text.replace(f"127.0.0.1:{sender.port};branch", f"127.0.0.1:{receiver.port};branch")
    call.send(text)
    receiver.expect(200)  # RFC 3261 §18.2.2
    sender.hears_nothing(0.2)


def test_a_response_goes_back_to_the_source_with_rport(switch: Switch, peer) -> None:
    sender = peer()
    call = Call(sender, switch.port, "")
    text = call.compose("OPTIONS", cseq=1)
    text = text.replace(f"127.0.0.1:{sender.port};branch", "nat.example.com:5099;branch")
    call.send(text)
    via = sender.expect(200).get("Via")
    assert f"rport={sender.port}" in via
    assert "received=127.0.0.1" in via


def test_early_media_twice_and_changing_provisionals_pass_in_order(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    invite = gateway.expect("INVITE")
    for status, body in ((180, ""), (183, ANSWER), (180, ""), (181, "")):
        gateway.reply(invite, status, "Whatever It Says", tag=TAG, body=body)
        heard = caller.expect(status)
        assert heard.start == f"SIP/2.0 {status} Whatever It Says"
        assert heard.body == body.encode()
    call.cancel()
    call.ack(caller.expect(487, skip=(100, 200)))
    gateway.reply(gateway.expect("CANCEL"), 200)
    gateway.reply(invite, 487, tag=TAG)
    gateway.expect("ACK")
    switch.is_idle()


def test_a_large_body_passes_whole(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    body = OFFER + "".join(f"a=x-line-{index}:{'y' * 60}\r\n" for index in range(100))
    call.invite(body=body)
    invite = gateway.expect("INVITE")
    assert invite.body == body.encode()
    gateway.reply(invite, 486, tag=TAG)
    gateway.expect("ACK")
    call.ack(caller.expect(486))
    switch.is_idle()


def test_a_refusal_says_why_in_a_reason_header(switch: Switch, peer) -> None:
    caller = peer()
    call = Call(caller, switch.port, switch.routes.unserved_number)
    call.invite()
    refusal = caller.expect(404)
    assert "Q.850;cause=1" in refusal.get("Reason"), "RFC 3326: the cause, for ISUP gateways"
    call.ack(refusal)
    switch.is_idle()
