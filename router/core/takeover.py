"""Taking over the calls of a dead worker from what the store holds of them.

An answered call is stored with both dialogs and goes on; what becomes of its 200: `answer`. An
unanswered one is stored with what its caller's transaction answers by, and closed: `orphans`.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from router.core.access import access_to
from router.core.answer import resume_answer
from router.core.flow import Flow
from router.core.leg import Leg, LegSnapshot
from router.core.media.session import restored
from router.core.packing import pack, unpack
from router.core.transactions.server_invite import InviteServer
from router.store.ops import Save
from router.store.records import CallRecord

if TYPE_CHECKING:
    from router.core.attempt import Attempt as CoreAttempt
    from router.core.call import Call
    from router.core.engine import Engine


class BranchSnapshot(msgspec.Struct, array_like=True):
    """An INVITE that rings along with others: enough to cancel it; `token` is that of its tag.

    `again` says that it may have been sent more than once, for credentials or a longer session.
    """

    token: str
    flow: Flow
    uri: str
    again: bool = False


class EarlySnapshot(msgspec.Struct, array_like=True):
    """The caller's INVITE transaction: enough to answer it; and what rings, where that forks."""

    key: str
    flow: Flow
    head: str
    branches: list[BranchSnapshot] = []


def attempt_token(call_id: str, number: int) -> str:
    """The token in branch, tag and Call-ID of a call's attempt, counted from 1.

    A digest, because each gateway sees its own: from it none may find that of the next attempt,
    and answer in its name.
    """
    return blake2b(f"{call_id}{number:x}".encode(), digest_size=10).hexdigest()


def challenged_token(token: str, tries: int) -> str:
    """The token in the branch of an attempt's INVITE that was sent again."""
    return token + "a" * tries


def snapshot_early(
    server: InviteServer, branches: Sequence[BranchSnapshot] = ()
) -> bytes:
    """What is stored of a call before its answer."""
    return pack(EarlySnapshot(server.key, server.flow, server.head, list(branches)))


def store_again(call: Call, attempt: CoreAttempt) -> None:
    """An INVITE is about to be sent again: a successor's CANCEL has to be for that one too."""
    if call.fork is not None:
        call.fork.store()
    elif call.server is not None:
        call.record.dialog = snapshot_early(call.server, [attempt.snapshot()])
        call.engine.ask(Save(call.record), None)


def snapshot_answered(a: Leg, b: Leg) -> bytes:
    """What is stored of an answered call."""
    return pack((a.snapshot(), b.snapshot()))


def restore(call: Call, engine: Engine, record: CallRecord) -> None:
    """Gives an empty call the legs and books of an answered one that died with its worker.

    Raises msgspec.DecodeError when the snapshot cannot be read.
    """
    first, second = unpack(record.dialog, tuple[LegSnapshot, LegSnapshot])
    call.cdr = record.cdr
    call.record = record
    call.callee = record.callee
    call.caller = record.caller
    call.admitted = True
    record.slot = engine.slot
    record.generation = engine.generation
    a = Leg.restored(engine, call, first)
    b = Leg.restored(engine, call, second)
    a.peer, b.peer = b, a
    target = engine.policy.target(record.gateway)
    if target is not None:
        b.access = access_to(engine, target)
    if second.media is not None:
        b.media = restored(engine, b, second.media)
    call.a, call.b = a, b
    call.flow = a.flow
    resume_answer(call)
