"""The operations a worker asks of the live store, and what it is told back.

A turn of the engine makes a list of operations. All of them are committed in one write
transaction, in order, each seeing what the earlier ones did. `Admit` and `Rehunt` are answered
with an `Admission`, `Renew` with a `Renewed`, `Bind` with a `Bound`, all others with None.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TypeAlias

import msgspec

from router.store.funds import Funds
from router.store.records import CallRecord, Cdr, Contact, GatewayState

UNLIMITED = -1


MAX_SHARED_BYTES = 1_024
"""The longest value that can be shared, in UTF-8; longer ones are cut."""
GROUP = "group:"
"""How the keys of holds begin that a call has along with its gateway, and gives back with it."""


CREDIT = "credit:"
"""How `Admission.refused` begins when an account could not give what the call needs."""


class Hold(msgspec.Struct, frozen=True, gc=False):
    """Lines of an account, trunk, group or server that the call must find free, and their pace.

    `limit` calls at once, `cps` calls in a second; -1: unlimited. `reserved` lines beyond the limit
    are there, yet for others.
    """

    key: str
    limit: int = UNLIMITED
    cps: int = UNLIMITED
    reserved: int = 0


class Credit(msgspec.Struct, frozen=True, gc=False):
    """Money that an account must be able to give: balance - reserved - need >= floor.

    Millionths; `floor` is the overdraft with a minus before it.
    """

    account: str
    need: int
    floor: int = 0


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A gateway the call may use: its lines and calls a second (-1: unlimited), and its groups'.

    `credits` are asked of its clearing account, reserved with it and given back with it.
    """

    key: str
    limit: int = UNLIMITED
    cps: int = UNLIMITED
    holds: tuple[Hold, ...] = ()
    credits: tuple[Credit, ...] = ()


Tiers: TypeAlias = tuple[tuple[Candidate, ...], ...]
"""Candidates in the order in which they are looked at; inside a tier the load decides."""


def untried(tiers: Sequence[Sequence[Candidate]], keys: Container[str | None]) -> Tiers:
    """The tiers less these candidates; nothing twice to one gateway."""
    left = (tuple(candidate for candidate in tier if candidate.key not in keys) for tier in tiers)
    return tuple(tier for tier in left if tier)


class Admit(msgspec.Struct, gc=False):
    """Take every hold, credit and the first usable gateway and store the record, or take nothing.

    Tiers are walked in order; inside a tier the gateway with the smallest in_use/limit (0 when
    unlimited), then the fewest calls handed so far, then the smallest key comes first. Full ones,
    those down at `now_ms` and those whose holds have no room are skipped. On success
    `record.holds`, `record.gateway`, `record.reserved` and `record.gateway_reserved` are filled in.
    A call that rings several at once takes up to `branches` of them, in the same order; those after
    the first stand at the end of `record.holds`.
    """

    record: CallRecord
    holds: tuple[Hold, ...] = ()
    tiers: tuple[tuple[Candidate, ...], ...] = ()
    credits: tuple[Credit, ...] = ()
    branches: int = 1


class Keep(msgspec.Struct, gc=False):
    """Store the record of a call that takes no lines yet, because its route waits.

    A successor of this worker closes it then; `Admit` may come later, or `Finish`, or `Forget`.
    """

    record: CallRecord


class Forget(msgspec.Struct, gc=False):
    """Delete what `Keep` has stored, without a CDR; nothing when it has lines."""

    id: str


class Rehunt(msgspec.Struct, gc=False):
    """Give the record's gateway back and take the next, chosen as in `Admit`; other holds stay.

    `holds` and `credits` are what the call needs besides from now on, all or nothing, and refused
    as by `Admit`; it has them until its end.

    Without a usable gateway the record is stored with `gateway = ""`. A record that is no longer
    in the store takes nothing.
    """

    record: CallRecord
    tiers: tuple[tuple[Candidate, ...], ...] = ()
    branches: int = 1
    holds: tuple[Hold, ...] = ()
    credits: tuple[Credit, ...] = ()


class Leave(msgspec.Struct, gc=False):
    """Give back gateways of a call that rings several, with all they hold; the others stay.

    When the record's own gateway is among them `heir`, one of the others, takes its place. Nothing
    for a call that is gone.
    """

    record: CallRecord
    gateways: tuple[Candidate, ...]
    heir: str = ""


class Save(msgspec.Struct, gc=False):
    """Store an admitted record again (answered, dialog changed); nothing when it is gone."""

    record: CallRecord


class Finish(msgspec.Struct, gc=False):
    """Delete the record if there is one, give back all it holds, put the CDR in the outbox.

    What it has reserved is released and what `cdr.charges` say is taken from the balances. Doing it
    twice releases and charges once and leaves one CDR, the first. Where balances are `watched`
    (account, millionths) it is answered with `Finished`.
    """

    id: str
    cdr: Cdr
    watched: tuple[tuple[str, int], ...] = ()


class Finished(msgspec.Struct, gc=False):
    """The watched accounts whose balance this call took below what is watched for."""

    low: tuple[str, ...] = ()


class Renew(msgspec.Struct, gc=False):
    """Reserve more for a call in progress, all of it or nothing, and store its record again.

    When granted `record.reserved` grows and `record.paid_until` is the one given. A call that is
    no longer in the store is granted nothing.
    """

    record: CallRecord
    wants: tuple[Credit, ...]
    paid_until: int


class Renewed(msgspec.Struct, gc=False):
    """What `Renew` came to: `free` is what each account could give now, millionths."""

    granted: bool
    free: dict[str, int] = {}


class Opened(msgspec.Struct, gc=False):
    """Put the opening of an answered call in the outbox, so that the ledger can close it.

    For calls that outlive a heartbeat: after a power cut the ledger closes what it knows as open.
    """

    record: CallRecord


class Admission(msgspec.Struct, gc=False):
    """What `Admit` and `Rehunt` came to.

    `gateway` is the key taken, or None. `dropped` are the candidates seen and not usable, in the
    order given, with the reason (`admission`). `refused` is the key of the hold that was at its
    limit, or "credit:ACCOUNT" where an account could not give what is needed; `too_fast` says that
    it was the hold's calls a second. Then no candidate was looked at. `others` are the keys taken
    besides, where the call rings several.
    """

    gateway: str | None = None
    dropped: list[tuple[str, str]] = []
    refused: str | None = None
    too_fast: bool = False
    others: list[str] = []


class GatewayNews(msgspec.Struct, frozen=True, gc=False):
    """Change some of what is known of a gateway's health; None leaves it as it is.

    `trouble` in words, "" for none any more.
    """

    key: str
    down_until_ms: int | None = None
    down: bool | None = None
    unregistered: bool | None = None
    registered_until_ms: int | None = None
    trouble: str | None = None


class Remember(msgspec.Struct, gc=False):
    """Share a value with all workers until a time, epoch ms."""

    key: str
    value: str
    until_ms: int


OUTCOME_BYTES = 4
_MAX_PDD_MS = 1 << 30


def outcome(answered: bool, pdd_ms: int) -> bytes:
    """One attempt as it is stored: the delay in ms and one more, times two, and one if answered.

    `pdd_ms` is -1 when it never rang.
    """
    value = (min(pdd_ms, _MAX_PDD_MS) + 1) << 1 | answered
    return value.to_bytes(OUTCOME_BYTES, "little")


class Outcomes(msgspec.Struct, gc=False):
    """How attempts at a gateway went, oldest first, as `outcome` writes each."""

    key: str
    results: bytes


class Bind(msgspec.Struct, gc=False):
    """Change where a phone can be reached (RFC 3261 §10.3 steps 6 and 7): all of it or nothing.

    Each contact replaces the one with the same URI; one that has expired removes it. `clear`
    removes all (`Contact: *`), by the order of `call_id` and `cseq`. Of more than `max_contacts`
    those go that would expire first. `nonce` is what the REGISTER proved itself with, "" for
    none: used before with no lower count, it changes nothing.
    """

    number: str
    account: str
    contacts: tuple[Contact, ...] = ()
    clear: bool = False
    max_contacts: int = 10
    call_id: str = ""
    cseq: int = 0
    nonce: str = ""
    nonce_count: int = 0
    nonce_until_ms: int = 0


class Bound(msgspec.Struct, gc=False):
    """What `Bind` came to: the contacts now, in the order in which they were first registered.

    `refused`: a contact was registered by the same Call-ID with no lower CSeq; nothing changed.
    `replayed`: the nonce was used before; nothing changed, and there are no contacts here.
    """

    contacts: list[Contact]
    refused: bool = False
    replayed: bool = False


class BlockAddress(msgspec.Struct, frozen=True, gc=False):
    """Nothing but refusals for this address until a time, epoch ms.

    `counted` is the rate of its failures ("per_ms/key", see `LiveStore.permit`), which begins anew.
    """

    address: str
    until_ms: int
    counted: str = ""


Op: TypeAlias = (
    Admit
    | Keep
    | Forget
    | Rehunt
    | Leave
    | Save
    | Finish
    | Opened
    | GatewayState
    | GatewayNews
    | Outcomes
    | Remember
    | Bind
    | BlockAddress
    | Renew
    | Funds
)
Answer: TypeAlias = Admission | Bound | Renewed | Finished
"""What an operation that is answered is answered with."""

__all__ = [
    "CREDIT",
    "GROUP",
    "MAX_SHARED_BYTES",
    "UNLIMITED",
    "Admission",
    "Admit",
    "Answer",
    "Bind",
    "BlockAddress",
    "Bound",
    "Candidate",
    "Credit",
    "Finish",
    "Finished",
    "Forget",
    "Funds",
    "GatewayNews",
    "GatewayState",
    "Hold",
    "Keep",
    "Leave",
    "Op",
    "Opened",
    "Outcomes",
    "Rehunt",
    "Remember",
    "Renew",
    "Renewed",
    "Save",
    "untried",
]
