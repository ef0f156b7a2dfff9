"""What the driver adds to the engine and the system calls, for each datagram."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from router.core.flow import Flow, Listener
from router.core.steering import call_hash, call_id_like
from router.core.tally import Tally
from router.runtime.bpf import steering_program
from router.runtime.clock import make_clock
from router.runtime.driver import Driver
from router.runtime.logs import BoundedLog
from router.runtime.sockets import Sockets, open_sockets
from router.runtime.strays import RECEIVED, StrayCodec, find_call_id
from router.runtime.tokens import TokenSource

BURST = 64
CALL_ID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6@192.0.2.7"
INVITE = (
    "INVITE sip:8613800138000@192.0.2.1:5060 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK-524287-1---f3a1c0d2;rport\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:1000@192.0.2.7>;tag=1928301774\r\n"
    f"To: <sip:8613800138000@192.0.2.1>\r\nCall-ID: {CALL_ID}\r\nCSeq: 1 INVITE\r\n"
    "Contact: <sip:1000@192.0.2.7:5060>\r\nContent-Length: 200\r\n\r\n" + "v" * 200
).encode()


class Mirror:
    """An engine that does nothing but send everything back where it came from."""

    def __init__(self) -> None:
        self.logs: list[tuple[str, str, dict[str, Any]]] = []
        self.active_calls = 0
        self.sends: list[tuple[bytes, Flow]] = []

    def receive(self, data: bytes, flow: Flow, now_ms: int) -> None:
        self.sends.append((data, flow))

    def take_sends(self) -> list[tuple[bytes, Flow]]:
        sends, self.sends = self.sends, []
        return sends

    def take_ops(self) -> list[Any]:
        return []

    def next_timer_ms(self) -> int | None:
        return None

    def on_timers(self, now_ms: int) -> None: ...
    def on_transport_error(self, flow: Flow, now_ms: int) -> None: ...
    def on_refused(self, host: str, port: int, now_ms: int) -> None: ...
    def on_committed(self, results: Sequence[Any], now_ms: int) -> None: ...
    def on_commit_failed(self, now_ms: int) -> None: ...
    def begin_shutdown(self, now_ms: int) -> None: ...
    def end_all(self, now_ms: int) -> None: ...


class NoStore:
    def commit(self, ops: Sequence[Any], now_ms: int) -> list[Any]:
        return [None] * len(ops)


@pytest.fixture
def peer() -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        opened.setblocking(False)
        yield opened


def empty(opened: socket.socket) -> int:
    """Read all that is there; how many datagrams."""
    count = 0
    try:
        while True:
            opened.recv(65535)
            count += 1
    except BlockingIOError:
        return count


def sent_burst(
    sockets: Sockets, peer: socket.socket
) -> Callable[[], tuple[tuple[()], dict[str, Any]]]:
    def setup() -> tuple[tuple[()], dict[str, Any]]:
        empty(peer)
        for _ in range(BURST):
            peer.sendto(INVITE, ("127.0.0.1", sockets.listeners[0].port))
        return (), {}

    return setup


@pytest.mark.parametrize("slots", [1, 2])
def test_a_turn_of_64_datagrams_there_and_back(benchmark: Any, peer: Any, slots: int) -> None:
    loop = asyncio.new_event_loop()
    sockets = open_sockets([Listener("udp", "127.0.0.1", 0)], slots)
    slot = call_hash(CALL_ID) % slots
    # Only the owner reads: the kernel's filter gives it everything.
    sockets.steer()
    driver = Driver(
        loop=loop,
        engine=Mirror(),
        store=NoStore(),
        sockets=sockets.slots[slot],
        slot=slot,
        now=make_clock(),
        tally=Tally(),
        log=BoundedLog(lambda *_: None),
    )
    read = driver._udp[0]._reader(make_clock())
    benchmark.extra_info["datagrams"] = BURST
    benchmark.pedantic(read, setup=sent_burst(sockets, peer), rounds=200)
    assert empty(peer) == BURST
    driver.stop()
    sockets.close()
    loop.close()


def test_the_same_system_calls_and_nothing_else(benchmark: Any, peer: Any) -> None:
    sockets = open_sockets([Listener("udp", "127.0.0.1", 0)], 1)
    opened = sockets.slots[0].udp[0][1]
    recvfrom, sendto = opened.recvfrom, opened.sendto

    def read() -> None:
        for _ in range(BURST):
            data, source = recvfrom(65535)
            sendto(data, source)

    benchmark.extra_info["datagrams"] = BURST
    benchmark.pedantic(read, setup=sent_burst(sockets, peer), rounds=200)
    assert empty(peer) == BURST
    sockets.close()


def test_find_call_id(benchmark: Any) -> None:
    assert benchmark(find_call_id, INVITE) == CALL_ID.encode()


def test_call_hash(benchmark: Any) -> None:
    assert benchmark(call_hash, CALL_ID) < 240


def test_call_id_like(benchmark: Any) -> None:
    assert benchmark(call_id_like, CALL_ID, "0123456789abcdef") != CALL_ID


def test_token(benchmark: Any) -> None:
    assert len(benchmark(TokenSource())) == 16


def test_a_stray_packed_and_unpacked(benchmark: Any) -> None:
    sender, reader = StrayCodec(0), StrayCodec(1)
    flow = Flow("udp", "192.0.2.7", 5060, 0)

    def there() -> Any:
        return reader.unpack(sender.pack(RECEIVED, flow, INVITE))

    assert benchmark(there)[3] == INVITE


def test_the_filter_is_built(benchmark: Any) -> None:
    assert benchmark(steering_program, 4)
