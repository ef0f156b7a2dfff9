"""Hunting: from what a route dials to the gateway that takes the call (4-calls, section 2).

Admission is asked of the store and answered in the same turn; the gateway it took is tried, and
when that fails the next one is asked for, until one answers or hunting has to stop. What happens
to the call in the end is the call's matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core import branch, fork
from router.core.decision import NO_CPS, NO_LINE, STOPPED, TAKEN
from router.core.end_reasons import EndReason, cause_of_status, reason_header
from router.core.outcome import passed_on, refusal_reason, why_hunting_ends
from router.core.protect import protected_last, still_protected
from router.core.session_timer import refusal
from router.core.states import ADMITTING, CALLING
from router.core.takeover import snapshot_early
from router.core.tally import PHONE
from router.core.verdicts import Challenge, Dial, End, Target
from router.core.waiting import suspend
from router.store.ops import CREDIT, Admission, Admit, Credit, Hold, Rehunt, Tiers, untried
from router.store.records import Attempt, CallRecord

if TYPE_CHECKING:
    from router.core.call import Call

NO_CANDIDATE = "no candidate is left"


def begin(call: Call, dial: Dial) -> None:
    """Asks for admission and the first gateway; in a failure_route for the next of a new list."""
    call.dial = dial
    engine = call.engine
    if call.admitted:
        held = call.record.holds
        ask_for_next(
            call, tuple(hold for hold in dial.holds if hold.key not in held), dial.credits
        )
        return
    if not dial.tiers:
        call.reject(EndReason.NotFound)
        return
    request = call.request
    if dial.session_s and request is not None and request.has("session-expires"):
        too_small = refusal(request, dial.session_s)
        if too_small:
            lines = too_small + reason_header(cause_of_status(422))
            call.carry_out(Challenge(422, "", lines))
            return
    if call.max_forwards < 0:
        call.reject(EndReason.ForwardingLoop, 483)
        return
    assert call.server is not None
    call.server.trying()
    call.record = early_record(call)
    call.state = ADMITTING
    tiers = _in_order(call, dial)
    engine.ask(Admit(call.record, dial.holds, tiers, dial.credits, branches=dial.branches), call)


def _in_order(call: Call, dial: Dial) -> Tiers:
    """The candidates of a dial as they may be tried now."""
    if not dial.protected:
        return dial.tiers
    waited_ms = call.engine.layer.now - call.cdr.started
    if dial.branches > 1:
        # What rings at the same time as the others has not waited for them.
        held = still_protected(dial.protected, waited_ms)
        others = untried(dial.tiers, held | call.tried)
        if others:
            return others
    return protected_last(dial.tiers, dial.protected, waited_ms)


def early_record(call: Call) -> CallRecord:
    """What the store keeps of a call before it is answered."""
    engine = call.engine
    assert call.server is not None
    call.policy.note(call)
    return CallRecord(
        id=call.id, slot=engine.slot, generation=engine.generation, call_id=call.a.call_id,
        cdr=call.cdr, dialog=snapshot_early(call.server),
    )


def on_admission(call: Call, admission: Admission) -> None:
    """The store's answer to Admit or Rehunt."""
    if call.state != ADMITTING:
        return  # it ended in the same turn; the Finish behind the Admit gave all of it back
    dial = call.dial
    assert dial is not None
    decision = call.cdr.decision
    for key, why in admission.dropped:
        decision.append(f"{dial.targets[key].name}: {why}")
    if admission.refused is not None and admission.refused.startswith(CREDIT):
        account = admission.refused.removeprefix(CREDIT)
        need = sum(credit.need for credit in dial.credits if credit.account == account)
        decision.append(call.policy.credit_entry(account, need))
        call.reject(EndReason.InsufficientBalance)
        return
    if admission.refused is not None:
        decision.append(f"{admission.refused}: {NO_CPS if admission.too_fast else NO_LINE}")
        call.reject(EndReason.ConnectionLimitExceeded)
        return
    key = admission.gateway or ""
    if not key:
        if dial.diverts:
            call.carry_out(call.policy.diverted(call, None) or End(EndReason.UserBusy))
        elif call.last is None:
            call.reject(EndReason.NoAvailableRouter)
        else:
            _end_hunting(call, NO_CANDIDATE)
        return
    call.admitted = True
    call.tried.add(key)
    target = dial.targets[key]
    decision.append(f"{target.name}: {TAKEN}")
    if dial.branches > 1 or target.contacts:
        call.tried.update(admission.others)
        decision += [f"{dial.targets[other].name}: {TAKEN}" for other in admission.others]
        fork.begin(call, [key, *admission.others])
    else:
        try_gateway(call, target, key)


def on_admission_lost(call: Call) -> None:
    """The store could not commit: no line was taken, no gateway is called."""
    if call.state == ADMITTING:
        call.reject(EndReason.ServerFailure)


def try_gateway(call: Call, target: Target, key: str) -> None:
    """Runs branch_route and sends the INVITE, at once or when the route has ended."""
    call.state = CALLING
    wait = branch.prepare(call, target, key)
    if wait is not None:
        suspend(call.engine, wait, call, None, _send)
    elif call.state == CALLING:
        _send(call, None)


def _send(call: Call, _: None) -> None:
    """Sends the INVITE of the attempt that branch_route has made ready."""
    assert call.attempt is not None
    branch.send(call, call.attempt)


def go_on(call: Call) -> None:
    """The next gateway where the rules allow one, else the end."""
    last = call.last
    if last is None or call.dial is None:
        end_as_last_attempt(call)
    elif why := why_hunting_ends(last):
        _end_hunting(call, why)
    else:
        ask_for_next(call)


def ask_for_next(
    call: Call, holds: tuple[Hold, ...] = (), credits: tuple[Credit, ...] = ()
) -> None:
    """Asks the store for a gateway that was not tried yet, and for what the call needs besides."""
    dial = call.dial
    assert dial is not None
    attempts = call.cdr.attempts
    if len(attempts) >= dial.max_attempts and _at_gateways(attempts) >= dial.max_attempts:
        _end_hunting(call, f"max_attempts = {dial.max_attempts}")
        return
    tiers = untried(_in_order(call, dial), call.tried)
    if not tiers:
        _end_hunting(call, NO_CANDIDATE)
        return
    call.policy.note(call)
    call.state = ADMITTING
    call.engine.ask(Rehunt(call.record, tiers, dial.branches, holds, credits), call)


def _at_gateways(attempts: list[Attempt]) -> int:
    """How many attempts went to gateways; the contacts of a phone are no hunting."""
    return sum(not attempt.gateway.startswith(PHONE) for attempt in attempts)


def _end_hunting(call: Call, why: str) -> None:
    call.cdr.decision.append(STOPPED + why)
    end_as_last_attempt(call)


def end_as_last_attempt(call: Call) -> None:
    """Ends the call for the reason of its last attempt."""
    last = call.last
    if last is None:
        call.reject(EndReason.NoAvailableRouter)
    elif last.failure is not None:
        call.reject(last.failure)
    else:
        reason = refusal_reason(last)
        if reason is EndReason.GatewayRejected:
            call.reject(reason, passed_on(last.status), last.status_reason, side="callee")
        else:
            call.reject(reason, side="callee")
