"""What routes share between workers: values with an end, and rates, bounded in number and size.

    shared         kind + key          until (epoch ms, big-endian int64) and the value
    shared_until   until + kind + key  nothing: the entries in the order in which they end

Each write first takes away a few entries that have ended; when there are still too many, the one
that would end first makes room.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import NamedTuple

import lmdb

MAX_ENTRIES = 100_000
MAX_KEY_BYTES = 200
"""A longer key is kept by its hash."""
SWEEP = 4
"""Ended entries taken away at each write: more than one, so that they cannot pile up."""

VALUE = b"c"
RATE = b"r"

_UNTIL = struct.Struct(">q")


class SharedDatabases(NamedTuple):
    """Where shared values are, and in which order they end."""

    shared: lmdb._Database
    until: lmdb._Database


def shared_key(kind: bytes, key: str) -> bytes:
    """The stored key of a script's key."""
    raw = key.encode("utf-8", "surrogateescape")
    if len(raw) > MAX_KEY_BYTES:
        raw = b"#" + sha256(raw).hexdigest().encode()
    return kind + raw


def read_shared(
    txn: lmdb.Transaction[bytes], databases: SharedDatabases, key: bytes, now_ms: int
) -> bytes | None:
    """The value under a key, None when there is none or it has ended."""
    stored = txn.get(key, None, databases.shared)
    if stored is None or _UNTIL.unpack_from(stored)[0] <= now_ms:
        return None
    return stored[_UNTIL.size :]


def write_shared(
    txn: lmdb.Transaction[bytes], databases: SharedDatabases, key: bytes, value: bytes,
    until_ms: int, now_ms: int, most: int = 0,
) -> None:
    """Stores a value until a time (epoch ms), in place of what was there.

    Of more than `most` (0: MAX_ENTRIES) the one that would end first makes room.
    """
    shared, order = databases
    until = _UNTIL.pack(until_ms)
    before = txn.get(key, None, shared)
    if before is not None:
        txn.delete(before[: _UNTIL.size] + key, b"", order)
    else:
        _make_room(txn, databases, now_ms, most or MAX_ENTRIES)
    txn.put(key, until + value, True, True, False, shared)
    txn.put(until + key, b"", True, True, False, order)


def forget_shared(
    txn: lmdb.Transaction[bytes], databases: SharedDatabases, key: bytes
) -> None:
    """Takes a value away before its end."""
    stored = txn.get(key, None, databases.shared)
    if stored is not None:
        txn.delete(key, b"", databases.shared)
        txn.delete(stored[: _UNTIL.size] + key, b"", databases.until)


def _make_room(
    txn: lmdb.Transaction[bytes], databases: SharedDatabases, now_ms: int, most: int
) -> None:
    shared, order = databases
    full = txn.stat(shared)["entries"] >= most
    with txn.cursor(order) as cursor:
        for turn in range(SWEEP):
            if not cursor.first():
                return
            entry = cursor.key()
            ended = _UNTIL.unpack_from(entry)[0] <= now_ms
            if not ended and (turn or not full):
                return
            cursor.delete()
            txn.delete(entry[_UNTIL.size :], b"", shared)
