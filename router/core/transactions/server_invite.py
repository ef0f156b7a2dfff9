"""The server INVITE transaction: RFC 3261 §17.2.1 with the Accepted state of RFC 6026 §7.1.

    state       event            action                                          next
    PROCEEDING  INVITE           resend the last provisional                     PROCEEDING
    PROCEEDING  respond 1xx      send                                            PROCEEDING
    PROCEEDING  respond 2xx      send; Timer L = 64*T1, resends from T1 to T2    ACCEPTED
    PROCEEDING  respond 300-699  send; Timer G = T1 (not on streams*), H = 64*T1 COMPLETED
    COMPLETED   INVITE           resend the final                                COMPLETED
    COMPLETED   Timer G          resend, G = min(2*G, T2)                        COMPLETED
    COMPLETED   ACK              Timer I = T4 (0 on streams)                     CONFIRMED
    COMPLETED   Timer H          -                                               TERMINATED
    CONFIRMED   Timer I          -                                               TERMINATED
    ACCEPTED    INVITE           -                                               ACCEPTED
    ACCEPTED    acknowledged     stop the resends                                ACCEPTED
    ACCEPTED    Timer L          on_no_ack unless acknowledged                   TERMINATED
    (* nor, with resend=False, if no 1xx went before: the peer then resends its INVITE)

Resending a 2xx until its ACK is the UAS core's duty (RFC 3261 §13.3.1.4) and has to go on over
streams too; it stands here because it shares the bytes and the clock with this machine.
"""

from __future__ import annotations

from router.core.flow import Flow
from router.core.transactions.layer import ServerUser, TransactionLayer
from router.core.wheel import Timer, cancel
from router.sip.render import REASONS, render_response

PROCEEDING, ACCEPTED, COMPLETED, CONFIRMED, TERMINATED = range(5)


class InviteServer:
    """One INVITE that came from a peer.

    `head` is what every response begins with (`reply_head`); `flow` where responses go; `last` the
    response that is sent again, b"" for none.
    """

    __slots__ = (
        "_end", "_interval", "_retransmit", "flow", "head", "key", "last", "layer", "state", "user",
    )

    method = "INVITE"

    def __init__(self, layer: TransactionLayer, key: str, flow: Flow, head: str) -> None:
        self.layer = layer
        self.key = key
        self.flow = flow
        self.head = head
        self.user: ServerUser | None = None
        self.state = PROCEEDING
        self.last = b""
        self._interval = 0
        self._retransmit: Timer | None = None
        self._end: Timer | None = None
        layer.servers[key] = self

    def respond(
        self, status: int, reason: str = "", extra: str = "", body: bytes = b"",
        resend: bool = True,
    ) -> None:
        """Sends a response and moves on; after a final one, further ones are not sent.

        `resend` False is for peers nobody knows, whose address may be forged: eleven responses to
        one INVITE would make us an amplifier. If it is lost the peer's next INVITE gets it again.
        """
        if self.state != PROCEEDING:
            return
        layer = self.layer
        data = render_response(
            status, reason or REASONS.get(status, "Unknown"), self.head, extra, body
        )
        layer.send_response(data, self.flow, "INVITE", status)
        resend = resend or bool(self.last)
        self.last = data
        if status < 200:
            return
        if status < 300:
            self._accept(layer.timeout)
            return
        now = layer.now
        at = layer.wheel.at
        self._interval = layer.t1
        self.state = COMPLETED
        self.user = None
        if resend and self.flow.transport == "udp":
            self._retransmit = at(now + layer.t1, InviteServer._on_resend, self)
        self._end = at(now + layer.timeout, InviteServer._terminate, self)

    def _accept(self, timer_l_ms: int) -> None:
        layer = self.layer
        at = layer.wheel.at
        self.state = ACCEPTED
        self._interval = layer.t1
        self._retransmit = at(layer.now + layer.t1, InviteServer._on_resend, self)
        self._end = at(layer.now + timer_l_ms, InviteServer._on_timer_l, self)

    def resume(self, accepted: bytes, timer_l_ms: int) -> None:
        """Goes on with a 2xx that was sent before, as if it were sent now for the first time."""
        self.last = accepted
        self.layer.resend(accepted, self.flow)
        self._accept(timer_l_ms)

    def trying(self) -> None:
        """100, so that the peer does not resend; once is enough."""
        if not self.last:
            self.respond(100)

    def on_retransmission(self) -> None:
        """The same INVITE came again: the route must not run twice."""
        if self.last and self.state in (PROCEEDING, COMPLETED):
            self.layer.resend(self.last, self.flow)

    def on_ack(self) -> None:
        """An ACK with our branch: it acknowledges a failure."""
        if self.state != COMPLETED:
            return
        self.state = CONFIRMED
        self._stop_timers()
        self.last = b""
        layer = self.layer
        if self.flow.transport == "udp":
            self._end = layer.wheel.at(layer.now + layer.t4, InviteServer._terminate, self)
        else:
            self._terminate()

    def keep_silent(self) -> None:
        """Swallows retransmissions for 64*T1 without ever answering."""
        self.user = None
        layer = self.layer
        self._end = layer.wheel.at(layer.now + layer.timeout, InviteServer._terminate, self)

    def acknowledged(self) -> None:
        """The dialog got the ACK for our 2xx."""
        cancel(self._retransmit)
        self._retransmit = None
        self.last = b""
        self.head = ""
        self.user = None

    def _on_resend(self) -> None:
        layer = self.layer
        layer.resend(self.last, self.flow)
        self._interval = min(2 * self._interval, layer.t2)
        self._retransmit = layer.wheel.at(
            layer.now + self._interval, InviteServer._on_resend, self
        )

    def _on_timer_l(self) -> None:
        user = self.user
        self._terminate()
        if user is not None:
            user.on_no_ack(self)

    def _stop_timers(self) -> None:
        cancel(self._retransmit)
        cancel(self._end)
        self._retransmit = self._end = None

    def _terminate(self) -> None:
        self.state = TERMINATED
        self._stop_timers()
        self.user = None
        self.layer.servers.pop(self.key, None)
