"""Messages that reached a worker which does not own their call, and how they get to the owner.

The kernel steers most datagrams rightly; this is for the rest (compact Call-ID, no filter) and for
streams, whose connection stays with the worker that accepted it. Workers write to each other over
connected pairs of AF_UNIX datagram sockets, which the kernel limits by bytes and not by
net.unix.max_dgram_qlen. One datagram is

    length of the head (1 byte) | head: kind, sender's slot, flow | the SIP message

    RECEIVED   a message from the network for the owner's engine, with the flow it came by
    SEND       bytes that the worker which owns the flow's connection shall write to it
    BROKEN     no message: that connection is gone
    REFUSED    no message: nobody listens at the flow's UDP address

The reader trusts what it reads: only our own processes have these sockets.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import deque

from router.core.flow import Flow
from router.core.tally import Tally

RECEIVED, SEND, BROKEN, REFUSED = 1, 2, 3, 4

MAX_WAITING = 4_000
"""Strays kept for one slot that does not read; the oldest is dropped and counted."""
BEHIND = 200
"""Strays waiting for a slot from which on streams are not read: one read brings fewer messages than
there is still room for."""

_HEAD = struct.Struct("<BhBhIhH")
_TRANSPORTS = ("udp", "tcp")
_MAX_KNOWN = 10_000

_OTHER_SPELLINGS = re.compile(
    rb"\r?\n(?:call-id|i)[ \t]*:[ \t]*(?:\r?\n[ \t]+)*([^\r\n]*)", re.IGNORECASE
)


def find_call_id(message: bytes) -> bytes:
    """The Call-ID of a SIP message as it stands there, stripped; b"" when there is none.

    A quick look, much cheaper than parsing: only the part before the first empty line counts.
    """
    if message[:1] in (b"\r", b"\n"):
        message = message.lstrip(b"\r\n")
    end = message.find(b"\r\n\r\n")
    start = message.find(b"\nCall-ID:", 0, end)
    if start >= 0:
        stop = message.find(b"\r", start + 9)
        call_id = message[start + 9 : stop].strip(b" \t")
        if stop > 0 and call_id and b"\n" not in call_id:
            return call_id
    found = _OTHER_SPELLINGS.search(message, 0, end if end >= 0 else len(message))
    return found[1].strip(b" \t") if found is not None else b""


class StrayCodec:
    """Packs and unpacks the head of a stray; both directions remember the flows they met."""

    __slots__ = ("_flows", "_heads", "_slot")

    def __init__(self, slot: int) -> None:
        self._slot = slot
        self._heads: dict[tuple[int, Flow], bytes] = {}
        self._flows: dict[bytes, tuple[int, int, Flow]] = {}

    def pack(self, kind: int, flow: Flow, message: bytes = b"") -> bytes:
        """One datagram between workers."""
        head = self._heads.get((kind, flow))
        if head is None:
            transport, host, port, listener, connection, slot = flow
            fixed = _HEAD.pack(
                kind, self._slot, _TRANSPORTS.index(transport), listener, connection, slot, port
            )
            name = host.encode()
            head = bytes([len(fixed) + len(name)]) + fixed + name
            if len(self._heads) >= _MAX_KNOWN:
                self._heads.clear()
            self._heads[(kind, flow)] = head
        return head + message

    def unpack(self, datagram: bytes) -> tuple[int, int, Flow, bytes]:
        """(kind, sender's slot, flow, message) of one datagram."""
        start = datagram[0] + 1
        head = datagram[1:start]
        known = self._flows.get(head)
        if known is None:
            kind, sender, transport, listener, connection, slot, port = _HEAD.unpack_from(head)
            host = head[_HEAD.size :].decode()
            flow = Flow(_TRANSPORTS[transport], host, port, listener, connection, slot)
            known = kind, sender, flow
            if len(self._flows) >= _MAX_KNOWN:
                self._flows.clear()
            self._flows[head] = known
        return *known, datagram[start:]


class StraySender:
    """The way to the other workers; never blocks, drops the oldest when one does not read."""

    __slots__ = ("_codec", "_loop", "_sockets", "_tally", "_waiting", "dropped")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: list[socket.socket],
        slot: int,
        tally: Tally,
    ) -> None:
        self._loop = loop
        self._sockets = sockets
        self._codec = StrayCodec(slot)
        self._tally = tally
        self._waiting: dict[int, deque[bytes]] = {}
        self.dropped = 0

    @property
    def is_behind(self) -> bool:
        """Whether a worker reads too slowly for more to be handed to it."""
        waiting = self._waiting
        return bool(waiting) and max(map(len, waiting.values())) >= BEHIND

    def hand_over(self, slot: int, message: bytes, flow: Flow) -> None:
        """Give a received message to the owner of its call."""
        self._tally.strays += 1
        self._send(slot, self._codec.pack(RECEIVED, flow, message))

    def send_by(self, message: bytes, flow: Flow) -> bool:
        """Have the worker that owns the flow's connection send a message; False: there is none.

        A registration may be older than this run, which may have had more workers.
        """
        if flow.slot >= len(self._sockets):
            return False
        self._send(flow.slot, self._codec.pack(SEND, flow, message))
        return True

    def tell_broken(self, slot: int, flow: Flow) -> None:
        """Tell a worker that used the flow's connection that it is gone."""
        self._send(slot, self._codec.pack(BROKEN, flow))

    def tell_refused(self, slot: int, flow: Flow) -> None:
        """Tell a worker that nobody listens at a UDP address."""
        self._send(slot, self._codec.pack(REFUSED, flow))

    def _send(self, slot: int, datagram: bytes) -> None:
        waiting = self._waiting.get(slot)
        if waiting is None:
            try:
                self._sockets[slot].send(datagram)
            except BlockingIOError:
                self._waiting[slot] = deque([datagram])
                self._loop.add_writer(self._sockets[slot], self._send_waiting, slot)
            except OSError:
                self.dropped += 1
            return
        if len(waiting) >= MAX_WAITING:
            waiting.popleft()
            self.dropped += 1
        waiting.append(datagram)

    def _send_waiting(self, slot: int) -> None:
        waiting = self._waiting[slot]
        while waiting:
            try:
                self._sockets[slot].send(waiting[0])
            except BlockingIOError:
                return
            except OSError:
                self.dropped += 1
            waiting.popleft()
        del self._waiting[slot]
        self._loop.remove_writer(self._sockets[slot])
