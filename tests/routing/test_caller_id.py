"""Who calls: read from the header that a trunk trusts, told to gateways as they may know it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routed import Routed

from router.core.agent import Behaviour
from router.routing.caller_id import claimed, privacy_of
from router.sip.message import Request, parse_message
from router.sip.uri import uri_user

ROUTES = """
gateway g1 { address = 10.0.1.1:5071  prefixes = 86  priority = 1 %s }
gateway g2 { address = 10.0.1.2:5072  prefixes = 86  priority = 2 }
account acme { trunk office { ips = 192.0.2.0/24 %s } }
request_route {
    if (!identify()) end(IllegalCall);
    call(gateways($rU));
}
"""
PRIVATE = "Privacy: id\r\n"


def routed(gateway: str = "", trunk: str = "") -> Routed:
    return Routed(ROUTES % (gateway, trunk))


def request(headers: str) -> Request:
    message = parse_message(
        b"INVITE sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1\r\n"
        b"From: <sip:2@10.0.0.2>;tag=t\r\nTo: <sip:1@10.0.0.1>\r\nCall-ID: c\r\n"
        b"CSeq: 1 INVITE\r\n" + headers.encode("utf-8", "surrogateescape") + b"\r\n\r\n"
    )
    assert isinstance(message, Request)
    return message


@pytest.mark.parametrize(
    ("header", "number", "display", "private"),
    [
        ('P-Asserted-Identity: "A, B" <sip:+4930@x;user=phone>', "+4930", '"A, B"', False),
        ("P-Asserted-Identity: <tel:+4930;phone-context=x>", "+4930", "", False),
        ("P-Asserted-Identity: sip:4930@x", "4930", "", False),
        ("P-Asserted-Identity: <sip:a@x>\r\nP-Asserted-Identity: <tel:1>", "1", "", False),
        ("P-Asserted-Identity: <sip:a@x>, <sip:b@x>", "a", "", False),
        ("P-Asserted-Identity: <sip:%2321%23@x>", "#21#", "", False),
        ("Remote-Party-ID: <sip:1@x>;privacy=full", "1", "", True),
        ("Remote-Party-ID: <sip:1@x>;privacy=uri-network", "1", "", True),
        ("Remote-Party-ID: <sip:1@x>;privacy=off;party=calling", "1", "", False),
    ],
)
def test_a_header_names_the_caller(
    header: str, number: str, display: str, private: bool
) -> None:
    claim = claimed(request(header), header.partition(":")[0])
    assert claim == (number, display, private)


@pytest.mark.parametrize(
    "header",
    [
        "P-Asserted-Identity:", "P-Asserted-Identity: <sip:x>", "P-Asserted-Identity: <<<>>>",
        "P-Asserted-Identity: <sip:anonymous@anonymous.invalid>", 'P-Asserted-Identity: "open',
        "Remote-Party-ID: <sip:1@x>;party=called", "X-None: 1",
    ],
)
def test_a_header_that_names_nobody_counts_for_nothing(header: str) -> None:
    assert claimed(request(header), header.partition(":")[0]) is None


@given(st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=("Cs",))))
def test_no_header_is_too_odd(value: str) -> None:
    claimed(request(f"P-Asserted-Identity: {value}"), "P-Asserted-Identity")
    privacy_of(request(f"Privacy: {value}"), f'"{value}" <sip:1@x>')


@pytest.mark.parametrize(
    ("headers", "sender", "privacy"),
    [
        ("Privacy: id", "<sip:1@x>", "id"),
        ("Privacy: header;USER", "<sip:1@x>", "id"),
        ("Privacy: id, critical", "<sip:1@x>", "id"),
        ("Privacy: header", "<sip:1@x>", ""),
        ("Privacy: none", '"Anonymous" <sip:anonymous@anonymous.invalid>', ""),
        ("X: 1", '"Anonymous" <sip:anonymous@anonymous.invalid>', "id"),
        ("X: 1", "<sip:Anonymous@10.0.0.2>", "id"),
        ("X: 1", "<sip:c@anonymous.invalid>", "id"),
        ("X: 1", '"Anonymous" <sip:1@x>', ""),
    ],
)
def test_who_wants_privacy_says_so(headers: str, sender: str, privacy: str) -> None:
    assert privacy_of(request(headers), sender) == privacy


def test_the_cdr_has_the_number_that_was_found_and_says_where() -> None:
    world = routed(trunk='caller_id = pai  caller_in = "49:0"')
    world.place("861", "1000", extra='P-Asserted-Identity: "Alice" <sip:4930@x>\r\n')
    cdr = world.cdr
    assert (cdr.caller_in, cdr.caller_out) == ("4930", "030")
    assert cdr.decision[1:3] == [
        "caller 1000 > 4930: P-Asserted-Identity",
        "caller 4930 > 030: caller_in of trunk acme/office",
    ]
    assert world.sent_to("g1").get("from").startswith('"Alice" <sip:030@')


def test_a_route_that_names_the_caller_itself_has_the_last_word() -> None:
    world = Routed((ROUTES % ("", "caller_id = pai")).replace(
        "    if (!identify())", '    $fU = "77";\n    if (!identify())'
    ))
    world.place("861", "1000", extra="P-Asserted-Identity: <sip:4930@x>\r\n")
    assert world.cdr.caller_out == "77"


def test_a_private_caller_is_known_to_the_trusted_gateway_alone_and_to_the_cdr() -> None:
    world = routed("trusted = true")
    world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
    about = "Subject: me\r\nReply-To: <sip:1000@x>\r\nX-A: 1\r\n"
    world.place("861", "1000", extra=PRIVATE + about)
    first, second = world.sent_to("g1"), world.sent_to("g2")
    assert first.get("p-asserted-identity") == "<sip:1000@10.0.0.1:5060>"
    assert first.get("privacy") == "id"
    assert first.has("subject")
    for invite in (first, second):
        assert uri_user(invite.from_uri) == "anonymous"
        assert invite.get("x-a") == "1"
    text = "\n".join(second.lines)
    assert "1000" not in text
    assert not second.has("privacy") and not second.has("subject") and not second.has("reply-to")
    cdr = world.cdr
    assert (cdr.caller_in, cdr.caller_out) == ("1000", "1000")


def test_what_is_said_inside_a_private_call_hides_the_caller_too() -> None:
    world = routed()
    call = world.caller.place(
        "861", "1000", world.caller.no_flow._replace(host="10.0.0.1", port=5060, listener=0),
        extra=PRIVATE, hang_up_after_ms=None,
    )
    world.network.run_for(1_000)
    leg = call.leg
    leg.send_request("INFO", call, "P-Asserted-Identity: <sip:1000@x>\r\nX-A: 1\r\n")
    world.network.run_for(1_000)
    info = next(one for one in world.gateways["g1"].requests if one.method == "INFO")
    assert info.get("x-a") == "1"
    assert not info.has("p-asserted-identity")
    assert uri_user(info.from_uri) == "anonymous"
    call.hang_up()
    world.network.run_for(1_000)
    assert world.cdr.end_reason == "Normal"


def test_a_pool_gives_the_same_number_for_the_same_call_id() -> None:
    pool = [str(number) for number in range(4_930_100, 4_930_110)]
    shown = set()
    for seed in range(40):
        world = Routed(ROUTES % ("", f"caller_pool = {', '.join(pool)}"), seed)
        world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
        world.place("861", "1000")
        first, second = world.sent_to("g1"), world.sent_to("g2")
        assert first.from_uri == second.from_uri
        assert uri_user(first.from_uri) in pool
        shown.add(uri_user(first.from_uri))
        cdr = world.cdr
        assert cdr.caller_in == "1000"
        assert cdr.decision[1] == (
            f"caller 1000 > {cdr.caller_out}: caller_pool of trunk acme/office"
        )
    assert len(shown) > 5
