"""Passive health of gateways, as one worker sees it: silence and Retry-After put one aside.

Only what a gateway of the current configuration does counts: a call that began before a reload
may still wait for a gateway that was removed since, or for the address that it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from router.core.events import DOWN, UP
from router.core.verdicts import Target
from router.sip.grammar import parse_digits
from router.store.ops import GatewayState

if TYPE_CHECKING:
    from router.core.engine import Engine

SILENCES_UNTIL_DOWN = 5
DOWN_FOR_MS = 30_000
MAX_ASIDE_MS = 3_600_000


class Health:
    """Counts what the gateways of one engine leave unanswered, and tells the store."""

    __slots__ = ("_down_until", "_engine", "_silences")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._silences: dict[str, int] = {}
        self._down_until: dict[str, int] = {}

    def note_alive(self, target: Target) -> None:
        """A gateway answered an INVITE, whatever it said."""
        if (self._silences or self._down_until) and self._is_current(target):
            self._silences.pop(target.name, None)
            if self._down_until.pop(target.name, None) is not None:
                self._engine.events.tell(UP, target)

    def note_silence(self, target: Target) -> None:
        """A gateway left an INVITE without any answer; five in a row take it out for a while."""
        if not self._is_current(target):
            return
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
        was_up = gateway not in self._down_until
        self._down_until[gateway] = now + DOWN_FOR_MS
        engine.ask(GatewayState(_key(gateway), now + DOWN_FOR_MS, count), None)
        engine.log("warning", "gateway is down", gateway=gateway, silent_invites=count)
        if was_up:
            engine.events.tell(DOWN, target)

    def put_aside(self, target: Target, retry_after: str) -> None:
        """A 503 asked for no calls for some seconds (RFC 3261 §20.33)."""
        digits = retry_after.partition(";")[0].partition("(")[0].strip()
        seconds = parse_digits(digits, 9_999_999_999) or 0
        if seconds > 0 and self._is_current(target):
            until = self._engine.layer.now + min(seconds * 1000, MAX_ASIDE_MS)
            self._engine.ask(GatewayState(_key(target.name), until, 0), None)

    def forget(self, gateways: Iterable[str], is_aside: Callable[[str], bool]) -> None:
        """Gateways by name that are gone or stand elsewhere now: what they did no longer counts.

        `is_aside` tells whether the store has a gateway aside.
        """
        for gateway in gateways:
            self._silences.pop(gateway, None)
            self._down_until.pop(gateway, None)
            if is_aside(gateway):
                self._engine.ask(GatewayState(_key(gateway), 0, 0), None)

    def _is_current(self, target: Target) -> bool:
        known = self._engine.policy.target(_key(target.name))
        return known is target or (
            known is not None
            and known.host == target.host
            and known.port == target.port
            and known.transport == target.transport
        )


def _key(gateway: str) -> str:
    return f"gateway:{gateway}"
