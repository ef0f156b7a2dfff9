"""The client transaction of everything but INVITE and ACK: RFC 3261 §17.1.2.

    state       event            action                                          next
    TRYING      send             request; Timer E = T1 (not on streams), F = 64*T1
    TRYING      Timer E          resend, E = min(2*E, T2)                        TRYING
    TRYING      1xx              to the user                                     PROCEEDING
    PROCEEDING  Timer E          resend, E = T2                                  PROCEEDING
    PROCEEDING  1xx              to the user                                     PROCEEDING
    TRYING*     Timer F          on_timeout                                      TERMINATED
    TRYING*     200-699          to the user; Timer K = T4 (0 on streams)        COMPLETED
    TRYING*     transport error  on_transport_error                              TERMINATED
    COMPLETED   any response     -                                               COMPLETED
    COMPLETED   Timer K          -                                               TERMINATED
    (* TRYING or PROCEEDING)
"""

from __future__ import annotations

from router.core.flow import Flow
from router.core.transactions.layer import ClientTransaction, ClientUser, TransactionLayer
from router.core.wheel import Timer, cancel
from router.sip.message import Response

TRYING, PROCEEDING, COMPLETED, TERMINATED = range(4)


class _SilentUser:
    """A user that does not care how its request ends: for CANCEL and the last BYE."""

    __slots__ = ()

    def on_response(self, client: ClientTransaction, response: Response) -> None:
        pass

    def on_timeout(self, client: ClientTransaction) -> None:
        pass

    def on_transport_error(self, client: ClientTransaction) -> None:
        pass


Silent = _SilentUser()


class RequestClient:
    """One request other than INVITE and ACK on its way to a peer."""

    __slots__ = (
        "_deadline", "_interval", "_timer", "branch", "data", "flow", "layer", "method", "sent_ms",
        "state", "user",
    )

    def __init__(
        self, layer: TransactionLayer, user: ClientUser, branch: str, flow: Flow, method: str,
        data: bytes,
    ) -> None:
        self.layer = layer
        self.user: ClientUser | None = user
        self.branch = branch
        self.flow = flow
        self.method = method
        self.data = data
        self.state = TRYING
        layer.clients[branch + method] = self
        now = self.sent_ms = layer.now
        self._interval = layer.t1
        # One entry serves Timer E and Timer F: when E is due, F is looked at too.
        self._deadline = now + layer.timeout
        self._timer: Timer | None
        if flow.transport == "udp":
            self._timer = layer.wheel.at(now + layer.t1, RequestClient._on_timer_e, self)
        else:
            self._timer = layer.wheel.at(self._deadline, RequestClient._on_timer_f, self)
        layer.send_request(data, flow, method)

    def on_response(self, response: Response) -> None:
        """Takes a response whose branch and method are ours."""
        if self.state >= COMPLETED:
            return
        user = self.user
        if response.status < 200:
            self.state = PROCEEDING
        else:
            self.state = COMPLETED
            self._stop_timers()
            self.data = b""
            self.user = None
            layer = self.layer
            if self.method == "BYE":
                layer.tally.disconnect_delay.observe((layer.now - self.sent_ms) / 1000)
            if self.flow.transport == "udp":
                self._timer = layer.wheel.at(layer.now + layer.t4, RequestClient._terminate, self)
            else:
                self._terminate()
        if user is not None:
            user.on_response(self, response)

    def on_transport_error(self) -> None:
        """The driver could not deliver the request."""
        if self.state < COMPLETED:
            user = self.user
            self._terminate()
            if user is not None:
                user.on_transport_error(self)

    def _on_timer_e(self) -> None:
        layer = self.layer
        now = layer.now
        if now >= self._deadline:
            self._on_timer_f()
            return
        layer.resend(self.data, self.flow)
        if self.state == PROCEEDING:
            self._interval = layer.t2
        else:
            self._interval = min(2 * self._interval, layer.t2)
        self._timer = layer.wheel.at(
            min(now + self._interval, self._deadline), RequestClient._on_timer_e, self
        )

    def _on_timer_f(self) -> None:
        user, layer = self.user, self.layer
        if self.method == "BYE":
            layer.tally.disconnect_delay.observe((layer.now - self.sent_ms) / 1000)
        self._terminate()
        if user is not None:
            user.on_timeout(self)

    def _stop_timers(self) -> None:
        cancel(self._timer)
        self._timer = None

    def _terminate(self) -> None:
        self.state = TERMINATED
        self._stop_timers()
        self.user = None
        self.layer.clients.pop(self.branch + self.method, None)
