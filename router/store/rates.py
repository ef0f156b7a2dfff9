"""Rates that were loaded by command: decks of any size, in versions, shared by all processes.

    decks     name                    DeckVersion: which version counts, and where it came from
    rows      version, prefix         the rates of a prefix: almost always one
    meta      next                    the number that the next version gets

A version is written under a number that nobody looks for, and counts from the one small
transaction that names it in `decks`. So a look-up sees the old version or the new one, whole, and
a load that is killed leaves nothing but rows that the next load removes.

Durable: what was loaded is there after a power cut.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import msgspec

from router.store.boot import WriterLock
from router.store.environment import (
    GIB,
    fault,
    open_databases,
    open_environment,
    page_forward,
    reading,
)
from router.store.errors import StoreError

RATES_DIR = "rates.lmdb"
MAP_BYTES = 32 * GIB
BATCH_ROWS = 10_000
DECK_SCHEMA = 1
DATABASES = ("decks", "rows", "meta")
_VERSION = struct.Struct(">I")
_NEXT = b"next"


class RateRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A rate of a prefix, as billing means it: amounts in millionths, times in s and epoch ms.

    `kind` is a number that billing gives its kinds, 0 for none.
    """

    rate_per_min: int
    connect_fee: int = 0
    first_s: int = 1
    cycle_s: int = 1
    free_s: int = 0
    kind: int = 0
    name: str = ""
    valid_from: int = 0
    valid_to: int = 0

    def holds_at(self, now_ms: int) -> bool:
        """Whether it is valid at a moment."""
        return self.valid_from <= now_ms and (not self.valid_to or now_ms < self.valid_to)

    def overlaps(self, other: RateRow) -> bool:
        """Whether both are valid at some moment."""
        return (not self.valid_to or other.valid_from < self.valid_to) and (
            not other.valid_to or self.valid_from < other.valid_to
        )


class DeckVersion(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The version of a deck that counts: rows of it, when it was loaded, and from what file."""

    version: int
    rows: int = 0
    loaded_ms: int = 0
    source: str = ""
    replaced: int = 0


Rows = tuple[RateRow, ...]

_encoder = msgspec.msgpack.Encoder()
_rows_decoder = msgspec.msgpack.Decoder(Rows)
_version_decoder = msgspec.msgpack.Decoder(DeckVersion)


class LmdbRates:
    """The loaded decks, for looking up; opened after the fork, like every environment.

    StoreError when the folder cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._env: lmdb.Environment | None = open_environment(
            path, databases=len(DATABASES), map_bytes=MAP_BYTES, durable=True, readonly=True
        )
        try:
            self._decks, self._rows, _ = open_databases(self._env, DATABASES)
        except StoreError:
            self.close()
            raise

    def decks(self) -> dict[str, DeckVersion]:
        """The decks that were loaded, by name."""
        with reading(self._environment()) as txn, txn.cursor(self._decks) as cursor:
            return {key.decode(): _decode_version(value) for key, value in cursor}

    def longest(self, deck: str, number: str, now_ms: int) -> tuple[str, RateRow] | None:
        """The longest prefix of a number that has a rate valid at a moment, with that rate."""
        try:
            with self._environment().begin(db=self._rows) as txn:
                value = txn.get(deck.encode(), None, self._decks)
                if value is None:
                    return None
                version = _VERSION.pack(_decode_version(value).version)
                return _longest(txn.cursor(), version, number.encode("ascii", "replace"), now_ms)
        except lmdb.Error as error:
            raise fault(error, self.path) from error

    def rows(self, deck: str) -> Iterator[tuple[str, RateRow]]:
        """Every rate of the version that counts now, by prefix; no transaction is held.

        StoreError at the end if another version has come meanwhile: this one may not be whole.
        """
        version = self._version(deck)
        for prefix, rows in _version_rows(self._environment(), self._rows, version):
            for row in rows:
                yield prefix.decode(), row
        if self._version(deck) != version:
            raise StoreError(f"deck {deck} was loaded anew while it was read: read it again")

    def _version(self, deck: str) -> int:
        with reading(self._environment()) as txn:
            value = txn.get(deck.encode(), None, self._decks)
        return 0 if value is None else _decode_version(value).version

    def close(self) -> None:
        """Release the environment."""
        if self._env is not None:
            self._env.close()
            self._env = None

    def _environment(self) -> lmdb.Environment:
        if self._env is None:
            raise StoreError(f"{self.path} is closed")
        return self._env


@contextmanager
def loaded_rates(state: Path) -> Iterator[LmdbRates | None]:
    """The rates in a state folder, None where nothing was ever loaded; StoreError."""
    path = state / RATES_DIR
    if not (path / "data.mdb").exists():
        yield None
        return
    rates = LmdbRates(path)
    try:
        yield rates
    finally:
        rates.close()


def prepare_rates(path: Path) -> None:
    """Make the folder and its empty databases if they are missing; StoreError when impossible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise fault(error, path) from error
    env = open_environment(path, databases=len(DATABASES), map_bytes=MAP_BYTES, durable=True)
    try:
        open_databases(env, DATABASES)
    finally:
        env.close()


class RatesLoad:
    """One load of a deck: add everything, then `switch`, or leave it and nothing has happened.

    One process loads at a time; StoreError names the one that does.
    """

    def __init__(self, path: Path, deck: str) -> None:
        prepare_rates(path)
        try:
            self._lock = WriterLock(path.with_suffix(".lock"))
        except StoreError as error:
            raise StoreError(f"rates are being loaded by another command ({error})") from error
        self.deck = deck
        self.count = 0
        """rates added"""
        self._env = open_environment(
            path, databases=len(DATABASES), map_bytes=MAP_BYTES, durable=True
        )
        self._decks, self._rows, self._meta = open_databases(self._env, DATABASES)
        self._path = path
        self._batch: dict[bytes, Rows] = {}
        with self._writing() as txn:
            number = int(_VERSION.unpack(txn.get(_NEXT, _VERSION.pack(1), self._meta))[0])
            txn.put(_NEXT, _VERSION.pack(number + 1), db=self._meta)
            old = txn.get(deck.encode(), None, self._decks)
        self.version = number
        self.current = _decode_version(old) if old is not None else None
        self._key = _VERSION.pack(number)

    def add(self, prefix: str, row: RateRow) -> bool:
        """Add a rate; False, and nothing is added, if its prefix has one for the same time."""
        key = self._key + prefix.encode()
        there = self._batch.get(key)
        if there is None:
            if len(self._batch) >= BATCH_ROWS:
                self._write()
            stored = self._stored(key)
            if stored is None:
                self._batch[key] = (row,)
                self.count += 1
                return True
            there = stored
        if any(one.overlaps(row) for one in there):
            return False
        self._batch[key] = (*there, row)
        self.count += 1
        return True

    def finish(self) -> None:
        """Write what is left; then the version can be compared, and switched to."""
        self._write()

    def changes(self) -> Iterator[tuple[str, Rows, Rows]]:
        """What differs from the version that counts: prefix, rates before, rates after."""
        before = (
            _version_rows(self._env, self._rows, self.current.version)
            if self.current is not None
            else iter(())
        )
        after = _version_rows(self._env, self._rows, self.version)
        old, new = next(before, None), next(after, None)
        while old is not None or new is not None:
            if new is None or (old is not None and old[0] < new[0]):
                assert old is not None
                yield old[0].decode(), old[1], ()
                old = next(before, None)
            elif old is None or new[0] < old[0]:
                yield new[0].decode(), (), new[1]
                new = next(after, None)
            else:
                if old[1] != new[1]:
                    yield new[0].decode(), old[1], new[1]
                old, new = next(before, None), next(after, None)

    def switch(self, source: str, now_ms: int) -> DeckVersion:
        """Make it the version that counts, durably and at once for every process."""
        replaced = self.current.version if self.current is not None else 0
        version = DeckVersion(self.version, self.count, now_ms, source, replaced)
        with self._writing() as txn:
            txn.put(
                self.deck.encode(), bytes((DECK_SCHEMA,)) + _encoder.encode(version), db=self._decks
            )
        return version

    def sweep(self) -> Iterator[int]:
        """Remove the rows that no deck names, a batch at each step; gives how many so far."""
        with reading(self._env) as txn, txn.cursor(self._decks) as cursor:
            live = {_decode_version(value).version for _, value in cursor}
        removed = 0
        start = b""
        while True:
            with self._writing() as txn, txn.cursor(self._rows) as cursor:
                found = cursor.set_range(start) if start else cursor.first()
                left = BATCH_ROWS
                while found and left:
                    version = int(_VERSION.unpack(cursor.key()[: _VERSION.size])[0])
                    if version in live:
                        found = cursor.set_range(_VERSION.pack(version + 1))
                        continue
                    cursor.delete()
                    found = bool(cursor.key())
                    removed += 1
                    left -= 1
                start = cursor.key() if found else b""
            if not start:
                break
            yield removed
        yield removed

    def close(self) -> None:
        """Release everything; a version that was not switched to is removed by the next load."""
        self._env.close()
        self._lock.release()

    def _stored(self, key: bytes) -> Rows | None:
        with self._env.begin(db=self._rows) as txn:
            value = txn.get(key)
        return _rows_decoder.decode(value) if value is not None else None

    def _write(self) -> None:
        if self._batch:
            with self._writing() as txn:
                for key, rows in self._batch.items():
                    txn.put(key, _encoder.encode(rows), db=self._rows)
            self._batch = {}

    @contextmanager
    def _writing(self) -> Iterator[lmdb.Transaction[bytes]]:
        try:
            with self._env.begin(write=True) as txn:
                yield txn
        except lmdb.Error as error:
            raise fault(error, self._path) from error


def _longest(
    cursor: lmdb.Cursor, version: bytes, number: bytes, now_ms: int
) -> tuple[str, RateRow] | None:
    """The greatest key up to the number is its longest prefix, or shares a beginning with it.

    In the second case no prefix of the number is longer than that beginning, since it would lie
    between the two.
    """
    while True:
        wanted = version + number
        if cursor.set_range(wanted):
            key = cursor.key()
            if key != wanted:
                if not cursor.prev():
                    return None
                key = cursor.key()
        elif cursor.last():
            key = cursor.key()
        else:
            return None
        if key[:4] != version:
            return None
        prefix = bytes(key[4:])
        if number.startswith(prefix):
            for row in _rows_decoder.decode(cursor.value()):
                if row.holds_at(now_ms):
                    return prefix.decode(), row
            if not prefix:
                return None
            number = prefix[:-1]
        else:
            length = 0
            while number[length] == prefix[length]:
                length += 1
            number = number[:length]


def _version_rows(
    env: lmdb.Environment, database: lmdb._Database, version: int
) -> Iterator[tuple[bytes, Rows]]:
    """The rates of a version by prefix."""
    key = _VERSION.pack(version)
    for page in page_forward(env, database, key):
        for found, value in page:
            if found[: _VERSION.size] != key:
                return
            yield found[_VERSION.size :], _rows_decoder.decode(value)


def _decode_version(value: bytes) -> DeckVersion:
    if value[0] != DECK_SCHEMA:
        raise StoreError(
            f"a loaded deck has schema {value[0]}, this version of Trunkline reads {DECK_SCHEMA}"
        )
    return _version_decoder.decode(value[1:])
