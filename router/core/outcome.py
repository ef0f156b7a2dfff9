"""What an attempt's end means: for hunting, for the caller, and for the CDR (4-calls, 2 and 7)."""

from __future__ import annotations

from router.core.access import CHALLENGES
from router.core.attempt import Attempt
from router.core.decision import UNREACHABLE, failed
from router.core.end_reasons import EndReason
from router.core.tally import Tally, gateway_label
from router.store.records import Cdr

# Codes after which no gateway is tried any more, whatever its switch_on says (4-calls, section 2).
STOP_CODES = frozenset((486, 600, 603))


def why_hunting_ends(last: Attempt) -> str:
    """Why no other gateway may be tried after this attempt, "" when one may."""
    target = last.target
    if last.rang and not target.switch_after_ring:
        return f"{target.name} rang already (switch_after_ring = false)"
    if last.media and not target.switch_after_media:
        return f"{target.name} sent early media already (switch_after_media = false)"
    if last.failure is not None:
        return ""
    if last.status in STOP_CODES and (target.place is None or not target.switches_on(last.status)):
        return f"{last.status} is the callee's own answer"
    if last.status in CHALLENGES and target.login is not None:
        return ""  # our credentials are refused there: that says nothing of the callee
    if not target.switches_on(last.status):
        return f"{last.status} is not in switch_on of {target.name}"
    return ""


def attempt_entry(attempt: Attempt) -> str:
    """What the call's decision says of an attempt that failed."""
    failure = attempt.failure
    record = attempt.record
    how = failure.name if failure is not None else str(attempt.status)
    if attempt.unreachable and failure is not None:
        how = UNREACHABLE
    return failed(attempt.target.name, how, record.ended - record.started)


def refusal_reason(attempt: Attempt) -> EndReason:
    """The reason that the gateway's final status stands for when hunting is over."""
    return attempt.target.reasons.get(attempt.status, EndReason.GatewayRejected)


def gateway_reason(attempt: Attempt) -> str:
    """The gateway's final status as the end reason of its attempt."""
    status = attempt.status
    reason = refusal_reason(attempt)
    return f"{reason.name}({status})" if reason is EndReason.GatewayRejected else reason.name


def passed_on(status: int) -> int:
    """The status a caller gets for a gateway's that has no reason of its own.

    A redirection, a challenge or 422 is meant for us, its client, and means nothing to the caller.
    """
    if status < 400 or status == 422:
        return 500
    return 403 if status in (401, 407) else status


def close_books(cdr: Cdr, reason: EndReason, side: str, now_ms: int, last_status: int) -> None:
    """Completes a CDR; `last_status` is the last gateway's final status, 0 for none."""
    name = reason.name
    cdr.ended = now_ms
    cdr.end_side = side
    cdr.end_reason = name
    if reason is EndReason.GatewayRejected and last_status:
        cdr.end_reason = f"{name}({last_status})"
    if cdr.answered:
        cdr.duration_ms = now_ms - cdr.answered
        cdr.q850 = reason.q850
        if cdr.attempts:
            answering = cdr.attempts[cdr.attempt - 1]
            answering.ended = now_ms
            answering.reason = name


def count_end(tally: Tally, cdr: Cdr, reason: EndReason) -> None:
    """Counts a call that has ended."""
    gateway, account = gateway_label(cdr.gateway), cdr.account
    if cdr.answered:
        tally.call_duration.observe(cdr.duration_ms / 1000)
        tally.talked_ms[gateway] += cdr.duration_ms
        if cdr.mos_hundredths:
            tally.mos[gateway].observe(cdr.mos_hundredths / 100)
    tally.calls[gateway, reason.name] += 1
    tally.account_calls[account, reason.name] += 1
    if cdr.charge:
        tally.charged[account] += cdr.charge
    if cdr.cost:
        tally.costs[gateway] += cdr.cost
