"""The call: a back-to-back user agent from INVITE to CDR (RFC 7092 §3.2's signalling B2BUA).

    state      event                        what happens                               next
    ROUTING    route says dial              100, admission asked of the store          ADMITTING
    ROUTING    route ends or answers        final response, CDR                        ENDED
    ROUTING    route waits for Python       100; what it decides later, as above       ROUTING
    ADMITTING  a gateway was taken          branch_route, INVITE                       CALLING
    ADMITTING  none, or a line limit        final response, CDR                        ENDED
    CALLING    18x of the gateway           passed to the caller                       CALLING
    CALLING    failure, time-out            failure_route; next gateway asked for      ADMITTING
    CALLING    failure, hunting is over     final response, CDR                        ENDED
    CALLING    2xx of the gateway           200 to the caller, dialog stored           ANSWERED
    any up to  CANCEL                       487, CANCEL to the gateway, CDR            ENDED
    ANSWERED   BYE, limit, lost peer        BYE to the other side or both, CDR         ENDED

Every way into ENDED goes through `finish`, which runs once: that is what makes one CDR and one
release of lines for each call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from router.core import hunt
from router.core.answer import keep_answer
from router.core.attempt import Attempt
from router.core.credit import CreditTimer, begin_credit
from router.core.decision import CUT_OFF
from router.core.end_reasons import EndReason, cause_of_status, reason_header
from router.core.events import finish_in_store
from router.core.flow import Flow
from router.core.guard import is_recorded
from router.core.headers import NOT_PASSED
from router.core.identity import withheld_inside
from router.core.leg import Leg
from router.core.outcome import close_books, count_end
from router.core.passing import passed_to_caller
from router.core.progress import note_failure, pass_on
from router.core.refresh import Refresh
from router.core.relay import Relay
from router.core.session_timer import agree
from router.core.states import ANSWERED, CALLING, ENDED, ROUTING
from router.core.takeover import restore, snapshot_answered
from router.core.tally import gateway_label
from router.core.transactions.server_invite import InviteServer
from router.core.verdicts import Challenge, Dial, Drop, End, Next, Reroute, Respond, Verdict, Wait
from router.core.waiting import Waiting, suspend
from router.core.wheel import Timer, cancel
from router.sip.message import Request, Response
from router.sip.sdp import first_codec
from router.store.ops import Admission, Forget, Keep, Opened, Save
from router.store.records import CallRecord, Cdr

if TYPE_CHECKING:
    from router.core.engine import Engine
    from router.core.fork import Fork

# An answered call that outlives this is announced to the ledger, which closes it after a power cut.
OPENING_AFTER_MS = 2_000
TOLD_ONCE = frozenset((EndReason.IllegalCall, EndReason.IpBlocked, EndReason.Overloaded))
"""What strangers and floods are refused with; see `InviteServer.respond`."""
NO_CODES: Mapping[int, int] = {}


class Call:
    """One call with its legs, its attempts and the CDR it will leave.

    `callee`, `caller` and `display` are the numbers as the routes have them; `context` belongs to
    the policy; `max_forwards` is what the next INVITE may carry; `replaced` are the codes that this
    caller gets instead of others.
    """

    __slots__ = (
        "_opening", "_timer", "a", "added", "admitted",
        "attempt", "b", "body", "callee", "caller", "cdr", "context",
        "credit", "dial", "display", "domain", "engine", "flow", "fork", "id",
        "kept", "last", "max_forwards", "passed", "policy", "privacy", "record", "relay", "removed",
        "replaced", "request", "server", "state", "tried", "waiting",
    )

    def __init__(
        self, engine: Engine, call_id: str, request: Request | None, flow: Flow,
        server: InviteServer | None,
    ) -> None:
        self.engine = engine
        self.policy = engine.policy  # for the whole of its life, whatever is loaded meanwhile
        self.id = call_id
        self.request = request
        self.flow = flow
        self.server = server
        self.state = ROUTING
        self.context: Any = None
        self.dial: Dial | None = None
        self.a: Leg
        self.b: Leg | None = None
        self.attempt: Attempt | None = None
        self.last: Attempt | None = None
        self.fork: Fork | None = None  # while several targets ring, or a phone's contacts
        self.relay: Relay | Refresh | None = None  # a re-INVITE that waits for its final response
        self.credit: CreditTimer | None = None  # where an account's credit limits it
        self.waiting: Waiting | None = None  # a route that waits for a function of Python's
        self.tried: set[str] = set()
        self.callee = ""
        self.caller = ""
        self.display = ""
        self.privacy = ""  # "id": the caller wants to be known to nobody but trusted peers
        self.domain = ""
        self.removed: frozenset[str] = frozenset()
        self.replaced = NO_CODES
        self.added = ""
        self.max_forwards = 70
        self.body = b""
        self.cdr: Cdr
        self.record: CallRecord
        self.admitted = False
        self.kept = False  # the store has a record, though no lines were taken
        self.passed = ""
        self._timer: Timer | None = None
        self._opening: Timer | None = None

    # -- the beginning ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Runs the routes and does what they say."""
        self.carry_out(self.policy.invite(self))

    def carry_out(self, verdict: Verdict | Wait) -> None:
        """Does what a request_route or a failure_route decided, now or when it has ended."""
        if isinstance(verdict, Wait):
            self._wait(verdict)
        elif isinstance(verdict, Dial):
            hunt.begin(self, verdict)
        elif isinstance(verdict, Next):
            hunt.go_on(self)
        elif isinstance(verdict, End):
            if verdict.reason is None:
                hunt.end_as_last_attempt(self)
            else:
                # The reason that a failure_route gives to a gateway's refusal is the refusal's.
                refused = self.last is not None and self.last.failure is None
                side = "callee" if refused else "server"
                self.reject(verdict.reason, verdict.status, side=side)
        elif isinstance(verdict, Drop | Challenge):
            self._drop(verdict)
        elif isinstance(verdict, Respond):
            self.reject(
                EndReason.ScriptRejected, verdict.status, verdict.reason, verdict.extra
            )
        elif isinstance(verdict, Reroute):
            self.callee = verdict.number
            self.carry_out(self.policy.rerouted(self))

    def _wait(self, wait: Wait) -> None:
        server = self.server
        if server is not None and not self.admitted and not self.kept:
            server.trying()
            # The caller has heard of us: if this worker dies, its successor has to answer.
            self.kept = True
            self.record = hunt.early_record(self)
            self.engine.ask(Keep(self.record), None)
        suspend(self.engine, wait, self, None, Call.carry_out)

    def on_stored(self, answer: Admission) -> None:
        """The store's answer to what the call asked for."""
        hunt.on_admission(self, answer)

    def on_not_stored(self) -> None:
        """The store could not do it."""
        hunt.on_admission_lost(self)

    # -- while it hunts ---------------------------------------------------------------------------

    on_progress = pass_on

    def on_attempt_failed(self, attempt: Attempt, response: Response | None) -> None:
        """The gateway refused, or one of our own limits ran out."""
        if self.state != CALLING:
            return
        fork = self.fork
        if fork is None:
            self.last = attempt
            self.attempt = None
        self.a.peer = None
        note_failure(self, attempt, response)
        if fork is None:
            self.on_unanswered(attempt)
        else:
            fork.on_failed(attempt)

    def on_unanswered(self, last: Attempt) -> None:
        """Nobody answered that was called so far; `last` says why."""
        dial = self.dial
        if dial is not None and dial.diverts:
            verdict = self.policy.diverted(self, last)
            if verdict is not None:
                self.carry_out(verdict)
                return
        if dial is not None and dial.on_failure:
            self.carry_out(self.policy.failed(self, last))
        else:
            hunt.go_on(self)

    # -- the answer -------------------------------------------------------------------------------

    def on_answer(self, attempt: Attempt, response: Response) -> None:
        """A gateway answered: the caller gets its 200, the dialog is stored."""
        engine = self.engine
        leg = attempt.leg
        server = self.server
        assert leg is not None
        if self.state != CALLING or server is None:
            leg.send_ack(leg.invite_cseq)
            leg.hang_up(reason_header(EndReason.Cancelled.q850))
            return
        try:
            extra = passed_to_caller(self, attempt, response)
        except Exception:
            # The gateway answered all the same: the call it answers is about to be refused.
            leg.send_ack(leg.invite_cseq)
            leg.hang_up(reason_header(EndReason.ServerFailure.q850))
            raise
        self.state = ANSWERED
        if self.fork is not None:
            self.fork.win(attempt)
        self.b = leg
        a = self.a
        leg.peer = a
        a.peer = leg
        layer = engine.layer
        now = layer.now
        cdr = self.cdr
        cdr.answered = now
        engine.tally.answers[gateway_label(cdr.gateway)] += 1
        cdr.codec = first_codec(response.body)
        if cdr.pdd_ms < 0:
            cdr.pdd_ms = now - cdr.started
            engine.observe_pdd(attempt.target.name, now - attempt.record.started)
        cdr.sip_code = response.status
        engine.health.note_alive(attempt.target)
        # With the offer in the INVITE the gateway need not wait for the caller's ACK; without one
        # the ACK carries the answer (RFC 3261 §13.2.1).
        if self.body:
            leg.send_ack(leg.invite_cseq)
        else:
            leg.leave_ack_to_peer(leg.invite_cseq)
        extra = agree(self, attempt, response) + extra
        server.user = self
        a.server = server
        a.server_cseq = a.invite_cseq
        server.respond(
            response.status, response.reason, engine.contacts[a.flow.listener] + extra,
            response.body,
        )
        if leg.media is not None:
            leg.media.watch()
        record = self.record
        record.answered = True
        record.b_call_id = leg.call_id
        self.policy.answered(self)
        self.watch(now + attempt.timers.max_duration_ms)
        keep_answer(self, server, not self.body)
        self.store_dialog()
        self.server = None
        self.attempt = None
        self.body = b""
        self.passed = ""

    def store_dialog(self) -> None:
        """Stores both dialogs as they are now."""
        leg = self.b
        if leg is None or self.state != ANSWERED:
            return
        self.policy.note(self)
        self.record.dialog = snapshot_answered(self.a, leg)
        self.engine.ask(Save(self.record), None)

    def restore(self, record: CallRecord) -> None:
        """Becomes the answered call of a dead worker; msgspec.DecodeError: cannot be read."""
        restore(self, self.engine, record)
        self.policy.adopted(self)
        self.state = ANSWERED
        cdr = record.cdr
        self.watch(cdr.answered + self.policy.max_duration_ms(cdr))
        if self.b is not None and self.b.media is not None:
            self.b.media.watch()
        self.store_dialog()

    def watch(self, limit_ms: int) -> None:
        """Starts the clocks of an answered call: its longest duration, credit and opening."""
        layer = self.engine.layer
        now = layer.now
        self._timer = layer.wheel.at(max(limit_ms, now), Call._on_max_duration, self)
        self._opening = layer.wheel.at(now + OPENING_AFTER_MS, Call._on_opening, self)
        begin_credit(self)

    def _on_opening(self) -> None:
        self._opening = None
        if self.state == ANSWERED:
            self.engine.ask(Opened(self.record), None)

    def _on_max_duration(self) -> None:
        lasted_s = (self.engine.layer.now - self.cdr.answered) // 1000
        self.cdr.decision.append(f"{CUT_OFF}its longest duration, {lasted_s} s, was over")
        self.hang_up(EndReason.SessionTimeout)

    # -- the end ----------------------------------------------------------------------------------

    def on_cancel(self, server: InviteServer) -> None:
        """The caller gave up before the answer (RFC 3261 §9.2)."""
        if self.state >= ANSWERED:
            return
        self.reject(EndReason.Cancelled, side="caller")

    def on_no_ack(self, server: InviteServer) -> None:
        """Our 200 was never acknowledged: both sides get BYE (RFC 3261 §13.3.1.4)."""
        self.a.server = None
        self.cdr.decision.append(f"{CUT_OFF}the caller never acknowledged the answer")
        self.hang_up(EndReason.ConnectionTimeout)

    def on_bye(self, leg: Leg, request: Request) -> None:
        """One side hung up; its 200 is already on the way."""
        if self.state != ANSWERED:
            # RFC 3261 §15: a caller may end an early dialog with BYE; the INVITE then gets 487.
            if leg is self.a:
                self.reject(EndReason.Cancelled, side="caller")
            return
        a, b = self.a, self.b
        side = "caller" if leg is a else "callee"
        other = b if leg is a else a
        hidden = withheld_inside(request, other.local if other is not None else "")
        extra = request.passthrough(NOT_PASSED | hidden)
        if not request.has("reason"):
            extra += reason_header(EndReason.Normal.q850)
        leg.acknowledge_server()
        leg.forget()
        if other is not None:
            other.hang_up(extra)
        self.finish(EndReason.Normal, side)

    def hang_up(self, reason: EndReason, side: str = "server") -> None:
        """Ends an answered call from our side: BYE to both."""
        if self.state != ANSWERED:
            # Some reasons end answered calls only by their nature: the caller is to try elsewhere.
            self.reject(reason, 0 if reason.status else 503)
            return
        extra = reason_header(reason.q850)
        self.a.hang_up(extra)
        if self.b is not None:
            self.b.hang_up(extra)
        self.finish(reason, side)

    def reject(
        self, reason: EndReason, status: int = 0, phrase: str = "", extra: str = "",
        side: str = "server",
    ) -> None:
        """Ends a call that was not answered: a final response to the caller, and the CDR."""
        if self.state >= ANSWERED:
            return
        attempt = self.attempt
        self.attempt = None
        if attempt is not None:
            if not attempt.record.reason:
                attempt.record.reason = reason.name
            attempt.detach()
        if self.fork is not None:
            self.fork.give_up(reason.name)
        status = status or reason.status or 500
        if status in self.replaced and reason is not EndReason.ScriptRejected:
            status, phrase = self.replaced[status], ""
        if reason is EndReason.GatewayRejected:
            last = self.last
            cause = cause_of_status(last.status if last is not None else status)
        else:
            cause = reason.q850
        server = self.server
        if server is not None:
            server.respond(
                status, phrase, reason_header(cause) + extra,
                resend=reason not in TOLD_ONCE,
            )
        self.a.forget()
        self.cdr.sip_code = status
        self.cdr.q850 = cause
        self.finish(reason, side)

    def _drop(self, verdict: Drop | Challenge) -> None:
        if self.admitted:  # too late for silence: lines are held and a gateway was called
            self.reject(EndReason.ScriptRejected)
            return
        # Silence: the transaction stays to swallow retransmissions. No CDR, nor one of a challenge.
        self.state = ENDED
        self.a.forget()
        server = self.server
        if server is not None:
            if isinstance(verdict, Challenge):
                server.respond(verdict.status, "", verdict.extra, resend=False)
            else:
                server.keep_silent()
        if self.kept:
            self.engine.ask(Forget(self.id), None)
        self._release()

    def finish(self, reason: EndReason, side: str) -> None:
        """Closes the books: the CDR is complete, the store gives the lines back."""
        if self.state == ENDED:
            return
        self.state = ENDED
        engine = self.engine
        now = engine.layer.now
        cdr = self.cdr
        close_books(cdr, reason, side, now, self.last.status if self.last is not None else 0)
        try:
            self.policy.ended(self)
        finally:
            count_end(engine.tally, cdr, reason)
            if is_recorded(self, reason):
                finish_in_store(engine, cdr, self.policy.low_balances)
            self._release()

    def _release(self) -> None:
        # No reference cycle may survive the call: the collector runs rarely.
        engine = self.engine
        engine.calls.pop(self.id, None)
        engine.unheard.discard(self.id)
        key = self.a.call_id + self.a.remote_tag
        if engine.initial.get(key) is self:
            del engine.initial[key]
        if engine.adopted:
            engine.adopted.pop(key, None)
        cancel(self._timer)
        cancel(self._opening)
        self._timer = self._opening = None
        if self.credit is not None:
            self.credit.stop()
        self.context = None
        self.request = None
        self.server = None
        self.attempt = None
        self.fork = None
        # Transactions keep the call for half a minute; its routes may be done with now, and nothing
        # of an ended call asks them.
        del self.policy
        relay = self.relay
        if relay is not None:
            self.relay = None
            relay.abandon()
        if self.waiting is not None:
            self.waiting.abandon()
        self.b = None
