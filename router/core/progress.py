"""What gateways say before the answer, or instead of it: what is noted of it, and what goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.attempt import Attempt
from router.core.decision import codecs_of
from router.core.end_reasons import EndReason
from router.core.outcome import attempt_entry, gateway_reason
from router.core.passing import passed_to_caller
from router.core.states import CALLING
from router.core.tally import gateway_label
from router.sip.message import Response
from router.sip.sdp import codecs

if TYPE_CHECKING:
    from router.core.call import Call


def pass_on(call: Call, attempt: Attempt, response: Response) -> None:
    """A 1xx above 100 of the gateway: the caller hears it."""
    cdr = call.cdr
    if cdr.pdd_ms < 0 and attempt.record.ringing:
        now = call.engine.layer.now
        cdr.ringing = now
        cdr.pdd_ms = now - cdr.started
        call.engine.observe_pdd(attempt.target.name, now - attempt.record.started)
    if call.state != CALLING or call.server is None:
        return
    if call.fork is not None and not call.fork.may_speak(attempt, response):
        return
    leg = attempt.leg
    if leg is not None and (leg.peer is None or call.a.peer is None):
        leg.peer = call.a
        call.a.peer = leg
    extra = passed_to_caller(call, attempt, response)
    call.server.respond(
        response.status, response.reason,
        call.engine.contacts[call.a.flow.listener] + extra, response.body,
    )


def note_failure(call: Call, attempt: Attempt, response: Response | None) -> None:
    """Writes down how an attempt failed, and what that says of the gateway; runs reply_route."""
    engine = call.engine
    health = engine.health
    failure = attempt.failure
    code = str(attempt.status) if failure is None else failure.name
    label, tally = gateway_label(attempt.target.name), engine.tally
    tally.failures[label, code] += 1
    tally.failed_delay[label].observe((engine.layer.now - attempt.record.started) / 1000)
    if response is not None:
        attempt.record.reason = gateway_reason(attempt)
        health.note_alive(attempt.target)
        if attempt.status == 503 and response.has("retry-after"):
            health.put_aside(attempt.target, response.get("retry-after"))
    elif attempt.silent():
        health.note_silence(attempt.target)
    call.cdr.decision.append(attempt_entry(attempt))
    if response is not None and attempt.record.reason == EndReason.CodecMismatch.name:
        name = attempt.target.name
        call.cdr.decision.append(codecs_of(codecs(call.body), name, codecs(response.body)))
    dial = call.dial
    if dial is not None and dial.on_reply and response is not None:
        call.policy.replied(call, attempt, response)
