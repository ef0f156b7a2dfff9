"""Captured messages as a pcap file: Ethernet, IPv4 or IPv6, UDP or TCP around each message.

The layers below SIP are made up: what was captured are messages and not packets. A TCP connection
begins with a handshake at the time of its first message, and its sequence numbers count the bytes
of the messages that are there, so that readers can follow the stream.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import BinaryIO, Final

from router.store.capture_ring import Captured

Endpoint = tuple[IPv4Address | IPv6Address, int]

_FILE_HEAD: Final = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
_PACKET_HEAD: Final = struct.Struct("<IIII")
_US: Final = b"\x02\x00\x00\x00\x00\x01"
_THEM: Final = b"\x02\x00\x00\x00\x00\x02"
_IPV4: Final = struct.Struct("!BBHHHBBH4s4s")
_IPV6: Final = struct.Struct("!IHBB16s16s")
_UDP: Final = struct.Struct("!HHHH")
_TCP: Final = struct.Struct("!HHIIBBHHH")
TCP, UDP = 6, 17
SYN, PUSH, ACK = 0x02, 0x08, 0x10
SEGMENT_BYTES: Final = 1_400
MAX_UDP: Final = 65_507
FIRST_SEQUENCE: Final = 1_000


class PcapWriter:
    """Writes messages to a binary file, in the order in which they are given."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sequences: dict[tuple[Endpoint, Endpoint], int] = {}
        """the next sequence number from the first to the second"""
        file.write(_FILE_HEAD)

    def write_all(self, messages: Iterable[Captured]) -> int:
        """How many messages were written."""
        count = 0
        for message in messages:
            self.write(message)
            count += 1
        return count

    def write(self, message: Captured) -> None:
        """Write one message."""
        source, target = _ends(message)
        if message.transport != "udp":
            self._write_stream(message, source, target)
        else:
            data = message.data[:MAX_UDP]
            head = _UDP.pack(source[1], target[1], _UDP.size + len(data), 0)
            self._packet(message, source, target, UDP, head, data)

    def _write_stream(self, message: Captured, source: Endpoint, target: Endpoint) -> None:
        sequences = self._sequences
        there, back = (source, target), (target, source)
        if there not in sequences:
            sequences[there] = sequences[back] = FIRST_SEQUENCE
            self._segment(message, source, target, SYN)
            sequences[there] += 1
            self._segment(message, target, source, SYN | ACK)
            sequences[back] += 1
            self._segment(message, source, target, ACK)
        for at in range(0, len(message.data), SEGMENT_BYTES):
            piece = message.data[at : at + SEGMENT_BYTES]
            self._segment(message, source, target, PUSH | ACK, piece)
            sequences[there] = (sequences[there] + len(piece)) & 0xFFFFFFFF

    def _segment(
        self, message: Captured, source: Endpoint, target: Endpoint, flags: int, data: bytes = b""
    ) -> None:
        sequence = self._sequences[(source, target)]
        acknowledged = self._sequences[(target, source)] if flags & ACK else 0
        head = _TCP.pack(source[1], target[1], sequence, acknowledged, 5 << 4, flags, 65_535, 0, 0)
        self._packet(message, source, target, TCP, head, data)

    def _packet(
        self, message: Captured, source: Endpoint, target: Endpoint, protocol: int, head: bytes,
        data: bytes,
    ) -> None:
        from_ip, to_ip = source[0].packed, target[0].packed
        length = len(head) + len(data)
        pseudo = from_ip + to_ip + struct.pack("!II", length, protocol)
        checksum = _checksum(pseudo + head + data)
        at = 6 if protocol == UDP else 16
        if protocol == UDP and checksum == 0:
            checksum = 0xFFFF
        head = head[:at] + checksum.to_bytes(2) + head[at + 2 :]
        if len(from_ip) == 4:
            kind = b"\x08\x00"
            fields = [0x45, 0, 20 + length, 0, 0x4000, 64, protocol, 0, from_ip, to_ip]
            fields[7] = _checksum(_IPV4.pack(*fields))
            ip = _IPV4.pack(*fields)
        else:
            kind = b"\x86\xdd"
            ip = _IPV6.pack(6 << 28, length, protocol, 64, from_ip, to_ip)
        ends = _THEM + _US if message.outward else _US + _THEM
        frame = ends + kind + ip + head + data
        seconds, micros = divmod(message.at_us, 1_000_000)
        self._file.write(_PACKET_HEAD.pack(seconds, micros, len(frame), len(frame)) + frame)


def _ends(message: Captured) -> tuple[Endpoint, Endpoint]:
    """Source and target, of one family."""
    hosts = [_ip(host) for host, _ in (message.source, message.target)]
    if hosts[0].version != hosts[1].version:
        hosts = [
            IPv6Address(f"::ffff:{host}") if host.version == 4 else host for host in hosts
        ]
    return (hosts[0], message.source[1]), (hosts[1], message.target[1])


def _ip(host: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:  # a name
        return IPv4Address(0)


def _checksum(raw: bytes) -> int:
    """RFC 1071."""
    if len(raw) % 2:
        raw += b"\0"
    total: int = sum(struct.unpack(f"!{len(raw) // 2}H", raw))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
