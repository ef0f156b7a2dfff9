"""One INVITE to one gateway on behalf of a call (RFC 3261 §13.2), from its sending to its end.

    phase      entered by        limit                  when it runs out
    SENT       the INVITE        invite_timeout         ConnectionTimeout
    TRYING     100               trying_timeout         ProceedingTimeout
    PROGRESS   181, 183, ...     progress_timeout       ProceedingTimeout
    MEDIA      183 with SDP      media_progress_timeout ResponseTimeout
    RINGING    180               ringing_timeout        ResponseTimeout

422 because of our session timer: the INVITE goes out again, with the interval that the gateway asks
for, at most twice (RFC 4028 §7.3).

A phase is only ever left for a later one, so that a gateway repeating its 180 cannot ring for
ever. An attempt outlives its call: after a CANCEL it answers for a 2xx that crossed it with ACK
and BYE (RFC 3261 §9.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.access import CHALLENGES, access_to
from router.core.decision import RELAYED, SESSION
from router.core.end_reasons import EndReason, reason_header
from router.core.flow import Flow
from router.core.identity import FROM_ONLY, assertion, sender, withheld
from router.core.leg import Leg
from router.core.media.session import Wish
from router.core.media.steps import begin, holds_response, refusal_lines
from router.core.parameters import CallTimers
from router.core.passing import passed_to_gateway
from router.core.session_headers import MAX_LONGER, min_se_s, sdp_of
from router.core.takeover import BranchSnapshot, attempt_token, challenged_token, store_again
from router.core.transactions.client_invite import InviteClient
from router.core.transactions.layer import ClientTransaction
from router.core.verdicts import Target
from router.core.wheel import Timer, cancel
from router.sip.message import Response
from router.sip.render import render_request
from router.sip.uri import escape_user
from router.store.records import Attempt as AttemptRecord

if TYPE_CHECKING:
    from router.core.call import Call

MAX_FIRST_CSEQ = 2**30

SENT, TRYING, PROGRESS, MEDIA, RINGING = range(5)
NONE: frozenset[str] = frozenset()

_PHASE_REASONS = (
    EndReason.ConnectionTimeout,
    EndReason.ProceedingTimeout,
    EndReason.ProceedingTimeout,
    EndReason.ResponseTimeout,
    EndReason.ResponseTimeout,
)


class Attempt:
    """A gateway being tried for a call.

    What a branch_route may change before `send`: `callee`, `caller`, `display` and `domain` (the
    numbers and host sent on), `removed` (canonical header names) and `added` (header lines). What a
    reply_route may change in the response that it sees: `reply_removed` and `reply_added`.
    """

    __slots__ = (
        "_deadline", "_due", "_longer", "_phase", "_timer", "_tries", "added", "call", "callee",
        "caller", "client", "display", "domain",
        "engine", "failure", "leg", "media", "min_s", "rang", "record", "removed", "reply_added",
        "reply_removed", "session_s", "status", "status_reason", "target", "timers", "unreachable",
        "wish",
    )

    def __init__(self, call: Call, target: Target, timers: CallTimers) -> None:
        self.call: Call | None = call
        self.engine = call.engine
        self.target = target
        self.timers = timers
        self.client: InviteClient | None = None
        self.leg: Leg | None = None
        self.wish: Wish | None = None  # what is asked of a media relay
        self.callee = call.callee
        self.caller = call.caller
        self.display = call.display
        self.domain = call.domain
        self.removed = call.removed
        self.added = call.added
        self.reply_removed = NONE
        self.reply_added = ""
        self.record = AttemptRecord()
        self.rang = False
        self.media = False
        self.status = 0  # the gateway's final status, 0 when it gave none
        self.status_reason = ""
        self.failure: EndReason | None = None  # set when we ended it, not the gateway
        self.unreachable = False  # its host or network said so, or refused the connection
        self._phase = SENT
        self._tries = 0  # how often its challenges were answered
        self.session_s = timers.session_ms // 1_000  # the session timer offered, 0: none
        self.min_s = 0  # the Min-SE that a 422 asked for
        self._longer = 0  # how often the INVITE was sent again for that
        self._deadline = self._due = 0
        self._timer: Timer | None = None

    def send(self) -> None:
        """Builds the leg and sends the INVITE, at once or when a media relay has answered."""
        call = self.call
        assert call is not None
        engine = call.engine
        target = self.target
        token = attempt_token(call.id, len(call.cdr.attempts))
        leg = Leg(engine, call, engine.call_id_like(call.a.call_id, token), token)
        self.leg = leg
        # A route may have made them of anything, such as another header of the caller's.
        callee = f"{escape_user(self.callee)}@" if self.callee else ""
        place = target.place
        if place is None:
            listener = engine.listener_for(target.transport)
            leg.flow = Flow(target.transport, target.host, target.port, listener)
            host = f"[{target.host}]" if ":" in target.host else target.host
            authority = f"{host}:{target.port}"
            transport = "" if target.transport == "udp" else f";transport={target.transport}"
            uri = f"sip:{callee}{self.domain or authority}{transport}"
        else:
            listener = engine.listener_for(target.transport, place.flow.listener)
            leg.flow = place.flow._replace(listener=listener)
            # Its Contact may name an address that only its own network knows.
            leg.pinned = True
            uri, authority = place.uri, engine.hosts[listener]
        leg.local = f"{sender(call, self, engine.hosts[listener])};tag={token}"
        leg.remote = f"<sip:{callee}{self.domain or authority}>"
        leg.target = uri
        # The caller's CSeq, so that what refers to it (RAck) reads the same on both legs; but one
        # near the end of its range would leave no room for our requests (RFC 3261 §8.1.1.5).
        cseq = call.a.invite_cseq
        leg.cseq = leg.invite_cseq = cseq if cseq < MAX_FIRST_CSEQ else 1
        if target.login is not None:
            leg.access = access_to(engine, target)
        now = engine.layer.now
        record = self.record
        record.gateway = target.name
        record.b_call_id = leg.call_id
        record.callee_out = self.callee
        record.caller_out = self.caller
        record.started = now
        if self.wish is None:
            self.begin(call, leg)
        else:
            begin(self, call, leg, self.wish)

    def begin(self, call: Call, leg: Leg) -> None:
        """Sends the INVITE and starts the transaction."""
        self._deadline = self.engine.layer.now + self.timers.invite_ms
        self._arm()
        self._transmit(call, leg, leg.local_tag, leg.target, leg.remote)

    def _transmit(self, call: Call, leg: Leg, token: str, uri: str, to: str) -> None:
        engine = self.engine
        branch = "z9hG4bK" + token
        body = call.body if leg.media is None else leg.media.offered or call.body
        lines = engine.contacts[leg.flow.listener]
        if self.session_s:
            lines += f"Supported: timer\r\nSession-Expires: {self.session_s}\r\n"
            if self.min_s:
                lines += f"Min-SE: {self.min_s}\r\n"
        removed = self.removed
        if call.privacy or self.target.identity is not FROM_ONLY:
            lines += assertion(call, self, engine.hosts[leg.flow.listener])
            removed = withheld(call, self)
        lines += passed_to_gateway(call, removed) + self.added
        head = (
            f"{engine.vias[leg.flow.listener]}{branch};rport\r\n"
            f"Max-Forwards: {call.max_forwards}\r\n"
            f"From: {leg.local}\r\nCall-ID: {leg.call_id}\r\n"
        )
        if leg.access is not None:
            leg.authorization = leg.access.line("INVITE", uri, body)
        data = render_request(
            "INVITE", uri, head,
            f"To: {to}\r\nCSeq: {leg.cseq} INVITE\r\n{lines}{leg.authorization}", body,
        )
        self.client = leg.client = InviteClient(
            engine.layer, self, branch, leg.flow, uri, head, to, leg.cseq, data
        )

    def _answers(self, response: Response) -> bool:
        """Sends the INVITE again with the credentials that were asked for, where it may be."""
        leg = self.leg
        if leg is None or leg.access is None or self.call is None:
            return False
        if not leg.access.may_answer(response, self._tries):
            return False
        self._tries += 1
        self._send_again(self.call, leg)
        return True

    def _offers_longer(self, call: Call, response: Response) -> bool:
        """Sends the INVITE again after a 422 (RFC 4028 §7.3); False when that would be no use."""
        least, leg = min_se_s(response), self.leg
        if leg is None or self._longer >= MAX_LONGER or not 0 < self.session_s < least:
            return False
        call.cdr.decision.append(f"{SESSION}{self.target.name} asks for {least} s at least")
        self._longer += 1
        self.session_s = self.min_s = least
        store_again(call, self)
        self._send_again(call, leg)
        return True

    def _send_again(self, call: Call, leg: Leg) -> None:
        client = self.client
        assert client is not None
        leg.cseq += 1
        leg.invite_cseq = leg.cseq
        leg.remote_tag = ""
        leg.remote = client.to
        self._phase = SENT
        self._deadline = self.engine.layer.now + self.timers.invite_ms
        cancel(self._timer)
        self._arm()
        token = challenged_token(leg.local_tag, self._tries + self._longer)
        self._transmit(call, leg, token, client.uri, client.to)

    def snapshot(self) -> BranchSnapshot:
        """Enough for a successor of this worker to cancel it; its leg must be there still."""
        leg = self.leg
        assert leg is not None
        again = self._longer > 0 or self.target.login is not None
        return BranchSnapshot(leg.local_tag, leg.flow, leg.target, again)

    # -- events of the client transaction ---------------------------------------------------------

    def on_response(self, client: ClientTransaction, response: Response) -> None:
        """A provisional or the final response of the gateway."""
        leg = self.leg
        media = leg.media if leg is not None else None
        if media is None or not holds_response(media, self, client, response):
            self.take(client, response)

    def take(self, client: ClientTransaction, response: Response) -> None:
        """Does what a response of the gateway leads to."""
        status = response.status
        call = self.call
        if status < 200:
            if call is not None:
                self._on_provisional(call, response)
        elif status < 300:
            self._on_success(call, response)
        elif not (
            (status in CHALLENGES and self._answers(response))
            or (status == 422 and call is not None and self._offers_longer(call, response))
        ):
            self.status = status
            self.status_reason = response.reason
            if call is None:
                self._drop_leg()
            else:
                self._fail(call, response)

    def on_timeout(self, client: ClientTransaction) -> None:
        """Timer B ran out before our own limit, or a CANCEL was never answered."""
        self._on_client_gone()

    def on_transport_error(self, client: ClientTransaction) -> None:
        """Nothing can be sent to the gateway."""
        self.unreachable = self._phase == SENT
        self._on_client_gone()

    def _on_client_gone(self) -> None:
        # Without a transaction no response can come any more, so nothing keeps the dialog.
        leg = self.leg
        self.leg = None
        if leg is not None:
            leg.forget()
        self._give_up()

    def _arm(self) -> None:
        self._due = self._deadline
        self._timer = self.engine.layer.wheel.at(self._due, Attempt._on_phase_timeout, self)

    def _on_phase_timeout(self) -> None:
        if self.engine.layer.now < self._deadline:
            # A later phase has a later limit: the timer moves when it is due, and not before.
            self._arm()
            return
        self._give_up()

    # -- what they lead to ------------------------------------------------------------------------

    def _on_provisional(self, call: Call, response: Response) -> None:
        status = response.status
        leg = self.leg
        assert leg is not None
        if status == 100:
            self._enter(TRYING)
            return
        leg.learn(response)
        if status == 180:
            self.rang = True
            self._note_ringing(call)
            self._enter(RINGING)
        elif status == 183 and response.body:
            self.media = True
            leg.sdp = sdp_of(response)
            self._note_ringing(call)
            self._enter(MEDIA)
        else:
            self._enter(PROGRESS)
        call.on_progress(self, response)

    def _note_ringing(self, call: Call) -> None:
        if not self.record.ringing:
            self.record.ringing = call.engine.layer.now

    def _enter(self, phase: int) -> None:
        if phase <= self._phase:
            return
        self._phase = phase
        call = self.call
        if call is None:
            return
        timers = self.timers
        limit = (
            timers.invite_ms, timers.trying_ms, timers.progress_ms, timers.media_progress_ms,
            timers.ringing_ms,
        )[phase]
        layer = call.engine.layer
        self._deadline = layer.now + limit
        if self._deadline < self._due:
            cancel(self._timer)
            self._arm()

    def _on_success(self, call: Call | None, response: Response) -> None:
        leg = self.leg
        if leg is None:
            return
        if self.status:  # the same 2xx again, or a second fork's (RFC 3261 §13.2.2.4)
            if response.to_tag == leg.remote_tag:
                leg.resend_ack()
            else:
                self.engine.refuse_fork(leg, response)
            return
        self.status = response.status
        self._stop()
        leg.learn(response)
        if call is None:
            # It answered while our CANCEL was on its way: the call it was for is gone.
            leg.send_ack(leg.invite_cseq)
            leg.hang_up(reason_header(EndReason.Cancelled.q850))
            return
        if leg.access is not None:
            leg.access.note_accepted()
        self.record.answered = leg.engine.layer.now
        self.record.sip_code = response.status
        self._note_outcome()
        call.on_answer(self, response)

    def _give_up(self) -> None:
        """No final response in time: the phase says which reason that is."""
        call = self.call
        if call is None:
            return
        self.failure = _PHASE_REASONS[self._phase]
        self.record.reason = self.failure.name
        self.detach()
        call.on_attempt_failed(self, None)

    def refuse_answer(self, response: Response) -> None:
        """The gateway answered, and its answer cannot be used: ACK and BYE."""
        leg = self.leg
        self.leg = None
        if leg is None:
            return
        leg.learn(response)
        leg.send_ack(leg.invite_cseq)
        leg.hang_up(refusal_lines())

    def on_no_relay(self, why: str, bad: bool = False) -> None:
        """No media relay takes the call, which says nothing of the gateway; the next is tried.

        `bad`: for what the caller's SDP is like; a gateway without a relay may see it otherwise.
        """
        call = self.call
        if call is None:
            return
        self.failure = EndReason.CodecMismatch if bad else EndReason.NoAvailableRouter
        self.record.reason = self.failure.name
        call.cdr.decision.append(RELAYED + why)
        self.detach()
        call.on_attempt_failed(self, None)

    def _fail(self, call: Call, response: Response) -> None:
        self.record.sip_code = response.status
        self.record.ended = call.engine.layer.now
        self._note_outcome()
        self._stop()
        self._drop_leg()
        self.call = None
        call.on_attempt_failed(self, response)

    def detach(self, why: str = "") -> None:
        """Lets the call go on without this attempt: CANCEL, and answer for what crosses it.

        `why` are header lines of the CANCEL.
        """
        call = self.call
        if call is None:
            return
        self._stop()
        self.call = None
        if not self.record.ended:
            self.record.ended = call.engine.layer.now
        client = self.client
        if client is None:
            self._drop_leg()  # the INVITE has not gone out: a media relay is being asked
            return
        self._note_outcome()
        leg = self.leg
        if leg is not None:
            leg.call = None
            leg.peer = None
            leg.closing = True
        client.cancel(why)

    @property
    def sent(self) -> bool:
        """Whether its INVITE has gone out, so that nothing in it can be changed any more."""
        return self.client is not None

    def silent(self) -> bool:
        """Whether the gateway gave no sign of life at all."""
        waited = self.client is not None and not self._tries
        return self._phase == SENT and self.status == 0 and waited

    def _note_outcome(self) -> None:
        gathered = self.engine.gathered
        if gathered is not None and self.target.place is None:
            gathered.note(self.target.key, self.record)

    def _stop(self) -> None:
        cancel(self._timer)
        self._timer = None

    def _drop_leg(self) -> None:
        leg = self.leg
        if leg is not None:
            leg.forget()
            self.leg = None
