"""Whether the ledger's book is right: what `trunkline ledger verify` proves.

- Every balance is the sum of its account's rows, and each row's own balance the sum up to it.
- Every charge of a stored CDR is one row, and every row of a charge belongs to a stored CDR.
- Every row of funds has one id, and every id one row.
- Live money is the ledger's balance and what waits in the outbox; what is reserved is the sum of
  what the calls in progress have reserved.

Charges and rows are compared by the sums of their hashes, so that a ledger of any size takes the
memory of its accounts; only where the sums differ is every one of them looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import lmdb

from router.store.book import BALANCE
from router.store.errors import StoreError
from router.store.funding import FUNDS_SUFFIX
from router.store.funds import Row, decode_funds, decode_row
from router.store.interface import OutboxEntry
from router.store.ledger import LmdbLedger, Snapshot
from router.store.live import LmdbLive
from router.store.records import decode_cdr
from router.store.turn import OPENING_SUFFIX

MOST_SENTENCES = 100
STEP = 1_000
TRIES = 100
_MASK = (1 << 64) - 1

Charged = tuple[str, str, str, int]
"""CDR's id, account, kind, amount."""
Progress = Callable[[int], None]


class Checked(NamedTuple):
    """How much was looked at, and one sentence for each thing that is wrong."""

    accounts: int
    rows: int
    cdrs: int
    problems: list[str]


def check_ledger(ledger: LmdbLedger, progress: Progress = lambda entries: None) -> Checked:
    """Look at every row and every CDR; `progress` is told how many entries more."""
    with ledger.snapshot() as snapshot:
        return _Check(snapshot, progress).run()


class _Check:
    def __init__(self, snapshot: Snapshot, progress: Progress) -> None:
        self._snapshot = snapshot
        self._progress = progress
        self._problems: list[str] = []
        self._sums: dict[str, tuple[int, int]] = {}
        self._rows = self._cdrs = 0
        self._owed = self._booked = 0
        self._funds = self._funded = 0

    def run(self) -> Checked:
        """Rows, then balances, then CDRs, then funds."""
        self._look_at_rows()
        accounts = self._look_at_balances()
        for charged in self._charges():
            self._owed = (self._owed + hash(charged)) & _MASK
        if self._owed != self._booked:
            self._find_differences()
        self._look_at_funds()
        return Checked(accounts, self._rows, self._cdrs, self._problems)

    def _say(self, text: str) -> None:
        if text in self._problems:
            return  # some are looked at twice
        if len(self._problems) < MOST_SENTENCES:
            self._problems.append(text)
        elif len(self._problems) == MOST_SENTENCES:
            self._problems.append("There is more that is wrong; the rest is not shown.")

    def _entries(self, database: lmdb._Database) -> Iterator[tuple[bytes, bytes]]:
        with self._snapshot.txn.cursor(database) as cursor:
            for number, entry in enumerate(cursor, 1):
                yield entry
                if number % STEP == 0:
                    self._progress(STEP)

    def _look_at_rows(self) -> None:
        for key, value in self._entries(self._snapshot.book.rows):
            self._rows += 1
            row = _row(value)
            if row is None:
                self._say(f"A row cannot be read: {key.decode('ascii', 'replace')}.")
                continue
            count, balance = self._sums.get(row.account, (0, 0))
            where = f"Account {row.account}, row {row.seq}"
            if row.seq != count + 1:
                self._say(f"{where}: the row before it has number {count}.")
            if row.balance != balance + row.amount:
                self._say(
                    f"{where}: its balance is {row.balance} millionths, the sum of the rows up to "
                    f"it {balance + row.amount}."
                )
            self._sums[row.account] = row.seq, balance + row.amount
            if row.cdr_id:
                charged = row.cdr_id, row.account, row.kind, -row.amount
                self._booked = (self._booked + hash(charged)) & _MASK
            else:
                self._funds = (self._funds + hash(key)) & _MASK

    def _look_at_balances(self) -> int:
        seen = set()
        for key, value in self._entries(self._snapshot.book.balances):
            account = key.decode()
            seen.add(account)
            balance, count = BALANCE.unpack(value)
            rows, total = self._sums.get(account, (0, 0))
            if balance != total:
                self._say(
                    f"Account {account}: its balance is {balance} millionths, the sum of its rows "
                    f"{total}."
                )
            if count != rows:
                self._say(f"Account {account}: it should have {count} rows, and has {rows}.")
        for account in sorted(self._sums.keys() - seen):
            self._say(f"Account {account}: it has rows and no balance.")
        return len(seen)

    def _charges(self) -> Iterator[Charged]:
        self._cdrs = 0
        for key, value in self._entries(self._snapshot.cdrs):
            self._cdrs += 1
            try:
                cdr = decode_cdr(value)
            except StoreError as error:
                self._say(f"CDR {key.decode('ascii', 'replace')} cannot be read: {error}.")
                continue
            for one in cdr.charges:
                if one.amount:
                    yield cdr.id, one.account, one.kind, one.amount

    def _find_differences(self) -> None:
        left = Counter(self._charges())
        for _, value in self._entries(self._snapshot.book.rows):
            row = _row(value)
            if row is not None and row.cdr_id:
                left[row.cdr_id, row.account, row.kind, -row.amount] -= 1
        for (id, account, kind, amount), times in left.items():
            what = f"CDR {id}, {amount} millionths of account {account} ({kind})"
            if times > 0:
                self._say(f"{what}: charged by the CDR, and there is no such row.")
            elif times < 0:
                self._say(f"{what}: there is a row, and no such charge of a stored CDR.")

    def _look_at_funds(self) -> None:
        txn, book = self._snapshot.txn, self._snapshot.book
        for id, key in self._entries(book.funded):
            self._funded = (self._funded + hash(key)) & _MASK
            value = txn.get(key, None, book.rows)
            row = _row(value)
            if row is None or row.cdr_id:
                self._say(f"Funds {id.decode()}: their row is not there.")
        if self._funded != self._funds:
            self._say("Rows of funds and ids of funds do not belong together one to one.")


def _row(value: bytes | None) -> Row | None:
    try:
        return decode_row(value) if value is not None else None
    except StoreError:
        return None


def check_live(ledger: LmdbLedger, live: LmdbLive) -> list[str]:
    """One sentence for each account whose live money is not what ledger and outbox say.

    Also while both change: it looks again until the ledger has stood still around live state.
    """
    if not live.is_seeded():
        return ["Live money was not seeded from the ledger: start the router."]
    for _ in range(TRIES):
        before = ledger.last_change()
        monies, entries = live.snapshot()
        right = right_balances(ledger, entries)
        if ledger.last_change() == before:
            return [
                f"Account {account}: live balance is {monies.get(account, 0)} millionths, ledger "
                f"and outbox say {right.get(account, 0)}."
                for account in sorted(monies.keys() | right.keys())
                if monies.get(account, 0) != right.get(account, 0)
            ] + [f"{text}." for text in live.verify()]
    return ["Live money could not be compared: the ledger never stood still."]


def right_balances(ledger: LmdbLedger, outbox: Iterable[OutboxEntry]) -> dict[str, int]:
    """What live balances must be: the ledger's, and what of the outbox it does not have yet."""
    right = ledger.balances()
    for key, value in outbox:
        for account, amount in _amounts(ledger, key, value):
            right[account] = right.get(account, 0) + amount
    return right


def _amounts(ledger: LmdbLedger, key: bytes, value: bytes) -> list[tuple[str, int]]:
    """What an entry of the outbox will change, nothing where the ledger has it already."""
    if key.endswith(OPENING_SUFFIX):
        return []
    if key.endswith(FUNDS_SUFFIX):
        funds = decode_funds(value)
        return [] if ledger.funded(funds.id) else [(funds.account, funds.amount)]
    cdr = decode_cdr(value)
    if not cdr.charges or ledger.cdr(cdr.id) is not None:
        return []
    return [(one.account, -one.amount) for one in cdr.charges]
