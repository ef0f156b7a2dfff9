"""What live state knows of money: balances and reserves, their seeding and correction.

    money      account      balance, reserved (two int64, millionths); reserved is a cache of what
                            the records of calls have reserved
    funded     id           when these funds were given: none is given twice
    meta       "seeded"     when the ledger's balances came into money (`draining`)
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from router.store.databases import MONEY
from router.store.environment import page_forward, reading
from router.store.interface import OutboxEntry
from router.store.money import Money
from router.store.ops import Funds
from router.store.recount import wrong_balances

if TYPE_CHECKING:
    import lmdb

    from router.store.databases import LiveDatabases

_INSTANT = struct.Struct("<q")


class LiveMoney:
    """The part of `LmdbLive` that is about money."""

    _env: lmdb.Environment
    _databases: LiveDatabases
    _writing: Callable[..., AbstractContextManager[lmdb.Transaction[bytes]]]

    def money(self, account: str) -> Money:
        """Balance and reserve of an account; zeros for one that was never seen."""
        with reading(self._env) as txn:
            value = txn.get(account.encode(), db=self._databases.money)
        return Money(*MONEY.unpack(value)) if value else Money(0, 0)

    def monies(self) -> dict[str, Money]:
        """Balance and reserve of every account, by name."""
        return {
            key.decode(): Money(*MONEY.unpack(value))
            for page in page_forward(self._env, self._databases.money)
            for key, value in page
        }

    def snapshot(self) -> tuple[dict[str, int], list[OutboxEntry]]:
        """The balances and the whole outbox, as they are at one moment."""
        with reading(self._env) as txn:
            with txn.cursor(self._databases.money) as cursor:
                balances = {key.decode(): MONEY.unpack(value)[0] for key, value in cursor}
            with txn.cursor(self._databases.outbox) as cursor:
                return balances, list(cursor)

    def is_seeded(self) -> bool:
        """Whether the ledger's balances are in live money (`draining`)."""
        with reading(self._env) as txn:
            return txn.get(b"seeded", db=self._databases.meta) is not None

    def correct_balances(
        self, right: Callable[[Iterable[OutboxEntry]], Mapping[str, int]]
    ) -> list[str]:
        """Set every balance to what `right` makes of the outbox; what was wrong."""
        with self._writing() as txn:
            with txn.cursor(self._databases.outbox) as cursor:
                balances = right(cursor)
            found = wrong_balances(txn, self._databases.money, balances)
            for database, key, _, value in found:
                txn.put(key, value, db=database)
        return [text for _, _, text, _ in found]

    def not_given(self, all_funds: Sequence[Funds]) -> list[Funds]:
        """Those whose id is not known here."""
        database = self._databases.funded
        with reading(self._env) as txn:
            return [one for one in all_funds if txn.get(one.id.encode(), db=database) is None]

    def seed(self, balances: Mapping[str, int], funded: Sequence[str], now_ms: int) -> None:
        """Add the ledger's balances to live money, once; funds of these ids were given already."""
        databases = self._databases
        with self._writing() as txn:
            if not txn.put(b"seeded", _INSTANT.pack(now_ms), overwrite=False, db=databases.meta):
                return
            for account, balance in balances.items():
                key = account.encode()
                so_far, reserved = MONEY.unpack(txn.get(key, MONEY.pack(0, 0), databases.money))
                txn.put(key, MONEY.pack(so_far + balance, reserved), db=databases.money)
            for id in funded:
                txn.put(id.encode(), _INSTANT.pack(now_ms), db=databases.funded)
