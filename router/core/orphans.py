"""Calls of a dead worker that nobody can go on with: both sides are told, the books are closed.

An unanswered call gets 500, its gateway a CANCEL: the INVITE has an identity that follows from the
call's id and the number of the attempt. An answered one is here when its record cannot be read.

    the record      what happens                                               next
    is found        500, CANCEL; without an end_route the CDR                  gone
                    the CDR is made and stored with the record, `closing`      closing
    closing         a turn later end_route runs, by what the record says; CDR  gone
    found closing   the CDR without end_route: running it may be what took     gone
                    the worker with it, and would take the next one too
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from router.core.access import MOST_CHALLENGES
from router.core.call import Call
from router.core.end_reasons import EndReason, reason_header
from router.core.flow import Flow
from router.core.leg import Leg
from router.core.outcome import count_end
from router.core.packing import unpack
from router.core.session_headers import MAX_LONGER
from router.core.states import ENDED
from router.core.steering import call_id_like
from router.core.takeover import EarlySnapshot, attempt_token, challenged_token
from router.core.tally import PHONE
from router.core.transactions.client_request import RequestClient, Silent
from router.core.transactions.server_invite import InviteServer
from router.sip.render import render_request
from router.store.ops import Finish, Save
from router.store.records import Attempt, CallRecord, Cdr

if TYPE_CHECKING:
    from router.core.engine import Engine

ROUTES_A_MS = 8
"""How many end_routes are begun in a millisecond: the calls that live go on meanwhile."""


class Orphan(NamedTuple):
    """A call that waits for its end_route; `head` has its From and To, where they are known."""

    engine: Engine
    record: CallRecord
    flow: Flow
    head: str


def close(engine: Engine, record: CallRecord, number: int) -> None:
    """Closes a call that nobody can go on with, the so manieth of its worker."""
    layer = engine.layer
    early = None if record.answered else dismiss(engine, record)
    if record.closing or not engine.policy.has_end_route:
        if not record.closing:
            _complete(engine, record)
        _finish(engine, record)
        return
    _complete(engine, record)
    record.closing = True
    engine.ask(Save(record), None)
    flow, head = (early.flow, early.head) if early is not None else (engine.no_flow, "")
    orphan = Orphan(engine, record, flow, head)
    layer.wheel.at(layer.now + 1 + number // ROUTES_A_MS, _end, orphan)


def _complete(engine: Engine, record: CallRecord) -> None:
    cdr = close_orphan(record, engine.layer.now)
    engine.policy.orphaned(cdr, record.paid_until)


def _end(orphan: Orphan) -> None:
    """Runs end_route; whatever it does, the call has its CDR."""
    engine, record = orphan.engine, orphan.record
    call = Call(engine, record.id, None, orphan.flow, None)
    call.state = ENDED
    call.cdr, call.record = record.cdr, record
    call.callee = record.callee or record.cdr.callee_in
    call.caller = record.caller or record.cdr.caller_in
    leg = call.a = Leg(engine, call, record.call_id, f"over-{record.id}")
    for line in orphan.head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() in ("from", "f"):
            leg.remote = value.strip()
        elif name.lower() in ("to", "t"):
            leg.local = value.strip()
    leg.forget()
    engine.run_apart("end_route", _run, call)
    call.context = None
    _finish(engine, record)


def _run(call: Call) -> None:
    call.policy.adopted(call)
    call.policy.ended(call)


def _finish(engine: Engine, record: CallRecord) -> None:
    count_end(engine.tally, record.cdr, EndReason.ServerFailure)
    engine.ask(Finish(record.id, record.cdr), None)


def dismiss(engine: Engine, record: CallRecord) -> EarlySnapshot | None:
    """Tells both sides of an unanswered call that it is over; what the store knows of them."""
    try:
        early: EarlySnapshot = unpack(record.dialog, EarlySnapshot)
    except msgspec.DecodeError:
        return None
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
    return early


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
