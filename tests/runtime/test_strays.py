"""Finding the Call-ID without parsing, and the datagrams between workers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.flow import Flow
from router.core.tally import Tally
from router.runtime.strays import (
    BROKEN,
    MAX_WAITING,
    RECEIVED,
    SEND,
    StrayCodec,
    StraySender,
    find_call_id,
)

START = b"INVITE sip:x SIP/2.0\r\n"


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (START + b"Call-ID: abc@x\r\nCSeq: 1 X\r\n\r\n", b"abc@x"),
        (START + b"Call-ID:abc\r\n\r\n", b"abc"),
        (START + b"Call-ID:\t abc \r\n\r\n", b"abc"),
        (START + b"CALL-id: abc\r\n\r\n", b"abc"),
        (START + b"Call-ID : abc\r\n\r\n", b"abc"),
        (START + b"i: abc\r\n\r\n", b"abc"),
        (START + b"I:abc\r\nCSeq: 1 X\r\n\r\n", b"abc"),
        (START + b"Call-ID:\r\n  abc\r\n\r\n", b"abc"),
        (START + b"Subject: hi: there\r\nVia: x\r\nCall-ID: abc\r\n\r\n", b"abc"),
        (START + b"i: abc\r\n\r\nbody\r\nCall-ID: other\r\n", b"abc"),
        (START + b"X: y\r\n\r\nbody\r\nCall-ID: other\r\n", b""),
        (START + b"X-Call-ID: no\r\nCall-ID: abc\r\n\r\n", b"abc"),
        (b"\r\n\r\n" + START + b"Call-ID: abc\r\n\r\n", b"abc"),
        (b"\r\n" + START + b"i: abc\r\n\r\n", b"abc"),
        (b"INVITE sip:x SIP/2.0\nCall-ID: abc\nCSeq: 1 X\n\n", b"abc"),
        (START + b"Call-ID: abc", b"abc"),
        (START + b"Call-ID: \xff\xfe\r\n\r\n", b"\xff\xfe"),
        (START + b"Call-ID:\r\nCSeq: 1 X\r\n\r\n", b""),
        (START + b"CSeq: 1 X\r\n\r\n", b""),
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b"\0\1\2", b""),
    ],
    ids=range(22),
)
def test_the_call_id_is_found_in_every_spelling_and_only_in_the_head(
    message: bytes, found: bytes
) -> None:
    assert find_call_id(message) == found


flows = st.builds(
    Flow,
    st.sampled_from(["udp", "tcp"]),
    st.sampled_from(["127.0.0.1", "2001:db8::1", "203.0.113.255"]),
    st.integers(0, 65535),
    st.integers(-1, 40),
    st.integers(0, 2**31),
    st.integers(-1, 64),
)


@given(st.sampled_from([RECEIVED, SEND, BROKEN]), flows, st.binary(max_size=2000))
def test_what_is_packed_is_unpacked(kind: int, flow: Flow, message: bytes) -> None:
    sender, reader = StrayCodec(3), StrayCodec(1)
    for _ in range(2):
        assert reader.unpack(sender.pack(kind, flow, message)) == (kind, 3, flow, message)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)
    sender.setblocking(False)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    yield receiver, sender
    receiver.close()
    sender.close()


def test_strays_wait_in_order_for_a_worker_that_reads_late_and_are_bounded(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    receiver, opened = pair
    flow = Flow("udp", "127.0.0.1", 5060, 0)

    async def scene() -> tuple[list[int], int, int]:
        tally = Tally()
        sender = StraySender(asyncio.get_running_loop(), [opened], 1, tally)
        for n in range(MAX_WAITING + 200):
            sender.hand_over(0, n.to_bytes(4, "big") + b"x" * 500, flow)
        codec = StrayCodec(0)
        got: list[int] = []
        idle = 0
        while idle < 5:
            try:
                got.append(int.from_bytes(codec.unpack(receiver.recv(4096))[3][:4], "big"))
                idle = 0
            except BlockingIOError:
                idle += 1
                await asyncio.sleep(0)
        return got, sender.dropped, tally.strays

    got, dropped, strays = asyncio.run(scene())
    assert got == sorted(got)
    assert got[-1] == MAX_WAITING + 199
    assert dropped > 0
    assert len(got) + dropped == MAX_WAITING + 200
    assert strays == MAX_WAITING + 200


def test_a_message_of_the_largest_size_passes(pair: tuple[socket.socket, socket.socket]) -> None:
    receiver, opened = pair
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1_000_000)
    flow = Flow("tcp", "2001:db8::1", 5060, 0, 9, 1)
    message = b"m" * 65_000

    async def scene() -> None:
        StraySender(asyncio.get_running_loop(), [opened], 1, Tally()).hand_over(0, message, flow)

    asyncio.run(scene())
    assert StrayCodec(0).unpack(receiver.recv(70_000)) == (RECEIVED, 1, flow, message)


def test_a_connection_of_a_worker_that_there_is_no_more_sends_nothing() -> None:
    """A registration may be older than this run, which may have had more workers."""
    opened, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    async def scene() -> tuple[bool, bool]:
        sender = StraySender(asyncio.get_running_loop(), [opened], 1, Tally())
        return (
            sender.send_by(b"x", Flow("tcp", "192.0.2.1", 5060, 0, 9, 1)),
            sender.send_by(b"x", Flow("tcp", "192.0.2.1", 5060, 0, 9, 0)),
        )

    assert asyncio.run(scene()) == (False, True)
    opened.close()
    receiver.close()
