"""Funds in a transaction of live state: given once for each id, and put in the outbox."""

from __future__ import annotations

import struct

import lmdb

from router.store.databases import CachedMoneys, LiveDatabases
from router.store.funds import Funds, encode_funds, opening_id

FUNDS_SUFFIX = b"$"
FUNDED_AT_MOST = 10_000
"""How many ids of funds are kept against doing them twice; openings are kept apart from that."""
_OPENING_ID = opening_id("").encode()
_INSTANT = struct.Struct("<q")


def give_funds(
    txn: lmdb.Transaction[bytes],
    databases: LiveDatabases,
    moneys: CachedMoneys,
    op: Funds,
    now_ms: int,
) -> None:
    """Change the account's balance, unless its id is known.

    Ids sort by their time, so that the oldest are forgotten.
    """
    key = op.id.encode()
    funded = databases.funded
    if not txn.put(key, _INSTANT.pack(now_ms), True, False, False, funded):
        return
    # One opening for each account stays beside them.
    most = FUNDED_AT_MOST + txn.stat(databases.money)["entries"]
    if txn.stat(funded)["entries"] > most:
        with txn.cursor(funded) as cursor:
            if cursor.first() and not cursor.key().startswith(_OPENING_ID):
                cursor.delete()
    money = moneys[op.account]
    money[0] += op.amount
    money[3] = b""  # written even when it is 0: from now on the account is known
    txn.put(key + FUNDS_SUFFIX, encode_funds(op), True, False, False, databases.outbox)
