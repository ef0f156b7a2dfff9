"""The caches of live state against the truth: the leases in the records of calls in progress."""

from __future__ import annotations

from collections.abc import Mapping

import lmdb

from router.store.databases import MONEY, USAGE, LiveDatabases
from router.store.records import decode_lease

Difference = tuple[lmdb._Database, bytes, str, bytes]


def differences(txn: lmdb.Transaction[bytes], databases: LiveDatabases) -> list[Difference]:
    """Every entry that the leases contradict: its database and key, a sentence, the right value."""
    held: dict[str, int] = {}
    reserved: dict[str, int] = {}
    with txn.cursor(databases.calls) as cursor:
        for _, record in cursor:
            lease = decode_lease(record)
            for key in (*lease.holds, lease.gateway) if lease.gateway else lease.holds:
                held[key] = held.get(key, 0) + 1
            for account, amount in (*lease.reserved, *lease.gateway_reserved):
                reserved[account] = reserved.get(account, 0) + amount
    return [*_usage(txn, databases.usage, held), *_money(txn, databases.money, reserved)]


def _usage(
    txn: lmdb.Transaction[bytes], database: lmdb._Database, held: dict[str, int]
) -> list[Difference]:
    cached: dict[str, tuple[int, int]] = {}
    with txn.cursor(database) as cursor:
        for raw_key, value in cursor:
            in_use, handed = USAGE.unpack(value)
            cached[raw_key.decode()] = (in_use, handed)
    found: list[Difference] = []
    for key in sorted(held.keys() | cached.keys()):
        in_use, handed = cached.get(key, (0, 0))
        right = held.get(key, 0)
        if in_use != right:
            text = f"{key}: in-use is {in_use}, the calls in progress hold {right}"
            found.append((database, key.encode(), text, USAGE.pack(right, handed)))
    return found


def wrong_balances(
    txn: lmdb.Transaction[bytes], database: lmdb._Database, right: Mapping[str, int]
) -> list[Difference]:
    """Every account whose balance is not the right one."""
    found: list[Difference] = []
    with txn.cursor(database) as cursor:
        cached = {key.decode(): MONEY.unpack(value) for key, value in cursor}
    for account in sorted(right.keys() | cached.keys()):
        balance, reserved = cached.get(account, (0, 0))
        should = right.get(account, 0)
        if balance != should:
            text = f"account {account}: the balance was {balance} millionths instead of {should}"
            found.append((database, account.encode(), text, MONEY.pack(should, reserved)))
    return found


def _money(
    txn: lmdb.Transaction[bytes], database: lmdb._Database, reserved: dict[str, int]
) -> list[Difference]:
    cached: dict[str, tuple[int, int]] = {}
    with txn.cursor(database) as cursor:
        for raw_key, value in cursor:
            balance, so_far = MONEY.unpack(value)
            cached[raw_key.decode()] = (balance, so_far)
    found: list[Difference] = []
    for account in sorted(reserved.keys() | cached.keys()):
        balance, so_far = cached.get(account, (0, 0))
        right = reserved.get(account, 0)
        if so_far != right:
            text = (
                f"account {account}: {so_far} millionths are reserved, the calls in progress "
                f"have reserved {right}"
            )
            found.append((database, account.encode(), text, MONEY.pack(balance, right)))
    return found
