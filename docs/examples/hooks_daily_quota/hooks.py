"""A number of calls a day for each account, kept in a file that survives restarts.

SQLite does the counting: one statement takes a call of the quota or takes none, also when several
workers ask at once. It waits for the disk, so it runs in a thread while the worker goes on.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from router.routing.hooks import Account, Call, route_function

FILE = Path(os.environ.get("QUOTA_FILE") or Path(__file__).parent / "state" / "quota.sqlite")
ZONE = ZoneInfo("Asia/Shanghai")
"""Where midnight is."""
BUSY_S = 1.0
KEPT_DAYS = 31

_TABLE = """
CREATE TABLE IF NOT EXISTS used (
    account TEXT, day TEXT, calls INTEGER NOT NULL, PRIMARY KEY (account, day)
) WITHOUT ROWID
"""
_TAKE = """
INSERT INTO used VALUES (?, ?, 1)
ON CONFLICT DO UPDATE SET calls = calls + 1 WHERE calls < ?
RETURNING calls
"""


@route_function
async def take(call: Call, account: Account, per_day: int) -> bool:
    """Takes one call of an account's quota of today; False if none is left."""
    if call.is_test or per_day <= 0:
        return per_day > 0
    today = datetime.now(ZONE).date().isoformat()
    return await asyncio.to_thread(_take, account.id, today, per_day)


@route_function
async def used(account: Account) -> int:
    """How many calls of today's quota an account has used."""
    today = datetime.now(ZONE).date().isoformat()
    return await asyncio.to_thread(_used, account.id, today)


def _open() -> sqlite3.Connection:
    FILE.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(FILE, timeout=BUSY_S, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    # A machine that loses power may forget the last calls; that is cheaper than a disk for each.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(_TABLE)
    return connection


def _take(account: str, day: str, per_day: int) -> bool:
    with closing(_open()) as connection:
        row = connection.execute(_TAKE, (account, day, per_day)).fetchone()
        if row == (1,):  # the first call of a day tidies up
            connection.execute(
                "DELETE FROM used WHERE day < date(?, ?)", (day, f"-{KEPT_DAYS} days")
            )
        return row is not None


def _used(account: str, day: str) -> int:
    with closing(_open()) as connection:
        row = connection.execute(
            "SELECT calls FROM used WHERE account = ? AND day = ?", (account, day)
        ).fetchone()
        return int(row[0]) if row is not None else 0
