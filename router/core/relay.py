"""A request inside the call on its way from one leg to the other, and its answer back.

re-INVITE, UPDATE, INFO, REFER, NOTIFY, PRACK, MESSAGE and OPTIONS pass with their bodies and their
unknown headers; each leg keeps its own numbers, tags and Contact. BYE and CANCEL do not come here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.decision import CUT_OFF
from router.core.end_reasons import EndReason, failure_header
from router.core.headers import NOT_PASSED
from router.core.identity import withheld_inside
from router.core.leg import Leg
from router.core.media.session import Media
from router.core.media.steps import hold_request, hold_response, media_of
from router.core.session_headers import MAX_LONGER, sdp_of, without_timer
from router.core.transactions.client_invite import InviteClient
from router.core.transactions.layer import ClientTransaction
from router.core.transactions.server_invite import InviteServer
from router.core.transactions.server_request import RequestServer
from router.sip.message import Message, Request, Response

if TYPE_CHECKING:
    from router.core.call import Call

# Requests whose answer may change the remote target (RFC 3261 §12.2, RFC 3311 §5.1).
_TARGET_REFRESH = frozenset(("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"))

REFRESHING = frozenset(("INVITE", "UPDATE"))  # the session of a leg (RFC 4028 §7.4)

# Whose 481 speaks of a provisional response or a subscription, not of the dialog (RFC 3262 §3,
# RFC 5057 §5.1).
_OWN_481 = frozenset(("PRACK", "NOTIFY", "SUBSCRIBE"))


class Relay:
    """One request being relayed from `source` to `sink`."""

    __slots__ = (
        "_answered", "_extra", "_longer", "_request", "call", "client", "is_taken_back",
        "offered", "server", "sink", "source",
    )

    def __init__(
        self, call: Call, source: Leg, sink: Leg, server: InviteServer | RequestServer
    ) -> None:
        self.call = call
        self.source = source
        self.sink = sink
        self.server = server
        self.client: InviteClient | None = None
        self.offered = False
        self.is_taken_back = False  # while a media relay was asked
        self._answered = False
        self._extra = ""
        self._longer = 0
        self._request: Request | None = None

    def forward(self, request: Request) -> None:
        """Sends the request on, at once or when a media relay has rewritten its SDP."""
        media = media_of(self.source)
        if media is not None and sdp_of(request):
            if request.method == "INVITE":
                self.call.relay = self
            hold_request(media, self, request)
        else:
            self.pass_on(request)

    def pass_on(self, request: Request) -> None:
        """Sends the request on as it is."""
        method = request.method
        engine = self.call.engine
        extra = self._passed(request, self.sink, NOT_PASSED)
        if method == "PRACK":
            extra = self._with_our_rack(request)
        if method in _TARGET_REFRESH:
            if self.source.refresh_target(request):
                self.call.store_dialog()
            extra = engine.contacts[self.sink.flow.listener] + extra
        self._extra = extra
        self._request = request
        self._send(request)

    def _send(self, request: Request) -> None:
        method, body, sink, extra = request.method, request.body, self.sink, self._extra
        if sink.timer is not None and method in REFRESHING:
            extra = sink.timer.request_lines() + extra
        if method == "INVITE":
            self.offered = bool(body)
            self.call.relay = self
            self.client = sink.send_invite(self, extra, body)
        else:
            sink.send_request(method, self, extra, body)

    @staticmethod
    def _passed(message: Message, leg: Leg, drop: frozenset[str]) -> str:
        return without_timer(message, drop | withheld_inside(message, leg.local))

    def _with_our_rack(self, request: Request) -> str:
        # RFC 3262 §7.2: RAck names the CSeq of the INVITE, which is another one on the other leg.
        parts = request.get("rack").split()
        extra = self._passed(request, self.sink, NOT_PASSED | {"rack"})
        if len(parts) == 3:
            extra += f"RAck: {parts[0]} {self.sink.invite_cseq} {parts[2]}\r\n"
        return extra

    # -- the other side's answers ----------------------------------------------------------

    def on_response(self, client: ClientTransaction, response: Response) -> None:
        """Takes an answer, at once or when a media relay has rewritten its SDP."""
        if response.status == 100:
            return
        media = media_of(self.sink)
        if media is not None and not self._answered and self.sink.call is not None:
            request = self._request
            if hold_response(media, self, client, response, request is not None and bool(
                sdp_of(request)
            )):
                return
        self.take(client, response)

    def take(self, client: ClientTransaction, response: Response) -> None:
        """Passes an answer back; for a re-INVITE also sees to its ACK."""
        status = response.status
        sink = self.sink
        if status < 200:
            self._answer(response)
            return
        if self._answered:
            sink.resend_ack()
            return
        if status == 422 and self._asks_longer(response):
            return
        self._answered = True
        call = self.call
        lines = self._refresh(response) if status < 300 else ""
        if isinstance(client, InviteClient):
            if call.relay is self:
                call.relay = None
            if status < 300:
                if sink.refresh_target(response):
                    call.store_dialog()
                if sink.closing or self.offered:
                    sink.send_ack(client.cseq)
                else:
                    sink.leave_ack_to_peer(client.cseq)
                server = self.server
                if isinstance(server, InviteServer) and not self.source.closing:
                    server.user = self
                    self.source.server = server
                    self.source.server_cseq = self._request.cseq if self._request else 0
        elif (
            status < 300
            and response.cseq_method in _TARGET_REFRESH
            and sink.refresh_target(response)
        ):
            call.store_dialog()
        self._answer(response, lines)
        self._request = None
        media = media_of(sink)
        if media is not None:
            self._conclude(media, status)
        if status == 481 and sink.call is call and response.cseq_method not in _OWN_481:
            # RFC 3261 §12.2.1.2: the peer has lost the dialog.
            self._cut_off(f"the {self._side(sink)} knows the call no more (481)")

    def _conclude(self, media: Media, status: int) -> None:
        if status >= 300:
            media.take_back(self)
        else:
            media.agree(self)

    def _asks_longer(self, response: Response) -> bool:
        """Sends the request again, with the session interval that the sink asks for."""
        timer, request = self.sink.timer, self._request
        if timer is None or request is None or self._longer >= MAX_LONGER:
            return False
        if not timer.raises_min(response):
            return False
        self._longer += 1
        self._send(request)
        return True

    def _refresh(self, response: Response) -> str:
        """Takes what a 2xx means to the sessions of both legs; header lines for the source."""
        request, source, sink = self._request, self.source, self.sink
        if request is None or request.method not in ("INVITE", "UPDATE", "PRACK"):
            return ""
        # Early, before any timer is agreed on, it is kept for the case that one will be.
        if source.timer is not None or sink.timer is not None or not self.call.cdr.answered:
            source.sdp = sdp_of(request) or source.sdp
            sink.sdp = sdp_of(response) or sink.sdp
        lines = ""
        if request.method != "PRACK":
            if sink.timer is not None:
                sink.timer.is_answered(response)
            if source.timer is not None:
                lines = source.timer.answers(request)
            if source.timer is not None or sink.timer is not None:
                self.call.store_dialog()
        return lines

    def _answer(self, response: Response, lines: str = "") -> None:
        extra = lines + self._passed(response, self.source, NOT_PASSED)
        if response.has("contact"):
            extra = self.call.engine.contacts[self.source.flow.listener] + extra
        self.server.respond(response.status, response.reason, extra, response.body)

    def on_timeout(self, client: ClientTransaction) -> None:
        """No answer: 408, and a re-INVITE's silence ends the call (RFC 3261 §12.2.1.2)."""
        self._lost(client)

    def on_transport_error(self, client: ClientTransaction) -> None:
        """The other side cannot be reached."""
        self._lost(client)

    def abandon(self) -> None:
        """The call ended while its re-INVITE was open (RFC 3261 §15.1.2)."""
        self.server.respond(487, "", failure_header(self.server, 487))
        if self.client is not None:
            self.client.cancel()

    def refuse(self, status: int) -> None:
        """It goes nowhere: the asking side gets this status."""
        if self.call.relay is self:
            self.call.relay = None
        self.is_taken_back = True
        self.server.respond(status, "", failure_header(self.server, status))

    def _lost(self, client: ClientTransaction) -> None:
        call = self.call
        if call.relay is self:
            call.relay = None
        self.server.respond(408, "", failure_header(self.server, 408))
        if isinstance(client, InviteClient) and self.sink.call is call:
            self._cut_off(f"the {self._side(self.sink)} answered no re-INVITE")
        elif (media := media_of(self.sink)) is not None:
            media.take_back(self)

    def _side(self, leg: Leg) -> str:
        return "caller" if leg is self.call.a else "callee"

    def _cut_off(self, why: str) -> None:
        self.call.cdr.decision.append(CUT_OFF + why)
        self.call.hang_up(EndReason.SessionTimeout)

    # -- the asking side's transaction -----------------------------------------------------

    def on_cancel(self, server: InviteServer) -> None:
        """The asking side takes its re-INVITE back; the other side's 487 will answer it."""
        if self.client is not None:
            self.client.cancel()
        elif media_of(self.source) is not None:
            self.refuse(487)

    def on_no_ack(self, server: InviteServer) -> None:
        """The 2xx to a re-INVITE was never acknowledged (RFC 3261 §14.2)."""
        self.source.server = None
        if self.source.call is self.call:
            self._cut_off(f"the {self._side(self.source)} acknowledged no re-INVITE")
