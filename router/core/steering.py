"""Which worker owns a call: arithmetic on the Call-ID, so simple that the kernel can do it too.

A call lives in one worker. Its owner follows from the sum of the first 48 bytes of the A leg's
Call-ID; the B leg's Call-ID ends in four characters that make its sum agree with the A leg's, so
both legs meet in one worker whatever the number of workers is. `router/runtime/bpf.py` computes the
same on the datagram. This module knows no sockets and no processes.
"""

from __future__ import annotations

from itertools import product
from string import ascii_lowercase, ascii_uppercase, digits
from zlib import crc32

HASHED_BYTES = 48
"""How much of a Call-ID counts: the kernel's filter is unrolled, each byte costs instructions."""

BUCKETS = 240
"""Divisible by 2 to 6, 8, 10, 12, 15 and 16, so the usual numbers of workers share evenly."""

BALANCE_LENGTH = 4
MAX_TOKEN_BYTES = HASHED_BYTES - BALANCE_LENGTH


def _balancing_suffixes() -> tuple[str, ...]:
    """For each residue modulo BUCKETS, four alphanumerics whose bytes sum to it."""
    alphabet = digits + ascii_uppercase + ascii_lowercase
    pairs: dict[int, str] = {}
    for first, second in product(alphabet, repeat=2):
        pairs.setdefault(ord(first) + ord(second), first + second)
    found: dict[int, str] = {}
    for (left, head), (right, tail) in product(pairs.items(), repeat=2):
        found.setdefault((left + right) % BUCKETS, head + tail)
    return tuple(found[residue] for residue in range(BUCKETS))


SUFFIXES = _balancing_suffixes()


def bytes_hash(call_id: bytes) -> int:
    """Bucket of a Call-ID as it stands on the wire, 0 to BUCKETS - 1."""
    return sum(call_id[:HASHED_BYTES]) % BUCKETS


def call_hash(call_id: str) -> int:
    """Bucket of a Call-ID, 0 to BUCKETS - 1: the sum of its first 48 bytes modulo 240."""
    return sum(call_id.encode("utf-8", "surrogateescape")[:HASHED_BYTES]) % BUCKETS


def owner_slot(call_id: str, slots: int) -> int:
    """Slot of the worker that owns the call, 0 to slots - 1."""
    return call_hash(call_id) % slots


def call_id_of(slot: int, token: str) -> str:
    """A Call-ID that this slot owns whatever the number of workers; `token` as in call_id_like."""
    return token + SUFFIXES[(slot - sum(token.encode("ascii"))) % BUCKETS]


def gateway_slot(name: str, slots: int) -> int:
    """Slot of the worker that pings a gateway and registers with it, 0 to slots - 1."""
    return crc32(name.encode()) % slots


def call_id_like(call_id: str, token: str) -> str:
    """A fresh Call-ID with the same owner as `call_id`, for every number of workers.

    It is `token` (ASCII, at most 44 characters, unique by the caller's care) and four balancing
    alphanumerics. Raises ValueError for a token that is too long: its tail would not be hashed.
    """
    raw = token.encode("ascii")
    if len(raw) > MAX_TOKEN_BYTES:
        raise ValueError(f"token of {len(raw)} bytes, at most {MAX_TOKEN_BYTES} are hashed")
    return token + SUFFIXES[(call_hash(call_id) - sum(raw)) % BUCKETS]
