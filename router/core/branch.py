"""One branch of a call on its way out: the attempt is made ready, then its INVITE is sent.

Between the two stands branch_route, which may wait; who asks for the branch (`hunt`, `fork`)
decides what happens meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.attempt import Attempt
from router.core.tally import gateway_label
from router.core.verdicts import Target, Wait

if TYPE_CHECKING:
    from router.core.call import Call


def prepare(call: Call, target: Target, key: str) -> Wait | None:
    """Makes an attempt, which is the call's then, and runs branch_route; a Wait if that waits."""
    dial = call.dial
    assert dial is not None
    call.record.callee = call.callee
    call.record.caller = call.caller
    attempt = Attempt(call, target, dial.timers[key])
    call.attempt = attempt
    if dial.media:
        attempt.wish = dial.media.get(key)
    if target.outward is not None:
        target.outward.rewrite(attempt, call)
    return call.policy.branch(call, attempt) if dial.on_branch else None


def send(call: Call, attempt: Attempt) -> None:
    """Sends the INVITE of an attempt that is ready, and writes it down."""
    target = attempt.target
    cdr = call.cdr
    cdr.attempts.append(attempt.record)
    name_last(call, attempt, len(cdr.attempts))
    attempts = call.engine.tally.attempts
    label = gateway_label(target.name)
    attempts[label] = attempts.get(label, 0) + 1
    attempt.send()
    cdr.b_call_id = attempt.record.b_call_id


def name_last(call: Call, attempt: Attempt, number: int) -> None:
    """Writes down which attempt the call's record is about: the last one, or the one that counts.

    `number` counts from 1.
    """
    cdr = call.cdr
    cdr.attempt = number
    cdr.gateway = attempt.target.name
    cdr.callee_out = attempt.callee
    cdr.caller_out = attempt.caller
    cdr.b_call_id = attempt.record.b_call_id
