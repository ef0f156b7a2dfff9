"""One turn's operations inside one write transaction of live state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lmdb

from router.store.admission import PACE_MS, choose_gateway, paced
from router.store.branches import left_behind, take_others
from router.store.databases import (
    MONEY,
    USAGE,
    CachedDownUntil,
    CachedMoneys,
    CachedUsages,
    LiveDatabases,
)
from router.store.errors import StoreError
from router.store.funding import give_funds
from router.store.health import changed
from router.store.held import Held, held_by, put_back
from router.store.live_phones import block, register
from router.store.money import Reserved, charge, free, joined, release, reserve, short_of
from router.store.ops import (
    CREDIT,
    GROUP,
    MAX_SHARED_BYTES,
    Admission,
    Admit,
    Answer,
    Bind,
    BlockAddress,
    Candidate,
    Finish,
    Finished,
    Forget,
    Funds,
    GatewayNews,
    Hold,
    Keep,
    Leave,
    Op,
    Opened,
    Outcomes,
    Rehunt,
    Remember,
    Renew,
    Renewed,
    Save,
)
from router.store.quality import note_outcomes
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


class Turn:
    """One write transaction: usage is read once for each key, changed here, written at the end."""

    __slots__ = (
        "_databases",
        "_down_until",
        "_moneys",
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
        self._usage = CachedUsages(txn, databases.usage)
        self._moneys: CachedMoneys | None = None
        self._down_until = CachedDownUntil(txn, databases.gateway_state)
        self._windows: dict[str, Window] = {}
        self._noted: set[str] = set()
        self._touched: list[tuple[CallRecord, Held]] = []

    def do(self, op: Op) -> Answer | None:
        """Do one operation in the transaction; Admit, Rehunt, Renew and Bind are answered."""
        if isinstance(op, Admit):
            return self._admit(op)
        if isinstance(op, Rehunt):
            return self._rehunt(op)
        if isinstance(op, Bind):
            return register(self._txn, self._databases, op, self._now_ms)
        if isinstance(op, Save):
            self._save(op)
        elif isinstance(op, Finish):
            return self._finish(op)
        elif isinstance(op, Opened):
            self._opened(op)
        elif isinstance(op, Keep):
            self._keep(op)
        elif isinstance(op, Forget):
            self._forget(op)
        elif isinstance(op, Outcomes):
            note_outcomes(self._txn, self._databases.quality, op.key, op.results)
        elif isinstance(op, Remember):
            self._remember(op)
        elif isinstance(op, BlockAddress):
            block(self._txn, self._databases, op, self._now_ms)
        elif isinstance(op, Leave):
            self._leave(op)
        elif isinstance(op, Renew):
            return self._renew(op)
        elif isinstance(op, Funds):
            give_funds(self._txn, self._databases, self._money(), op, self._now_ms)
        else:
            self._gateway_state(op)
        return None

    def _admit(self, op: Admit) -> Admission:
        """All of it or nothing."""
        record = op.record
        reserved: Reserved = []
        refused = self._take_holds(op, reserved)
        if refused is not None:
            return refused
        admission, chosen = self._take_gateway(op.tiers, op.holds)
        if chosen is None:
            for hold in op.holds:
                self._give_back(hold.key)
            release(self._money(), reserved)
            return admission
        self._touched.append((record, held_by(record)))
        record.holds = [hold.key for hold in op.holds] + [hold.key for hold in chosen.holds]
        record.gateway = chosen.key
        record.reserved = reserved
        record.gateway_reserved = self._reserve_with(chosen)
        if op.branches > 1:
            take_others(record, admission, op, self._take_gateway, self._reserve_with)
        key = record.id.encode()
        calls = self._databases.calls
        value = encode_call(record)
        if not self._txn.put(key, value, True, False, False, calls):
            if self._has_lines(key):
                raise StoreError(f"call {record.id} is admitted already")
            self._txn.put(key, value, True, True, False, calls)
        return admission

    def _take_holds(self, op: Admit | Rehunt, reserved: Reserved) -> Admission | None:
        """Takes holds and credits, all of them or none; the refusal. Fills in `reserved`."""
        taken: list[list[Any]] = []
        refused: Admission | None = None
        for hold in op.holds:
            usage = self._usage[hold.key]
            too_fast = 0 <= hold.cps <= self._pace(hold.key)
            if too_fast or usage[0] >= hold.limit >= 0:
                refused = Admission(refused=hold.key, too_fast=too_fast)
                break
            # Taken at once, so that a key named twice counts twice against its limit.
            usage[0] += 1
            taken.append(usage)
        if op.credits and refused is None:
            short = short_of(self._money(), op.credits)
            if short:
                refused = Admission(refused=CREDIT + short)
            else:
                reserved += reserve(self._money(), op.credits)
        if refused is not None:
            for usage in taken:
                usage[0] -= 1
        return refused

    def _has_lines(self, key: bytes) -> bool:
        stored = self._txn.get(key, None, self._databases.calls)
        if stored is None:
            return False
        lease = decode_lease(stored)
        return bool(lease.holds or lease.gateway or lease.reserved)

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
        if lease.gateway_reserved:
            release(self._money(), lease.gateway_reserved)
        holds = []
        for hold in lease.holds:
            if hold.startswith(GROUP):
                self._give_back(hold)
            else:
                holds.append(hold)
        reserved: Reserved = []
        refused = self._take_holds(op, reserved) if op.holds or op.credits else None
        if refused is None:
            holds += [hold.key for hold in op.holds]
            admission, chosen = self._take_gateway(op.tiers, op.holds)
        else:
            admission, chosen = refused, None
        self._touched.append((record, held_by(record)))
        record.holds = holds
        record.gateway = ""
        record.reserved = joined(lease.reserved, reserved) if reserved else lease.reserved
        record.gateway_reserved = []
        if chosen is not None:
            record.holds += [hold.key for hold in chosen.holds]
            record.gateway = chosen.key
            record.gateway_reserved = self._reserve_with(chosen)
            if op.branches > 1:
                take_others(record, admission, op, self._take_gateway, self._reserve_with)
        self._txn.put(key, encode_call(record), True, True, False, self._databases.calls)
        return admission

    def _leave(self, op: Leave) -> None:
        record = op.record
        key = record.id.encode()
        stored = self._txn.get(key, None, self._databases.calls)
        if stored is None:
            return
        lease = decode_lease(stored)
        left = left_behind(lease, op)
        for one in left.keys:
            self._give_back(one)
        release(self._money(), left.reserved)
        self._touched.append((record, held_by(record)))
        record.holds, record.gateway, record.gateway_reserved = left[:3]
        record.reserved = lease.reserved
        self._txn.put(key, encode_call(record), True, True, False, self._databases.calls)

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
        record.reserved = lease.reserved
        record.gateway_reserved = lease.gateway_reserved
        self._txn.put(key, encode_call(record), True, True, False, self._databases.calls)

    def _renew(self, op: Renew) -> Renewed:
        """What it has already is read from the stored record, as in `_save`."""
        record = op.record
        key = record.id.encode()
        stored = self._txn.get(key, None, self._databases.calls)
        if stored is None:
            return Renewed(False)
        moneys = self._money()
        if short_of(moneys, op.wants):
            return Renewed(False, free(moneys, op.wants))
        lease = decode_lease(stored)
        self._touched.append((record, held_by(record)))
        record.holds = lease.holds
        record.gateway = lease.gateway
        record.reserved = joined(lease.reserved, reserve(moneys, op.wants))
        record.gateway_reserved = lease.gateway_reserved
        record.paid_until = op.paid_until
        self._txn.put(key, encode_call(record), True, True, False, self._databases.calls)
        return Renewed(True, free(moneys, op.wants))

    def _finish(self, op: Finish) -> Finished | None:
        """What was held is read from the stored record, so a second Finish releases nothing.

        Neither does it charge: the ledger will not, since it has a CDR of that id.
        """
        key = op.id.encode()
        stored = self._txn.pop(key, self._databases.calls)
        low: tuple[str, ...] = ()
        if stored is not None:
            lease = decode_lease(stored)
            for hold in lease.holds:
                self._give_back(hold)
            if lease.gateway:
                self._give_back(lease.gateway)
            if lease.reserved:
                release(self._money(), lease.reserved)
            if lease.gateway_reserved:
                release(self._money(), lease.gateway_reserved)
            if op.cdr.charges:
                low = charge(self._money(), op.cdr.charges, op.watched)
        self._txn.put(key, encode_cdr(op.cdr), True, False, False, self._databases.outbox)
        return Finished(low) if op.watched else None

    def _opened(self, op: Opened) -> None:
        """Under a key of its own: the ledger may be deleting it while the CDR arrives."""
        cdr = op.record.cdr
        key = op.record.id.encode() + OPENING_SUFFIX
        self._txn.put(key, encode_cdr(cdr), True, True, False, self._databases.outbox)

    def _gateway_state(self, news: GatewayState | GatewayNews) -> None:
        """The newest word about each part of a gateway's health stands."""
        key, database = news.key.encode(), self._databases.gateway_state
        stored = self._txn.get(key, None, database)
        state = changed(decode_gateway_state(stored) if stored else None, news, self._now_ms)
        self._txn.put(key, encode_gateway_state(state), True, True, False, database)
        self._down_until[news.key] = state.out_until_ms

    def _remember(self, op: Remember) -> None:
        value = op.value.encode("utf-8", "surrogateescape")[:MAX_SHARED_BYTES]
        databases = SharedDatabases(self._databases.shared, self._databases.shared_until)
        key = shared_key(VALUE, op.key)
        write_shared(self._txn, databases, key, value, op.until_ms, self._now_ms)

    def _money(self) -> CachedMoneys:
        """All money; made when it is first asked for, which most turns never do."""
        if self._moneys is None:
            self._moneys = CachedMoneys(self._txn, self._databases.money)
        return self._moneys

    def _pace(self, key: str) -> int:
        """The calls of the last second."""
        window = self._windows.get(key)
        if window is None:
            stored = self._txn.get(key.encode(), b"", self._databases.pace)
            window = self._windows[key] = Window(PACE_MS, stored)
        return window.count(self._now_ms)

    def write_values(self) -> None:
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
        for balance, reserved, key, stored in (self._moneys or {}).values():
            value = MONEY.pack(balance, reserved)
            if value != stored:
                put(key, value, True, True, False, self._databases.money)

    def restore_records(self) -> None:
        """After an abort the records must not claim leases that nobody took."""
        for record, held in reversed(self._touched):
            put_back(record, held)

    def _take_gateway(
        self, tiers: Sequence[Sequence[Candidate]], holds: Sequence[Hold]
    ) -> tuple[Admission, Candidate | None]:
        """Takes a gateway with its own holds, and counts the call for the pace of all.

        What it has to reserve is the caller's to do.
        """
        dropped: list[tuple[str, str]] = []
        chosen = choose_gateway(
            tiers,
            self._usage,
            self._down_until,
            self._now_ms,
            dropped,
            self._pace,
            self._money,
        )
        if chosen is None:
            return Admission(None, dropped), None
        usage = self._usage[chosen.key]
        usage[0] += 1
        usage[1] += 1
        for hold in chosen.holds:
            self._usage[hold.key][0] += 1
        for key in paced(holds, chosen):
            self._pace(key)
            self._windows[key].note(self._now_ms)
            self._noted.add(key)
        return Admission(chosen.key, dropped), chosen

    def _reserve_with(self, chosen: Candidate) -> Reserved:
        return reserve(self._money(), chosen.credits) if chosen.credits else []

    def _give_back(self, key: str) -> None:
        usage = self._usage[key]
        if usage[0] > 0:
            usage[0] -= 1
