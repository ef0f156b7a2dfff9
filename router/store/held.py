"""What the operations of a turn may change of a worker's record, kept in case the turn fails."""

from __future__ import annotations

from typing import TypeAlias

from router.store.money import Reserved
from router.store.records import CallRecord

Held: TypeAlias = tuple[list[str], str, Reserved, Reserved, int]


def held_by(record: CallRecord) -> Held:
    """What a record holds now."""
    return (
        record.holds,
        record.gateway,
        record.reserved,
        record.gateway_reserved,
        record.paid_until,
    )


def put_back(record: CallRecord, held: Held) -> None:
    """Let a record hold again what it held."""
    (
        record.holds,
        record.gateway,
        record.reserved,
        record.gateway_reserved,
        record.paid_until,
    ) = held
