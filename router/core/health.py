"""Health of gateways, as one worker sees it: who is asked, and what INVITEs tell.

Silence and Retry-After put a gateway aside. One that is pinged (`pings`) is down then until it
answers pings again; any other is tried again after a while. Only what a gateway of the current
configuration does counts: a call that began before a reload may still wait for a gateway that was
removed since, or for the address that it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from router.core.events import DOWN, UP
from router.core.pings import Ping
from router.core.steering import gateway_slot
from router.core.upstream import Upstream
from router.core.verdicts import Target, same_place
from router.sip.grammar import parse_digits
from router.store.ops import GatewayNews, GatewayState

if TYPE_CHECKING:
    from router.core.engine import Engine

SILENCES_UNTIL_DOWN = 5
DOWN_FOR_MS = 30_000
MAX_ASIDE_MS = 3_600_000


class Health:
    """Asks the gateways that are this worker's to ask, counts what they leave unanswered."""

    __slots__ = (
        "_down_until", "_engine", "_pings", "_silences", "_upstreams", "_watching", "farewells",
    )

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._silences: dict[str, int] = {}
        self._down_until: dict[str, int] = {}
        self._pings: dict[str, Ping] = {}
        self._upstreams: dict[str, Upstream] = {}
        self.farewells = 0  # registrations that are being taken back
        self._watching = False  # a trial asks nobody, so nobody would ever say that one is up

    # -- who is asked -----------------------------------------------------------------------------

    def watch(self, states: Mapping[str, GatewayState]) -> None:
        """Asks the gateways of the engine's policy from now on, each from one worker.

        `states` is what live state says of them, by key. What an earlier configuration, or a
        worker that died, has left there and nobody would ever take back is taken back here.
        """
        engine = self._engine
        if engine.draining:  # a reload while the worker ends: registrations are being taken back
            return
        self._watching = True
        pings, self._pings = self._pings, {}
        upstreams, self._upstreams = self._upstreams, {}
        for target in engine.policy.all_targets:
            if gateway_slot(target.name, engine.slots) != engine.slot:
                continue
            state = states.get(target.key)
            self._ask(target, state, pings)
            self._register(target, state, upstreams)
        for ping in pings.values():
            ping.stop()
        for upstream in upstreams.values():
            self._take_leave(upstream)

    def _ask(
        self, target: Target, state: GatewayState | None, pings: dict[str, Ping]
    ) -> None:
        engine, name = self._engine, target.name
        ping = pings.get(name)
        if ping is not None and ping.goes_on(target):
            self._pings[name] = pings.pop(name)
            ping.target = target
        elif target.ping_ms:
            self._pings[name] = Ping(engine, target)
        elif state is not None and state.down:
            engine.ask(GatewayNews(target.key, down=False, trouble=""), None)

    def _register(
        self, target: Target, state: GatewayState | None, upstreams: dict[str, Upstream]
    ) -> None:
        engine, name = self._engine, target.name
        upstream = upstreams.get(name)
        if upstream is not None and upstream.goes_on(target):
            self._upstreams[name] = upstreams.pop(name)
            upstream.target = target
        elif target.registers and target.login is not None:
            if upstream is not None:
                state = None  # the registration of another user, or at another address
            self._upstreams[name] = Upstream(engine, target, state, self._on_gone)
        elif state is not None and (state.unregistered or state.registered_until_ms):
            news = GatewayNews(
                target.key, unregistered=False, registered_until_ms=0, trouble=""
            )
            engine.ask(news, None)

    def leave(self) -> None:
        """The worker is to end: registrations are taken back, and nobody is asked any more."""
        for ping in self._pings.values():
            ping.stop()
        for upstream in self._upstreams.values():
            news = GatewayNews(upstream.target.key, unregistered=True, registered_until_ms=0)
            self._engine.ask(news, None)
            self._take_leave(upstream)
        self._pings, self._upstreams = {}, {}

    def _take_leave(self, upstream: Upstream) -> None:
        self.farewells += 1
        upstream.leave()

    def _on_gone(self, _: Upstream) -> None:
        self.farewells -= 1

    # -- what INVITEs tell ------------------------------------------------------------------------

    def note_alive(self, target: Target) -> None:
        """A gateway answered an INVITE, whatever it said."""
        if (self._silences or self._down_until) and self._is_current(target):
            self._silences.pop(target.name, None)
            if self._down_until.pop(target.name, None) is not None:
                self._engine.events.tell(UP, target)

    def note_silence(self, target: Target) -> None:
        """A gateway left an INVITE without any answer; five in a row take it out."""
        if not self._is_current(target):
            return
        self._engine.policy.silent(target)
        gateway = target.name
        count = self._silences.get(gateway, 0) + 1
        if count < SILENCES_UNTIL_DOWN:
            self._silences[gateway] = count
            return
        engine = self._engine
        now = engine.layer.now
        if self._down_until.get(gateway, 0) > now:
            return
        self._silences.pop(gateway, None)
        if target.ping_ms and self._watching:
            state = engine.policy.health_of(target.key)
            if state is not None and state.down:
                return
            why = f"{count} INVITEs without any answer"
            engine.ask(GatewayNews(target.key, down=True, trouble=why), None)
            was_up = True
        else:
            was_up = gateway not in self._down_until
            self._down_until[gateway] = now + DOWN_FOR_MS
            engine.ask(GatewayState(target.key, now + DOWN_FOR_MS, count), None)
        engine.log("warning", "gateway is down", gateway=gateway, silent_invites=count)
        if was_up:
            engine.events.tell(DOWN, target)

    def put_aside(self, target: Target, retry_after: str) -> None:
        """A 503 asked for no calls for some seconds (RFC 3261 §20.33)."""
        digits = retry_after.partition(";")[0].partition("(")[0].strip()
        seconds = parse_digits(digits, 9_999_999_999) or 0
        if seconds > 0 and self._is_current(target):
            until = self._engine.layer.now + min(seconds * 1000, MAX_ASIDE_MS)
            self._engine.ask(GatewayState(target.key, until, 0), None)

    def forget(self, gateways: Iterable[str], is_aside: Callable[[str], bool]) -> None:
        """Gateways by name that are gone or stand elsewhere now: what they did no longer counts.

        `is_aside` tells whether the store has a gateway aside.
        """
        for gateway in gateways:
            self._silences.pop(gateway, None)
            self._down_until.pop(gateway, None)
            if is_aside(gateway):
                news = GatewayNews(f"gateway:{gateway}", down_until_ms=0, down=False, trouble="")
                self._engine.ask(news, None)

    def _is_current(self, target: Target) -> bool:
        known = self._engine.policy.target(target.key)
        return known is target or (
            known is not None
            and any(same_place(one, target) for one in known.contacts or (known,))
        )
