"""Live state in LMDB: calls in progress, lines in use, gateway health and the outbox.

No fsync: a commit survives the death of every process, and a restart of the machine throws the
environment away (`router.store.boot`). One writer at a time, so everything that can be done
before the transaction is, and nothing waits inside it.

    calls          id                  CallRecord: the leases, the one truth about what is in use
    usage          key                 in_use, handed (two int64): a cache of the leases, changed
                                       in the transaction that changes them
    gateway_state  key                 GatewayState
    outbox         id                  the CDR as the ledger will store it
                   id + "+"            the call's opening, a CDR so far
                   id + "$"            Funds
    heartbeat      slot, decimal       epoch ms (int64)
    unheard        generation, decimal the calls whose answer had no ACK then (`unheard`)
    pace           key                 calls of the last second, where there is a limit (`window`)
    money, funded                          `live_money`
    shared         kind + key          what routes share (`shared`), and by its end:
    shared_until   until + kind + key
    registrations  number              Registration (`bindings`), and in the order of their ends:
    registrations_until  until + number
    nonces, blocks, and their ends         `live_phones`
    meta           "schema"            layout of all this
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lmdb

from router.store.bindings import BindingDatabases
from router.store.boot import ensure_current_live, live_is_current
from router.store.databases import USAGE, LiveDatabases
from router.store.environment import (
    GIB,
    fault,
    open_databases,
    open_environment,
    page_backward,
    page_forward,
    reading,
)
from router.store.errors import StoreError
from router.store.funding import FUNDS_SUFFIX
from router.store.interface import OutboxEntry, Usage
from router.store.live_money import LiveMoney
from router.store.live_phones import LivePhones
from router.store.ops import Admit, Answer, Bind, Op
from router.store.quality import Quality, quality_of
from router.store.query import CdrQuery
from router.store.records import (
    CallRecord,
    Cdr,
    GatewayState,
    decode_call,
    decode_cdr,
    decode_gateway_state,
    decode_lease,
)
from router.store.recount import differences
from router.store.room import Room
from router.store.shared import RATE, VALUE, SharedDatabases, read_shared, shared_key, write_shared
from router.store.turn import OPENING_SUFFIX, Turn
from router.store.unheard import Unheard, note_unheard, read_unheard, settle_answers
from router.store.window import Window

LIVE_MAP_BYTES = 4 * GIB
LIVE_SCHEMA = b"1"
DELETE_CHUNK = 256

_INSTANT = struct.Struct("<q")


class LmdbLive(LivePhones, LiveMoney):
    """The `LiveStore` of one machine, open in one process; open it after fork.

    `path` is the environment's folder (STATE/live.lmdb). `slot` is the worker's, -1 for a process
    that admits no calls. StoreError when it cannot be opened, and, read-only, when it belongs to
    an earlier boot.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        slot: int = -1,
        map_bytes: int = LIVE_MAP_BYTES,
        readonly: bool = False,
    ) -> None:
        self.path = Path(path)
        self.slot = slot
        if not readonly:
            ensure_current_live(self.path)
        elif not live_is_current(self.path):
            raise StoreError(f"{self.path} holds no live state of this boot of the machine")
        self._env = open_environment(
            self.path,
            databases=len(LiveDatabases._fields),
            map_bytes=map_bytes,
            durable=False,
            readonly=readonly,
        )
        self._room: Room | None = None
        self._is_readonly = readonly
        try:
            if not readonly:
                self._room = Room(self._env, self.path)
                self._room.suffices()
            self._databases = LiveDatabases(*open_databases(self._env, LiveDatabases._fields))
            self._shared = SharedDatabases(self._databases.shared, self._databases.shared_until)
            self._bindings = BindingDatabases(
                self._databases.registrations, self._databases.registrations_until
            )
            if self._room:
                self._room.databases = self._databases
            self._check_schema()
        except BaseException:
            self.close()
            raise

    def _check_schema(self) -> None:
        with reading(self._env) as txn:
            found = txn.get(b"schema", db=self._databases.meta)
        if found is None and self._room:
            with self._writing() as txn:
                txn.put(b"schema", LIVE_SCHEMA, db=self._databases.meta)
        elif found != LIVE_SCHEMA:
            raise StoreError(
                f"{self.path} has layout {(found or b'none').decode('ascii', 'replace')}, this "
                f"version of Trunkline reads layout {LIVE_SCHEMA.decode()}: run the version that "
                "wrote it, or remove the folder while the router is stopped"
            )

    def commit(self, ops: Sequence[Op], now_ms: int) -> list[Answer | None]:
        """Do all operations in order in one write transaction; see `LiveStore.commit`."""
        if not ops:
            return []
        room = self._writable()
        if not room.suffices() and any(isinstance(op, Admit | Bind) for op in ops):
            raise StoreError(room.refusal)
        try:
            txn = self._env.begin(None, None, True)
        except lmdb.Error as error:
            raise fault(error, self.path) from error
        turn = Turn(txn, self._databases, now_ms)
        try:
            results = [turn.do(op) for op in ops]
            turn.write_values()
            txn.commit()
        except BaseException as error:
            txn.abort()
            turn.restore_records()
            if isinstance(error, lmdb.Error):
                raise fault(error, self.path) from error
            raise
        return results

    @contextmanager
    def _writing(self, *, frees: bool = False) -> Iterator[lmdb.Transaction[bytes]]:
        """A write transaction off the hot path, with LMDB's errors in our words.

        One that frees what it takes many times over is let through when room is short.
        """
        room = self._writable()
        if not frees:
            room.suffices()
        try:
            with self._env.begin(write=True) as txn:
                yield txn
        except lmdb.Error as error:
            raise fault(error, self.path) from error

    def _writable(self) -> Room:
        if self._room is None:
            raise StoreError(f"{self.path} is open for reading only")
        return self._room

    def usage(self, key: str) -> Usage:
        """In-use and handed of one key; zeros for a key never used."""
        with reading(self._env) as txn:
            value = txn.get(key.encode(), db=self._databases.usage)
        return Usage(*USAGE.unpack(value)) if value else Usage(0, 0)

    def recall(self, key: str, now_ms: int) -> str | None:
        """The value that routes share under a key; None when there is none, or no longer."""
        with reading(self._env) as txn:
            found = read_shared(txn, self._shared, shared_key(VALUE, key), now_ms)
        return found.decode("utf-8", "surrogateescape") if found is not None else None

    def permit(self, key: str, n: int, per_ms: int, now_ms: int) -> bool:
        """Whether this is one of at most n in this time, counting it if it is; over all workers.

        What is refused is not written: a flood costs reads. Read-only it only looks.
        """
        stored = shared_key(RATE, f"{per_ms}/{key}")
        with reading(self._env) as txn:
            if self._window(txn, stored, per_ms, now_ms).count(now_ms) >= n:
                return False
        if self._room is None:
            return True
        with self._writing() as txn:
            window = self._window(txn, stored, per_ms, now_ms)
            if window.count(now_ms) >= n:
                return False
            window.note(now_ms)
            until_ms = now_ms + per_ms
            write_shared(txn, self._shared, stored, window.render(), until_ms, now_ms)
        return True

    def _window(
        self, txn: lmdb.Transaction[bytes], stored: bytes, per_ms: int, now_ms: int
    ) -> Window:
        return Window(per_ms, read_shared(txn, self._shared, stored, now_ms) or b"")

    def usages(self, prefix: str) -> dict[str, Usage]:
        """In-use and handed of every key that begins with the prefix, in key order."""
        found: dict[str, Usage] = {}
        start = prefix.encode()
        for page in page_forward(self._env, self._databases.usage, start):
            for key, value in page:
                if not key.startswith(start):
                    return found
                found[key.decode()] = Usage(*USAGE.unpack(value))
        return found

    def gateway_states(self) -> dict[str, GatewayState]:
        """Health of every gateway that has some, by key."""
        states = (
            decode_gateway_state(value)
            for page in page_forward(self._env, self._databases.gateway_state)
            for _, value in page
        )
        return {state.key: state for state in states}

    def quality(self, key: str) -> Quality:
        """How well the last attempts at a gateway went."""
        with reading(self._env) as txn:
            return quality_of(txn.get(key.encode(), b"", self._databases.quality))

    def gateway_state(self, key: str) -> GatewayState | None:
        """Health of one gateway, None when nothing is known of it."""
        with reading(self._env) as txn:
            value = txn.get(key.encode(), None, self._databases.gateway_state)
        return decode_gateway_state(value) if value else None

    def calls(self) -> Iterator[CallRecord]:
        """Every call in progress, oldest first."""
        for page in page_forward(self._env, self._databases.calls):
            for _, value in page:
                yield decode_call(value)

    def calls_of_slot(self, slot: int) -> Iterator[CallRecord]:
        """The calls in progress that a worker slot admitted, oldest first."""
        for page in page_forward(self._env, self._databases.calls):
            for _, value in page:
                if decode_lease(value).slot == slot:
                    yield decode_call(value)

    def active_calls(self) -> int:
        """How many calls are in progress."""
        with reading(self._env) as txn:
            return txn.stat(self._databases.calls)["entries"]

    def outbox(self, limit: int) -> list[OutboxEntry]:
        """The oldest entries that wait for the ledger, at most `limit`."""
        entries: list[OutboxEntry] = []
        with reading(self._env) as txn, txn.cursor(self._databases.outbox) as cursor:
            for entry in cursor:
                if len(entries) >= limit:
                    break
                entries.append(entry)
        return entries

    def waiting_cdrs(self, query: CdrQuery) -> list[Cdr]:
        """The matching CDRs that the ledger does not have yet, newest first, limit or not."""
        found = []
        first = query.first_id().encode() if query.since_ms else b""
        end = query.end_id().encode() if query.until_ms else b""
        for page in page_backward(self._env, self._databases.outbox, first, end):
            for key, value in page:
                if key.endswith((OPENING_SUFFIX, FUNDS_SUFFIX)):
                    continue
                cdr = decode_cdr(value)
                if query.matches(cdr):
                    found.append(cdr)
        return found

    def outbox_delete(self, keys: Sequence[bytes]) -> None:
        """Remove entries the ledger has stored, a few hundred in each transaction."""
        outbox = self._databases.outbox
        for start in range(0, len(keys), DELETE_CHUNK):
            with self._writing(frees=True) as txn:
                for key in keys[start : start + DELETE_CHUNK]:
                    txn.delete(key, db=outbox)

    def backlog(self) -> int:
        """How many entries wait for the ledger."""
        with reading(self._env) as txn:
            return txn.stat(self._databases.outbox)["entries"]

    def heartbeat(
        self, slot: int, now_ms: int, generation: int = 0, unheard: Collection[str] = ()
    ) -> None:
        """Note that a worker slot was alive at `now_ms`, and which answers had no ACK then."""
        with self._writing() as txn:
            txn.put(b"%d" % slot, _INSTANT.pack(now_ms), db=self._databases.heartbeat)
            if generation:
                note_unheard(txn, self._databases, generation, now_ms, unheard)

    def unheard(self) -> dict[int, Unheard]:
        """What each generation of this supervisor's workers said last."""
        with reading(self._env) as txn:
            return read_unheard(txn, self._databases)

    def settle_answers(self) -> None:
        """Take what callers have acknowledged out of the records; while no worker runs."""
        with self._writing() as txn:
            settle_answers(txn, self._databases)

    def heartbeats(self) -> dict[int, int]:
        """The last heartbeat of every slot, epoch ms."""
        return {
            int(key): _INSTANT.unpack(value)[0]
            for page in page_forward(self._env, self._databases.heartbeat)
            for key, value in page
        }

    def verify(self) -> list[str]:
        """One sentence for each in-use and reserve that is not the sum over the records."""
        with reading(self._env) as txn:
            return [text for _, _, text, _ in differences(txn, self._databases)]

    def recount(self) -> list[str]:
        """Set every in-use and reserve to the sum over the records; what was wrong."""
        found: list[str] = []
        with self._writing() as txn:
            for database, key, text, value in differences(txn, self._databases):
                txn.put(key, value, db=database)
                found.append(text)
        return found

    def stat(self) -> dict[str, int]:
        """map_bytes, used_bytes (high-water mark), readers, and entries of calls and outbox."""
        info = self._env.info()
        with reading(self._env) as txn:
            calls = txn.stat(self._databases.calls)
            outbox = txn.stat(self._databases.outbox)["entries"]
        return {
            "map_bytes": info["map_size"],
            "used_bytes": (info["last_pgno"] + 1) * calls["psize"],
            "readers": info["num_readers"],
            "transactions": info["last_txnid"],
            "calls": calls["entries"],
            "outbox": outbox,
        }

    def close(self) -> None:
        """Close the environment; the store is of no use afterwards."""
        if self._room:
            self._room.close()
        self._env.close()
