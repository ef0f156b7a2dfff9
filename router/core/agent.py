"""A simulated SIP user agent on the same sans-IO core: caller and gateway for trials.

The demo, the test blocks and the simulations talk to the router through it. It behaves as it is
told (answers, rejects, stays silent, rings for ever, cancels, hangs up) and keeps what happened.
It is a peer, not a part of the router: it knows nothing of routes, lines or CDRs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from router.core.flow import Flow, Listener
from router.core.leg import Leg
from router.core.parameters import Login, TimerDefaults
from router.core.tally import Tally
from router.core.transactions.client_invite import InviteClient
from router.core.transactions.layer import ClientTransaction, TransactionLayer
from router.core.transactions.server_invite import COMPLETED, InviteServer
from router.core.transactions.server_request import RequestServer
from router.core.wheel import Timer, cancel
from router.sip.digest import answer_challenge, choose_challenge
from router.sip.errors import SipError
from router.sip.message import Request, Response, parse_message
from router.sip.render import render_request, reply_head
from router.sip.uri import uri_host_port
from router.sip.via import response_target, stamp_source

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 20000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
)
_SDP_TYPE = "Content-Type: application/sdp\r\n"
_CHALLENGES = {
    401: ("www-authenticate", "Authorization"),
    407: ("proxy-authenticate", "Proxy-Authorization"),
}


class Behaviour(msgspec.Struct, frozen=True):
    """What a called agent does with an INVITE; times in ms from its arrival, None for never.

    With `status` it refuses at `answer_after_ms`; without it answers then. `silent` gives no sign
    of life at all. `extra` are header lines of the final response.
    """

    silent: bool = False
    trying: bool = True
    ring_after_ms: int | None = 0
    early_media: bool = False
    answer_after_ms: int | None = 0
    status: int = 0
    hang_up_after_ms: int | None = None
    extra: str = ""


ANSWERS = Behaviour()


class AgentCall:
    """One call of an agent, as it saw it.

    `status` is the final status received or sent, 0 while there is none; `progress` the
    provisional ones; times are epoch ms, 0 for never. With a `login` the first challenge is
    answered.
    """

    __slots__ = (
        "_bye_timer", "_cancel_timer", "_hang_up_after_ms", "agent", "answered_ms", "behaviour",
        "body", "client", "ended_by", "ended_ms", "extra", "headers", "leg", "login",
        "max_forwards", "number", "progress", "server", "started_ms", "status",
    )

    def __init__(self, agent: Agent, number: str, hang_up_after_ms: int | None) -> None:
        self.agent = agent
        self.number = number
        self.leg: Leg
        self.client: InviteClient | None = None
        self.server: InviteServer | None = None
        self.behaviour = ANSWERS
        self.started_ms = agent.layer.now
        self.answered_ms = 0
        self.ended_ms = 0
        self.ended_by = ""  # "us" or "peer"
        self.status = 0
        self.progress: list[int] = []
        self.headers = ""
        self.login: Login | None = None
        self.extra = ""
        """Header lines of our INVITE."""
        self.body = b""
        self.max_forwards = "70"
        self._hang_up_after_ms = hang_up_after_ms
        self._cancel_timer: Timer | None = None
        self._bye_timer: Timer | None = None

    # -- as the caller ----------------------------------------------------------------------------

    def cancel_after(self, after_ms: int) -> None:
        """Gives up if nobody answered by then."""
        layer = self.agent.layer
        self._cancel_timer = layer.wheel.at(layer.now + after_ms, AgentCall._on_give_up, self)

    def give_up(self) -> None:
        """Ends the call at once, whether it was answered or not."""
        if self.answered_ms:
            self.hang_up()
        else:
            self._on_give_up()

    def _on_give_up(self) -> None:
        if self.client is not None and not self.status:
            self.client.cancel()

    def on_response(self, client: ClientTransaction, response: Response) -> None:
        """A response to our INVITE."""
        status = response.status
        if status < 200:
            self.progress.append(status)
            return
        if self.status:
            self.leg.resend_ack()
            return
        if status in _CHALLENGES and self.login is not None and self._answer(response):
            return
        self.status = status
        cancel(self._cancel_timer)
        if status >= 300:
            self.ended_ms = self.agent.layer.now
            self.leg.forget()
            return
        self.leg.learn(response)
        self.leg.send_ack(self.leg.invite_cseq)
        self._on_answered()

    def _answer(self, response: Response) -> bool:
        """Sends the INVITE again with credentials; whether the challenge can be answered."""
        login, self.login = self.login, None  # once: a second challenge means they are wrong
        name, header = _CHALLENGES[response.status]
        challenge = choose_challenge(response.get_all(name))
        client = self.client
        if challenge is None or login is None or client is None:
            return False
        value = answer_challenge(
            challenge, "INVITE", client.uri, login.username, login.password,
            cnonce=self.agent.token(),
        )
        self.leg.cseq = self.leg.invite_cseq = self.leg.invite_cseq + 1
        self.agent.invite(self, client.uri, f"{header}: {value}\r\n")
        return True

    def on_timeout(self, client: ClientTransaction) -> None:
        """No final response at all."""
        self.status = 408
        self.ended_ms = self.agent.layer.now
        self.leg.forget()

    def on_transport_error(self, client: ClientTransaction) -> None:
        """The peer cannot be reached."""
        self.on_timeout(client)

    # -- as the called ----------------------------------------------------------------------------

    def on_cancel(self, server: InviteServer) -> None:
        """The caller gave up."""
        if not self.status:
            self._refuse(487)
            self.ended_by = "peer"

    def on_no_ack(self, server: InviteServer) -> None:
        """Our 2xx was never acknowledged."""
        self.leg.server = None
        self.hang_up()

    def ring(self) -> None:
        """180, or 183 with SDP for early media."""
        server = self.server
        if server is None or self.status:
            return
        contact = self.agent.contacts[0]
        if self.behaviour.early_media:
            server.respond(183, "", contact + _SDP_TYPE, SDP)
        else:
            server.respond(180, "", contact)

    def conclude(self) -> None:
        """Answers or refuses, as the behaviour says."""
        server = self.server
        if server is None or self.status:
            return
        behaviour = self.behaviour
        if behaviour.status:
            self._refuse(behaviour.status)
            return
        self.status = 200
        self.leg.server = server
        server.respond(200, "", self.agent.contacts[0] + behaviour.extra + _SDP_TYPE, SDP)
        self._on_answered()

    def _refuse(self, status: int) -> None:
        self.status = status
        self.ended_ms = self.agent.layer.now
        if self.server is not None:
            self.server.respond(status, "", self.behaviour.extra)
        self.leg.forget()

    # -- both -------------------------------------------------------------------------------------

    def _on_answered(self) -> None:
        layer = self.agent.layer
        self.answered_ms = layer.now
        after = self._hang_up_after_ms
        if after is not None:
            self._bye_timer = layer.wheel.at(layer.now + after, AgentCall.hang_up, self)

    def hang_up(self) -> None:
        """Ends the call from our side."""
        if not self.answered_ms or self.ended_ms:
            return
        cancel(self._bye_timer)
        self.ended_ms = self.agent.layer.now
        self.ended_by = "us"
        self.leg.hang_up()

    def on_bye(self) -> None:
        """The other side hung up."""
        cancel(self._bye_timer)
        if not self.ended_ms:
            self.ended_ms = self.agent.layer.now
            self.ended_by = "peer"
        self.leg.acknowledge_server()
        self.leg.forget()


class Agent:
    """A simulated peer at one address; `behave` says what to do with an INVITE for it."""

    def __init__(
        self, listener: Listener, *, token: Callable[[], str], now_ms: int,
        timers: TimerDefaults | None = None,
        behave: Callable[[Request], Behaviour] = lambda request: ANSWERS,
    ) -> None:
        self.listener = listener
        self.token = token
        self.layer = TransactionLayer(timers or TimerDefaults(), Tally(), now_ms)
        self.legs: dict[str, Leg] = {}
        self.no_flow = Flow(listener.transport, "", 0, 0)
        self.authority = _authority(listener.host, listener.port)
        transport = listener.transport
        self.vias = [f"Via: SIP/2.0/{transport.upper()} {self.authority};branch="]
        parameter = "" if transport == "udp" else f";transport={transport}"
        self.contacts = [f"Contact: <sip:{self.authority}{parameter}>\r\n"]
        self.placed: list[AgentCall] = []
        self.received: list[AgentCall] = []
        self.requests: list[Request] = []
        self._behave = behave

    def flow_to(self, uri: str, current: Flow) -> Flow:
        """The way to a URI; an agent only ever meets addresses."""
        try:
            host, port = uri_host_port(uri)
        except SipError:
            return current
        return Flow(current.transport, host, port or 5060, 0)

    def place(
        self, callee: str, caller: str, peer: Flow, *, hang_up_after_ms: int | None = None,
        extra: str = "", body: bytes = SDP, max_forwards: str = "70", login: Login | None = None,
    ) -> AgentCall:
        """Calls `callee` at `peer`; the call object tells how it went."""
        call = AgentCall(self, callee, hang_up_after_ms)
        call.login = login
        tag = self.token()
        leg = Leg(self, call, f"{self.token()}@{self.listener.host}", tag)
        call.leg = leg
        leg.flow = peer
        uri = f"sip:{callee}@{_authority(peer.host, peer.port)}"
        leg.local = f"<sip:{caller}@{self.authority}>;tag={tag}"
        leg.remote = f"<{uri}>"
        leg.target = uri
        leg.cseq = leg.invite_cseq = 1
        call.extra = extra
        call.body = body
        call.max_forwards = max_forwards
        self.invite(call, uri)
        self.placed.append(call)
        return call

    def invite(self, call: AgentCall, uri: str, credentials: str = "") -> None:
        """Sends the call's INVITE, with a header line of credentials or without."""
        leg, body = call.leg, call.body
        branch = "z9hG4bK" + self.token()
        head = (
            f"{self.vias[0]}{branch};rport\r\nMax-Forwards: {call.max_forwards}\r\n"
            f"From: {leg.local}\r\nCall-ID: {leg.call_id}\r\n"
        )
        kind = _SDP_TYPE if body else ""
        cseq = leg.invite_cseq
        data = render_request(
            "INVITE", uri, head,
            f"To: {leg.remote}\r\nCSeq: {cseq} INVITE\r\n{self.contacts[0]}{kind}"
            f"{call.extra}{credentials}",
            body,
        )
        call.client = InviteClient(
            self.layer, call, branch, leg.flow, uri, head, leg.remote, cseq, data
        )

    # -- sans-IO ----------------------------------------------------------------------------------

    def receive(self, data: bytes, flow: Flow, now_ms: int) -> None:
        """Takes one message; what cannot be read is dropped."""
        self.layer.now = now_ms
        try:
            message = parse_message(data)
            if isinstance(message, Response):
                self._on_response(message)
            else:
                self._on_request(message, flow)
        except SipError:
            return

    def on_timers(self, now_ms: int) -> None:
        """Runs what is due."""
        self.layer.now = now_ms
        for entry in self.layer.wheel.due(now_ms):
            function: Any = entry[0]
            if function is not None:
                argument = entry[1]
                entry[0] = entry[1] = None
                function(argument)

    def next_timer_ms(self) -> int | None:
        """When `on_timers` has something to do."""
        return self.layer.wheel.next_ms()

    def take_sends(self) -> list[tuple[bytes, Flow]]:
        """The messages to send, in order."""
        sends = self.layer.sends
        if sends:
            self.layer.sends = []
        return sends

    def _on_response(self, response: Response) -> None:
        method = response.cseq_method
        client = self.layer.clients.get(response.top_via.branch + method)
        if client is not None:
            client.on_response(response)
        elif method == "INVITE" and 200 <= response.status < 300:
            leg = self.legs.get(response.from_tag)
            if leg is not None:
                leg.resend_ack()

    def _on_request(self, request: Request, flow: Flow) -> None:
        stamp_source(request, flow.host, flow.port)
        method = request.method
        base = request.top_via.branch
        servers = self.layer.servers
        if method == "ACK":
            invite = servers.get(base + "INVITE")
            if isinstance(invite, InviteServer) and invite.state >= COMPLETED:
                invite.on_ack()
            else:
                leg = self.legs.get(request.to_tag)
                if leg is not None:
                    self.requests.append(request)
                    leg.acknowledge_server()
            return
        key = base + method
        known = servers.get(key)
        if known is not None:
            known.on_retransmission()
            return
        self.requests.append(request)
        back = flow
        if flow.transport == "udp":
            host, port = response_target(request.top_via)
            back = flow._replace(host=host, port=port)
        if method == "INVITE" and not request.to_tag:
            self._on_invite(request, flow, back, key)
            return
        self._on_other(request, back, base, key)

    def _on_other(self, request: Request, back: Flow, base: str, key: str) -> None:
        method = request.method
        head = reply_head(request, "" if request.to_tag else self.token())
        leg = self.legs.get(request.to_tag)
        if method == "INVITE" and leg is not None:
            server = InviteServer(self.layer, key, back, head)
            leg.server = server
            leg.refresh_target(request)
            server.respond(200, "", self.contacts[0] + _SDP_TYPE, SDP)
            return
        answer = RequestServer(self.layer, key, back, head, method)
        if method == "CANCEL":
            invite = self.layer.servers.get(base + "INVITE")
            answer.respond(200 if invite is not None else 481)
            if isinstance(invite, InviteServer) and invite.user is not None:
                invite.user.on_cancel(invite)
        elif leg is None and request.to_tag:
            answer.respond(481)
        else:
            answer.respond(200)
            if method == "BYE" and leg is not None and isinstance(leg.call, AgentCall):
                leg.call.on_bye()

    def _on_invite(self, request: Request, flow: Flow, back: Flow, key: str) -> None:
        behaviour = self._behave(request)
        call = AgentCall(self, request.uri, behaviour.hang_up_after_ms)
        call.behaviour = behaviour
        tag = self.token()
        server = InviteServer(self.layer, key, back, reply_head(request, tag))
        server.user = call
        call.server = server
        call.headers = "\r\n".join(request.lines)
        leg = Leg(self, call, request.call_id, tag)
        leg.answer_request(request, flow)
        call.leg = leg
        self.received.append(call)
        if behaviour.silent:
            return
        now = self.layer.now
        at = self.layer.wheel.at
        if behaviour.trying:
            server.respond(100)
        if behaviour.ring_after_ms is not None:
            at(now + behaviour.ring_after_ms, AgentCall.ring, call)
        if behaviour.answer_after_ms is not None:
            at(now + behaviour.answer_after_ms, AgentCall.conclude, call)


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
