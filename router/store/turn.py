"""One turn's operations inside one write transaction of live state."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import lmdb

from router.store.admission import PACE_MS, choose_gateway, paced
from router.store.bindings import BindingDatabases, bind
from router.store.errors import StoreError
from router.store.ops import (
    GROUP,
    MAX_SHARED_BYTES,
    Admission,
    Admit,
    Answer,
    Bind,
    Bound,
    Candidate,
    Finish,
    Forget,
    Hold,
    Keep,
    Op,
    Opened,
    Rehunt,
    Remember,
    Save,
)
from router.store.records import (
    CallRecord,
    GatewayState,
    decode_gateway_state,
    decode_lease,
    encode_call,
    encode_cdr,
    encode_gateway_state,
)
from router.store.shared import VALUE, SharedDatabases, shared_key, write_shared
from router.store.window import Window

OPENING_SUFFIX = b"+"
USAGE = struct.Struct("<qq")
_UNUSED = USAGE.pack(0, 0)


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
    registrations: lmdb._Database
    registrations_until: lmdb._Database


class _Usages(dict[str, list[Any]]):
    """Usage by key, read from the transaction when first asked for.

    Each is [in_use, handed, key as bytes, value as stored]; the first two are changed in place.
    """

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


class _DownUntil(dict[str, int]):
    """Until when each gateway is aside, epoch ms, read from the transaction when first asked."""

    __slots__ = ("_database", "_get")

    def __init__(self, txn: lmdb.Transaction[bytes], database: lmdb._Database) -> None:
        self._get = txn.get
        self._database = database

    def __missing__(self, key: str) -> int:
        value = self._get(key.encode(), None, self._database)
        until = self[key] = decode_gateway_state(value).down_until_ms if value else 0
        return until


class Turn:
    """One write transaction: usage is read once for each key, changed here, written at the end."""

    __slots__ = (
        "_databases",
        "_down_until",
        "_noted",
        "_now_ms",
        "_touched",
        "_txn",
        "_usage",
        "_windows",
    )

    def __init__(self, txn: lmdb.Transaction[bytes], databases: LiveDatabases, now_ms: int) -> None:
        self._databases = databases
        self._txn = txn
        self._now_ms = now_ms
        self._usage = _Usages(txn, databases.usage)
        self._down_until = _DownUntil(txn, databases.gateway_state)
        self._windows: dict[str, Window] = {}
        self._noted: set[str] = set()
        self._touched: list[tuple[CallRecord, list[str], str]] = []

    def do(self, op: Op) -> Answer | None:
        """Do one operation in the transaction; Admit, Rehunt and Bind are answered."""
        if isinstance(op, Admit):
            return self._admit(op)
        if isinstance(op, Rehunt):
            return self._rehunt(op)
        if isinstance(op, Bind):
            return self._bind(op)
        if isinstance(op, Save):
            self._save(op)
        elif isinstance(op, Finish):
            self._finish(op)
        elif isinstance(op, Opened):
            self._opened(op)
        elif isinstance(op, Keep):
            self._keep(op)
        elif isinstance(op, Forget):
            self._forget(op)
        elif isinstance(op, Remember):
            self._remember(op)
        else:
            self._gateway_state(op)
        return None

    def _admit(self, op: Admit) -> Admission:
        """All of it or nothing."""
        record = op.record
        taken: list[list[int]] = []
        for hold in op.holds:
            usage = self._usage[hold.key]
            too_fast = 0 <= hold.cps <= self._pace(hold.key)
            if too_fast or usage[0] >= hold.limit >= 0:
                for earlier in taken:
                    earlier[0] -= 1
                return Admission(refused=hold.key, too_fast=too_fast)
            # Taken at once, so that a key named twice counts twice against its limit.
            usage[0] += 1
            taken.append(usage)
        admission, groups = self._take_gateway(op.tiers, op.holds)
        if admission.gateway is None:
            for usage in taken:
                usage[0] -= 1
            return admission
        self._touched.append((record, record.holds, record.gateway))
        record.holds = [hold.key for hold in op.holds] + groups
        record.gateway = admission.gateway
        key = record.id.encode()
        calls = self._databases.calls
        value = encode_call(record)
        if not self._txn.put(key, value, True, False, False, calls):
            if self._has_lines(key):
                raise StoreError(f"call {record.id} is admitted already")
            self._txn.put(key, value, True, True, False, calls)
        return admission

    def _has_lines(self, key: bytes) -> bool:
        stored = self._txn.get(key, None, self._databases.calls)
        if stored is None:
            return False
        lease = decode_lease(stored)
        return bool(lease.holds or lease.gateway)

    def _keep(self, op: Keep) -> None:
        """Never over a record that is there: it may hold lines."""
        record = op.record
        self._txn.put(
            record.id.encode(), encode_call(record), True, False, False, self._databases.calls
        )

    def _forget(self, op: Forget) -> None:
        key = op.id.encode()
        if not self._has_lines(key):
            self._txn.delete(key, b"", self._databases.calls)

    def _rehunt(self, op: Rehunt) -> Admission:
        """The old gateway first, so that it may be taken again when it is the only one."""
        record = op.record
        key = record.id.encode()
        stored = self._txn.get(key, None, self._databases.calls)
        if stored is None:
            return Admission()
        lease = decode_lease(stored)
        if lease.gateway:
            self._give_back(lease.gateway)
        holds = []
        for hold in lease.holds:
            if hold.startswith(GROUP):
                self._give_back(hold)
            else:
                holds.append(hold)
        admission, groups = self._take_gateway(op.tiers, ())
        self._touched.append((record, record.holds, record.gateway))
        record.holds = holds + groups
        record.gateway = admission.gateway or ""
        self._txn.put(key, encode_call(record), True, True, False, self._databases.calls)
        return admission

    def _save(self, op: Save) -> None:
        """What the call holds stays as stored: a record can neither gain nor lose a lease here."""
        record = op.record
        key = record.id.encode()
        stored = self._txn.get(key, None, self._databases.calls)
        if stored is None:
            return
        lease = decode_lease(stored)
        record.holds = lease.holds
        record.gateway = lease.gateway
        self._txn.put(key, encode_call(record), True, True, False, self._databases.calls)

    def _finish(self, op: Finish) -> None:
        """What was held is read from the stored record, so a second Finish releases nothing."""
        key = op.id.encode()
        stored = self._txn.pop(key, self._databases.calls)
        if stored is not None:
            lease = decode_lease(stored)
            for hold in lease.holds:
                self._give_back(hold)
            if lease.gateway:
                self._give_back(lease.gateway)
        self._txn.put(key, encode_cdr(op.cdr), True, False, False, self._databases.outbox)

    def _opened(self, op: Opened) -> None:
        """Under a key of its own: the ledger may be deleting it while the CDR arrives."""
        cdr = op.record.cdr
        key = op.record.id.encode() + OPENING_SUFFIX
        self._txn.put(key, encode_cdr(cdr), True, True, False, self._databases.outbox)

    def _gateway_state(self, state: GatewayState) -> None:
        """The newest word about a gateway's health stands."""
        self._txn.put(
            state.key.encode(),
            encode_gateway_state(state),
            True,
            True,
            False,
            self._databases.gateway_state,
        )
        self._down_until[state.key] = state.down_until_ms

    def _remember(self, op: Remember) -> None:
        value = op.value.encode("utf-8", "surrogateescape")[:MAX_SHARED_BYTES]
        databases = SharedDatabases(self._databases.shared, self._databases.shared_until)
        key = shared_key(VALUE, op.key)
        write_shared(self._txn, databases, key, value, op.until_ms, self._now_ms)

    def _bind(self, op: Bind) -> Bound:
        databases = self._databases
        bindings = BindingDatabases(databases.registrations, databases.registrations_until)
        return bind(self._txn, bindings, op, self._now_ms)

    def _pace(self, key: str) -> int:
        """The calls of the last second."""
        window = self._windows.get(key)
        if window is None:
            stored = self._txn.get(key.encode(), b"", self._databases.pace)
            window = self._windows[key] = Window(PACE_MS, stored)
        return window.count(self._now_ms)

    def write_usage(self) -> None:
        """Write what the operations changed; same size, so LMDB overwrites in place."""
        for key in self._noted:
            value = self._windows[key].render()
            self._txn.put(key.encode(), value, True, True, False, self._databases.pace)
        put = self._txn.put
        database = self._databases.usage
        pack = USAGE.pack
        for in_use, handed, key, stored in self._usage.values():
            value = pack(in_use, handed)
            if value != stored:
                put(key, value, True, True, False, database)

    def restore_records(self) -> None:
        """After an abort the records must not claim leases that nobody took."""
        for record, holds, gateway in reversed(self._touched):
            record.holds = holds
            record.gateway = gateway

    def _take_gateway(
        self, tiers: Sequence[Sequence[Candidate]], holds: Sequence[Hold]
    ) -> tuple[Admission, list[str]]:
        """Takes a gateway with its own holds, and counts the call for the pace of all.

        Gives the keys of the gateway's holds.
        """
        dropped: list[tuple[str, str]] = []
        chosen = choose_gateway(
            tiers, self._usage, self._down_until, self._now_ms, dropped, self._pace
        )
        if chosen is None:
            return Admission(None, dropped), []
        usage = self._usage[chosen.key]
        usage[0] += 1
        usage[1] += 1
        groups = [hold.key for hold in chosen.holds]
        for key in groups:
            self._usage[key][0] += 1
        for key in paced(holds, chosen):
            self._pace(key)
            self._windows[key].note(self._now_ms)
            self._noted.add(key)
        return Admission(chosen.key, dropped), groups

    def _give_back(self, key: str) -> None:
        usage = self._usage[key]
        if usage[0] > 0:
            usage[0] -= 1
