"""Taking over the calls of a dead worker from what the store holds of them.

An answered call is stored with both dialogs and goes on; what becomes of its 200: `answer`. An
unanswered one is stored with what its caller's transaction answers by; it is closed: 500 to the
caller, CANCEL to the gateway, whose INVITE has an identity that follows from the call's id and the
number of the attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from router.core.access import MOST_CHALLENGES, access_to
from router.core.answer import resume_answer
from router.core.end_reasons import EndReason, reason_header
from router.core.flow import Flow
from router.core.leg import Leg, LegSnapshot
from router.core.media.session import restored
from router.core.packing import pack, unpack
from router.core.session_headers import MAX_LONGER
from router.core.steering import call_id_like
from router.core.tally import PHONE
from router.core.transactions.client_request import RequestClient, Silent
from router.core.transactions.server_invite import InviteServer
from router.sip.render import render_request
from router.store.ops import Save
from router.store.records import Attempt, CallRecord, Cdr

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


def dismiss(engine: Engine, record: CallRecord) -> None:
    """Tells both sides of an unanswered call that it is over, as far as the store knows them."""
    try:
        early: EarlySnapshot = unpack(record.dialog, EarlySnapshot)
    except msgspec.DecodeError:
        return
    server = InviteServer(engine.layer, early.key, early.flow, early.head)
    server.respond(500, "", reason_header(EndReason.ServerFailure.q850))
    if any(not attempt.ended for attempt in record.cdr.attempts):
        for branch in early.branches:
            # A stream died with the worker that held it, unless that was another one.
            flow = branch.flow
            if flow.slot == engine.slot:
                flow = flow._replace(connection=0, slot=-1)
            _cancel(
                engine, flow, branch.uri, branch.token, record.call_id, branch.again
            )
    elif target := engine.policy.target(record.gateway):
        number = len(record.cdr.attempts) + 1
        listener = engine.listener_for(target.transport)
        flow = Flow(target.transport, target.host, target.port, listener)
        host = f"[{target.host}]" if ":" in target.host else target.host
        uri = f"sip:{record.cdr.callee_in}@{host}:{target.port}"
        token = attempt_token(record.id, number)
        _cancel(engine, flow, uri, token, record.call_id, target.login is not None)


def close_orphan(record: CallRecord, now_ms: int) -> Cdr:
    """The CDR of a call that nobody can go on with; it names the gateway that had it last."""
    cdr = record.cdr
    reason = EndReason.ServerFailure
    kind, _, name = record.gateway.partition(":")
    name = f"{PHONE}{name}" if kind == "phone" else name
    ringing = [attempt for attempt in cdr.attempts if not attempt.ended]
    for attempt in () if cdr.answered else ringing:
        attempt.ended = now_ms
        attempt.reason = reason.name
    if name and not cdr.answered and not ringing:
        number = len(cdr.attempts) + 1
        token = attempt_token(record.id, number)
        cdr.attempts.append(
            Attempt(
                gateway=name, b_call_id=call_id_like(record.call_id, token),
                callee_out=cdr.callee_in, caller_out=cdr.caller_in, started=cdr.started,
                ended=now_ms, reason=reason.name,
            )
        )
        cdr.attempt = number
        cdr.gateway = name
    cdr.ended = now_ms
    cdr.end_reason = reason.name
    cdr.end_side = "server"
    cdr.q850 = reason.q850
    if cdr.answered:
        cdr.duration_ms = now_ms - cdr.answered
    else:
        cdr.sip_code = reason.status
    return cdr


def _cancel(
    engine: Engine, flow: Flow, uri: str, token: str, call_id: str, again: bool
) -> None:
    """Sends the CANCEL for an INVITE that a dead worker sent; its numbers follow from `token`.

    The peer matches it by Via (RFC 3261 §9.2), so what only the dead worker knew may differ.
    `call_id` is the caller's.
    """
    at = max(flow.listener, 0)
    # Nobody knows any more how often it was sent.
    for tries in range(MOST_CHALLENGES + MAX_LONGER + 1 if again else 1):
        branch = "z9hG4bK" + challenged_token(token, tries)
        data = render_request(
            "CANCEL", uri,
            f"{engine.vias[at]}{branch};rport\r\nMax-Forwards: 70\r\n"
            f"From: <sip:{engine.hosts[at]}>;tag={token}\r\nTo: <{uri}>\r\n"
            f"Call-ID: {call_id_like(call_id, token)}\r\nCSeq: {1 + tries} CANCEL\r\n",
        )
        RequestClient(engine.layer, Silent, branch, flow, "CANCEL", data)
