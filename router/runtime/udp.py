"""One UDP socket of a worker: what has arrived is drained in a turn, what leaves never blocks."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from router.core.flow import Flow

DATAGRAMS_PER_TURN = 64
"""Enough for commits to be shared, few enough that timers and other sockets need not wait."""

MAX_DATAGRAM = 65_535
MAX_QUEUED = 2_000
MAX_KNOWN_FLOWS = 20_000


class UdpPort:
    """A socket and the queue in front of it for when the kernel takes no more."""

    __slots__ = (
        "_deliver",
        "_end_turn",
        "_loop",
        "_queued",
        "_sendto",
        "_socket",
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
    ) -> None:
        self._loop = loop
        self._socket = opened
        self._sendto = opened.sendto
        self._queued: deque[tuple[bytes, tuple[str, int]]] = deque()
        self._deliver = deliver
        self._end_turn = end_turn
        self.listener = listener
        self.dropped = 0

    def start(self, now: Callable[[], int]) -> None:
        """Read from now on: `deliver(data, flow, now_ms)` for each datagram, `end_turn` once."""
        self._loop.add_reader(self._socket, self._reader(now))

    def stop(self) -> None:
        """Read no more; what arrives stays in the socket for a successor."""
        self._loop.remove_reader(self._socket)

    def _reader(self, now: Callable[[], int]) -> Callable[[], None]:
        recvfrom = self._socket.recvfrom
        deliver, end_turn, listener = self._deliver, self._end_turn, self.listener
        flows: dict[Any, Flow] = {}
        turn = range(DATAGRAMS_PER_TURN)

        def read() -> None:
            now_ms = now()
            for _ in turn:
                try:
                    data, source = recvfrom(MAX_DATAGRAM)
                except OSError:  # BlockingIOError: all is read; others concern a past send
                    break
                flow = flows.get(source)
                if flow is None:
                    if len(flows) >= MAX_KNOWN_FLOWS:
                        flows.clear()
                    flow = flows[source] = Flow("udp", source[0], source[1], listener)
                deliver(data, flow, now_ms)
            end_turn(now_ms)

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
                return False
        if len(self._queued) >= MAX_QUEUED:
            # The oldest is the least wanted: its sender resends it, or has given up.
            self._queued.popleft()
            self.dropped += 1
        self._queued.append((data, target))
        return True

    def _send_queued(self) -> None:
        queued = self._queued
        while queued:
            data, target = queued[0]
            try:
                self._sendto(data, target)
            except BlockingIOError:
                return
            except OSError:
                self.dropped += 1
            queued.popleft()
        self._loop.remove_writer(self._socket)
