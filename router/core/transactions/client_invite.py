"""The client INVITE transaction: RFC 3261 §17.1.1 with the Accepted state of RFC 6026 §7.2.

    state       event            action                                         next
    CALLING     send             request; Timer A = T1 (not on streams), B = 64*T1
    CALLING     Timer A          resend, A doubled                              CALLING
    CALLING     1xx              to the user                                    PROCEEDING
    any*        Timer B          on_timeout                                     TERMINATED
    CALLING*    2xx              to the user; Timer M = 64*T1                   ACCEPTED
    CALLING*    300-699          ACK, to the user; Timer D = 32 s (0 on streams) COMPLETED
    PROCEEDING  1xx              to the user                                    PROCEEDING
    ACCEPTED    2xx              to the user, who acknowledges                  ACCEPTED
    ACCEPTED    Timer M          -                                              TERMINATED
    COMPLETED   300-699          ACK again                                      COMPLETED
    COMPLETED   Timer D          -                                              TERMINATED
    CALLING*    transport error  on_transport_error                             TERMINATED
    (* CALLING or PROCEEDING; Timer B stops at the first provisional response)

The ACK to a failure belongs to the transaction; the ACK to a 2xx to the user. `cancel()` sends the
CANCEL at once when a provisional response was seen, else as soon as one comes (RFC 3261 §9.1);
64*T1 after a CANCEL without a final response the transaction gives up.
"""

from __future__ import annotations

from router.core.flow import Flow
from router.core.transactions.client_request import RequestClient, Silent
from router.core.transactions.layer import ClientUser, TransactionLayer
from router.core.wheel import Timer, cancel
from router.sip.message import Response
from router.sip.render import render_request

CALLING, PROCEEDING, ACCEPTED, COMPLETED, TERMINATED = range(5)

TIMER_D_MS = 32_000


class InviteClient:
    """One INVITE on its way to a peer.

    `head` holds the Via, Max-Forwards, Route, From and Call-ID lines that INVITE, ACK and CANCEL
    have in common; `to` the To value of the INVITE; `cseq` its number.
    """

    __slots__ = (
        "_cancel_lines", "_cancelled", "_deadline", "_interval", "_timer", "ack", "branch", "cseq",
        "data", "flow", "head", "layer", "state", "to", "uri", "user",
    )

    def __init__(
        self, layer: TransactionLayer, user: ClientUser, branch: str, flow: Flow, uri: str,
        head: str, to: str, cseq: int, data: bytes,
    ) -> None:
        self.layer = layer
        self.user: ClientUser | None = user
        self.branch = branch
        self.flow = flow
        self.uri = uri
        self.head = head
        self.to = to
        self.cseq = cseq
        self.data = data
        self.ack = b""
        self.state = CALLING
        self._cancelled = False
        self._cancel_lines = ""
        layer.clients[branch + "INVITE"] = self
        now = layer.now
        self._interval = layer.t1
        # One entry serves Timer A and Timer B: when A is due, B is looked at too.
        self._deadline = now + layer.timeout
        self._timer: Timer | None
        if flow.transport == "udp":
            self._timer = layer.wheel.at(now + layer.t1, InviteClient._on_timer_a, self)
            peer = (flow.host, flow.port)
            waiting = layer.calling.get(peer)
            if waiting is None:
                layer.calling[peer] = {branch: self}
            else:
                waiting[branch] = self
        else:
            self._timer = layer.wheel.at(self._deadline, InviteClient._on_timer_b, self)
        layer.send_request(data, flow, "INVITE")

    def on_response(self, response: Response) -> None:
        """Takes a response whose branch and method are ours."""
        status = response.status
        state = self.state
        if state <= PROCEEDING:
            if status < 200:
                if state == CALLING:
                    self.state = PROCEEDING
                    self._stop_timers()
                    if self._cancelled:
                        self._send_cancel()
                if self.user is not None:
                    self.user.on_response(self, response)
            elif status < 300:
                self._finish(ACCEPTED, self.layer.timeout, response)
            else:
                self._acknowledge(response)
                self._finish(
                    COMPLETED, TIMER_D_MS if self.flow.transport == "udp" else 0, response
                )
        elif state == ACCEPTED:
            if 200 <= status < 300 and self.user is not None:
                self.user.on_response(self, response)
        elif state == COMPLETED and status >= 300:
            self.layer.resend(self.ack, self.flow)

    def cancel(self, lines: str = "") -> None:
        """Asks the peer to give up, with these header lines; the final response still comes."""
        if self.state > PROCEEDING or self._cancelled:
            return
        self._cancelled = True
        self._cancel_lines = lines
        if self.state == PROCEEDING:
            self._send_cancel()
        else:
            # Nobody wants the call any more: a peer that has not heard of it need not.
            self._arm(self._deadline)

    def on_transport_error(self) -> None:
        """The driver could not deliver the request."""
        if self.state <= PROCEEDING:
            user = self.user
            self._terminate()
            if user is not None:
                user.on_transport_error(self)

    def _finish(self, state: int, linger_ms: int, response: Response) -> None:
        self.state = state
        self._stop_timers()
        self.data = b""
        layer = self.layer
        user = self.user
        if linger_ms:
            self._timer = layer.wheel.at(layer.now + linger_ms, InviteClient._terminate, self)
            if state == COMPLETED:
                self.user = None
        else:
            self._terminate()
        if user is not None:
            user.on_response(self, response)

    def _acknowledge(self, response: Response) -> None:
        # RFC 3261 §17.1.1.3: the ACK has the To of the response and the Via of the INVITE.
        self.ack = render_request(
            "ACK", self.uri, self.head,
            f"To: {response.get('to')}\r\nCSeq: {self.cseq} ACK\r\n",
        )
        self.layer.send_request(self.ack, self.flow, "ACK")

    def _send_cancel(self) -> None:
        data = render_request(
            "CANCEL", self.uri, self.head,
            f"To: {self.to}\r\nCSeq: {self.cseq} CANCEL\r\n{self._cancel_lines}",
        )
        RequestClient(self.layer, Silent, self.branch, self.flow, "CANCEL", data)
        self._arm(self.layer.now + self.layer.timeout)

    def _arm(self, deadline_ms: int) -> None:
        """Lets Timer B, and nothing else, run out then."""
        cancel(self._timer)
        self._timer = self.layer.wheel.at(deadline_ms, InviteClient._on_timer_b, self)

    def release(self) -> None:
        """The call is over: nobody is told of a 2xx any more, and its text is let go of."""
        if self.state == ACCEPTED:
            self.user = None
            self.uri = self.head = self.to = ""

    def _stop_timers(self) -> None:
        if self.flow.transport == "udp":
            # At the first sign of life, and at the end; later there is nothing to take away.
            peer = (self.flow.host, self.flow.port)
            waiting = self.layer.calling.get(peer)
            if waiting is not None and waiting.pop(self.branch, None) is not None and not waiting:
                del self.layer.calling[peer]
        cancel(self._timer)
        self._timer = None

    def _on_timer_a(self) -> None:
        layer = self.layer
        now = layer.now
        if now >= self._deadline:
            self._on_timer_b()
            return
        layer.resend(self.data, self.flow)
        self._interval *= 2
        self._timer = layer.wheel.at(
            min(now + self._interval, self._deadline), InviteClient._on_timer_a, self
        )

    def _on_timer_b(self) -> None:
        user = self.user
        self._terminate()
        if user is not None:
            user.on_timeout(self)

    def _terminate(self) -> None:
        self.state = TERMINATED
        self._stop_timers()
        self.user = None
        self.layer.clients.pop(self.branch + "INVITE", None)
