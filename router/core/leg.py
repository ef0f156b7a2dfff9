"""One side of a call: a dialog (RFC 3261 §12) and how requests are built in it.

A leg knows its own tags, numbers, route set and remote target, and its peer leg. It knows nothing
of gateways, admission or why a call ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from router.core.access import Access, Challenged
from router.core.flow import Flow
from router.core.media.session import Media, MediaSnapshot
from router.core.session_timer import SessionTimer, TimerSnapshot
from router.core.transactions.client_invite import InviteClient
from router.core.transactions.client_request import RequestClient
from router.core.transactions.layer import ClientTransaction, ClientUser, TransactionLayer
from router.core.transactions.server_invite import InviteServer
from router.sip.message import Request, Response
from router.sip.name_addr import header_uri
from router.sip.render import render_request

# What a successor of a dead worker adds to the CSeq it finds: requests sent since the dialog was
# stored need no store of their own, the number only has to rise (RFC 3261 §12.2.1.1).
CSEQ_STRIDE = 1_000


class LegHost(Protocol):
    """Where legs live: the engine, or a simulated peer."""

    layer: TransactionLayer
    legs: dict[str, Leg]
    token: Callable[[], str]
    vias: list[str]
    no_flow: Flow

    def flow_to(self, uri: str, current: Flow) -> Flow:
        """The way to a URI; `current` when its host is a name or cannot be read."""


class LegSnapshot(msgspec.Struct, array_like=True):
    """All that a worker needs to take a dialog over."""

    call_id: str
    local_tag: str
    remote_tag: str
    local: str
    remote: str
    cseq: int
    invite_cseq: int
    target: str
    routes: list[str]
    flow: Flow
    timer: TimerSnapshot | None = None
    sdp: bytes = b""
    pinned: bool = False
    media: MediaSnapshot | None = None


class Leg:
    """A dialog in which we are the UAS (the caller's leg) or the UAC (the gateway's).

    `local` and `remote` are the From and To values of our requests, tags included; `invite_cseq`
    is the CSeq of the INVITE that made the dialog, `cseq` the last number we used, `remote_cseq`
    the peer's last. `timer` is the session timer, `sdp` the peer's last session description where
    a timer of the call needs it; `media` is the session at a media relay, of a gateway's leg.
    """

    __slots__ = (
        "_ack",
        "access",
        "adopted",
        "authorization",
        "bye_extra",
        "call",
        "call_id", "client",
        "closing",
        "cseq",
        "engine",
        "flow",
        "invite_cseq",
        "local",
        "local_tag",
        "media",
        "peer",
        "pending_ack",
        "pinned",
        "remote",
        "remote_cseq",
        "remote_tag",
        "routes",
        "sdp",
        "server",
        "server_cseq",
        "target",
        "timer",
    )

    def __init__(self, engine: LegHost, call: Any, call_id: str, local_tag: str) -> None:
        self.engine = engine
        self.call: Any = call  # a Call, or whoever owns the dialog; None when it is over
        self.peer: Leg | None = None
        self.client: InviteClient | None = None  # the transaction of the INVITE that made it
        self.call_id = call_id
        self.local_tag = local_tag
        self.remote_tag = ""
        self.local = ""
        self.remote = ""
        self.cseq = 0
        self.invite_cseq = 0
        self.remote_cseq = -1  # any number is higher than none (RFC 3261 §12.2.2)
        self.target = ""
        self.routes: list[str] = []
        self.flow: Flow = engine.no_flow
        self.adopted = False  # from a worker that died
        self.server: InviteServer | None = None  # our 2xx waits for its ACK here
        self.server_cseq = 0  # the number that ACK has
        self.pending_ack = 0  # CSeq of a peer's 2xx that the other side's ACK will acknowledge
        self._ack = b""
        self.access: Access | None = None  # the peer may challenge our requests
        self.authorization = ""  # the credentials of our last INVITE, for its ACK
        self.closing = False
        self.pinned = False
        self.bye_extra: str | None = None  # the header lines of a BYE that has to wait
        self.timer: SessionTimer | None = None
        self.sdp = b""
        self.media: Media | None = None
        engine.legs[local_tag] = self

    # -- the dialog's state ---------------------------------------------------------------------

    def answer_request(self, request: Request, flow: Flow) -> None:
        """Takes the UAS side of the dialog that `request` begins (RFC 3261 §12.1.1)."""
        self.remote_tag = request.from_tag
        self.remote = request.get("from")
        self.local = f"{request.get('to')};tag={self.local_tag}"
        self.invite_cseq = self.remote_cseq = request.cseq
        target = request.contact_uri
        if not _is_request_uri(target):
            # lenient: some probes and old stacks send no Contact; where they sit is known.
            host = f"[{flow.host}]" if ":" in flow.host else flow.host
            target = f"sip:{host}:{flow.port}"
        self.target = target
        if request.has("record-route"):
            self.routes = request.record_routes
        self.flow = flow
        # lenient: a peer whose Via names another address than it sends from sits behind a NAT; its
        # Contact cannot be reached, the address its packets come from can.
        self.pinned = not self.routes and request.top_via.host != flow.host
        self.aim()

    def learn(self, response: Response) -> None:
        """Takes the UAC side of the dialog from a 1xx with a tag or a 2xx (RFC 3261 §12.1.2)."""
        tag = response.to_tag
        if not tag:
            return
        self.remote_tag = tag
        self.remote = response.get("to")
        if response.has("record-route"):
            self.routes = response.record_routes[::-1]
        target = response.contact_uri
        if _is_request_uri(target):
            self.target = target
        self.aim()

    def refresh_target(self, message: Request | Response) -> bool:
        """Follows a new Contact (RFC 3261 §12.2.1.2); True when it differed."""
        target = message.contact_uri
        if target == self.target or not _is_request_uri(target):
            return False
        self.target = target
        self.aim()
        return True

    def aim(self) -> None:
        """Finds where the next request goes: the first route, else the remote target."""
        if self.pinned or (self.flow.transport != "udp" and self.flow.connection):
            return  # a stream that the peer opened is the way back to it
        if self.routes:
            next_hop = header_uri(self.routes[0])
        else:
            next_hop = self.target
        self.flow = self.engine.flow_to(next_hop, self.flow)

    # -- requests of ours -----------------------------------------------------------------------

    def _route(self) -> tuple[str, str]:
        # RFC 3261 §12.2.1.1: loose routing keeps the target in the request line; a first route
        # without ;lr takes that place and the target goes to the end of the list.
        routes = self.routes
        if not routes:
            return self.target, ""
        strict = header_uri(routes[0])
        if ";lr" in routes[0].lower() or not _is_request_uri(strict):
            return self.target, f"Route: {', '.join(routes)}\r\n"
        return strict, f"Route: {', '.join([*routes[1:], f'<{self.target}>'])}\r\n"

    def _head(self, branch: str, routes: str) -> str:
        return (
            f"{self.engine.vias[self.flow.listener]}{branch};rport\r\nMax-Forwards: 70\r\n"
            f"{routes}From: {self.local}\r\nCall-ID: {self.call_id}\r\n"
        )

    def send_request(
        self, method: str, user: ClientUser, extra: str = "", body: bytes = b""
    ) -> RequestClient:
        """Sends a request other than INVITE and ACK in the dialog."""
        if self.access is not None:
            user = Challenged(self, method, user, extra, body)
        return self._send(method, user, extra, body)

    def _send(self, method: str, user: ClientUser, extra: str, body: bytes) -> RequestClient:
        engine = self.engine
        branch = "z9hG4bK" + engine.token()
        self.cseq += 1
        uri, routes = self._route()
        if self.access is not None:
            extra = self.access.line(method, uri, body) + extra
        data = render_request(
            method, uri, self._head(branch, routes),
            f"To: {self.remote}\r\nCSeq: {self.cseq} {method}\r\n{extra}", body,
        )
        return RequestClient(engine.layer, user, branch, self.flow, method, data)

    def send_invite(self, user: ClientUser, extra: str, body: bytes) -> InviteClient:
        """Sends a re-INVITE."""
        if self.access is not None:
            user = Challenged(self, "INVITE", user, extra, body)
        return self._send_invite(user, extra, body)

    def send_again(
        self, method: str, user: ClientUser, extra: str, body: bytes
    ) -> InviteClient | RequestClient:
        """Sends a request that was challenged, with the credentials that were asked for."""
        if method == "INVITE":
            return self._send_invite(user, extra, body)
        return self._send(method, user, extra, body)

    def _send_invite(self, user: ClientUser, extra: str, body: bytes) -> InviteClient:
        engine = self.engine
        branch = "z9hG4bK" + engine.token()
        self.cseq += 1
        uri, routes = self._route()
        head = self._head(branch, routes)
        if self.access is not None:
            self.authorization = self.access.line("INVITE", uri, body)
            extra = self.authorization + extra
        data = render_request(
            "INVITE", uri, head,
            f"To: {self.remote}\r\nCSeq: {self.cseq} INVITE\r\n{extra}", body,
        )
        return InviteClient(
            engine.layer, user, branch, self.flow, uri, head, self.remote, self.cseq, data
        )

    def send_ack(self, cseq: int, extra: str = "", body: bytes = b"") -> None:
        """Acknowledges the peer's 2xx; the bytes are kept for its retransmissions."""
        engine = self.engine
        uri, routes = self._route()
        self._ack = render_request(
            "ACK", uri, self._head("z9hG4bK" + engine.token(), routes),
            f"To: {self.remote}\r\nCSeq: {cseq} ACK\r\n{self.authorization}{extra}", body,
        )
        self.pending_ack = 0
        engine.layer.send_request(self._ack, self.flow, "ACK")

    def leave_ack_to_peer(self, cseq: int) -> None:
        """The peer's 2xx made the offer: the other side's ACK brings the answer, and not before."""
        self.pending_ack = cseq
        self._ack = b""

    def resend_ack(self) -> None:
        """The peer's 2xx came again: so does our ACK (RFC 3261 §13.2.2.4)."""
        if self._ack:
            self.engine.layer.resend(self._ack, self.flow)
        elif self.adopted and not self.pending_ack:
            # Its worker died between the answer and the ACK, or the ACK was lost.
            self.send_ack(self.invite_cseq)

    # -- the end --------------------------------------------------------------------------------

    def hang_up(self, extra: str = "") -> None:
        """Sends BYE, now or as soon as RFC 3261 §15 allows, and answers for the leg until then."""
        self._end()
        if self.pending_ack:
            self.send_ack(self.pending_ack)
        if self.server is not None:
            self.bye_extra = extra
            self.server.user = self
            return
        self.send_request("BYE", self, extra)

    def _end(self) -> None:
        self.call = None
        self.peer = None
        self.closing = True
        timer = self.timer
        if timer is not None:
            self.timer = None
            timer.stop()
        media = self.media
        if media is not None:
            self.media = None
            media.end()

    def forget(self) -> None:
        """The dialog is over: nothing of it is known any more."""
        self._end()
        self.engine.legs.pop(self.local_tag, None)
        if self.client is not None:
            self.client.release()
            self.client = None

    def acknowledge_server(self) -> None:
        """The ACK for our 2xx came."""
        server = self.server
        if server is not None:
            self.server = None
            server.acknowledged()
            self._send_pending_bye()

    def on_bye(self) -> None:
        """The peer hung up after we did: neither its ACK nor an answer to our BYE is waited for."""
        self.bye_extra = None
        self.acknowledge_server()
        self.forget()

    def on_cancel(self, server: InviteServer) -> None:
        """Nothing: the 2xx was faster."""

    def on_no_ack(self, server: InviteServer) -> None:
        """The ACK that a BYE was waiting for never came (RFC 3261 §13.3.1.4)."""
        self.server = None
        self._send_pending_bye()

    def _send_pending_bye(self) -> None:
        extra = self.bye_extra
        if extra is not None:
            self.bye_extra = None
            self.send_request("BYE", self, extra)

    def on_response(self, client: ClientTransaction, response: Response) -> None:
        """The answer to our BYE: whatever it says, the dialog is over."""
        if response.status >= 200:
            self.forget()

    def on_timeout(self, client: ClientTransaction) -> None:
        """The peer does not answer our BYE."""
        self.forget()

    def on_transport_error(self, client: ClientTransaction) -> None:
        """The peer cannot be reached any more."""
        self.forget()

    # -- taking over ----------------------------------------------------------------------------

    def snapshot(self) -> LegSnapshot:
        """The dialog as a successor of this worker will need it."""
        return LegSnapshot(
            self.call_id, self.local_tag, self.remote_tag, self.local, self.remote, self.cseq,
            self.invite_cseq, self.target, self.routes, self.flow,
            self.timer.snapshot() if self.timer is not None else None, self.sdp,
            self.pinned, self.media.snapshot() if self.media is not None else None,
        )

    @classmethod
    def restored(cls, engine: LegHost, call: Any, snapshot: LegSnapshot) -> Leg:
        """The dialog of a snapshot, owned by this engine.

        The peer's CSeq is not stored: whatever it sends next is accepted.
        """
        leg = cls(engine, call, snapshot.call_id, snapshot.local_tag)
        leg.adopted = True
        leg.remote_tag = snapshot.remote_tag
        leg.local = snapshot.local
        leg.remote = snapshot.remote
        leg.cseq = snapshot.cseq + CSEQ_STRIDE
        leg.invite_cseq = snapshot.invite_cseq
        leg.target = snapshot.target
        leg.routes = snapshot.routes
        # A stream died with the worker that held it; a new one is opened on demand, but not to a
        # peer behind a NAT: its stream may be another worker's, and there is no other way to it.
        flow = snapshot.flow
        leg.pinned = snapshot.pinned
        stays = leg.pinned or flow.transport == "udp"
        leg.flow = flow if stays else flow._replace(connection=0, slot=-1)
        leg.aim()
        leg.sdp = snapshot.sdp
        if snapshot.timer is not None:
            leg.timer = SessionTimer.restored(leg, snapshot.timer)
        return leg


def _is_request_uri(text: str) -> bool:
    """Whether a peer's URI can stand in a request line; what it means is the next hop's affair."""
    return ":" in text and " " not in text and "\t" not in text
