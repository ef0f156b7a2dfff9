"""A session refresh of ours on one leg (RFC 4028 §7.4), and what its answer leads to.

UPDATE without a body where the peer takes it, else a re-INVITE with the SDP that the peer was sent
last. Should the answer bring another SDP than the one before, the other leg is offered it in a
re-INVITE of ours: the media have moved. That leg's answer goes no further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.end_reasons import EndReason
from router.core.media.session import ANSWER, OFFER
from router.core.media.steps import hold_refresh, media_of
from router.core.session_headers import MAX_LONGER, SDP_TYPE, sdp_of
from router.core.transactions.client_invite import InviteClient
from router.core.transactions.client_request import RequestClient
from router.core.transactions.layer import ClientTransaction
from router.sip.message import Response

if TYPE_CHECKING:
    from router.core.call import Call
    from router.core.leg import Leg

MAX_OFFERS = 1 + MAX_LONGER
"""how often one refresh is sent, with an ever larger Min-SE"""
BUSY_MS = 2_000
"""after which time we look again whether a re-INVITE can be sent"""
LEAST_PAUSE_MS = 1_000


class Refresh:
    """One refresh on a leg; with `offer` a re-INVITE that carries it, timer or not."""

    __slots__ = ("_answered", "_offer", "_sent", "call", "client", "leg")

    def __init__(self, call: Call, leg: Leg, offer: bytes = b"") -> None:
        self.call: Call | None = call
        self.leg = leg
        self.client: InviteClient | RequestClient | None = None
        self._offer = offer
        self._answered = False
        self._sent = 0

    def begin(self) -> None:
        """Sends it, or puts it off while a re-INVITE is open."""
        call, leg, timer = self.call, self.leg, self.leg.timer
        if call is None or leg.call is not call:
            return
        body = self._offer or (leg.peer.sdp if leg.peer is not None else b"")
        lines = call.engine.contacts[leg.flow.listener]
        if timer is not None:
            lines += timer.request_lines()
        self._sent += 1
        if not self._offer and timer is not None and (timer.by_update or not body):
            timer.refresh = self
            self.client = leg.send_request("UPDATE", self, lines)
            return
        if call.relay is not None or leg.server is not None or leg.pending_ack:
            self._once_more(call, BUSY_MS)
            return
        call.relay = self
        if timer is not None:
            timer.refresh = self
        self.client = leg.send_invite(self, lines + SDP_TYPE, body)

    def _once_more(self, call: Call, pause_ms: int) -> None:
        layer, timer = call.engine.layer, self.leg.timer
        if not self._offer:
            if timer is not None:
                timer.refresh_at(layer.now + pause_ms)
        elif self._sent < MAX_OFFERS:
            self._answered = False
            layer.wheel.at(layer.now + pause_ms, Refresh.begin, self)

    def let_go(self) -> None:
        """The leg is over: whatever comes is nobody's any more."""
        self.call = None
        timer = self.leg.timer
        if timer is not None and timer.refresh is self:
            timer.refresh = None

    def abandon(self) -> None:
        """The call ended while the re-INVITE was open (RFC 3261 §15.1.2)."""
        self.let_go()
        if isinstance(self.client, InviteClient):
            self.client.cancel()

    # -- the answers ------------------------------------------------------------------------------

    def on_response(self, client: ClientTransaction, response: Response) -> None:
        """Ends the refresh, or sends it again as the peer wants it."""
        status = response.status
        if status < 200 or client is not self.client:
            return
        invite = isinstance(client, InviteClient)
        if self._answered:
            self.leg.resend_ack()
            return
        self._answered = True
        call = self.call
        if isinstance(client, InviteClient) and status < 300:
            self.leg.send_ack(client.cseq)
        if call is None or self.leg.call is not call:
            return
        if call.relay is self:
            call.relay = None
        timer = self.leg.timer
        if timer is not None and timer.refresh is self:
            timer.refresh = None
        if status < 300:
            media = media_of(self.leg)
            if media is not None and sdp_of(response):
                kind = ANSWER if self._offer else OFFER
                hold_refresh(media, self.leg, response, kind, lambda: self._accept(response))
            else:
                self._is_accepted(call, response)
        elif status in (408, 481):
            call.hang_up(EndReason.SessionTimeout)
        elif status == 491:
            self._once_more(call, self._glare_ms(call))
        elif timer is not None:
            self._is_refused(call, response, invite)

    def _accept(self, response: Response) -> None:
        if self.call is not None and self.leg.call is self.call:
            self._is_accepted(self.call, response)

    def _is_accepted(self, call: Call, response: Response) -> None:
        leg = self.leg
        leg.refresh_target(response)
        if leg.timer is not None:
            leg.timer.is_answered(response)
        before, after = leg.sdp, sdp_of(response)
        if after:
            leg.sdp = after
        if self._offer and leg.peer is not None:
            leg.peer.sdp = self._offer
        call.store_dialog()
        moved = bool(after) and bool(before) and _media(after) != _media(before)
        if moved and not self._offer and leg.peer is not None:
            Refresh(call, leg.peer, after).begin()

    def _is_refused(self, call: Call, response: Response, invite: bool) -> None:
        timer, status = self.leg.timer, response.status
        assert timer is not None
        layer = call.engine.layer
        if status == 422 and self._sent < MAX_OFFERS and timer.raises_min(response):
            self._answered = False
            self.begin()
        elif status in (405, 501) and not invite and timer.by_update:
            timer.by_update = False
            timer.refresh_at(layer.now)
        else:
            pause = max(LEAST_PAUSE_MS, (timer.limit_ms - layer.now) // 2)
            timer.refresh_at(layer.now + pause)

    def _glare_ms(self, call: Call) -> int:
        # RFC 3261 §14.1: 2.1 to 4 s for the owner of the Call-ID, 0 to 2 s for the other.
        part = int(call.engine.token()[:4], 36) % 200 * 10
        return part if self.leg is call.a else 2_100 + part * 19 // 20

    def on_timeout(self, client: ClientTransaction) -> None:
        """No answer: the peer is gone (RFC 4028 §10)."""
        self._lost(client)

    def on_transport_error(self, client: ClientTransaction) -> None:
        """The peer cannot be reached."""
        self._lost(client)

    def _lost(self, client: ClientTransaction) -> None:
        call = self.call
        self.let_go()
        if call is None:
            return
        if call.relay is self:
            call.relay = None
        if self.leg.call is call:
            call.hang_up(EndReason.SessionTimeout)


def _media(sdp: bytes) -> list[bytes]:
    """The lines that say where media go and how; not who made them, and the how manieth time."""
    return [line.rstrip() for line in sdp.split(b"\n") if not line.startswith((b"o=", b"s="))]
