"""How well a gateway's latest attempts went: ASR and PDD over the last of them, of all workers.

Outcomes are as `ops.outcome` writes them. Of each gateway the last ATTEMPTS are kept, the oldest
first; older ones fall out, so a value never grows.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

import lmdb

from router.store.ops import OUTCOME_BYTES

ATTEMPTS = 200


class Quality(NamedTuple):
    """Attempts counted (at most ATTEMPTS), how many were answered, and the mean PDD, -1: none."""

    attempts: int
    answered: int
    pdd_ms: int


UNKNOWN = Quality(0, 0, -1)


def joined(stored: bytes, more: bytes) -> bytes:
    """The last outcomes of both."""
    return (stored + more)[-ATTEMPTS * OUTCOME_BYTES :]


def quality_of(stored: bytes) -> Quality:
    """What stored outcomes come to."""
    values = array("I", stored)
    answered = sum(value & 1 for value in values)
    delays = [(value >> 1) - 1 for value in values if value > 1]
    return Quality(len(values), answered, sum(delays) // len(delays) if delays else -1)


def note_outcomes(
    txn: lmdb.Transaction[bytes], database: lmdb._Database, key: str, more: bytes
) -> None:
    """Adds a gateway's outcomes to those that are stored."""
    raw = key.encode()
    txn.put(raw, joined(txn.get(raw, b"", database), more), True, True, False, database)
