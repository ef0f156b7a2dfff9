"""The accounts' book inside the ledger: balances, and the rows whose sums they are.

    balances  account                 balance, number of rows (two int64)
    rows      account + 0 + number    Row; numbers count up from 1 in each account
    funded    id                      the key of the row that these funds became

Everything here happens in the transaction that stores what it is for: a CDR with its charges, funds
with their id. What was stored before is stored again after a crash, and is then found to be there.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import lmdb

from router.store.funds import Funds, Row, encode_row
from router.store.records import Cdr

BALANCE = struct.Struct("<qq")
_NUMBER = struct.Struct(">Q")
_NOTHING = BALANCE.pack(0, 0)
_END = b"\0"


class BookDatabases(NamedTuple):
    """Where the book is kept."""

    balances: lmdb._Database
    rows: lmdb._Database
    funded: lmdb._Database


class Book:
    """The book in one write transaction; `write` at its end, or nothing has changed but rows."""

    __slots__ = ("_accounts", "_databases", "_txn")

    def __init__(self, txn: lmdb.Transaction[bytes], databases: BookDatabases) -> None:
        self._txn = txn
        self._databases = databases
        self._accounts: dict[str, list[Any]] = {}

    def charge(self, cdr: Cdr) -> None:
        """A row for each amount that a call has cost; only for a CDR that is new."""
        for one in cdr.charges:
            if one.amount:
                self._enter(
                    one.account, Row("", 0, cdr.ended, -one.amount, 0, one.kind, cdr.id)
                )

    def fund(self, funds: Funds) -> bool:
        """A row for funds; whether their id was new."""
        key = funds.id.encode()
        if self._txn.get(key, None, self._databases.funded) is not None:
            return False
        row = Row(
            "", 0, funds.at_ms, funds.amount, 0, funds.kind, "", funds.note, funds.who
        )
        self._txn.put(key, self._enter(funds.account, row), db=self._databases.funded)
        return True

    def write(self) -> None:
        """Write the balances that have changed."""
        for account, (balance, count) in self._accounts.items():
            value = BALANCE.pack(balance, count)
            self._txn.put(account.encode(), value, db=self._databases.balances)

    def _enter(self, account: str, row: Row) -> bytes:
        state = self._accounts.get(account)
        if state is None:
            value = self._txn.get(account.encode(), _NOTHING, self._databases.balances)
            state = self._accounts[account] = list(BALANCE.unpack(value))
        state[0] += row.amount
        state[1] += 1
        row.account = account
        row.balance, row.seq = state
        key = row_key(account, row.seq)
        self._txn.put(key, encode_row(row), True, False, False, self._databases.rows)
        return key


def row_key(account: str, number: int = 0) -> bytes:
    """Where a row is; with number 0 what is before an account's first."""
    return account.encode() + _END + _NUMBER.pack(number)


def rows_end(account: str) -> bytes:
    """What is behind an account's last row."""
    return account.encode() + b"\1"
