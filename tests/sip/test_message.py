from __future__ import annotations

from collections.abc import Callable

import pytest

from router.sip.errors import SipError
from router.sip.head import Limits
from router.sip.message import Request, Response, is_keepalive, parse_message

Invite = Callable[..., bytes]


def test_a_request_is_read(invite: Invite) -> None:
    request = parse_message(invite())
    assert isinstance(request, Request)
    assert (request.method, request.uri) == ("INVITE", "sip:8613800138000@192.0.2.1:5060")
    assert (request.call_id, request.cseq, request.cseq_method) == (
        "call-1@192.0.2.2",
        1,
        "INVITE",
    )
    assert (request.from_tag, request.to_tag) == ("a1", "")
    assert request.from_uri == "sip:1001@192.0.2.2"
    assert request.to_uri == "sip:8613800138000@192.0.2.1"
    assert request.contact_uri == "sip:1001@192.0.2.2:5070"
    assert request.max_forwards == 70
    assert request.body == b"v=0\r\n"
    assert request.keys == [
        "via", "max-forwards", "from", "to", "call-id", "cseq", "contact", "content-type",
        "content-length",
    ]  # fmt: skip
    assert request.lines[0] == "Via: SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bKone;rport"


def test_a_response_is_read(invite: Invite) -> None:
    response = parse_message(
        invite(("INVITE", "SIP/2.0 180 Ringing now"), ("To", "To: <sip:x@y>;tag=b"))
    )
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (180, "Ringing now")
    assert (response.cseq, response.cseq_method) == (1, "INVITE")
    assert response.to_tag == "b"


@pytest.mark.parametrize(
    ("beginning", "reason"),
    [
        ("Via", "Missing Via header"),
        ("From", "Missing From header"),
        ("To", "Missing To header"),
        ("Call-ID", "Missing Call-ID header"),
        ("CSeq", "Missing CSeq header"),
    ],
)
@pytest.mark.parametrize("start", ["INVITE sip:a@b SIP/2.0", "SIP/2.0 200 OK"])
def test_a_mandatory_header_that_is_missing_is_named_and_leaves_nobody_to_answer(
    invite: Invite, start: str, beginning: str, reason: str
) -> None:
    with pytest.raises(SipError) as refused:
        parse_message(invite(("INVITE", start), (beginning, None)))
    assert (refused.value.status, refused.value.reason) == (400, reason)
    assert refused.value.request is None


@pytest.mark.parametrize("header", ["Max-Forwards", "Contact", "Content-Type", "Content-Length"])
def test_other_headers_may_be_missing(invite: Invite, header: str) -> None:
    request = parse_message(invite((header, None)))
    assert not request.has(header.lower())
    assert request.get(header.lower(), "default") == "default"
    assert request.get_all(header.lower()) == []


@pytest.mark.parametrize("spelling", ["Via", "VIA", "via", "vIa", "v", "V"])
@pytest.mark.parametrize("colon", [":", ": ", " :", "\t:", "  : \t"])
def test_names_are_found_in_any_spelling(invite: Invite, spelling: str, colon: str) -> None:
    line = f"{spelling}{colon}SIP/2.0/UDP h:5070;branch=z9hG4bKx"
    request = parse_message(invite(("Via", line)))
    assert request.keys[0] == "via"
    assert request.lines[0] == line
    assert request.top_via.branch == "z9hG4bKx"


def test_an_unknown_header_is_found_by_its_lower_case_name(invite: Invite) -> None:
    request = parse_message(invite(("Contact", "X-Trunk-Group: 7\nx-TRUNK-group:  8 ")))
    assert request.get("x-trunk-group") == "7"
    assert request.get_all("x-trunk-group") == ["7", "8"]


def test_passthrough_keeps_order_and_text_of_what_is_not_dropped(invite: Invite) -> None:
    request = parse_message(invite(("Contact", "X-B:  1;  a \nm: <sip:c@d>\nx-a: 2\nX-B:3")))
    drop = frozenset(request.keys) - {"x-a", "x-b", "content-type"}
    assert request.passthrough(drop) == (
        "X-B:  1;  a \r\nx-a: 2\r\nX-B:3\r\nContent-Type: application/sdp\r\n"
    )
    assert request.passthrough(frozenset(request.keys)) == ""


@pytest.mark.parametrize(
    ("value", "number"),
    [("1", 1), ("0", 0), ("0009", 9), ("2147483647", 2**31 - 1), ("000000000000000000001", 1)],
)
def test_a_cseq_number_is_read(invite: Invite, value: str, number: int) -> None:
    assert parse_message(invite(("CSeq", f"CSeq: {value} INVITE"))).cseq == number


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        "INVITE",
        "INVITE 1",
        "-1 INVITE",
        "+1 INVITE",
        "1_0 INVITE",
        "1.0 INVITE",
        "2147483648 INVITE",
        "٣ INVITE",
        "² INVITE",
        "9" * 5_000 + " INVITE",
        "1 INV/TE",
        "1\xa0INVITE",
    ],
)
def test_a_cseq_that_is_none_is_refused(invite: Invite, value: str) -> None:
    with pytest.raises(SipError) as refused:
        parse_message(invite(("CSeq", f"CSeq: {value}")))
    assert (refused.value.status, refused.value.reason) == (400, "Malformed CSeq header")
    assert (refused.value.request is not None) == bool(value)


@pytest.mark.parametrize("value", ["1  INVITE", "1\tINVITE", " 1 \t INVITE\t", "1 INVITE "])
def test_white_space_in_cseq_is_tolerated(invite: Invite, value: str) -> None:
    request = parse_message(invite(("CSeq", f"CSeq:{value}")))
    assert (request.cseq, request.cseq_method) == (1, "INVITE")


def test_an_unknown_method_is_a_method(invite: Invite) -> None:
    request = parse_message(invite(("INVITE", "Frob.1 sip:a SIP/2.0"), ("CSeq", "CSeq: 1 Frob.1")))
    assert isinstance(request, Request)
    assert request.method == request.cseq_method == "Frob.1"
    response = parse_message(invite(("INVITE", "SIP/2.0 200 OK"), ("CSeq", "CSeq: 1 Frob.1")))
    assert response.cseq_method == "Frob.1"


@pytest.mark.parametrize("version", ["sip/2.0", "Sip/2.0", "SIP/2.0"])
def test_the_version_is_compared_without_case(invite: Invite, version: str) -> None:
    assert parse_message(invite(("INVITE", f"INVITE sip:a {version}"))).cseq == 1


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("INVITE sip:a SIP/1.0", 505),
        ("INVITE sip:a SIP/20", 400),
        ("INVITE sip:a SIP/3.0", 505),
        ("INVITE sip:a HTTP/1.1", 400),
        ("INVITE sip:a", 400),
        ("INVITE", 400),
        ("INVITE\tsip:a\tSIP/2.0", 400),
        ("INVITE sip:a  SIP/2.0", 400),
        (" INVITE sip:a SIP/2.0", 400),
        ("INVITE sip:a SIP/2.0 ", 400),
        ("INVITE  SIP/2.0", 400),
        ("INVITE :a SIP/2.0", 400),
        ("INVITE <sip:a> SIP/2.0", 400),
        ("INV,ITE sip:a SIP/2.0", 400),
        ("SIP/2.0 099 Low", 400),
        ("SIP/2.0 700 High", 400),
        ("SIP/2.0 20 Short", 400),
        ("SIP/2.0 2000 Long", 400),
        ("SIP/2.0 2x0 Odd", 400),
        ("SIP/2.0  200 OK", 400),
        ("SIP/2.0 ²00 OK", 400),
        ("SIP/2.0", 400),
        ("SIP/2.1 200 OK", 505),
    ],
)
def test_a_start_line_that_is_none_is_refused(invite: Invite, line: str, status: int) -> None:
    with pytest.raises(SipError) as refused:
        parse_message(invite(("INVITE", line)))
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("value", "body"), [("5", b"v=0\r\n"), ("3", b"v=0"), ("0", b""), ("0005", b"v=0\r\n")]
)
def test_the_body_is_what_content_length_counts(invite: Invite, value: str, body: bytes) -> None:
    assert parse_message(invite(("Content-Length", f"l:{value} "))).body == body


@pytest.mark.parametrize("value", ["", "x", "-1", "+5", "5 5", "5,5", "0x5", "٥", "5.0"])
def test_a_content_length_that_is_no_number_is_refused(invite: Invite, value: str) -> None:
    with pytest.raises(SipError) as refused:
        parse_message(invite(("Content-Length", f"Content-Length: {value}")))
    assert refused.value.reason == "Malformed Content-Length header"
    assert refused.value.request is not None


def test_a_body_without_content_length_reaches_to_the_end(invite: Invite) -> None:
    assert parse_message(invite(("Content-Length", None))).body == b"v=0\r\n"


@pytest.mark.parametrize("header", ["From", "To", "Call-ID", "CSeq", "Max-Forwards"])
def test_a_second_header_where_only_one_may_be_is_refused(invite: Invite, header: str) -> None:
    data = invite().replace(b"Contact:", f"{header.upper()}: x\r\nContact:".encode())
    with pytest.raises(SipError) as refused:
        parse_message(data)
    assert refused.value.reason == f"More than one {header} header"
    assert refused.value.request is not None


@pytest.mark.parametrize("header", ["From", "To"])
@pytest.mark.parametrize(
    "value", ['"a <sip:b@h>;tag=1', '"a\\" <sip:b@h>', '<sip:b@h>;x="', '"a" <sip:b']
)
def test_an_address_with_an_open_quote_is_refused(invite: Invite, header: str, value: str) -> None:
    with pytest.raises(SipError) as refused:
        parse_message(invite((header, f"{header}: {value}")))
    assert refused.value.reason == f"Malformed {header} header"
    assert refused.value.request is not None


def test_sizes_have_limits(invite: Invite) -> None:
    data = invite()
    header_count = data.count(b"\r\n", 0, data.index(b"\r\n\r\n"))
    longest = max(len(line) for line in data.split(b"\r\n")[1:])
    uri_chars = len("sip:8613800138000@192.0.2.1:5060")
    fitting = Limits(len(data), header_count, longest, uri_chars)
    assert parse_message(data, fitting).cseq == 1
    for change, status, reason in (
        ({"message_bytes": len(data) - 1}, 413, "Request Entity Too Large"),
        ({"header_count": header_count - 1}, 400, "Too many header lines"),
        ({"line_chars": longest - 1}, 400, "Header line too long"),
        ({"uri_chars": uri_chars - 1}, 414, "Request-URI Too Long"),
    ):
        with pytest.raises(SipError) as refused:
            parse_message(data, fitting._replace(**change))
        assert (refused.value.status, refused.value.reason) == (status, reason)


@pytest.mark.parametrize("start", ["SIP/2.0 200 {}", "{} sip:a SIP/2.0"])
@pytest.mark.parametrize("end", ["\r\n\r\n", "\n\n", "\r\nVia: x\r\n\r\n"])
def test_a_start_line_has_a_limit_too(start: str, end: str) -> None:
    with pytest.raises(SipError) as refused:
        parse_message((start.format("A" * 9_000) + end).encode())
    assert refused.value.reason == "Start line too long"


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"\0\0\0\0", b"\0", b"\r\n\0\n"])
def test_a_keepalive_is_told_from_a_message(data: bytes) -> None:
    assert is_keepalive(data)
    with pytest.raises(SipError):
        parse_message(data)


def test_a_message_is_no_keepalive(invite: Invite) -> None:
    assert not is_keepalive(invite())
    assert not is_keepalive(b"\r\n" + invite())
    assert not is_keepalive(b"x")


@pytest.mark.parametrize(
    ("value", "number"), [("70", 70), ("0", 0), ("300", 300), ("x", None), ("", None), ("-1", None)]
)
def test_max_forwards_is_a_number_or_nothing(
    invite: Invite, value: str, number: int | None
) -> None:
    assert parse_message(invite(("Max-Forwards", f"Max-Forwards: {value}"))).max_forwards == number


def test_the_top_via_that_cannot_be_read_raises_without_a_request(invite: Invite) -> None:
    request = parse_message(invite(("Via", "Via: nonsense")))
    with pytest.raises(SipError) as refused:
        request.top_via  # noqa: B018
    assert refused.value.status == 400
    assert refused.value.request is None


def test_what_a_refused_request_says_of_itself(invite: Invite) -> None:
    with pytest.raises(SipError) as refused:
        parse_message(invite(("INVITE", "INVITE sip:a@b SIP/3.0"), ("Contact", "no header at all")))
    request = refused.value.request
    assert request is not None
    assert (request.method, request.uri, request.cseq) == ("INVITE", "sip:a@b", 1)
    assert request.top_via.branch == "z9hG4bKone"
    assert "contact" not in request.keys


def test_a_fold_is_one_space(invite: Invite) -> None:
    request = parse_message(invite(("Contact", "Subject: \n one\n\ttwo \n   three")))
    assert "Subject: one two three" in request.lines
    assert request.get("subject") == "one two three"


def test_the_memory_of_header_names_has_a_limit(invite: Invite) -> None:
    from router.sip.head import header_keys

    for number in range(20):
        names = "\n".join(f"X-Flood-{number}-{i}: y" for i in range(100))
        parse_message(invite(("Contact", names)))
    assert len(header_keys) <= 1_024
    request = parse_message(invite(("Contact", "X-After-The-Flood: 1")))
    assert request.get("x-after-the-flood") == "1"
