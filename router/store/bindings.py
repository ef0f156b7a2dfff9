"""Where phones can be reached: registrations by number, and in the order in which they end.

    registrations        number           Registration
    registrations_until  until + number   nothing; until is when the first contact ends (epoch ms)

What a `Bind` comes to is plain arithmetic, the same for every backend; the rest is LMDB's.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import lmdb

from router.sip.uri import same_address
from router.store.ops import Bind, Bound
from router.store.records import (
    Contact,
    Registration,
    decode_registration,
    encode_registration,
)

SWEEP = 250
"""Phones looked at in one transaction of a sweep: about a millisecond."""

_UNTIL = struct.Struct(">q")


class BindingDatabases(NamedTuple):
    """Where registrations are, and in which order they end."""

    registrations: lmdb._Database
    until: lmdb._Database


def current(contacts: Sequence[Contact], now_ms: int) -> list[Contact]:
    """The contacts that have not expired."""
    return [contact for contact in contacts if contact.expires_ms > now_ms]


def bound(before: Sequence[Contact], op: Bind, now_ms: int) -> Bound:
    """What a `Bind` makes of the contacts so far (RFC 3261 §10.3 steps 6 and 7)."""
    contacts = current(before, now_ms)
    if op.clear:
        if any(one.call_id == op.call_id and one.cseq >= op.cseq for one in contacts):
            return Bound(contacts, True)
        return Bound([])
    after = list(contacts)
    for contact in op.contacts:
        at = _place(after, contact.uri)
        if at >= 0:
            old = after[at]
            if old.call_id == contact.call_id and old.cseq >= contact.cseq and old in contacts:
                return Bound(contacts, True)
            if contact.expires_ms > now_ms:
                after[at] = contact
            else:
                del after[at]
        elif contact.expires_ms > now_ms:
            after.append(contact)
    while len(after) > op.max_contacts:
        # A phone that started anew at another address leaves contacts behind that nobody hears.
        after.remove(min(after, key=lambda one: (one in op.contacts, one.expires_ms)))
    return Bound(after)


def _place(contacts: list[Contact], uri: str) -> int:
    for at, contact in enumerate(contacts):
        if contact.uri == uri or same_address(contact.uri, uri):
            return at
    return -1


def bind(
    txn: lmdb.Transaction[bytes], databases: BindingDatabases, op: Bind, now_ms: int
) -> Bound:
    """Does a `Bind` in a write transaction."""
    key = op.number.encode()
    stored = txn.get(key, None, databases.registrations)
    before = decode_registration(stored).contacts if stored is not None else []
    answer = bound(before, op, now_ms)
    if not answer.refused:
        _write(txn, databases, key, before, Registration(op.number, op.account, answer.contacts))
    return answer


def sweep(txn: lmdb.Transaction[bytes], databases: BindingDatabases, now_ms: int) -> int:
    """Takes the contacts away that have expired, of at most SWEEP phones; of how many."""
    ended: list[bytes] = []
    with txn.cursor(databases.until) as cursor:
        for entry in cursor.iternext(True, False):
            if _UNTIL.unpack_from(entry)[0] > now_ms or len(ended) >= SWEEP:
                break
            ended.append(entry)
    for entry in ended:
        key = entry[_UNTIL.size :]
        stored = txn.get(key, None, databases.registrations)
        if stored is None:
            txn.delete(entry, b"", databases.until)
            continue
        registration = decode_registration(stored)
        before = registration.contacts
        registration.contacts = current(before, now_ms)
        _write(txn, databases, key, before, registration)
    return len(ended)


def something_ended(
    txn: lmdb.Transaction[bytes], databases: BindingDatabases, now_ms: int
) -> bool:
    """Whether a sweep would find anything."""
    with txn.cursor(databases.until) as cursor:
        return bool(cursor.first()) and _UNTIL.unpack_from(cursor.key())[0] <= now_ms


def _write(
    txn: lmdb.Transaction[bytes], databases: BindingDatabases, key: bytes,
    before: Sequence[Contact], registration: Registration,
) -> None:
    """Stores a registration, or deletes it when it has no contacts; `before` is what was there."""
    after = registration.contacts
    first = min((one.expires_ms for one in before), default=0)
    until = min((one.expires_ms for one in after), default=0)
    if before and first != until:
        txn.delete(_UNTIL.pack(first) + key, b"", databases.until)
    if after:
        value = encode_registration(registration)
        txn.put(key, value, True, True, False, databases.registrations)
        if not before or first != until:
            txn.put(_UNTIL.pack(until) + key, b"", True, True, False, databases.until)
    elif before:
        txn.delete(key, b"", databases.registrations)
