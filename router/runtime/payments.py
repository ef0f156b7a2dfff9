"""Money given to an account by command: into live state at once, and durable when it is said.

While a router runs its ledger process makes it durable; while none does, or while that process is
away, whoever pays takes the ledger's lock and does it. Killed in between, the payment waits in the
outbox, and the next start makes it durable.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from router.billing.charges import settle
from router.store.boot import LEDGER_DIR, LIVE_DIR, check_writable, live_is_current
from router.store.draining import Draining
from router.store.errors import LedgerBusyError, StoreError
from router.store.funds import Funds, Row
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive

WAIT_S = 10.0
LOOK_S = 0.05


class Payment(NamedTuple):
    """The row that the funds became, None while they wait in the outbox; the live balance then."""

    row: Row | None
    balance: int


def give_funds(
    state: Path, funds: Funds, opening: Funds | None = None, *, wait_s: float = WAIT_S
) -> Payment:
    """Give an account funds, and wait until that is durable, `wait_s` at most.

    Before them `opening`, if it never had one. Funds whose id the ledger has are not given again,
    however long ago that was. StoreError, one line, when nothing was given.
    """
    check_writable(state)
    ops = [funds] if opening is None else [opening, funds]
    try:
        return _by_ourselves(state, ops)
    except LedgerBusyError:
        pass
    if not live_is_current(state / LIVE_DIR):
        raise StoreError(
            f"state folder {state} has no live state of this boot of the machine, and another "
            "process writes its ledger: try again"
        )
    row = row_of(state, funds.id)
    live = LmdbLive(state / LIVE_DIR)
    try:
        if row is not None:
            return Payment(row, live.money(funds.account).balance)
        if not live.is_seeded():
            raise StoreError(f"{live.path} does not know the balances yet: start Trunkline again")
        live.commit(ops, funds.at_ms)
        balance = live.money(funds.account).balance
    finally:
        live.close()
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        time.sleep(LOOK_S)
        row = row_of(state, funds.id)
        if row is not None:
            return Payment(row, balance)
        try:
            return _by_ourselves(state, ops)
        except LedgerBusyError:
            continue
    return Payment(None, balance)


def _by_ourselves(state: Path, ops: Sequence[Funds]) -> Payment:
    """All of it under the ledger's lock; LedgerBusyError when somebody else has it."""
    funds = ops[-1]
    ledger = LmdbLedger(state / LEDGER_DIR, bill=settle)
    try:
        live = LmdbLive(state / LIVE_DIR)
        try:
            draining = Draining(ledger, live)
            draining.bind(funds.at_ms)
            if ledger.funded(funds.id) is None:
                live.commit(ops, funds.at_ms)
            balance = live.money(funds.account).balance
            while ledger.funded(funds.id) is None and draining.move(funds.at_ms):
                pass
            return Payment(ledger.funded(funds.id), balance)
        finally:
            live.close()
    finally:
        ledger.close()


def row_of(state: Path, id: str) -> Row | None:
    """The row that funds of this id became, None if the ledger has none; StoreError."""
    if not (state / LEDGER_DIR / "data.mdb").exists():
        return None
    ledger = LmdbLedger(state / LEDGER_DIR, readonly=True)
    try:
        return ledger.funded(id)
    finally:
        ledger.close()
