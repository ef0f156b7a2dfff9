from __future__ import annotations

from collections.abc import Callable

import pytest

from router.sip.message import Request, parse_message
from router.sip.render import (
    REASONS,
    clean,
    render_header,
    render_message,
    render_request,
    render_response,
    reply_head,
)

Invite = Callable[..., bytes]


def parsed(data: bytes) -> Request:
    request = parse_message(data)
    assert isinstance(request, Request)
    return request


def test_a_reply_begins_with_what_the_request_says(invite: Invite) -> None:
    assert reply_head(parsed(invite()), "us") == (
        "Via: SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bKone;rport\r\n"
        'From: "Alice" <sip:1001@192.0.2.2>;tag=a1\r\n'
        "To: <sip:8613800138000@192.0.2.1>;tag=us\r\n"
        "Call-ID: call-1@192.0.2.2\r\n"
        "CSeq: 1 INVITE\r\n"
    )


def test_a_reply_carries_all_hops_in_order(invite: Invite) -> None:
    request = parsed(
        invite(
            ("Via", "v: SIP/2.0/UDP a, SIP/2.0/UDP b"),
            ("Contact", "Record-Route: <sip:p1;lr>\nVia:SIP/2.0/UDP c\nrecord-route: <sip:p2;lr>"),
        )
    )
    assert reply_head(request, "").split("\r\n")[:4] == [
        "v: SIP/2.0/UDP a, SIP/2.0/UDP b",
        "Via:SIP/2.0/UDP c",
        "Record-Route: <sip:p1;lr>",
        "record-route: <sip:p2;lr>",
    ]
    single = parsed(invite(("Contact", "Record-Route: <sip:p1;lr>")))
    assert reply_head(single, "").split("\r\n")[1] == "Record-Route: <sip:p1;lr>"


@pytest.mark.parametrize(
    ("to", "to_tag", "line"),
    [
        ("To: <sip:a@h>", "us", "To: <sip:a@h>;tag=us"),
        ("To: <sip:a@h>", "", "To: <sip:a@h>"),
        ("t:<sip:a@h>;tag=theirs", "us", "t:<sip:a@h>;tag=theirs"),
        ("To: <sip:a@h>;x=1 ", "us", "To: <sip:a@h>;x=1;tag=us"),
        ("To: sip:a@h;user=phone", "us", "To: sip:a@h;user=phone;tag=us"),
        ('To: ";tag=no" <sip:a@h;tag=no>', "us", 'To: ";tag=no" <sip:a@h;tag=no>;tag=us'),
    ],
)
def test_our_tag_is_added_where_there_is_none(
    invite: Invite, to: str, to_tag: str, line: str
) -> None:
    assert reply_head(parsed(invite(("To", to))), to_tag).split("\r\n")[2] == line


def test_a_timestamp_is_sent_back(invite: Invite) -> None:
    request = parsed(invite(("Contact", "Timestamp: 54.21")))
    assert reply_head(request, "us").endswith("CSeq: 1 INVITE\r\nTimestamp: 54.21\r\n")


def test_a_response_is_rendered(invite: Invite) -> None:
    head = reply_head(parsed(invite()), "us")
    data = render_response(183, "Session Progress", head, "Contact: <sip:us>\r\n", b"v=0\r\n")
    assert data == (
        b"SIP/2.0 183 Session Progress\r\n"
        + head.encode()
        + b"Contact: <sip:us>\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    )
    response = parse_message(data)
    assert response.to_tag == "us"
    assert response.body == b"v=0\r\n"


def test_a_request_is_rendered() -> None:
    data = render_request(
        "BYE",
        "sip:a@h",
        "Via: SIP/2.0/UDP us;branch=z9hG4bKb\r\nFrom: <sip:f>;tag=1\r\nCall-ID: c\r\n",
        "To: <sip:t>;tag=2\r\nCSeq: 2 BYE\r\n",
    )
    assert data.startswith(b"BYE sip:a@h SIP/2.0\r\nVia: ")
    assert data.endswith(b"CSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n")
    request = parsed(data)
    assert (request.method, request.cseq, request.to_tag) == ("BYE", 2, "2")


def test_bytes_that_are_no_utf8_come_out_as_they_came_in(invite: Invite) -> None:
    data = invite(("Contact", "X-Odd: \udcff\udc80é"))
    assert b"X-Odd: \xff\x80\xc3\xa9\r\n" in data
    request = parsed(data)
    assert render_message(request) == data
    extra = request.passthrough(frozenset(request.keys) - {"x-odd"})
    assert b"\r\nX-Odd: \xff\x80\xc3\xa9\r\n" in render_response(200, "OK", "", extra)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("X-A", "b", "X-A: b\r\n"),
        ("Subject", "a\r\nVia: evil", "Subject: a  Via: evil\r\n"),
        ("Subject", "a\nb\rc\0", "Subject: a b c\r\n"),
        ("Subject", "", "Subject: \r\n"),
    ],
)
def test_a_header_from_outside_stays_on_its_line(name: str, value: str, line: str) -> None:
    assert render_header(name, value) == line


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nVia", "é"])
def test_a_name_that_is_none_is_not_rendered(name: str) -> None:
    with pytest.raises(ValueError, match="not a header name"):
        render_header(name, "x")


def test_clean_text_is_one_line() -> None:
    assert clean("Busy\r\nX: y\0") == "Busy  X: y "


def test_a_forged_line_break_makes_no_header_in_a_reply(invite: Invite) -> None:
    # Folded, bare-LF and continuation tricks all end as one line or as lines of their own name.
    data = invite(("From", "From: <sip:a@h>\n ;tag=1\n\tX-Evil: yes"))
    head = reply_head(parsed(data), "us")
    assert [line.partition(":")[0] for line in head.split("\r\n")[:-1]] == [
        "Via", "From", "To", "Call-ID", "CSeq",
    ]  # fmt: skip
    assert "From: <sip:a@h> ;tag=1 X-Evil: yes\r\n" in head


def test_every_code_of_rfc_3261_has_a_reason() -> None:
    codes = """100 180 181 182 183 200 300 301 302 305 380 400 401 402 403 404 405 406 407 408 410
        413 414 415 416 420 421 423 480 481 482 483 484 485 486 487 488 491 493 500 501 502 503 504
        505 513 600 603 604 606"""
    for code in map(int, codes.split()):
        assert REASONS[code]
    assert all(100 <= code < 700 for code in REASONS)
    assert all(reason == clean(reason).strip() for reason in REASONS.values())
