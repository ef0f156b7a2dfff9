"""Garbage: 400 where a response can be addressed, silence where not, and the next call works."""

from __future__ import annotations

import random
import time

import pytest
from harness.routes import Routes
from harness.switch import Switch
from harness.wire import ANSWER, OFFER, Call, Peer

SEED = 20261124


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    return module_switch(Routes(pairs=60), workers=2)


def a_call_works(switch: Switch, peer) -> None:
    """One whole call, by hand."""
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    gateway.reply(gateway.expect("INVITE"), 200, tag="g", body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    call.bye()
    gateway.reply(gateway.expect("BYE"), 200)
    caller.expect("200 BYE")
    assert switch.cdr(call.call_id)["end_reason"] == "Normal"
    switch.is_idle()


def well_formed(caller: Peer, switch: Switch) -> str:
    call = Call(caller, switch.port, switch.routes.unserved_number)
    return call.compose("INVITE", cseq=1, body=OFFER)


def without(header: str):
    def change(text: str) -> str:
        return "\r\n".join(
            line for line in text.split("\r\n") if not line.lower().startswith(header.lower() + ":")
        )

    return change


def replaced(old: str, new: str):
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


# What is done to a well-formed INVITE, and the codes it may earn; 0 stands for silence.
MALFORMED = {
    "no Call-ID": (without("Call-ID"), {400, 0}),
    "no CSeq": (without("CSeq"), {400, 0}),
    "no From": (without("From"), {400, 0}),
    "no To": (without("To"), {400, 0}),
    "no Via": (without("Via"), {0, 400}),
    "a CSeq that is no number": (replaced("CSeq: 1 INVITE", "CSeq: one INVITE"), {400}),
    "a CSeq with another method": (replaced("CSeq: 1 INVITE", "CSeq: 1 BYE"), {400}),
    "a CSeq beyond 31 bits": (replaced("CSeq: 1 ", "CSeq: 99999999999 "), {400}),
    "an empty CSeq": (replaced("CSeq: 1 INVITE", "CSeq:"), {400, 0}),
    "a body shorter than promised": (
        lambda text: text[: len(text) - 40],
        {400},
    ),
    "a length that is no number": (
        lambda text: text.replace("Content-Length: ", "Content-Length: x"),
        {400},
    ),
    "a negative length": (
        lambda text: text.replace("Content-Length: ", "Content-Length: -"),
        {400},
    ),
    "an unknown version": (replaced(" SIP/2.0\r\n", " SIP/3.0\r\n"), {505, 400, 0}),
    "a request line without a version": (replaced(" SIP/2.0\r\n", "\r\n"), {400, 0}),
    "a request line with blanks too many": (replaced("INVITE sip", "INVITE  sip"), {400, 404, 0}),
    "a URI that is none": (replaced("INVITE sip:", "INVITE :::"), {400, 416, 404}),
    "an unknown scheme": (replaced("INVITE sip:", "INVITE gopher:"), {416}),
    "a header line without a colon": (
        replaced("Max-Forwards: 70", "this line has no colon"),
        {400, 404},
    ),
    "hops that are no number": (replaced("Max-Forwards: 70", "Max-Forwards: many"), {400, 404}),
    "a From without an address": (
        lambda text: text.replace("From: <", "From: <<<;;").replace(">;tag=", ";;;tag="),
        {400, 403, 404},  # 403: no number can be read in it, and number_length begins at 1
    ),
    "a thousand headers": (
        replaced("Max-Forwards: 70", "\r\n".join(f"X-{n}: {n}" for n in range(1000))),
        {400, 413, 431, 513, 0},
    ),
    "one header of 20,000 bytes": (
        replaced("Max-Forwards: 70", "X-Long: " + "y" * 20_000),
        {400, 413, 431, 513, 0},
    ),
    "a body of 50,000 bytes": (
        lambda text: (
            text.replace(
                f"Content-Length: {len(OFFER.encode())}\r\n\r\n", "Content-Length: 50000\r\n\r\n"
            )
            + "z" * (50_000 - len(OFFER.encode()))
        ),
        {404, 413, 513},
    ),
    "line feeds alone": (lambda text: text.replace("\r\n", "\n"), {400, 404, 0}),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_invite_earns_its_code_or_silence(switch: Switch, peer, name: str) -> None:
    change, allowed = MALFORMED[name]
    caller = peer()
    text = change(well_formed(caller, switch))
    caller.send(text, switch.port)
    answers = {message.status for message in caller.listen(0.35)} - {100}
    assert (answers or {0}) <= allowed, f"answered {answers}:\n{caller.story()}"
    assert 500 not in answers, "a peer's mistake is never our fault"


def test_after_all_malformed_invites_a_call_works_and_nothing_is_left(switch: Switch, peer) -> None:
    caller = peer()
    time.sleep(1.2)  # what was counted so far is flushed
    before = switch.metrics().value("sip_parse_errors_total")
    caller.send("INVITE", switch.port)
    caller.send(without("Call-ID")(well_formed(caller, switch)), switch.port)
    switch.metric_reaches(before + 2, "sip_parse_errors_total")
    a_call_works(switch, peer)
    assert switch.metrics().value("route_errors_total") == 0


GARBAGE = [
    b"",
    b"\0",
    b"\r\n\r\n",
    b"\r\n",
    b"\0" * 1000,
    b"hello",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"SIP/2.0\r\n\r\n",
    b"SIP/2.0 200\r\n\r\n",
    b"SIP/2.0 999 Beyond\r\nVia: x\r\n\r\n",
    b"SIP/2.0 abc OK\r\n\r\n",
    b"INVITE\r\n\r\n",
    b"INVITE sip:x SIP/2.0",
    b"INVITE sip:x SIP/2.0\r\n\r\n",
    b"INVITE sip:x SIP/2.0\r\n:::\r\n\r\n",
    b" \r\n \r\n folded from the start\r\n\r\n",
    b"\xff\xfe\xfd" * 500,
    b"\x80\x08" + bytes(range(256)) * 4,  # RTP that lost its way
    b"INVITE sip:\xff\xfe@x SIP/2.0\r\nVia: \xff\r\nFrom: \xff\r\nTo: \0\r\nCSeq: \xff\r\n\r\n",
    b"A" * 65_000,
    b"a: b\r\n" * 10_000,
]


def test_datagrams_that_are_not_sip_get_silence_and_harm_nobody(switch: Switch, peer) -> None:
    caller = peer()
    for data in GARBAGE:
        caller.send(data, switch.port)
    assert {message.status for message in caller.listen(0.5)} <= {400, 505}
    a_call_works(switch, peer)


def test_responses_that_belong_to_nothing_are_ignored(switch: Switch, peer) -> None:
    caller = peer()
    for status in (100, 180, 200, 486, 503, 699):
        caller.send(
            f"SIP/2.0 {status} Nobody Asked\r\nVia: SIP/2.0/UDP 127.0.0.1:{switch.port}"
            f";branch=z9hG4bKnobody\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n"
            f"Call-ID: nobody\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
            switch.port,
        )
    caller.hears_nothing(0.4)
    a_call_works(switch, peer)


def test_mutilated_messages_never_cost_more_than_themselves(switch: Switch, peer) -> None:
    """Two thousand well-formed messages with random damage, seeded."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    caller = peer()
    texts = [well_formed(caller, switch).encode("utf-8") for _ in range(20)]
    for index in range(2000):
        data = bytearray(chance.choice(texts))
        for _ in range(chance.randint(1, 12)):
            place = chance.randrange(len(data))
            kind = chance.randrange(4)
            if kind == 0:
                data[place] = chance.randrange(256)
            elif kind == 1:
                del data[place : place + chance.randint(1, 40)]
            elif kind == 2:
                data[place:place] = bytes(chance.randrange(256) for _ in range(5))
            else:
                end = place + chance.randint(1, 80)
                data[place:place] = data[place:end]
        caller.send(bytes(data), switch.port)
        if index % 50 == 49:
            caller.listen(0.02)
    statuses = {message.status for message in caller.listen(0.5)}
    assert 500 not in statuses
    a_call_works(switch, peer)
    assert switch.metrics().value("route_errors_total") == 0


LATIN = b"J\xfcrgen"

# Where in a call old devices put Latin-1 or worse: what is replaced in the caller's requests, and
# in the gateway's responses.
NOT_UTF8 = {
    "the display name": ((b"From: <sip:1000@", b'From: "%s" <sip:1000@' % LATIN), None),
    "the caller's number": ((b"<sip:1000@", b"<sip:%s@" % LATIN), None),
    "an unknown header": ((b"Max-Forwards", b"X-Name: %s\r\nMax-Forwards" % LATIN), None),
    "the caller's Via": ((b";rport", b";name=%s;rport" % LATIN), None),
    "the caller's From tag": ((b"tag=", b"tag=%s" % LATIN), None),
    "the caller's Contact": (
        (b"Contact: <sip:1000@", b'Contact: "%s" <sip:%s@' % (LATIN, LATIN)),
        None,
    ),
    "the body": ((b"s=offer", b"s=%s" % LATIN), None),
    "the gateway's Contact": (None, (b"Contact: <sip:hand@", b"Contact: <sip:%s@" % LATIN)),
    "the gateway's To tag": (None, (b";tag=g", b";tag=%s" % LATIN)),
    "the gateway's reason": (None, (b"200 OK", b"200 %s" % LATIN)),
}


@pytest.mark.parametrize("place", NOT_UTF8)
def test_bytes_that_are_not_utf8_do_not_hurt_a_call(switch: Switch, peer, place: str) -> None:
    """Call, answer, BYE and CDR with ISO 8859-1 in one place; RFC 3261 §7.3.1 wants UTF-8 there."""
    of_caller, of_gateway = NOT_UTF8[place]
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)

    def from_caller(text: str) -> None:
        raw = text.encode()
        call.send(raw.replace(*of_caller, 1) if of_caller else raw)

    call.cseq = 1
    from_caller(call.compose("INVITE", cseq=1, body=OFFER))
    invite = gateway.expect("INVITE")
    if place in ("the display name", "an unknown header"):
        assert LATIN in invite.raw, "it passes byte by byte"
    for status, body in ((180, ""), (200, ANSWER)):
        raw = _answer(gateway, invite, status, body)
        gateway.send(raw.replace(*of_gateway) if of_gateway else raw, switch.port)
    answer = caller.expect("200 INVITE", skip=(100, 180))
    call.to_tag, call.target = answer.to_tag, answer.contact_uri
    from_caller(call.compose("ACK", cseq=1))
    gateway.expect("ACK")
    call.cseq = 2
    from_caller(call.compose("BYE", cseq=2))
    gateway.reply(gateway.expect("BYE"), 200)
    caller.expect("200 BYE")
    assert switch.cdr(call.call_id)["end_reason"] == "Normal"
    switch.is_idle()
    a_call_works(switch, peer)


def _answer(gateway: Peer, invite, status: int, body: str) -> bytes:
    """The bytes of a response, not sent to the router but into the void of a closed port."""
    source, invite.source = invite.source, (invite.source[0], 9)
    try:
        return gateway.reply(invite, status, tag="g", body=body)
    finally:
        invite.source = source


def test_a_number_that_is_not_utf8_and_is_served_by_nobody_gets_its_cdr(
    switch: Switch, peer
) -> None:
    caller = peer()
    call = Call(caller, switch.port, switch.routes.unserved_number)
    call.cseq = 1
    text = call.compose("INVITE", cseq=1, body=OFFER).encode()
    call.send(text.replace(b"INVITE sip:8888@", b"INVITE sip:8888%s@" % LATIN))
    call.invite_branch = call.branch
    call.ack(caller.expect(404))
    assert switch.cdr(call.call_id)["end_reason"] == "NotFound"
    a_call_works(switch, peer)


def test_bad_messages_of_a_gateway_do_not_end_the_call(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    invite = gateway.expect("INVITE")
    good = gateway.reply(invite, 180, tag="g").decode()
    caller.expect(180)
    for bad in (
        good.replace("SIP/2.0 180", "SIP/2.0 18"),
        good.replace("CSeq: ", "CSeq: x"),
        good.replace("Call-ID", "Call-Identity"),
        good[: len(good) // 2],
        good.replace("branch=", "leaf="),
    ):
        gateway.send(bad, switch.port)
    gateway.reply(invite, 200, tag="g", body=ANSWER)
    call.ack(caller.expect("200 INVITE", skip=(100, 180)))
    gateway.expect("ACK")
    call.bye()
    gateway.reply(gateway.expect("BYE"), 200)
    caller.expect("200 BYE")
    switch.is_idle()
