from __future__ import annotations

from collections.abc import Callable

import pytest

from router.sip.errors import SipError
from router.sip.framing import StreamFramer
from router.sip.head import Limits

Invite = Callable[..., bytes]


def test_messages_are_cut_by_content_length(invite: Invite) -> None:
    first, second = invite(), invite(("Content-Length", "l : 3"))[:-2]
    framer = StreamFramer()
    assert framer.feed(first + second + first[:10]) == [first, second]
    assert framer.feed(first[10:-1]) == []
    assert framer.feed(first[-1:]) == [first]
    assert framer.error is None


def test_a_body_may_contain_anything(invite: Invite) -> None:
    body = b"\r\n\r\nINVITE sip:a SIP/2.0\r\n\0\xff"
    data = invite(("Content-Length", f"Content-Length:\n {len(body)}"))[: -len(b"v=0\r\n")] + body
    framer = StreamFramer()
    assert framer.feed(data * 2) == [data, data]


@pytest.mark.parametrize(
    ("chunks", "pings"),
    [
        ([b"\r\n\r\n"], 1),
        ([b"\r\n"], 0),
        ([b"\r", b"\n", b"\r", b"\n"], 1),
        ([b"\r\n", b"\r\n", b"\r\n"], 1),
        ([b"\r\n\r\n\r\n\r\n"], 2),
        ([b""], 0),
    ],
)
def test_double_line_ends_are_pings(invite: Invite, chunks: list[bytes], pings: int) -> None:
    framer = StreamFramer()
    for chunk in chunks:
        assert framer.feed(chunk) == []
    assert framer.pings == pings
    assert framer.feed(invite()) == [invite()]
    assert framer.pings == pings


def test_single_line_ends_around_a_message_are_no_ping(invite: Invite) -> None:
    framer = StreamFramer()
    data = b"\r\n" + invite()
    assert framer.feed(data + data + b"\r\n") == [invite(), invite()]
    assert framer.pings == 0


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", 400, "Not a SIP message"),
        (b"\x16\x03\x01", 400, "Not a SIP message"),
        (b"\rX", 400, "Not a SIP message"),
        (b" INVITE", 400, "Not a SIP message"),
        (b"\xff", 400, "Not a SIP message"),
        (b"INVITE " + b"x" * 8_200, 400, "Start line too long"),
        (b"A SIP/2.0\r\n\r\n", 400, "Missing Content-Length header"),
        (b"A SIP/2.0\r\nl: 1\r\nl: 1\r\n\r\n", 400, "More than one Content-Length header"),
        (b"A SIP/2.0\r\nl: x\r\n\r\n", 400, "Malformed Content-Length header"),
        (b"A SIP/2.0\r\nl: -1\r\n\r\n", 400, "Malformed Content-Length header"),
        (b"A SIP/2.0\r\nnothing\r\nl: 1\r\n\r\n", 400, "Malformed header line"),
        (b"A SIP/2.0\r\nl: 0\rx\r\n\r\n", 400, "Carriage return without line feed"),
        (b"A SIP/2.0\r\nl: 99999\r\n\r\n", 413, "Request Entity Too Large"),
        (b"A SIP/2.0\r\n" + b"x: y\r\n" * 20_000, 413, "Request Entity Too Large"),
        (b"A SIP/2.0\r\n" + b"x: y\r\n" * 20_000 + b"\r\n", 413, "Request Entity Too Large"),
        (b"A SIP/2.0\r\n" + b"x: y\r\n" * 200 + b"l: 0\r\n\r\n", 400, "Too many header lines"),
    ],
)
def test_a_stream_that_cannot_be_followed_ends(data: bytes, status: int, reason: str) -> None:
    framer = StreamFramer()
    with pytest.raises(SipError) as ended:
        framer.feed(data)
    assert (ended.value.status, ended.value.reason) == (status, reason)
    assert framer.error is ended.value
    with pytest.raises(SipError):
        framer.feed(b"")


def test_what_was_whole_before_the_failure_is_handed_out_first(invite: Invite) -> None:
    framer = StreamFramer()
    assert framer.feed(invite() + b"\0") == [invite()]
    assert framer.error is not None
    with pytest.raises(SipError):
        framer.feed(invite())


def test_a_message_of_just_the_limit_fits(invite: Invite) -> None:
    data = invite()
    assert StreamFramer(Limits(message_bytes=len(data))).feed(data) == [data]
    with pytest.raises(SipError):
        StreamFramer(Limits(message_bytes=len(data) - 1)).feed(data)


def test_lines_may_end_with_lf_alone(invite: Invite) -> None:
    data = invite().replace(b"\r\n", b"\n", 11)
    assert StreamFramer().feed(data * 2) == [data, data]


def test_many_messages_in_one_chunk_are_all_handed_out(invite: Invite) -> None:
    data = invite()
    assert StreamFramer().feed(data * 2_000) == [data] * 2_000
