"""The databases of live.lmdb, and their values as one write transaction sees them.

Each value is read when it is first asked for, changed in memory, and written once at the end.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import lmdb

from router.store.records import decode_gateway_state

USAGE = struct.Struct("<qq")
"""in_use, handed."""
MONEY = struct.Struct("<qq")
"""balance, reserved."""
_UNUSED = USAGE.pack(0, 0)
_PENNILESS = MONEY.pack(0, 0)


class LiveDatabases(NamedTuple):
    """The databases of live.lmdb, in the order they are opened; what each holds: `live`."""

    calls: lmdb._Database
    usage: lmdb._Database
    gateway_state: lmdb._Database
    outbox: lmdb._Database
    heartbeat: lmdb._Database
    meta: lmdb._Database
    pace: lmdb._Database
    shared: lmdb._Database
    shared_until: lmdb._Database
    money: lmdb._Database
    funded: lmdb._Database
    registrations: lmdb._Database
    registrations_until: lmdb._Database
    nonces: lmdb._Database
    blocks: lmdb._Database
    blocks_until: lmdb._Database
    quality: lmdb._Database
    unheard: lmdb._Database


class CachedUsages(dict[str, list[Any]]):
    """Usage by key: [in_use, handed, key as bytes, value as stored]; the first two may change."""

    __slots__ = ("_database", "_get")

    def __init__(self, txn: lmdb.Transaction[bytes], database: lmdb._Database) -> None:
        self._get = txn.get
        self._database = database

    def __missing__(self, key: str) -> list[Any]:
        raw_key = key.encode()
        value = self._get(raw_key, _UNUSED, self._database)
        in_use, handed = USAGE.unpack(value)
        usage = self[key] = [in_use, handed, raw_key, value]
        return usage


class CachedMoneys(dict[str, list[Any]]):
    """Money by account: [balance, reserved, key as bytes, value as stored], as in usage."""

    __slots__ = ("_database", "_get")

    def __init__(self, txn: lmdb.Transaction[bytes], database: lmdb._Database) -> None:
        self._get = txn.get
        self._database = database

    def __missing__(self, account: str) -> list[Any]:
        raw_key = account.encode()
        value = self._get(raw_key, _PENNILESS, self._database)
        balance, reserved = MONEY.unpack(value)
        money = self[account] = [balance, reserved, raw_key, value]
        return money


class CachedDownUntil(dict[str, int]):
    """Until when each gateway is aside, epoch ms."""

    __slots__ = ("_database", "_get")

    def __init__(self, txn: lmdb.Transaction[bytes], database: lmdb._Database) -> None:
        self._get = txn.get
        self._database = database

    def __missing__(self, key: str) -> int:
        value = self._get(key.encode(), None, self._database)
        until = self[key] = decode_gateway_state(value).out_until_ms if value else 0
        return until
