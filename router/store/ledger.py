"""The ledger in LMDB: what happened, durable, written by one process.

    cdrs      id            the CDR, byte for byte as the worker put it in the outbox
    open      id            the opening of an answered call whose CDR has not come yet
    balances, rows, funded  the accounts' book (`book`): a CDR is charged when it is stored
    index                   which CDRs have a call id, account, … (`ledger_index`)
    feed                    CDRs that wait for their line in the streaming file (`cdr_feed`)
    meta      "schema"      layout of all this
              "heartbeat"   epoch ms (int64) when the writer last knew that the router was alive
              "live"        the mark of the live state it was last bound to

Each store() is one transaction and one fsync for the whole batch. Ids sort by time of arrival,
so a range of time is a range of keys. The writer holds an flock beside the folder
(STATE/ledger.lock); readers need nothing but read access and never block it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import lmdb

from router.store.book import BALANCE, Book, BookDatabases, row_key, rows_end
from router.store.boot import WriterLock, check_writable
from router.store.cdr_feed import FEED_DATABASE, CdrFeed
from router.store.cdr_search import CdrSearch, readable
from router.store.environment import (
    GIB,
    Access,
    fault,
    open_databases,
    open_environment,
    open_if_there,
    page_backward,
    page_forward,
    reading,
)
from router.store.errors import StoreError
from router.store.funding import FUNDS_SUFFIX
from router.store.funds import OPENING, Row, decode_funds, decode_row
from router.store.interface import OutboxEntry
from router.store.ledger_index import INDEX_DATABASE
from router.store.query import CdrQuery
from router.store.records import Cdr, decode_cdr, encode_cdr
from router.store.restart import charge_nothing, closed_by_restart
from router.store.turn import OPENING_SUFFIX

LEDGER_MAP_BYTES = 64 * GIB
LEDGER_SCHEMA = b"1"

_DATABASES = ("cdrs", "open", "meta", *BookDatabases._fields)
_LATER_DATABASES = (INDEX_DATABASE, FEED_DATABASE)
"""what ledgers of older versions do not have"""
_INSTANT = struct.Struct("<q")
_OPENING_BYTE = OPENING_SUFFIX[0]
_FUNDS_BYTE = FUNDS_SUFFIX[0]


def is_cdr(key: bytes) -> bool:
    """Whether an entry of the outbox is a CDR, by its key."""
    return key[-1] not in (_OPENING_BYTE, _FUNDS_BYTE)


class Snapshot(NamedTuple):
    """A read transaction and the databases that it may look at."""

    txn: lmdb.Transaction[bytes]
    cdrs: lmdb._Database
    book: BookDatabases


class LmdbLedger:
    """The `Ledger` of one machine, open in one process; open it after fork.

    `path` is the environment's folder (STATE/ledger.lmdb). `bill` writes into the CDR of a call
    that a power cut ended what it costs. StoreError when it cannot be opened, and, for writing,
    when another process has held it for longer than `lock_wait_s`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        readonly: bool = False,
        map_bytes: int = LEDGER_MAP_BYTES,
        lock_wait_s: float = 0.0,
        bill: Callable[[Cdr], None] = charge_nothing,
    ) -> None:
        self.path = Path(path)
        self._bill = bill
        self._lock: WriterLock | None = None
        self._inode = 0
        if not readonly:
            check_writable(self.path.parent)
            self._lock = WriterLock(self.path.with_suffix(".lock"), lock_wait_s)
        self._env: lmdb.Environment | None = None
        try:
            self._env = open_environment(
                self.path,
                databases=len(_DATABASES) + len(_LATER_DATABASES),
                map_bytes=map_bytes,
                durable=True,
                readonly=readonly,
            )
            self._cdrs, self._open, self._meta, *book = open_databases(self._env, _DATABASES)
            self._book = BookDatabases(*book)
            here = Access(self._environment, self._writing)
            self._check_schema(readonly)
            if readonly:
                index = open_if_there(self._env, INDEX_DATABASE)
                self._feed = open_if_there(self._env, FEED_DATABASE)
            else:
                index, self._feed = open_databases(self._env, _LATER_DATABASES)
                self.feed = CdrFeed(here, self._cdrs, self._meta, self._feed)
            self.search = CdrSearch(here, self._cdrs, self._meta, index)
            if not readonly:
                self.search.begin()
            self._inode = self._inode_at_path()
        except BaseException:
            self.close()
            raise

    def _check_schema(self, readonly: bool) -> None:
        found = self._meta_value(b"schema")
        if found is None and not readonly:
            with self._writing() as txn:
                txn.put(b"schema", LEDGER_SCHEMA, db=self._meta)
        elif found != LEDGER_SCHEMA:
            raise StoreError(
                f"{self.path} has layout {(found or b'none').decode('ascii', 'replace')}, this "
                f"version of Trunkline reads layout {LEDGER_SCHEMA.decode()}: run the version "
                "that wrote it"
            )

    def _inode_at_path(self) -> int:
        try:
            return os.stat(self.path / "data.mdb").st_ino
        except OSError:
            return 0

    def store(self, batch: Sequence[OutboxEntry], heartbeat_ms: int = 0) -> int:
        """Store outbox entries durably in one transaction; see `Ledger.store`.

        StoreError also when the files were deleted under us: what we wrote would go with them.
        """
        if self._inode_at_path() != self._inode:
            raise StoreError(
                f"{self.path} was deleted or replaced while in use: start Trunkline again"
            )
        cdrs = [entry for entry in batch if is_cdr(entry[0])]
        with self._writing() as txn:
            book = Book(txn, self._book)
            if len(cdrs) < len(batch):
                self._store_funds(batch, book)
            added = self._store_cdrs(txn, cdrs, book)
            if txn.stat(self._open)["entries"]:
                for key, _ in cdrs:
                    txn.delete(key, db=self._open)
            if len(cdrs) < len(batch):
                self._store_openings(txn, batch)
            book.write()
            if heartbeat_ms:
                txn.put(b"heartbeat", _INSTANT.pack(heartbeat_ms), db=self._meta)
        return added

    def _store_funds(self, batch: Sequence[OutboxEntry], book: Book) -> None:
        """What accounts begin with comes first, whatever the keys say."""
        all_funds = [decode_funds(value) for key, value in batch if key[-1] == _FUNDS_BYTE]
        for funds in sorted(all_funds, key=lambda one: one.kind != OPENING):
            book.fund(funds)

    def _store_cdrs(
        self, txn: lmdb.Transaction[bytes], cdrs: Sequence[OutboxEntry], book: Book
    ) -> int:
        """The first CDR of a call stays: the same entry may come again after a crash."""
        new = []
        for key, value in cdrs:
            if txn.put(key, value, True, False, False, self._cdrs):
                new.append((key, readable(value)))
        self._on_new(txn, new, book)
        return len(new)

    def _on_new(
        self, txn: lmdb.Transaction[bytes], new: Sequence[tuple[bytes, Cdr]], book: Book
    ) -> None:
        """What else is stored with CDRs that were not there before."""
        for _, cdr in new:
            if cdr.charges:
                book.charge(cdr)
        self.search.add(txn, new)
        self.feed.add(txn, [key for key, _ in new])

    def _store_openings(self, txn: lmdb.Transaction[bytes], batch: Sequence[OutboxEntry]) -> None:
        """After the batch's CDRs, so that an opening whose CDR is here already is dropped."""
        for key, value in batch:
            if key[-1] == _OPENING_BYTE:
                call = key[:-1]
                if txn.get(call, db=self._cdrs) is None:
                    txn.put(call, value, db=self._open)

    def heartbeat(self, now_ms: int) -> None:
        """Note durably that the router was alive at `now_ms`: open calls are billed up to it."""
        with self._writing() as txn:
            txn.put(b"heartbeat", _INSTANT.pack(now_ms), db=self._meta)

    def last_heartbeat_ms(self) -> int:
        """The last heartbeat stored, epoch ms; 0 before the first."""
        value = self._meta_value(b"heartbeat")
        return int(_INSTANT.unpack(value)[0]) if value else 0

    def cdrs(self, query: CdrQuery | None = None) -> Iterator[Cdr]:
        """The CDRs that match, newest first."""
        return self.search.find(query or CdrQuery())

    def cdr(self, call_id: str) -> Cdr | None:
        """The CDR of this id."""
        key = call_id.encode("utf-8", "surrogateescape")
        if not 0 < len(key) <= self._environment().max_key_size():
            return None
        with reading(self._environment()) as txn:
            value = txn.get(key, db=self._cdrs)
        return None if value is None else decode_cdr(value)

    def ids_ending(self, tail: str, limit: int = 2) -> list[str]:
        """The ids of CDRs that end in `tail`, newest first, at most `limit`."""
        ending = tail.encode("utf-8", "surrogateescape")
        found = []
        for page in page_backward(self._environment(), self._cdrs):
            for key, _ in page:
                if key.endswith(ending):
                    found.append(key.decode())
                    if len(found) == limit:
                        return found
        return found

    def count(self) -> int:
        """How many CDRs are stored."""
        with reading(self._environment()) as txn:
            return txn.stat(self._cdrs)["entries"]

    def open_calls(self) -> Iterator[Cdr]:
        """The answered calls whose CDR has not come yet, oldest first, as they were then."""
        for page in page_forward(self._environment(), self._open):
            for _, value in page:
                yield decode_cdr(value)

    def open_count(self) -> int:
        """How many calls are open."""
        with reading(self._environment()) as txn:
            return txn.stat(self._open)["entries"]

    def close_open(self, ended_ms: int) -> int:
        """Close every open call as SystemRestart at `ended_ms`; how many."""
        with self._writing() as txn:
            return self._close_open(txn, ended_ms)

    def close_lost_calls(self, now_ms: int) -> int:
        """Close every open call at the last heartbeat (at `now_ms` if that is earlier)."""
        with self._writing() as txn:
            return self._close_open(txn, self._lost_at(txn, now_ms))

    def bind_live(self, mark: str, now_ms: int) -> int:
        """Take `mark` as the live state to serve; how many calls of another one were closed.

        The calls that were open in live state since thrown away can never end by themselves.
        Closing them and remembering the mark is one transaction: whatever dies in between, it is
        done once. Call it before anything of that live state is stored.
        """
        if self._meta_value(b"live") == mark.encode():
            return 0
        with self._writing() as txn:
            closed = self._close_open(txn, self._lost_at(txn, now_ms))
            txn.put(b"live", mark.encode(), db=self._meta)
            return closed

    def balance(self, account: str) -> int:
        """An account's balance, millionths; 0 for one that was never seen."""
        with reading(self._environment()) as txn:
            value = txn.get(account.encode(), db=self._book.balances)
        return int(BALANCE.unpack(value)[0]) if value else 0

    def balances(self) -> dict[str, int]:
        """The balance of every account that has a row, by name."""
        return {
            key.decode(): BALANCE.unpack(value)[0]
            for page in page_forward(self._environment(), self._book.balances)
            for key, value in page
        }

    def rows(self, account: str, limit: int = 0, before: int = 0) -> Iterator[Row]:
        """The rows of an account, newest first, at most `limit` (0: all).

        With `before` only those whose number (`seq`) is below it.
        """
        left = limit or -1
        end = row_key(account, before) if before else rows_end(account)
        pages = page_backward(self._environment(), self._book.rows, row_key(account), end)
        for page in pages:
            for _, value in page:
                yield decode_row(value)
                left -= 1
                if left == 0:
                    return

    def funded(self, id: str) -> Row | None:
        """The row that the funds of this id have become."""
        with reading(self._environment()) as txn:
            key = txn.get(id.encode(), db=self._book.funded)
            value = txn.get(key, db=self._book.rows) if key else None
        return decode_row(value) if value else None

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """All of it as it is at one moment; not for long, it keeps pages from being used again."""
        with reading(self._environment()) as txn:
            yield Snapshot(txn, self._cdrs, self._book)

    def size(self) -> int:
        """How many entries `check_ledger` looks at."""
        with self.snapshot() as (txn, cdrs, book):
            return sum(txn.stat(database)["entries"] for database in (cdrs, *book))

    def last_change(self) -> int:
        """The number of the last transaction that changed anything."""
        return int(self._environment().info()["last_txnid"])

    def funds_ids(self, beginning: str) -> list[str]:
        """The ids of the funds that begin so."""
        found: list[str] = []
        start = beginning.encode()
        for page in page_forward(self._environment(), self._book.funded, start):
            for key, _ in page:
                if not key.startswith(start):
                    return found
                found.append(key.decode())
        return found

    def stat(self) -> dict[str, int]:
        """map_bytes, used_bytes, readers, and entries of cdrs, open, and feed."""
        info = self._environment().info()
        return {
            "map_bytes": info["map_size"],
            "used_bytes": (info["last_pgno"] + 1) * self._environment().stat()["psize"],
            "readers": info["num_readers"],
            "transactions": info["last_txnid"],
            "cdrs": self.count(),
            "open": self.open_count(),
            "feed": self.feed_count(),
        }

    def feed_count(self) -> int:
        """How many CDRs wait for their line in the streaming file."""
        with reading(self._environment()) as txn:
            return txn.stat(self._feed)["entries"] if self._feed is not None else 0

    def close(self) -> None:
        """Close the environment, then let the next process write."""
        if self._env is not None:
            self._env.close()
            self._env = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _close_open(self, txn: lmdb.Transaction[bytes], ended_ms: int) -> int:
        with txn.cursor(self._open) as cursor:
            openings = [(key, decode_cdr(value)) for key, value in cursor]
        book = Book(txn, self._book)
        new = []
        for key, cdr in openings:
            closed_by_restart(cdr, ended_ms)
            self._bill(cdr)
            if txn.put(key, encode_cdr(cdr), overwrite=False, db=self._cdrs):
                new.append((key, cdr))
        self._on_new(txn, new, book)
        book.write()
        txn.drop(self._open, delete=False)
        return len(openings)

    def _lost_at(self, txn: lmdb.Transaction[bytes], now_ms: int) -> int:
        value = txn.get(b"heartbeat", db=self._meta)
        return min(int(_INSTANT.unpack(value)[0]), now_ms) if value else 0

    def _meta_value(self, key: bytes) -> bytes | None:
        with reading(self._environment()) as txn:
            return txn.get(key, db=self._meta)

    @contextmanager
    def _writing(self) -> Iterator[lmdb.Transaction[bytes]]:
        if self._lock is None:
            raise StoreError(f"{self.path} is open for reading only")
        try:
            with self._environment().begin(write=True) as txn:
                yield txn
        except lmdb.Error as error:
            raise fault(error, self.path) from error

    def _environment(self) -> lmdb.Environment:
        if self._env is None:
            raise StoreError(f"{self.path} is closed")
        return self._env
