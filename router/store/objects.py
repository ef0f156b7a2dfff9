"""What operators have said by command: locks, ends of calls, captures, and the audit of all.

    locks     key of an object        Lock: who locked it, when, and why
    kills     id of a call            who wants it ended, until its worker has done so
    audit     number, rising          AuditRow: who changed what, from what, to what, how it ended
    meta      version                 rises with all of these, so that workers look seldom
              capture                 whose messages are captured, and until when

Durable, and written by commands directly: LMDB lets one write at a time. Workers only read. An
audit row is there before what it tells of is done, and told afterwards how that ended, so that a
command that is killed leaves a row that says "begun".
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import lmdb
import msgspec

from router.store.boot import check_writable
from router.store.environment import (
    GIB,
    fault,
    open_databases,
    open_environment,
    page_backward,
    reading,
)
from router.store.errors import StoreError

OBJECTS_DIR = "objects.lmdb"
MAP_BYTES = 4 * GIB
DATABASES = ("locks", "kills", "audit", "meta")
BEGUN, DONE, REFUSED = "begun", "done", "refused"
LOCK_SCHEMA = 1
AUDIT_SCHEMA = 1
CAPTURE_SCHEMA = 1
ALL_SHARES = 10_000
MAX_CAPTURES = 16
_VERSION = b"version"
_CAPTURE = b"capture"
_NUMBER = struct.Struct(">Q")
_T = TypeVar("_T")


class Lock(msgspec.Struct, array_like=True, frozen=True):
    """A lock on an object of routes.cfg or of a command."""

    who: str
    at_ms: int
    note: str = ""


class CaptureOrder(msgspec.Struct, array_like=True, frozen=True):
    """Whose messages are captured: calls that all that is given here is true of.

    `account` is of the call or above it; `number` is the beginning of the caller's or the
    callee's; `source` an address or a network. `share` of the calls are taken, in hundredths of a
    percent. `until_ms` is epoch ms. `credentials`: digests of passwords are kept as they are.
    """

    id: int
    account: str = ""
    number: str = ""
    gateway: str = ""
    source: str = ""
    share: int = ALL_SHARES
    credentials: bool = False
    until_ms: int = 0
    who: str = ""
    at_ms: int = 0


class AuditRow(msgspec.Struct, array_like=True):
    """One change: `before` and `after` are what people read, `result` is begun, done or refused."""

    at_ms: int
    who: str
    command: str
    what: str
    before: str = ""
    after: str = ""
    result: str = BEGUN
    why: str = ""
    number: int = 0


_encoder = msgspec.msgpack.Encoder()
_lock_decoder = msgspec.msgpack.Decoder(Lock)
_audit_decoder = msgspec.msgpack.Decoder(AuditRow)
_capture_decoder = msgspec.msgpack.Decoder(list[CaptureOrder])


class LmdbObjects:
    """Locks, kills and audit of one state folder; StoreError when it cannot be opened.

    Without `readonly` the folder is made if it is missing.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        if not readonly:
            check_writable(path.parent)
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise fault(error, path) from error
        self._env: lmdb.Environment | None = open_environment(
            path, databases=len(DATABASES), map_bytes=MAP_BYTES, durable=True, readonly=readonly
        )
        try:
            self._locks, self._kills, self._audit, self._meta = open_databases(
                self._env, DATABASES
            )
        except StoreError:
            self.close()
            raise

    # -- reading ----------------------------------------------------------------------------------

    def version(self) -> int:
        """A number that is another one after each lock, unlock and kill."""
        with reading(self._environment()) as txn:
            return _unpacked(txn.get(_VERSION, None, self._meta))

    def locks(self) -> dict[str, Lock]:
        """What is locked, by key."""
        with reading(self._environment()) as txn, txn.cursor(self._locks) as cursor:
            return {key.decode(): _decode(_lock_decoder, LOCK_SCHEMA, raw) for key, raw in cursor}

    def kills(self) -> dict[str, str]:
        """The calls that are to be ended, by id, and who wants it."""
        with reading(self._environment()) as txn, txn.cursor(self._kills) as cursor:
            return {key.decode(): raw.decode() for key, raw in cursor}

    def captures(self, now_ms: int) -> list[CaptureOrder]:
        """Whose messages are to be captured now."""
        with reading(self._environment()) as txn:
            return [one for one in self._captures(txn) if one.until_ms > now_ms]

    def audit(self, limit: int = 0) -> Iterator[AuditRow]:
        """The newest rows first, all without a limit; no transaction is held."""
        left = limit or -1
        for page in page_backward(self._environment(), self._audit):
            for key, raw in page:
                row = _decode(_audit_decoder, AUDIT_SCHEMA, raw)
                row.number = _unpacked(key)
                yield row
                left -= 1
                if left == 0:
                    return

    # -- writing ----------------------------------------------------------------------------------

    def lock(self, key: str, lock: Lock, row: AuditRow) -> bool:
        """Lock an object; False, and no row, if it is locked already."""
        with self._writing() as txn:
            value = bytes((LOCK_SCHEMA,)) + _encoder.encode(lock)
            if not txn.put(key.encode(), value, overwrite=False, db=self._locks):
                return False
            self._changed(txn, row)
            return True

    def unlock(self, key: str, row: AuditRow) -> bool:
        """Lift a lock; False, and no row, if there is none."""
        with self._writing() as txn:
            if not txn.delete(key.encode(), db=self._locks):
                return False
            self._changed(txn, row)
            return True

    def start_capture(self, order: CaptureOrder, row: AuditRow) -> CaptureOrder | None:
        """Order a capture beside those that are ordered, with its number; None: too many."""
        with self._writing() as txn:
            others = [one for one in self._captures(txn) if one.until_ms > order.at_ms]
            if len(others) >= MAX_CAPTURES:
                return None
            number = max((one.id for one in others), default=0) + 1
            order = msgspec.structs.replace(order, id=number)
            row.what = f"{row.what} {number}"
            self._put_captures(txn, [*others, order])
            self._changed(txn, row)
            return order

    def stop_captures(self, ids: Collection[int], row: AuditRow) -> None:
        """Order the end of these captures."""
        with self._writing() as txn:
            self._put_captures(txn, [one for one in self._captures(txn) if one.id not in ids])
            self._changed(txn, row)

    def kill(self, id: str, row: AuditRow) -> None:
        """Order the end of a call; its worker looks once a second."""
        with self._writing() as txn:
            txn.put(id.encode(), row.who.encode(), db=self._kills)
            self._changed(txn, row)

    def forget_kill(self, id: str) -> None:
        """The call has ended, or there is no such call."""
        with self._writing() as txn:
            txn.delete(id.encode(), db=self._kills)

    def begin(self, row: AuditRow) -> int:
        """Note what is about to be done; the number to `conclude` it by."""
        with self._writing() as txn:
            return self._note(txn, row)

    def conclude(self, number: int, result: str, why: str = "") -> None:
        """Note how it ended."""
        key = _NUMBER.pack(number)
        with self._writing() as txn:
            raw = txn.get(key, None, self._audit)
            if raw is not None:
                row = _decode(_audit_decoder, AUDIT_SCHEMA, raw)
                row.result, row.why = result, why
                txn.put(key, _encoded(row), db=self._audit)

    def close(self) -> None:
        """Release the environment."""
        if self._env is not None:
            self._env.close()
            self._env = None

    def _captures(self, txn: lmdb.Transaction[bytes]) -> list[CaptureOrder]:
        raw = txn.get(_CAPTURE, None, self._meta)
        return _decode(_capture_decoder, CAPTURE_SCHEMA, raw) if raw is not None else []

    def _put_captures(self, txn: lmdb.Transaction[bytes], orders: list[CaptureOrder]) -> None:
        txn.put(_CAPTURE, bytes((CAPTURE_SCHEMA,)) + _encoder.encode(orders), db=self._meta)

    def _changed(self, txn: lmdb.Transaction[bytes], row: AuditRow) -> None:
        row.result = DONE
        self._note(txn, row)
        version = _unpacked(txn.get(_VERSION, None, self._meta)) + 1
        txn.put(_VERSION, _NUMBER.pack(version), db=self._meta)

    def _note(self, txn: lmdb.Transaction[bytes], row: AuditRow) -> int:
        with txn.cursor(self._audit) as cursor:
            number = _unpacked(cursor.key()) + 1 if cursor.last() else 1
        txn.put(_NUMBER.pack(number), _encoded(row), db=self._audit)
        return number

    @contextmanager
    def _writing(self) -> Iterator[lmdb.Transaction[bytes]]:
        try:
            with self._environment().begin(write=True) as txn:
                yield txn
        except lmdb.Error as error:
            raise fault(error, self.path) from error

    def _environment(self) -> lmdb.Environment:
        if self._env is None:
            raise StoreError(f"{self.path} is closed")
        return self._env


def _unpacked(raw: bytes | memoryview | None) -> int:
    return int(_NUMBER.unpack(raw)[0]) if raw is not None else 0


def _encoded(row: AuditRow) -> bytes:
    return bytes((AUDIT_SCHEMA,)) + _encoder.encode(row)


def _decode(decoder: msgspec.msgpack.Decoder[_T], schema: int, raw: bytes) -> _T:
    if raw[0] != schema:
        raise StoreError(f"a stored object has schema {raw[0]}, this version reads {schema}")
    return decoder.decode(raw[1:])
