"""What live state knows of phones: who is online, which nonces were used, who is blocked.

    nonces         nonce              until, and the highest count it was used with (uint32)
    blocks         address            until, and since when (epoch ms)
    blocks_until   until + address
    meta           "secret"           what nonces are signed with, the same for all workers

Registrations are in `bindings`. The tables that end by themselves have the form of `shared`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from router.store.bindings import BindingDatabases, bind, current, something_ended, sweep
from router.store.environment import page_forward, reading
from router.store.interface import Block
from router.store.ops import Bind, BlockAddress, Bound
from router.store.records import Registration, decode_registration
from router.store.shared import (
    RATE,
    SharedDatabases,
    forget_shared,
    shared_key,
    write_shared,
)

if TYPE_CHECKING:
    import lmdb

    from router.store.databases import LiveDatabases

MAX_NONCES = 500_000
MAX_BLOCKS = 10_000
FORGET = 4
"""Used nonces taken away with each new one: more than one, so that they cannot pile up."""
SECRET_BYTES = 32

_USE = struct.Struct(">qI")
_BLOCK = struct.Struct(">qq")


def use_nonce(
    txn: lmdb.Transaction[bytes], databases: LiveDatabases, nonce: str, count: int,
    until_ms: int, now_ms: int,
) -> bool:
    """Whether a nonce was never used with this count or a higher one; it is from now on.

    Counts of one nonce have to rise (RFC 7616 §3.4), so that no request can be sent again by
    somebody who has heard it. Without a count (0) a nonce is good for one request.
    """
    key = nonce.encode("utf-8", "surrogateescape")
    table = databases.nonces
    stored = txn.get(key, None, table)
    if stored is None:
        _forget_nonces(txn, table, now_ms)
    else:
        ends_ms, highest = _USE.unpack(stored)
        if ends_ms > now_ms and highest >= count:
            return False
    txn.put(key, _USE.pack(until_ms, count), True, True, False, table)
    return True


def _forget_nonces(
    txn: lmdb.Transaction[bytes], table: lmdb._Database, now_ms: int
) -> None:
    """Takes a few that have ended away; of too many the oldest, as nonces begin with their time."""
    full = txn.stat(table)["entries"] >= MAX_NONCES
    with txn.cursor(table) as cursor:
        for turn in range(FORGET):
            if not cursor.first():
                return
            ended = _USE.unpack(cursor.value())[0] <= now_ms
            if not ended and (turn or not full):
                return
            cursor.delete()


def register(
    txn: lmdb.Transaction[bytes], databases: LiveDatabases, op: Bind, now_ms: int
) -> Bound:
    """Does a `Bind` in a write transaction; nothing of it when its nonce was used before."""
    if op.nonce and not use_nonce(
        txn, databases, op.nonce, op.nonce_count, op.nonce_until_ms, now_ms
    ):
        return Bound([], replayed=True)
    tables = BindingDatabases(databases.registrations, databases.registrations_until)
    return bind(txn, tables, op, now_ms)


def block(
    txn: lmdb.Transaction[bytes], databases: LiveDatabases, op: BlockAddress, now_ms: int
) -> None:
    """Blocks an address until a time; a block that lasts longer stays."""
    if op.counted:
        shared = SharedDatabases(databases.shared, databases.shared_until)
        forget_shared(txn, shared, shared_key(RATE, op.counted))
    until_ms = op.until_ms
    tables = SharedDatabases(databases.blocks, databases.blocks_until)
    key = op.address.encode()
    stored = txn.get(key, None, databases.blocks)
    since_ms = now_ms
    if stored is not None:
        earlier_until_ms, since_ms = _BLOCK.unpack(stored)
        if earlier_until_ms <= now_ms:
            since_ms = now_ms
        until_ms = max(until_ms, earlier_until_ms)
    since = struct.pack(">q", since_ms)
    write_shared(txn, tables, key, since, until_ms, now_ms, MAX_BLOCKS)


class LivePhones:
    """The part of `LmdbLive` that is about phones; see `LiveStore`."""

    if TYPE_CHECKING:
        _env: lmdb.Environment
        _databases: LiveDatabases
        _bindings: BindingDatabases
        _is_readonly: bool
        _writing: Callable[..., AbstractContextManager[lmdb.Transaction[bytes]]]

    def registration(self, number: str, now_ms: int) -> Registration | None:
        """Where a phone can be reached now; None when it is not online."""
        with reading(self._env) as txn:
            stored = txn.get(number.encode("utf-8", "replace"), db=self._bindings.registrations)
        if stored is None:
            return None
        registration = decode_registration(stored)
        registration.contacts = current(registration.contacts, now_ms)
        return registration if registration.contacts else None

    def registrations(self) -> Iterator[Registration]:
        """Every registration by number, some with contacts that have just expired."""
        for page in page_forward(self._env, self._bindings.registrations):
            for _, value in page:
                yield decode_registration(value)

    def registered_phones(self) -> int:
        """How many phones are registered."""
        with reading(self._env) as txn:
            return txn.stat(self._bindings.registrations)["entries"]

    def sweep_registrations(self, now_ms: int) -> int:
        """Take away what has expired, of a few hundred phones; nothing is written for nothing."""
        with reading(self._env) as txn:
            if not something_ended(txn, self._bindings, now_ms):
                return 0
        with self._writing(frees=True) as txn:
            return sweep(txn, self._bindings, now_ms)

    def secret(self) -> bytes:
        """What nonces are signed with: made by the first worker, b"" when only to be read."""
        with reading(self._env) as txn:
            found = txn.get(b"secret", b"", self._databases.meta)
        if found or self._is_readonly:
            return found
        with self._writing() as txn:
            txn.put(b"secret", os.urandom(SECRET_BYTES), overwrite=False, db=self._databases.meta)
            return txn.get(b"secret", b"", self._databases.meta)

    def use_nonce(self, nonce: str, count: int, until_ms: int, now_ms: int) -> bool:
        """Whether a nonce was never used with this count or a higher one; it is from now on."""
        if self._is_readonly:
            return True
        with self._writing() as txn:
            return use_nonce(txn, self._databases, nonce, count, until_ms, now_ms)

    def blocks(self, now_ms: int) -> dict[str, Block]:
        """The blocked addresses."""
        with reading(self._env) as txn:
            if not txn.stat(self._databases.blocks)["entries"]:
                return {}
        found: dict[str, Block] = {}
        for page in page_forward(self._env, self._databases.blocks):
            for key, value in page:
                until_ms, since_ms = _BLOCK.unpack(value)
                if until_ms > now_ms:
                    found[key.decode()] = Block(since_ms, until_ms)
        return found

    def lift_block(self, address: str, now_ms: int) -> bool:
        """End the block of an address; whether it was blocked."""
        with self._writing(frees=True) as txn:
            key = address.encode()
            stored = txn.pop(key, self._databases.blocks)
            if stored is None:
                return False
            txn.delete(stored[:8] + key, b"", self._databases.blocks_until)
            until_ms: int = _BLOCK.unpack(stored)[0]
            return until_ms > now_ms
