"""CDRs on their way from the ledger into the streaming file: each once, whatever is killed.

    feed   number (big-endian)   the CDR's id; numbers count up in the order of storing
    meta   "fed"                 Position: what of the file is good, and up to which number
           "feeding"             there while CDRs enter: also those that a command or a start stores

A CDR enters the feed in the transaction that stores it. Its line is written to the file, the file
is synced, and then one transaction notes the new end of the file and takes the entries out. Killed
before that, the lines behind the noted end are cut off and written again.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import lmdb
import msgspec

from router.store.environment import Access, reading
from router.store.errors import StoreError

FEED_DATABASE = "feed"
FED = b"fed"
FEEDING = b"feeding"
_NUMBER = struct.Struct(">Q")


class Position(msgspec.Struct, array_like=True):
    """How far the streaming file is: `size` bytes of it are good; `number` was written last.

    `name` is what the pattern made of the time, `part` counts the files of that name from 0.
    """

    name: str = ""
    part: int = 0
    size: int = 0
    number: int = 0


class Fed(NamedTuple):
    """A CDR that waits for its line: its number in the feed, and its stored form."""

    number: int
    value: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Position)


class CdrFeed:
    """The feed of one ledger; nothing enters unless it is switched on, which the ledger keeps."""

    def __init__(
        self, access: Access, cdrs: lmdb._Database, meta: lmdb._Database, feed: lmdb._Database
    ) -> None:
        self._access = access
        self._cdrs = cdrs
        self._meta = meta
        self._feed = feed
        with reading(access.environment()) as txn:
            self.on = txn.get(FEEDING, db=meta) is not None

    def switch(self, on: bool) -> None:
        """Lets CDRs enter from here on, whoever stores them, or no more; what waits, waits on."""
        if on != self.on:
            with self._access.writing() as txn:
                if on:
                    txn.put(FEEDING, b"", db=self._meta)
                else:
                    txn.delete(FEEDING, db=self._meta)
            self.on = on

    def add(self, txn: lmdb.Transaction[bytes], ids: Sequence[bytes]) -> None:
        """Adds CDRs that are stored for the first time in this transaction."""
        if not self.on or not ids:
            return
        with txn.cursor(self._feed) as cursor:
            if cursor.last():
                number = _NUMBER.unpack(cursor.key())[0]
            else:
                number = self._position(txn).number
            cursor.putmulti(
                [(_NUMBER.pack(number + at), id) for at, id in enumerate(ids, 1)], append=True
            )

    def waiting(self, limit: int) -> list[Fed]:
        """The oldest CDRs whose line is not in the file yet, at most `limit`."""
        found: list[Fed] = []
        with reading(self._access.environment()) as txn, txn.cursor(self._feed) as cursor:
            for key, id in cursor:
                value = txn.get(id, db=self._cdrs)
                if value is not None:
                    found.append(Fed(_NUMBER.unpack(key)[0], value))
                if len(found) == limit:
                    break
        return found

    def position(self) -> Position:
        """How far the file is; an empty position before the first line."""
        with reading(self._access.environment()) as txn:
            return self._position(txn)

    def note(self, position: Position) -> None:
        """Notes durably how far the file is, and takes what is in it out of the feed."""
        written = []
        with self._access.writing() as txn:
            with txn.cursor(self._feed) as cursor:
                for key in cursor.iternext(values=False):
                    if _NUMBER.unpack(key)[0] > position.number:
                        break
                    written.append(key)
            for key in written:
                txn.delete(key, db=self._feed)
            txn.put(FED, _encoder.encode(position), db=self._meta)

    def _position(self, txn: lmdb.Transaction[bytes]) -> Position:
        value = txn.get(FED, db=self._meta)
        if value is None:
            return Position()
        try:
            return _decoder.decode(value)
        except msgspec.DecodeError as error:
            raise StoreError(f"the position of the file of CDRs is damaged: {error}") from error
