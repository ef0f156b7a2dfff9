"""The session timer of one leg (RFC 4028): what was agreed with its peer, and its clock.

    who refreshes   event                             what happens
    we              half of the interval is over      UPDATE, else re-INVITE (`refresh`)
    we              2xx to it                         the interval begins again
    we              422                               again, with the larger Min-SE
    we              491                               again, after RFC 3261 §14.1's time
    we              other failures                    again, after half of what is left
    we              408, 481, no answer               BYE to both: SessionTimeout
    the peer        its re-INVITE or UPDATE           the interval begins again
    either          the limit has come                BYE to both: SessionTimeout

The limit lies a third of the interval, at most 32 s, before its end (RFC 4028 §10). Each leg has
its own timer. A refresh of the peer's that changes nothing is answered here: an UPDATE without a
body, a re-INVITE with the very SDP that the peer sent last. Anything else may mean something to
the other side and is relayed; it refreshes both legs. Knows nothing of trunks and gateways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from router.core.decision import SESSION
from router.core.end_reasons import EndReason, failure_header
from router.core.refresh import Refresh
from router.core.session_headers import (
    MIN_SE_S,
    REQUIRE,
    SDP_TYPE,
    allows_update,
    min_se_s,
    sdp_of,
    session_expires,
    supports_timer,
)
from router.core.transactions.server_invite import InviteServer
from router.core.transactions.server_request import RequestServer
from router.core.wheel import Timer, cancel
from router.sip.message import Request, Response

if TYPE_CHECKING:
    from router.core.attempt import Attempt
    from router.core.call import Call
    from router.core.leg import Leg

MAX_EARLY_MS = 32_000


class TimerSnapshot(msgspec.Struct, array_like=True):
    """What a successor of this worker needs to go on with a session timer."""

    interval_s: int
    wanted_s: int
    min_s: int
    ours: bool
    by_update: bool
    expires_ms: int


class SessionTimer:
    """The timer of a leg.

    `interval_s` was agreed, `wanted_s` is what routes.cfg says, `min_s` the largest Min-SE heard
    (0: none); `ours` says that we refresh, `by_update` that the peer takes UPDATE; `expires_ms` is
    when the session ends unless it is refreshed.
    """

    __slots__ = (
        "_entry", "by_update", "expires_ms", "interval_s", "leg", "min_s", "ours", "refresh",
        "wanted_s",
    )

    def __init__(
        self, leg: Leg, interval_s: int, wanted_s: int, min_s: int, ours: bool, by_update: bool
    ) -> None:
        self.leg = leg
        self.interval_s = interval_s
        self.wanted_s = wanted_s
        self.min_s = min_s
        self.ours = ours
        self.by_update = by_update
        self.expires_ms = 0
        self.refresh: Refresh | None = None
        self._entry: Timer | None = None
        self.begin_again()

    @property
    def call(self) -> Call | None:
        """The call that the leg belongs to; None when it is over."""
        call: Call | None = self.leg.call
        return call

    # -- the clock --------------------------------------------------------------------------------

    def begin_again(self) -> None:
        """The session was refreshed just now."""
        self.expires_ms = self.leg.engine.layer.now + self.interval_s * 1_000
        self._arm(self._half_ms if self.ours else self.limit_ms)

    @property
    def limit_ms(self) -> int:
        """When the session is given up (RFC 4028 §10)."""
        return self.expires_ms - min(MAX_EARLY_MS, self.interval_s * 1_000 // 3)

    @property
    def _half_ms(self) -> int:
        return self.expires_ms - self.interval_s * 500

    def refresh_at(self, when_ms: int) -> None:
        """Refreshes then, as long as that is before the limit."""
        self._arm(min(when_ms, self.limit_ms))

    def _arm(self, when_ms: int) -> None:
        cancel(self._entry)
        wheel = self.leg.engine.layer.wheel
        self._entry = wheel.at(max(when_ms, self.leg.engine.layer.now), SessionTimer._on_time, self)

    def stop(self) -> None:
        """The leg is over: nothing is due any more, and nothing refers to it."""
        cancel(self._entry)
        self._entry = None
        if self.refresh is not None:
            self.refresh.let_go()

    def _on_time(self) -> None:
        self._entry = None
        call = self.call
        if call is None:
            return
        now = self.leg.engine.layer.now
        if self.ours and now < self.limit_ms:
            self._arm(self.limit_ms)
            if self.refresh is None:
                Refresh(call, self.leg).begin()
            return
        side = "caller" if self.leg is call.a else "callee"
        who = f"the {side} answered no refresh" if self.ours else f"the {side} sent no refresh"
        call.cdr.decision.append(f"{SESSION}{who} in {self.interval_s} s")
        call.hang_up(EndReason.SessionTimeout)

    # -- the headers ------------------------------------------------------------------------------

    def request_lines(self) -> str:
        """The header lines of a refresh that we send (RFC 4028 §7.4)."""
        lines = (
            f"Supported: timer\r\nSession-Expires: {self.interval_s};"
            f"refresher={'uac' if self.ours else 'uas'}\r\n"
        )
        return f"{lines}Min-SE: {self.min_s}\r\n" if self.min_s else lines

    def is_answered(self, response: Response) -> None:
        """The peer's 2xx to a refresh that we sent or relayed to it.

        lenient: without Session-Expires there would be no timer any more (RFC 4028 §7.2); many
        leave it out of all answers but the first, and to go on asking harms nobody.
        """
        agreed = session_expires(response)
        if agreed is not None:
            self.interval_s = max(agreed.seconds, self._floor_s)
            self.ours = agreed.refresher != "uas"
        self.begin_again()

    def answers(self, request: Request) -> str:
        """The header lines of our 2xx to the peer's refresh; the session begins again."""
        wanted_s = self.wanted_s if request.has("session-expires") else self.interval_s
        self.interval_s, self.min_s, self.ours = negotiated(request, wanted_s)
        self.begin_again()
        return answer_lines(self, supports_timer(request))

    def raises_min(self, response: Response) -> bool:
        """Takes the Min-SE of a 422; False when it asks for nothing that we did not offer."""
        least = min_se_s(response)
        if least <= self.interval_s:
            return False
        self.interval_s = self.min_s = least
        return True

    @property
    def _floor_s(self) -> int:
        return min(MIN_SE_S, self.wanted_s)

    # -- refreshes of the peer --------------------------------------------------------------------

    def takes(self, request: Request, server: InviteServer | RequestServer) -> bool:
        """Answers a re-INVITE or UPDATE of the peer's that means nothing to the other leg."""
        too_small = refusal(request, self.wanted_s)
        if too_small:
            server.respond(422, "", too_small + failure_header(server, 422))
            return True
        leg, call = self.leg, self.call
        peer = leg.peer
        if call is None or peer is None:
            return False
        if isinstance(server, InviteServer):
            body = peer.sdp
            if not body or not leg.sdp or request.body != leg.sdp:
                return False
            leg.server = server
            leg.server_cseq = request.cseq
            server.user = self
            extra = SDP_TYPE
        elif request.body or not request.has("session-expires"):
            return False
        else:
            body, extra = b"", ""
        leg.refresh_target(request)
        contact = call.engine.contacts[leg.flow.listener]
        server.respond(200, "", contact + self.answers(request) + extra, body)
        call.store_dialog()
        return True

    def on_cancel(self, server: InviteServer) -> None:
        """Nothing: the 2xx was faster."""

    def on_no_ack(self, server: InviteServer) -> None:
        """The 2xx to a refreshing re-INVITE was never acknowledged (RFC 3261 §14.2)."""
        self.leg.server = None
        if self.call is not None:
            self.call.hang_up(EndReason.SessionTimeout)

    # -- taking over ------------------------------------------------------------------------------

    def snapshot(self) -> TimerSnapshot:
        """The timer as a successor of this worker will need it."""
        return TimerSnapshot(
            self.interval_s, self.wanted_s, self.min_s, self.ours, self.by_update, self.expires_ms
        )

    @classmethod
    def restored(cls, leg: Leg, snapshot: TimerSnapshot) -> SessionTimer:
        """The timer of a snapshot, due when it was."""
        timer = cls(
            leg, snapshot.interval_s, snapshot.wanted_s, snapshot.min_s, snapshot.ours,
            snapshot.by_update,
        )
        timer.expires_ms = snapshot.expires_ms
        timer._arm(timer._half_ms if timer.ours else timer.limit_ms)
        return timer


# -- what is agreed when a call is answered -------------------------------------------------------


def negotiated(request: Request, wanted_s: int) -> tuple[int, int, bool]:
    """Interval and Min-SE in seconds, and whether we refresh (RFC 4028 §9, table 2).

    The interval is never longer than what the peer asked for, but for the least that one of us
    needs. Where the peer leaves it open we refresh: then it is known that somebody does.
    """
    asked = session_expires(request)
    least = min_se_s(request)
    interval = wanted_s if asked is None else min(asked.seconds, wanted_s)
    interval = max(interval, least, min(MIN_SE_S, wanted_s))
    ours = asked is None or asked.refresher != "uac" or not supports_timer(request)
    return interval, least, ours


def answer_lines(timer: SessionTimer, supported: bool) -> str:
    """Session-Expires of a 2xx of ours, with Require where the peer knows what it means."""
    line = f"Session-Expires: {timer.interval_s};refresher={'uas' if timer.ours else 'uac'}\r\n"
    return REQUIRE + line if supported else line


def refusal(request: Request, wanted_s: int) -> str:
    """The Min-SE line of the 422 that a request earns; "" when its interval is long enough."""
    asked = session_expires(request)
    least = min(MIN_SE_S, wanted_s)
    if asked is None or asked.seconds >= least or not supports_timer(request):
        return ""
    return f"Min-SE: {least}\r\n"


def agree(call: Call, attempt: Attempt, response: Response) -> str:
    """Begins the timers of both legs when a gateway has answered; the caller's header lines."""
    leg, a, request, dial = attempt.leg, call.a, call.request, call.dial
    assert leg is not None and request is not None and dial is not None
    agreed = session_expires(response) if attempt.session_s else None
    if agreed is not None:
        least = min(MIN_SE_S, attempt.session_s)
        leg.timer = SessionTimer(
            leg, max(agreed.seconds, least), attempt.session_s, attempt.min_s,
            agreed.refresher != "uas", allows_update(response),
        )
    lines = ""
    wanted_s = dial.session_s
    if wanted_s and (request.has("session-expires") or supports_timer(request)):
        interval, least, ours = negotiated(request, wanted_s)
        a.timer = SessionTimer(a, interval, wanted_s, least, ours, allows_update(request))
        lines = answer_lines(a.timer, supports_timer(request))
    if leg.timer is None and a.timer is None:
        a.sdp = leg.sdp = b""
    else:
        # What a re-INVITE of ours would have to say again.
        offered = leg.media.offered if leg.media is not None else b""
        a.sdp = a.sdp or offered or sdp_of(request)
        leg.sdp = sdp_of(response) or leg.sdp
    return lines
