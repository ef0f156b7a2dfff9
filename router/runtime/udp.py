"""One UDP socket of a worker: what has arrived is drained in a turn, what leaves never blocks.

With IP_RECVERR the kernel keeps ICMP errors in the socket's error queue; it also reports each once
at the next call on the socket, which has nothing to do with it. In a SO_REUSEPORT group they reach
any member, not the one that sent.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from router.core.flow import Flow

DATAGRAMS_PER_TURN = 64
"""Enough for commits to be shared, few enough that timers and other sockets need not wait."""

FURTHER_TURNS = 8
"""How many turns may follow on one before timers and other sockets have theirs."""

BUSY_S = 0.003
LOOK_S = 0.002
IDLE_LOOKS = 5
"""When datagrams come closer together than `BUSY_S` nobody waits for each of them any more: the
socket is looked at every `LOOK_S`, until so many looks found nothing. A turn then has several
messages, which share its commit and its pass of the loop: at 500 calls a second a third of the
turns, and 36 us of the system's time a call, for two milliseconds that nobody hears."""

MAX_DATAGRAM = 65_535
MAX_QUEUED = 2_000
MAX_KNOWN_FLOWS = 20_000

# linux/in.h and linux/in6.h; the socket module does not name them.
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_MSG_ERRQUEUE = 0x2000
_MAX_ERRORS = 64
_EXTENDED_ERROR = struct.Struct("=IB")  # errno and origin, of struct sock_extended_err
_FROM_ICMP = (2, 3)  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6
_UNREACHABLE = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)


class UdpPort:
    """A socket and the queue in front of it for when the kernel takes no more."""

    __slots__ = (
        "_end_turn",
        "_idle_looks",
        "_loop",
        "_next_look",
        "_queued",
        "_read_s",
        "_refused",
        "_sendto",
        "_socket",
        "deliver",
        "dropped",
        "listener",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        opened: socket.socket,
        listener: int,
        deliver: Callable[[bytes, Flow, int], None],
        end_turn: Callable[[int], None],
        refused: Callable[[str, int], None],
    ) -> None:
        self._loop = loop
        self._socket = opened
        self._sendto = opened.sendto
        self._queued: deque[tuple[bytes, tuple[str, int]]] = deque()
        self.deliver = deliver
        """Gets what arrives; another may take its place between two turns."""
        self._end_turn = end_turn
        self._refused = refused
        self._read_s = 0.0
        self._idle_looks = 0
        self._next_look: asyncio.TimerHandle | None = None
        self.listener = listener
        self.dropped = 0

    def start(self, now: Callable[[], int]) -> None:
        """Read from now on: `deliver(data, flow, now_ms)` for each datagram, `end_turn` once."""
        # Without this an unconnected socket never hears that nobody listens at a peer's port.
        with suppress(OSError):
            if self._socket.family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        self._loop.add_reader(self._socket, self._reader(now))

    def stop(self) -> None:
        """Read no more; what arrives stays in the socket for a successor."""
        self._loop.remove_reader(self._socket)
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    def _reader(self, now: Callable[[], int]) -> Callable[[], None]:
        recvfrom = self._socket.recvfrom
        end_turn, listener = self._end_turn, self.listener
        flows: dict[Any, Flow] = {}
        turn = range(DATAGRAMS_PER_TURN)
        further = range(FURTHER_TURNS)
        hear_errors = self._hear_errors
        loop, clock = self._loop, self._loop.time

        def read_turn() -> bool:
            """Drain and finish one turn; False when there was nothing."""
            now_ms = now()
            deliver = self.deliver
            source = None
            for _ in turn:
                try:
                    data, source = recvfrom(MAX_DATAGRAM)
                except BlockingIOError:
                    break
                except OSError:
                    hear_errors()
                    continue
                flow = flows.get(source)
                if flow is None:
                    if len(flows) >= MAX_KNOWN_FLOWS:
                        flows.clear()
                    flow = flows[source] = Flow("udp", source[0], source[1], listener)
                deliver(data, flow, now_ms)
            if source is None:
                return False
            end_turn(now_ms)
            return True

        def read() -> None:
            if not read_turn():  # woken for nothing: an error waits
                hear_errors()
                end_turn(now())
                return
            # What arrived while a turn was worked through need not wait for a pass of the loop,
            # which costs more than looking.
            for _ in further:
                if not read_turn():
                    break
            now_s = clock()
            if now_s - self._read_s < BUSY_S:
                loop.remove_reader(self._socket)
                self._idle_looks = 0
                self._next_look = loop.call_later(LOOK_S, look)
            self._read_s = now_s

        def look() -> None:
            self._idle_looks = 0 if read_turn() else self._idle_looks + 1
            if self._idle_looks < IDLE_LOOKS:
                self._next_look = loop.call_later(LOOK_S, look)
            else:
                self._next_look = None
                loop.add_reader(self._socket, read)

        return read

    def send(self, data: bytes, flow: Flow) -> bool:
        """Send, or queue when the kernel takes no more; False when the peer cannot be reached."""
        target = (flow[1], flow[2])
        if not self._queued:
            try:
                self._sendto(data, target)
                return True
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._send_queued)
            except OSError:
                # It may be about an earlier datagram: then this one has not been tried yet.
                self._hear_errors()
                try:
                    self._sendto(data, target)
                    return True
                except OSError:
                    return False
        if len(self._queued) >= MAX_QUEUED:
            # The oldest is the least wanted: its sender resends it, or has given up.
            self._queued.popleft()
            self.dropped += 1
        self._queued.append((data, target))
        return True

    def _hear_errors(self) -> None:
        """Read what ICMP said of datagrams sent before (ip(7), IP_RECVERR)."""
        for _ in range(_MAX_ERRORS):
            try:
                _, ancillary, _, target = self._socket.recvmsg(0, 256, _MSG_ERRQUEUE)
            except OSError:
                return
            # The rest (a datagram too large for the path) says nothing about who listens.
            if target and any(_tells_unreachable(kind, value) for _, kind, value in ancillary):
                self._refused(target[0], target[1])

    def _send_queued(self) -> None:
        queued = self._queued
        while queued:
            data, target = queued[0]
            try:
                self._sendto(data, target)
            except BlockingIOError:
                return
            except OSError:
                self._hear_errors()
                try:
                    self._sendto(data, target)
                except OSError:
                    self.dropped += 1
            queued.popleft()
        self._loop.remove_writer(self._socket)


def _tells_unreachable(kind: int, value: bytes) -> bool:
    """Whether ancillary data of the error queue is an ICMP error that means "not there"."""
    if kind not in (_IP_RECVERR, _IPV6_RECVERR) or len(value) < _EXTENDED_ERROR.size:
        return False
    number, origin = _EXTENDED_ERROR.unpack_from(value)
    return number in _UNREACHABLE and origin in _FROM_ICMP
