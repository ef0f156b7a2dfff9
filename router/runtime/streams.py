"""TCP connections of one worker: accepted, opened, framed, limited, reused.

A connection stays with the worker that accepted or opened it and is named by (slot, number) in a
flow; messages for calls of other workers go to and from their owners as strays. Framing is
`router.sip.framing`; this module knows of SIP only that messages and CRLF keep-alives
(RFC 5626 §4.4.1: two CRLF in, one out) come out of it.

    accepted ──► open ──► closed      by the peer, by an error, by a limit
    dialled  ──► connecting ──► open ──► closed
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, cast

from router.core.flow import Flow
from router.core.tally import Tally
from router.runtime.sockets import TCP_BACKLOG
from router.runtime.strays import StraySender
from router.sip.errors import SipError
from router.sip.framing import StreamFramer

PAUSE_S = 0.02
"""How long a stream is not read whose messages come faster than their owners take them."""
MANY_MESSAGES = 64
"""In one read: what comes back from their owners has to be read as well."""


class StreamLimits(NamedTuple):
    """What connections may cost us; times in seconds."""

    connections: int = 4_000
    per_source: int = 200
    unsent_bytes: int = 1_000_000
    """Written by us and not taken by the peer."""
    unsent_messages: int = 200
    """Waiting for a connection that is being opened."""
    message_s: float = 10.0
    """From the first byte of a message to its last."""
    idle_s: float = 600.0
    first_message_s: float = 30.0
    """An accepted connection that has not sent one whole message by then is closed."""
    connect_s: float = 4.0
    """Shorter than the time an INVITE waits for its first answer."""


class _Framer(StreamFramer):
    __slots__ = ()

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer)


class _Connection(asyncio.Protocol):
    """One open stream and what has come of the message that is arriving."""

    __slots__ = (
        "_pings",
        "accepted",
        "born_s",
        "flow",
        "framer",
        "heard",
        "last_s",
        "partial_since_s",
        "streams",
        "transport",
        "users",
    )

    def __init__(self, streams: Streams, listener: int, accepted: bool) -> None:
        self.streams = streams
        self.accepted = accepted
        self.framer = _Framer()
        self.flow = Flow("tcp", "", 0, listener)
        self.transport: asyncio.Transport | None = None
        self.born_s = self.last_s = streams.loop.time()
        self.partial_since_s = 0.0
        """When the first byte of an unfinished message came; 0: between messages."""
        self.heard = 0
        """Whole messages received."""
        self.users: set[int] = set()
        """Slots, other than ours, that use this connection: they hear when it breaks."""
        self._pings = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.streams.on_open(self)

    def data_received(self, data: bytes) -> None:
        framer = self.framer
        self.last_s = self.streams.loop.time()
        try:
            messages = framer.feed(data)
        except SipError:
            # What follows cannot be framed any more: there is no next message on this stream.
            self.streams.tally.parse_errors += 1
            self.abort()
            return
        if framer.pings != self._pings:
            answers, self._pings = framer.pings - self._pings, framer.pings
            self.write(b"\r\n" * answers)
        if messages:
            self.heard += len(messages)
            self.streams.on_messages(self, messages)
            if len(messages) >= MANY_MESSAGES or self.streams.is_behind:
                # This peer has to wait: else what others send would be dropped for it.
                self._pause()
        if framer.error is not None:
            self.streams.tally.parse_errors += 1
            self.abort()
        if not framer.unfinished:
            self.partial_since_s = 0.0
        elif messages or not self.partial_since_s:
            self.partial_since_s = self.last_s

    def _pause(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()
            self.streams.loop.call_later(PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self.streams.is_behind:
            self._pause()
        elif self.transport is not None:
            self.last_s = self.streams.loop.time()
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.streams.on_closed(self)

    def is_of(self, flow: Flow) -> bool:
        """Whether this is the stream of a flow.

        A registration may name one of an earlier life of this worker, whose numbers begin again.
        """
        mine = self.flow
        return mine.port == flow.port and mine.host == flow.host

    def write(self, data: bytes) -> bool:
        """Hand bytes to the stream; False when it is closed, or closes for not being read."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        transport.write(data)
        if transport.get_write_buffer_size() > self.streams.limits.unsent_bytes:
            self.abort()
            return False
        return True

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()


class Streams:
    """Every TCP connection of a worker.

    `deliver(message, flow)` takes a received message and returns the slot whose engine got it;
    `on_broken(flow)` hears of each connection that closed or could not be opened.
    """

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        sockets: list[tuple[int, socket.socket]],
        slot: int,
        deliver: Callable[[bytes, Flow], int],
        on_broken: Callable[[Flow], None],
        strays: StraySender,
        tally: Tally,
        limits: StreamLimits,
    ) -> None:
        self.loop = loop
        self.tally = tally
        self.limits = limits
        self.dropped = 0
        self._sockets = sockets
        self._slot = slot
        self._deliver = deliver
        self._on_broken = on_broken
        self._strays = strays
        self._servers: list[asyncio.Server] = []
        self._stopped = False
        self._last_number = 0
        self._open: dict[int, _Connection] = {}
        self._by_peer: dict[tuple[str, int], _Connection] = {}
        self._dialling: dict[tuple[str, int], list[bytes]] = {}
        self._dials: set[asyncio.Task[None]] = set()
        self._by_source: Counter[str] = Counter()

    async def start(self) -> None:
        """Accept connections from now on."""
        for listener, opened in self._sockets:
            # A copy: asyncio closes the socket of a server, and a successor needs this one.
            copy = opened.dup()
            copy.setblocking(False)

            def accepted(listener: int = listener) -> _Connection:
                return _Connection(self, listener, True)

            self._servers.append(
                await self.loop.create_server(accepted, sock=copy, backlog=TCP_BACKLOG)
            )

    def stop(self) -> None:
        """Accept no more and close every connection when what is written has left."""
        self._stopped = True
        for server in self._servers:
            server.close()
        for dial in self._dials:
            dial.cancel()
        for connection in list(self._open.values()):
            if connection.transport is not None:
                connection.transport.close()

    @property
    def is_behind(self) -> bool:
        """Whether the owners of calls do not keep up with what streams bring."""
        return self._strays.is_behind

    @property
    def connections(self) -> int:
        """How many streams are open."""
        return len(self._open)

    def send(self, data: bytes, flow: Flow) -> bool:
        """Send by the flow's connection, or by one to its address, opened if need be.

        False when that cannot be done; what fails later goes to `on_broken`.
        """
        if flow.connection:
            if flow.slot not in (self._slot, -1):
                return self._strays.send_by(data, flow)
            connection = self._open.get(flow.connection)
            return connection is not None and connection.is_of(flow) and connection.write(data)
        peer = (flow.host, flow.port)
        connection = self._by_peer.get(peer)
        if connection is not None and connection.write(data):
            return True
        waiting = self._dialling.get(peer)
        if waiting is None:
            return self._dial(data, flow)
        if len(waiting) >= self.limits.unsent_messages:
            self.dropped += 1
            return False
        waiting.append(data)
        return True

    def send_for(self, slot: int, data: bytes, flow: Flow) -> None:
        """Send by a connection of ours for another worker, which hears when that breaks."""
        connection = self._open.get(flow.connection)
        if connection is not None and not connection.is_of(flow):
            connection = None
        if connection is not None:
            connection.users.add(slot)
        if connection is None or not connection.write(data):
            self._strays.tell_broken(slot, flow)

    def sweep(self) -> None:
        """Close what is idle and what does not end the message it has begun; once a second."""
        now_s = self.loop.time()
        limits = self.limits
        for connection in list(self._open.values()):
            if (
                now_s - connection.last_s > limits.idle_s
                or (
                    connection.partial_since_s
                    and now_s - connection.partial_since_s > limits.message_s
                )
                or (
                    connection.accepted
                    and not connection.heard
                    and now_s - connection.born_s > limits.first_message_s
                )
            ):
                connection.abort()

    # What connections tell

    def on_open(self, connection: _Connection) -> None:
        """A connection is made: number it, or close it when there are too many."""
        transport = connection.transport
        assert transport is not None
        host, port = transport.get_extra_info("peername")[:2]
        source_count = self._by_source[host]
        if len(self._open) >= self.limits.connections or source_count >= self.limits.per_source:
            self.dropped += 1
            transport.abort()
            return
        self._by_source[host] += 1
        self._last_number += 1
        connection.flow = Flow(
            "tcp", host, port, connection.flow.listener, self._last_number, self._slot
        )
        self._open[self._last_number] = connection
        # A peer's own connection serves our requests to the same address too.
        self._by_peer[(host, port)] = connection

    def on_messages(self, connection: _Connection, messages: list[bytes]) -> None:
        """Whole messages came."""
        for message in messages:
            slot = self._deliver(message, connection.flow)
            if slot != self._slot:
                connection.users.add(slot)

    def on_closed(self, connection: _Connection) -> None:
        """The connection is gone: whoever waits for something from it hears that."""
        flow = connection.flow
        if self._open.pop(flow.connection, None) is None or self._stopped:
            return
        peer = (flow.host, flow.port)
        if self._by_peer.get(peer) is connection:
            del self._by_peer[peer]
        self._by_source[flow.host] -= 1
        if not self._by_source[flow.host]:
            del self._by_source[flow.host]
        self._on_broken(flow)
        for slot in connection.users:
            self._strays.tell_broken(slot, flow)

    # Opening

    def _dial(self, data: bytes, flow: Flow) -> bool:
        if len(self._open) + len(self._dialling) >= self.limits.connections:
            self.dropped += 1
            return False
        self._dialling[(flow.host, flow.port)] = [data]
        dial = self.loop.create_task(self._connect(flow))
        self._dials.add(dial)
        dial.add_done_callback(self._dials.discard)
        return True

    async def _connect(self, flow: Flow) -> None:
        peer = (flow.host, flow.port)
        connection = _Connection(self, self._listener_of(flow), False)
        try:
            async with asyncio.timeout(self.limits.connect_s):
                await self.loop.create_connection(
                    lambda: connection, *peer, local_addr=self._local_address(flow)
                )
        except (OSError, TimeoutError):
            del self._dialling[peer]
            self._on_broken(flow)
            return
        waiting = self._dialling.pop(peer)
        if not all(connection.write(data) for data in waiting):
            self._on_broken(flow)

    def _listener_of(self, flow: Flow) -> int:
        """The listener by which the peer knows us: our first, when the flow does not say."""
        if flow.listener >= 0 or not self._sockets:
            return flow.listener
        return self._sockets[0][0]

    def _local_address(self, flow: Flow) -> tuple[str, int] | None:
        """The address we listen on, any port: peers know us by it."""
        for listener, opened in self._sockets:
            if listener == self._listener_of(flow):
                host = opened.getsockname()[0]
                return None if host in ("0.0.0.0", "::") else (host, 0)
        return None
