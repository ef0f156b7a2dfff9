"""What the messages of a call cost to read and to write; `make bench` runs these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from router.sip.framing import StreamFramer
from router.sip.message import Request, parse_message
from router.sip.render import render_message, render_request, render_response, reply_head
from router.sip.via import stamp_source

SDP = b"\r\n".join(
    [
        b"v=0",
        b"o=- 53655765 2353687637 IN IP4 192.0.2.2",
        b"s=-",
        b"c=IN IP4 192.0.2.2",
        b"t=0 0",
        b"m=audio 20000 RTP/AVP 0 8 101",
        b"a=rtpmap:0 PCMU/8000",
        b"a=rtpmap:8 PCMA/8000",
        b"a=rtpmap:101 telephone-event/8000",
        b"a=fmtp:101 0-15",
        b"a=ptime:20",
        b"a=sendrecv",
        b"",
    ]
)
VIA = b"Via: SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bK-5123-1-0;rport\r\n"
HEAD = (
    b"From: <sip:1001@192.0.2.2:5070>;tag=5123a1\r\n"
    b"To: <sip:8613800138000@192.0.2.1:5060>\r\n"
    b"Call-ID: 1-5123@192.0.2.2\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Contact: <sip:1001@192.0.2.2:5070>\r\n"
    b"Max-Forwards: 70\r\n"
    b"User-Agent: Carrier-SBC/9.1.0 (build 20240117)\r\n"
    b"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK\r\n"
    b"Supported: replaces, timer, 100rel\r\n"
    b"Session-Expires: 1800\r\n"
    b"Min-SE: 90\r\n"
    b"P-Asserted-Identity: <sip:1001@192.0.2.2>\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: %d\r\n\r\n" % len(SDP)
) + SDP
INVITE = b"INVITE sip:8613800138000@192.0.2.1:5060 SIP/2.0\r\n" + VIA + HEAD
RINGING = b"SIP/2.0 180 Ringing\r\n" + VIA + HEAD
CARRIED = frozenset(
    {"via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "content-length", "route"}
)

Benchmark = Callable[..., Any]


@pytest.fixture
def request_() -> Request:
    request = parse_message(INVITE)
    assert isinstance(request, Request)
    return request


def test_parse_an_invite_of_15_headers_and_800_bytes(benchmark: Benchmark) -> None:
    assert len(INVITE) > 780
    assert len(benchmark(parse_message, INVITE).keys) == 15


def test_parse_a_response(benchmark: Benchmark) -> None:
    assert benchmark(parse_message, RINGING).status == 180


def test_read_what_a_transaction_needs(benchmark: Benchmark, request_: Request) -> None:
    """Tags, branch and the note of the source, as if for the first time."""
    line = request_.lines[0]

    def read() -> str:
        request_.lines[0] = line
        request_._top_via = request_._from_tag = request_._to_tag = None
        stamp_source(request_, "192.0.2.2", 5070)
        return request_.top_via.branch + request_.from_tag + request_.to_tag

    assert benchmark(read) == "z9hG4bK-5123-1-05123a1"


def test_make_the_head_of_the_replies(benchmark: Benchmark, request_: Request) -> None:
    assert benchmark(reply_head, request_, "us").count("\r\n") == 5


def test_render_a_response(benchmark: Benchmark, request_: Request) -> None:
    head = reply_head(request_, "us")
    data = benchmark(render_response, 200, "OK", head, "Contact: <sip:us@192.0.2.1>\r\n", SDP)
    assert data.endswith(SDP)


def test_render_a_request_with_what_it_carries_over(
    benchmark: Benchmark, request_: Request
) -> None:
    head = reply_head(request_, "")

    def render() -> bytes:
        return render_request("INVITE", "sip:a@h", head, request_.passthrough(CARRIED), SDP)

    assert b"\r\nMin-SE: 90\r\n" in benchmark(render)


def test_render_a_message_unchanged(benchmark: Benchmark, request_: Request) -> None:
    assert benchmark(render_message, request_) == INVITE


def test_frame_a_message_on_a_stream(benchmark: Benchmark) -> None:
    framer = StreamFramer()
    assert benchmark(framer.feed, INVITE) == [INVITE]
