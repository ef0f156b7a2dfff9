"""From a parsed message to the transaction, leg or call it is for (RFC 3261 §8.2, §12.2.2, §17).

Knows who a message belongs to, and what a stranger gets; what a call does with it stands in
`call` and `relay`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.answer import heard, hears
from router.core.call import Call
from router.core.end_reasons import (
    EndReason,
    cause_of_status,
    failure_header,
    reason_header,
)
from router.core.flow import Flow
from router.core.inside import answer_inside, look_inside
from router.core.leg import Leg
from router.core.media.steps import hold_ack, media_of
from router.core.registrar import Registering
from router.core.relay import REFRESHING, Relay
from router.core.session_headers import sdp_of
from router.core.states import ANSWERED
from router.core.transactions.server_invite import InviteServer
from router.core.transactions.server_request import RequestServer
from router.core.verdicts import Challenge, Drop, End, Enroll, Respond, Verdict, Wait
from router.core.waiting import suspend
from router.sip.message import Request, Response
from router.sip.render import REASONS, render_response, reply_head
from router.sip.uri import uri_number
from router.sip.via import response_target, stamp_source
from router.store.records import Cdr

if TYPE_CHECKING:
    from router.core.engine import Engine

COOKIE = "z9hG4bK"
MAX_CALLS = 100_000
MAX_SERVERS = 200_000

# Methods that get a label of their own in the counts; a peer can invent any number of others.
KNOWN_METHODS = frozenset((
    "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "UPDATE", "INFO", "REFER",
    "NOTIFY", "SUBSCRIBE", "MESSAGE", "PUBLISH",
))
UNASKED = 0
"""In place of its status, in the counts, for a response to nothing that we have sent."""
ALLOW = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY, MESSAGE\r\n"


class Dispatch:
    """Finds the owner of each message.

    `server` and `call` are those of the message in hand: who gets the 500 if it goes wrong.
    """

    __slots__ = ("_engine", "_layer", "call", "server")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._layer = engine.layer
        self.server: InviteServer | RequestServer | None = None
        self.call: Call | None = None

    # -- responses --------------------------------------------------------------------------------

    def on_response(self, response: Response) -> None:
        """A response: for its client transaction, or a 2xx that came again later."""
        method = response.cseq_method
        status = response.status
        client = self._layer.clients.get(response.top_branch + method)
        counts = self._layer.responses
        # A status counts by itself when it answers something: a stranger may send any of them.
        key = (
            method if method in KNOWN_METHODS else "other",
            status if client is not None else UNASKED,
            "in",
        )
        counts[key] = counts.get(key, 0) + 1
        if client is not None:
            self.call = getattr(client.user, "call", None)
            client.on_response(response)
        elif method == "INVITE" and 200 <= status < 300:
            leg = self._engine.legs.get(response.from_tag)
            if leg is not None and leg.remote_tag == response.to_tag:
                leg.resend_ack()

    # -- requests ---------------------------------------------------------------------------------

    def on_request(self, request: Request, flow: Flow) -> None:
        """A request: for its server transaction, its dialog, or the routes."""
        method = request.method
        known = method if method in KNOWN_METHODS else "other"
        counts = self._layer.requests
        count = (known, "in")
        counts[count] = counts.get(count, 0) + 1
        if method == "ACK" and self._on_dialog_ack(request):
            return
        stamp_source(request, flow.host, flow.port)
        via = request.top_via
        if via.branch.startswith(COOKIE):
            base = f"{via.branch}{via.host}:{via.port}"
        else:  # RFC 2543 peers: §17.2.3's matching without a branch
            base = (
                f"{request.uri}{request.from_tag}{request.call_id}{request.cseq}"
                f"{via.host}:{via.port}{via.branch}"
            )
        servers = self._layer.servers
        if method == "ACK":
            failed = servers.get(base + "INVITE")
            if isinstance(failed, InviteServer):
                failed.on_ack()
            return
        key = base + method
        server = servers.get(key)
        if server is not None:
            server.on_retransmission()
            return
        to_tag = request.to_tag
        if method == "CANCEL":
            self._on_cancel(request, flow, base, key)
        elif to_tag:
            self._on_dialog_request(request, flow, key, to_tag, known)
        elif len(servers) >= MAX_SERVERS or self._engine.is_choked:
            # What belongs to no call yet is shed, without any state; what ends calls is not.
            self.refuse(request, flow, 503, "", "Retry-After: 5\r\n")
        elif self._engine.guard.blocked and self._is_blocked(method, flow.host):
            self.refuse(request, flow, 403, "")
        elif method == "INVITE":
            self._on_invite(request, flow, key)
        else:
            self._on_other(request, flow, key, known)

    def _is_blocked(self, method: str, address: str) -> bool:
        """Whether a request is refused unseen; the first calls of a blocked address leave CDRs."""
        guard, tally, now_ms = self._engine.guard, self._engine.tally, self._layer.now
        if not guard.is_blocked(address, now_ms):
            return False
        tally.blocked += 1
        if method != "INVITE":
            return True
        if guard.has_room(address, now_ms):
            return False
        reason = EndReason.IpBlocked.name
        tally.unrecorded[reason] = tally.unrecorded.get(reason, 0) + 1
        return True

    def refuse(
        self, request: Request, flow: Flow, status: int, reason: str, extra: str = ""
    ) -> None:
        """Answers a request without keeping any state (RFC 3261 §8.2.7)."""
        stamp_source(request, flow.host, flow.port)
        head = reply_head(request, self._engine.token())
        method = request.method
        if method == "INVITE":
            extra += reason_header(cause_of_status(status))
        self._layer.send_response(
            render_response(status, reason or REASONS.get(status, "Bad Request"), head, extra),
            self._back(request, flow), method if method in KNOWN_METHODS else "other", status,
        )

    def _back(self, request: Request, flow: Flow) -> Flow:
        """Where responses go: always to the address that the request came from.

        A maddr is not followed (RFC 3261 §18.2.2 would): by it anybody could have our responses,
        and all their resends, sent to an address that never asked us anything.
        """
        if flow.transport != "udp":
            return flow
        via = request.top_via
        if via.rport and via.received == flow.host:
            return flow  # what stamp_source has just written there
        _, port = response_target(via)
        return flow if port == flow.port else flow._replace(port=port)

    def _on_dialog_ack(self, request: Request) -> bool:
        """Takes the ACK of a 2xx, which is a transaction of its own; False: it is none."""
        leg = self._engine.legs.get(request.to_tag)
        if (
            leg is None
            or leg.server is None
            or leg.server_cseq != request.cseq
            or leg.call_id != request.call_id
            or leg.remote_tag != request.from_tag
        ):
            return False
        call = self.call = leg.call
        peer = leg.peer
        leg.acknowledge_server()
        if call is not None and call.a is leg:
            heard(call)
        if peer is not None and peer.pending_ack:
            media = media_of(leg)
            if media is not None and sdp_of(request):
                hold_ack(media, leg, request, _pass_ack)
            else:
                _pass_ack(leg, request)
        return True

    def _on_cancel(self, request: Request, flow: Flow, base: str, key: str) -> None:
        invite = self._layer.servers.get(base + "INVITE")
        if not isinstance(invite, InviteServer):
            if not self._gives_up_adopted(request, flow, key):
                self.refuse(request, flow, 481, "")
            return
        head = reply_head(request, self._engine.token())
        server = RequestServer(self._layer, key, self._back(request, flow), head, "CANCEL")
        self.server = server
        server.respond(200)
        user = invite.user
        if user is not None:
            self.call = getattr(user, "call", user if isinstance(user, Call) else None)
            user.on_cancel(invite)

    def _gives_up_adopted(self, request: Request, flow: Flow, key: str) -> bool:
        """Whether a CANCEL is for a call whose worker died before its 200 had left.

        The caller still hears it ring then; a caller with a dialog would hang up by BYE.
        """
        call = self._engine.adopted.get(request.call_id + request.from_tag)
        if call is None or call.a.invite_cseq != request.cseq or call.state != ANSWERED:
            return False
        head = reply_head(request, self._engine.token())
        self.server = RequestServer(self._layer, key, self._back(request, flow), head, "CANCEL")
        self.call = call
        self.server.respond(200)
        call.hang_up(EndReason.Cancelled, "caller")
        return True

    def _on_other(self, request: Request, flow: Flow, key: str, known: str) -> None:
        engine = self._engine
        head = reply_head(request, engine.token())
        server = RequestServer(self._layer, key, self._back(request, flow), head, known)
        self.server = server
        verdict = engine.policy.request(request, flow, engine)
        if isinstance(verdict, Wait):
            suspend(
                engine, verdict, None, server,
                lambda server, later: _answer(engine, request, flow, server, later),
            )
        else:
            _answer(engine, request, flow, server, verdict)

    # -- calls ------------------------------------------------------------------------------------

    def _on_invite(self, request: Request, flow: Flow, key: str) -> None:
        engine = self._engine
        tag = engine.token()
        head = reply_head(request, tag)
        server = InviteServer(self._layer, key, self._back(request, flow), head)
        self.server = server
        scheme = request.uri.partition(":")[0].lower()
        if scheme not in ("sip", "sips", "tel"):
            server.respond(416, "", failure_header(server, 416))
            return
        if request.has("proxy-require"):
            unsupported = f"Unsupported: {request.get('proxy-require')}\r\n"
            server.respond(420, "", unsupported + failure_header(server, 420))
            return
        if self._is_merged(request):
            server.respond(482, "", failure_header(server, 482))
            return
        call = self._new_call(request, flow, server, tag)
        self.call = call
        server.user = call
        engine.calls[call.id] = call
        if engine.draining or len(engine.calls) > MAX_CALLS:
            call.reject(EndReason.Overloaded, extra="Retry-After: 5\r\n")
            return
        guard = engine.guard
        if guard.blocked and guard.is_blocked(flow.host, self._layer.now):
            call.cdr.decision.append(f"refused: {flow.host} is blocked")
            call.reject(EndReason.IpBlocked)
            return
        call.begin()

    def _is_merged(self, request: Request) -> bool:
        # RFC 3261 §8.2.2.2: the same request over two paths. Our own copies of a call carry other
        # Call-IDs; what comes back to us in a circle is stopped by Max-Forwards.
        engine, key = self._engine, request.call_id + request.from_tag
        call = engine.initial.get(key) or engine.adopted.get(key)
        return call is not None and call.a.invite_cseq == request.cseq

    def _new_call(self, request: Request, flow: Flow, server: InviteServer, tag: str) -> Call:
        engine = self._engine
        now = self._layer.now
        call_id = f"{now:012x}{engine.slot:02x}{engine.token()[:8]}"
        call = Call(engine, call_id, request, flow, server)
        leg = Leg(engine, call, request.call_id, tag)
        leg.answer_request(request, flow)
        call.a = leg
        hops = request.max_forwards
        call.max_forwards = 69 if hops is None else min(hops, 255) - 1
        call.callee = uri_number(request.uri)
        call.body = request.body
        call.cdr = Cdr(
            id=call.id, call_id=request.call_id, source=flow.host, callee_in=call.callee,
            started=now, attempts=[], variables={}, decision=[], worker=engine.slot,
        )
        engine.initial[request.call_id + request.from_tag] = call
        return call

    def _on_dialog_request(
        self, request: Request, flow: Flow, key: str, to_tag: str, known: str
    ) -> None:
        engine = self._engine
        method = request.method
        leg = engine.legs.get(to_tag)
        if (
            leg is None
            or leg.call_id != request.call_id
            or (leg.remote_tag and leg.remote_tag != request.from_tag)
        ):
            # Anybody can send these, as many as they like: nothing is kept of them.
            self.refuse(request, flow, 481, "")
            return
        head = reply_head(request, "")
        back = self._back(request, flow)
        server: InviteServer | RequestServer
        if method == "INVITE":
            server = InviteServer(self._layer, key, back, head)
        else:
            server = RequestServer(self._layer, key, back, head, known)
        self.server = server
        call = leg.call
        if call is None:  # both sides hung up at once
            server.respond(200 if method == "BYE" else 481, "", failure_header(server, 481))
            if method == "BYE":
                leg.on_bye()
            return
        self.call = call
        if request.cseq <= leg.remote_cseq:
            again = "Retry-After: 1\r\n" + failure_header(server, 500)
            server.respond(500, "CSeq Out of Order", again)
            return
        leg.remote_cseq = request.cseq
        if leg.adopted and method == "INVITE":
            hears(leg)
        verdict = look_inside(call, request, flow)
        if method == "BYE":
            server.respond(200)
            call.on_bye(leg, request)
        elif verdict is not None:
            answer_inside(call, request, server, verdict)
        elif request.max_forwards == 0:
            server.respond(483, "", failure_header(server, 483))
        elif method == "INVITE" and (
            call.state != ANSWERED or call.relay is not None or leg.server is not None
        ):
            server.respond(491, "", failure_header(server, 491))
        elif leg.timer is not None and method in REFRESHING and leg.timer.takes(request, server):
            pass  # its session goes on, and the other leg has nothing to do with it
        elif leg.peer is None:
            server.respond(500, "", "Retry-After: 1\r\n" + failure_header(server, 500))
        else:
            relay = Relay(call, leg, leg.peer, server)
            if isinstance(server, InviteServer):
                server.user = relay
                server.respond(100)
            relay.forward(request)


def _pass_ack(leg: Leg, request: Request) -> None:
    """Passes on the ACK that the other side's answer has been waiting for."""
    peer = leg.peer
    if peer is None or not peer.pending_ack:
        return
    content = request.get("content-type") if request.body else ""
    if leg.timer is not None or peer.timer is not None:
        leg.sdp = sdp_of(request) or leg.sdp
        leg.call.store_dialog()
    peer.send_ack(
        peer.pending_ack, f"Content-Type: {content}\r\n" if content else "", request.body
    )


def _answer(
    engine: Engine, request: Request, flow: Flow, server: RequestServer, verdict: Verdict
) -> None:
    """Does what request_route decided for a request that is no INVITE."""
    if isinstance(verdict, Enroll):
        Registering(engine, verdict, server).begin(request, flow)
    elif isinstance(verdict, Challenge):
        server.challenge(verdict.status, verdict.extra)
    elif isinstance(verdict, Respond):
        extra = verdict.extra
        if verdict.status in (200, 405) and not extra:
            extra = ALLOW
        server.respond(verdict.status, verdict.reason, extra)
    elif isinstance(verdict, End):
        reason = verdict.reason
        server.respond(verdict.status or (reason.status if reason else 0) or 500)
    elif isinstance(verdict, Drop):
        server.keep_silent()
    else:
        server.respond(500)
