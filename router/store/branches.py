"""Calls that ring several gateways: what they take besides the first, and give back one by one.

Pure, so that every backend does the same. What a further gateway holds stands at the end of the
record's holds, its key before those of its groups; what it reserves, with the first one's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from router.store.money import Reserved, joined
from router.store.ops import Admission, Admit, Candidate, Hold, Leave, Rehunt, untried
from router.store.records import CallRecord


class Leased(Protocol):
    """The part of a record, or of a stored lease, that a gateway can leave."""

    holds: list[str]
    gateway: str
    gateway_reserved: list[tuple[str, int]]


class Left(NamedTuple):
    """What a call holds after some of its gateways left, and what they give back."""

    holds: list[str]
    gateway: str
    gateway_reserved: Reserved
    keys: list[str]
    reserved: Reserved


Take = Callable[
    [Sequence[Sequence[Candidate]], Sequence[Hold]], tuple[Admission, Candidate | None]
]
Reserve = Callable[[Candidate], Reserved]


def take_others(
    record: CallRecord, admission: Admission, op: Admit | Rehunt, take: Take, reserve: Reserve
) -> None:
    """Takes what else may ring at the same time; `record` and `admission` then say so."""
    tried = {admission.gateway, *(key for key, _ in admission.dropped)}
    while len(admission.others) + 1 < op.branches:
        more, chosen = take(untried(op.tiers, tried), ())
        admission.dropped += more.dropped
        if chosen is None:
            return
        admission.others.append(chosen.key)
        record.holds += [chosen.key, *(hold.key for hold in chosen.holds)]
        record.gateway_reserved = joined(record.gateway_reserved, reserve(chosen))
        tried |= {chosen.key, *(key for key, _ in more.dropped)}


def left_behind(lease: Leased, op: Leave) -> Left:
    """What a call holds when some of its gateways have left; those that it has not are skipped.

    Keys are looked for from the end: what the call holds as a whole stands first.
    """
    holds = list(reversed(lease.holds))
    gateway = lease.gateway
    reserves = dict(lease.gateway_reserved)
    keys: list[str] = []
    released: Reserved = []
    for candidate in op.gateways:
        if candidate.key == gateway:
            gateway = op.heir if op.heir in holds else ""
            if gateway:
                holds.remove(gateway)
        elif candidate.key in holds:
            holds.remove(candidate.key)
        else:
            continue
        keys.append(candidate.key)
        for hold in candidate.holds:
            if hold.key in holds:
                holds.remove(hold.key)
                keys.append(hold.key)
        for credit in candidate.credits:
            amount = min(credit.need, reserves.get(credit.account, 0))
            reserves[credit.account] = reserves.get(credit.account, 0) - amount
            released.append((credit.account, amount))
    kept = [(account, amount) for account, amount in reserves.items() if amount]
    return Left(holds[::-1], gateway, kept, keys, released)
