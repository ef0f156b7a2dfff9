from __future__ import annotations

from collections.abc import Callable

import pytest

from router.sip.errors import SipError
from router.sip.message import Request, parse_message
from router.sip.via import parse_via, response_target, stamp_source

Invite = Callable[..., bytes]


def request_with(invite: Invite, *lines: str) -> Request:
    request = parse_message(invite(("Via", "\n".join(lines))))
    assert isinstance(request, Request)
    return request


@pytest.mark.parametrize(
    ("value", "transport", "host", "port"),
    [
        ("SIP/2.0/UDP 192.0.2.1", "UDP", "192.0.2.1", None),
        ("SIP/2.0/UDP 192.0.2.1:5060", "UDP", "192.0.2.1", 5060),
        ("SIP/2.0/udp 192.0.2.1:80;branch=1", "UDP", "192.0.2.1", 80),
        ("SIP/2.0/TLS sbc-1.example.com:65535", "TLS", "sbc-1.example.com", 65535),
        ("SIP/2.0/WS df7jal23ls0d.invalid;branch=1", "WS", "df7jal23ls0d.invalid", None),
        ("SIP/2.0/TCP [2001:db8::1]:5062;branch=1", "TCP", "2001:db8::1", 5062),
        ("SIP/2.0/TCP [::ffff:192.0.2.1]", "TCP", "::ffff:192.0.2.1", None),
        ("sip / 2.0/\tTcp\thost : 5070 ; branch = 1", "TCP", "host", 5070),
        ("SIP/2.0/UDP under_score:5070", "UDP", "under_score", 5070),
        ("SIP/2.0/X-Y h", "X-Y", "h", None),
    ],
)
def test_protocol_and_sent_by_are_read(
    value: str, transport: str, host: str, port: int | None
) -> None:
    via = parse_via(value)
    assert (via.transport, via.host, via.port) == (transport, host, port)


@pytest.mark.parametrize(
    "value",
    [
        "",
        ";branch=1",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/2.0 192.0.2.1",
        "SIP/2.0/ 192.0.2.1",
        "HTTP/1.1/UDP 192.0.2.1",
        "SIP/two/UDP 192.0.2.1",
        "SIP/2.0/UDP :5060",
        "SIP/2.0/UDP host:",
        "SIP/2.0/UDP host:0",
        "SIP/2.0/UDP host:0000",
        "SIP/2.0/UDP host:65536",
        "SIP/2.0/UDP host:٥٠٦٠",
        "SIP/2.0/UDP host:50x0",
        "SIP/2.0/UDP two hosts:5060",
        "SIP/2.0/UDP [2001:db8::1",
        "SIP/2.0/UDP [2001:db8::1]5060",
        "SIP/2.0/UDP [not v6]:5060",
        "SIP/2.0/UDP 2001:db8::1",
        'SIP/2.0/UDP ho"st',
        ",",
        '"',
        'SIP/2.0/UDP h;branch="x;rport',
        'SIP/2.0/UDP h;branch="x\\";rport',
        "SIP/2.0/UDP h;branch=<x;rport",
    ],
)
def test_a_via_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(SipError) as refused:
        parse_via(value)
    assert refused.value.status == 400


def test_parameters_are_read() -> None:
    via = parse_via(
        'SIP/2.0/UDP h:5060; Branch = z9hG4bKx ;RPORT;received=192.0.2.9;x="a;b, c";hidden;branch=2'
    )
    assert via.branch == "z9hG4bKx"
    assert via.rport == ""
    assert via.received == "192.0.2.9"
    assert via.params["x"] == '"a;b, c"'
    assert via.params["hidden"] == ""
    bare = parse_via("SIP/2.0/UDP h")
    assert (bare.branch, bare.received, bare.rport, bare.params) == ("", "", None, {})
    assert parse_via("SIP/2.0/UDP h;rport=1234").rport == "1234"


STAMPS = [
    # sent-by is the source and no rport is asked for: nothing to note
    ("SIP/2.0/UDP 192.0.2.2:5070;branch=b", "SIP/2.0/UDP 192.0.2.2:5070;branch=b"),
    # another source (RFC 3261 §18.2.1)
    ("SIP/2.0/UDP 10.0.0.1:5070;branch=b", "SIP/2.0/UDP 10.0.0.1:5070;branch=b;received=192.0.2.2"),
    ("SIP/2.0/UDP sbc.example.com", "SIP/2.0/UDP sbc.example.com;received=192.0.2.2"),
    # rport asked for (RFC 3581 §4): received even when the host is the same
    (
        "SIP/2.0/UDP 192.0.2.2:5070;branch=b;rport",
        "SIP/2.0/UDP 192.0.2.2:5070;branch=b;received=192.0.2.2;rport=4040",
    ),
    (
        "SIP/2.0/UDP 10.0.0.1:5070;rport;branch=b",
        "SIP/2.0/UDP 10.0.0.1:5070;received=192.0.2.2;rport=4040;branch=b",
    ),
    # what the sender wrote itself does not count
    (
        "SIP/2.0/UDP 10.0.0.1;received=6.6.6.6;branch=b",
        "SIP/2.0/UDP 10.0.0.1;branch=b;received=192.0.2.2",
    ),
    (
        "SIP/2.0/UDP 192.0.2.2;received=6.6.6.6",
        "SIP/2.0/UDP 192.0.2.2;received=192.0.2.2",
    ),
    (
        "SIP/2.0/UDP 10.0.0.1;rport=6666;received=6.6.6.6;branch=b",
        "SIP/2.0/UDP 10.0.0.1;branch=b;received=192.0.2.2;rport=4040",
    ),
    (
        "SIP/2.0/UDP 10.0.0.1;received=6.6.6.6;rport",
        "SIP/2.0/UDP 10.0.0.1;received=192.0.2.2;rport=4040",
    ),
    # look-alikes, spellings and quotes
    (
        "SIP/2.0/UDP h;rportx;rport;branch=b",
        "SIP/2.0/UDP h;rportx;branch=b;received=192.0.2.2;rport=4040",
    ),
    (
        "SIP/2.0/UDP h ; RPORT ;branch=b",
        "SIP/2.0/UDP h;branch=b;received=192.0.2.2;rport=4040",
    ),
    (
        'SIP/2.0/UDP h;x=";rport";rport',
        'SIP/2.0/UDP h;x=";rport";received=192.0.2.2;rport=4040',
    ),
    # only the first of several is ours
    (
        "SIP/2.0/UDP h;rport;branch=b, SIP/2.0/UDP i;rport;received=1.1.1.1",
        "SIP/2.0/UDP h;branch=b;received=192.0.2.2;rport=4040, "
        "SIP/2.0/UDP i;rport;received=1.1.1.1",
    ),
    (
        "SIP/2.0/UDP h,SIP/2.0/UDP i",
        "SIP/2.0/UDP h;received=192.0.2.2, SIP/2.0/UDP i",
    ),
]


@pytest.mark.parametrize(("before", "after"), STAMPS)
def test_the_source_is_noted_in_the_top_via(invite: Invite, before: str, after: str) -> None:
    request = request_with(invite, f"Via: {before}", "Via: SIP/2.0/UDP other;rport;branch=o")
    lines = list(request.lines)
    stamp_source(request, "192.0.2.2", 4040)
    assert request.lines[0] == f"Via: {after}"
    assert request.lines[1:] == lines[1:]
    noted = parse_via(after)
    assert request.top_via.params == noted.params
    stamp_source(request, "192.0.2.2", 4040)  # noting it twice changes nothing that counts
    assert parse_via(request.get("via")).params == noted.params


def test_the_name_of_the_via_header_stays_as_it_was(invite: Invite) -> None:
    request = request_with(invite, 'v :SIP/2.0/UDP h;x="q";rport')
    stamp_source(request, "2001:db8::2", 4040)
    assert request.lines[0] == 'v : SIP/2.0/UDP h;x="q";received=2001:db8::2;rport=4040'
    assert response_target(request.top_via) == ("2001:db8::2", 4040)


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("SIP/2.0/UDP 192.0.2.1", ("192.0.2.1", 5060)),
        ("SIP/2.0/TLS 192.0.2.1", ("192.0.2.1", 5061)),
        ("SIP/2.0/UDP sbc.example.com:5070", ("sbc.example.com", 5070)),
        ("SIP/2.0/UDP h:5070;received=192.0.2.9", ("192.0.2.9", 5070)),
        ("SIP/2.0/UDP h;received=192.0.2.9;rport", ("192.0.2.9", 5060)),
        ("SIP/2.0/UDP h:5070;received=192.0.2.9;rport=4040", ("192.0.2.9", 4040)),
        ("SIP/2.0/UDP h:5070;rport=4040", ("h", 5070)),
        ("SIP/2.0/UDP h:5070;received=192.0.2.9;rport=99999", ("192.0.2.9", 5070)),
        ("SIP/2.0/UDP h:5070;received=192.0.2.9;rport=x", ("192.0.2.9", 5070)),
        ("SIP/2.0/UDP h:5070;received=[2001:db8::1]", ("2001:db8::1", 5070)),
        ("SIP/2.0/UDP [2001:db8::7]:5070", ("2001:db8::7", 5070)),
        ("SIP/2.0/UDP h:5070;maddr=224.2.0.1;received=192.0.2.9;rport=1", ("224.2.0.1", 5070)),
        ("SIP/2.0/UDP h;maddr;received=192.0.2.9", ("192.0.2.9", 5060)),
    ],
)
def test_a_response_goes_where_the_via_says(value: str, target: tuple[str, int]) -> None:
    assert response_target(parse_via(value)) == target
