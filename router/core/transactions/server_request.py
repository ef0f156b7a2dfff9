"""The server transaction of everything but INVITE and ACK: RFC 3261 §17.2.2.

    state       event            action                                     next
    TRYING      request          -                                          TRYING
    TRYING*     respond 1xx      send                                       PROCEEDING
    PROCEEDING  request          resend the last provisional                PROCEEDING
    TRYING*     respond 200-699  send; Timer J = 64*T1 (0 on streams)       COMPLETED
    COMPLETED   request          resend the final                           COMPLETED
    COMPLETED   Timer J          -                                          TERMINATED
    (* TRYING or PROCEEDING)
"""

from __future__ import annotations

from router.core.flow import Flow
from router.core.transactions.layer import TransactionLayer
from router.sip.render import REASONS, render_response

TRYING, PROCEEDING, COMPLETED, TERMINATED = range(4)


class RequestServer:
    """One request other than INVITE and ACK that came from a peer."""

    __slots__ = ("_last", "flow", "head", "key", "layer", "method", "state")

    def __init__(
        self, layer: TransactionLayer, key: str, flow: Flow, head: str, method: str
    ) -> None:
        self.layer = layer
        self.key = key
        self.flow = flow
        self.head = head
        self.method = method
        self.state = TRYING
        self._last = b""
        layer.servers[key] = self

    def respond(self, status: int, reason: str = "", extra: str = "", body: bytes = b"") -> None:
        """Sends a response and moves on; after a final one, further ones are not sent."""
        if self.state >= COMPLETED:
            return
        layer = self.layer
        data = render_response(
            status, reason or REASONS.get(status, "Unknown"), self.head, extra, body
        )
        layer.send_response(data, self.flow, self.method, status)
        self._last = data
        if status < 200:
            self.state = PROCEEDING
            return
        self.state = COMPLETED
        self.head = ""
        if self.flow.transport == "udp":
            layer.wheel.at(layer.now + layer.timeout, RequestServer._terminate, self)
        else:
            self._terminate()

    def challenge(self, status: int, extra: str) -> None:
        """Asks for credentials and keeps nothing: the same request again gets another challenge.

        RFC 3261 §8.2.7 has challenges made without state, so that they cost strangers nothing.
        """
        layer = self.layer
        data = render_response(status, REASONS[status], self.head, extra)
        layer.send_response(data, self.flow, self.method, status)
        self._terminate()

    def on_retransmission(self) -> None:
        """The same request came again."""
        if self._last:
            self.layer.resend(self._last, self.flow)

    def keep_silent(self) -> None:
        """Swallows retransmissions for 64*T1 without ever answering."""
        layer = self.layer
        layer.wheel.at(layer.now + layer.timeout, RequestServer._terminate, self)

    def _terminate(self) -> None:
        self.state = TERMINATED
        self.layer.servers.pop(self.key, None)
