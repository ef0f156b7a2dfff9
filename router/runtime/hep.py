"""HEP3, the protocol by which a Homer is told of SIP messages (EEP/HEP3, revision 12).

    "HEP3" | length of all (2 bytes) | chunks: vendor (2), type (2), length with these (2), value
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from router.store.capture_ring import Captured

HEP_MAGIC = b"HEP3"
MOST_BYTES = 65_507
"""What one UDP datagram takes."""
SEND_BUFFER_BYTES = 1_000_000
SIP = 1
IPV4, IPV6 = 2, 10  # AF_INET and AF_INET6 as the protocol numbers them
UDP, TCP = 17, 6
_CHUNK = struct.Struct("!HHH")
_HEAD = struct.Struct("!4sH")


class HepPlan(NamedTuple):
    """Where the Homer is (host, port), and the number by which it knows us."""

    target: tuple[str, int]
    capture_id: int


class HepSender:
    """Sends batches to a Homer and never waits; `fault` says why a message was not sent."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._target = ("", 0)
        self.fault = ""

    def send(self, messages: Sequence[Captured], plan: HepPlan) -> int:
        """How many messages could not be sent."""
        try:
            connected = self._connected(plan.target)
        except OSError as error:
            self.fault = f"Homer: {(error.strerror or str(error)).lower()}"
            return len(messages)
        lost = 0
        for message in messages:
            try:
                datagram = render_hep(message, plan.capture_id)
                try:
                    connected.send(datagram)
                except ConnectionRefusedError:
                    # That is an ICMP error about one before: this one has not been tried yet.
                    self.fault = "Homer: connection refused"
                    lost += 1
                    connected.send(datagram)
            except (OSError, ValueError) as error:
                lost += 1
                self.fault = f"Homer: {str(error).lower()}"
        return min(lost, len(messages))

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self, target: tuple[str, int]) -> socket.socket:
        if self._socket is not None and self._target == target:
            return self._socket
        self.close()
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            with suppress(OSError):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            opened.connect(target)
        except OSError:
            opened.close()
            raise
        self._socket, self._target = opened, target
        return opened


def render_hep(message: Captured, capture_id: int) -> bytes:
    """One datagram for Homer; ValueError for a message that does not fit.

    The correlation id is the Call-ID of the caller's leg, so that Homer shows both legs as one.
    """
    source, target = _address(message.source[0]), _address(message.target[0])
    if source.version != target.version:
        source, target = _as_v6(source), _as_v6(target)
    is_v6 = source.version == 6
    seconds, micros = divmod(message.at_us, 1_000_000)
    chunks = [
        _chunk(1, bytes((IPV6 if is_v6 else IPV4,))),
        _chunk(2, bytes((UDP if message.transport == "udp" else TCP,))),
        _chunk(5 if is_v6 else 3, source.packed),
        _chunk(6 if is_v6 else 4, target.packed),
        _chunk(7, message.source[1].to_bytes(2)),
        _chunk(8, message.target[1].to_bytes(2)),
        _chunk(9, seconds.to_bytes(4)),
        _chunk(10, micros.to_bytes(4)),
        _chunk(11, bytes((SIP,))),
        _chunk(12, capture_id.to_bytes(4)),
    ]
    if message.call_id:
        chunks.append(_chunk(17, message.call_id))
    size = _HEAD.size + sum(map(len, chunks)) + _CHUNK.size + len(message.data)
    if size > MOST_BYTES:
        raise ValueError("the message is too long for a datagram of HEP3")
    chunks.append(_chunk(15, message.data))
    return _HEAD.pack(HEP_MAGIC, size) + b"".join(chunks)


def _chunk(kind: int, value: bytes) -> bytes:
    return _CHUNK.pack(0, kind, _CHUNK.size + len(value)) + value


def _address(host: str) -> IPv4Address | IPv6Address:
    return ip_address(host.partition("%")[0])


def _as_v6(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")
