"""What routes see of live state: lines in use now, and what all workers share.

A configuration is made before there is a store: it is bound to one in the process that runs it.
Reads are of what was committed; what the turn in hand has shared is remembered here until then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from router.store.interface import Usage
from router.store.memory import MemoryLive
from router.store.money import Money
from router.store.ops import Remember
from router.store.quality import Quality
from router.store.records import GatewayState, Registration

if TYPE_CHECKING:
    from router.core.engine import Engine


QUALITY_FOR_MS = 1_000


class SharedState(Protocol):
    """The part of a live store that routes may ask."""

    def usage(self, key: str) -> Usage:
        """In-use and handed of one key."""

    def money(self, account: str) -> Money:
        """Balance and reserve of an account; zeros for one that was never seen."""

    def recall(self, key: str, now_ms: int) -> str | None:
        """The value shared under a key; None when there is none, or no longer."""

    def gateway_state(self, key: str) -> GatewayState | None:
        """Health of one gateway, None when nothing is known of it."""

    def quality(self, key: str) -> Quality:
        """How well the last attempts at a gateway went."""

    def registration(self, number: str, now_ms: int) -> Registration | None:
        """Where a phone can be reached now; None when it is not online."""

    def secret(self) -> bytes:
        """What nonces are signed with."""

    def use_nonce(self, nonce: str, count: int, until_ms: int, now_ms: int) -> bool:
        """Whether a nonce was never used with this count or a higher one; it is from now on."""

    def permit(self, key: str, n: int, per_ms: int, now_ms: int) -> bool:
        """Whether this is one of at most n in this time, counting it if it is."""


class LiveView:
    """The live state of one process, as the routes of one configuration see it."""

    __slots__ = ("_ops", "_pending", "_qualities", "_qualities_of", "_qualities_until_ms", "store")

    def __init__(self) -> None:
        self.store: SharedState = MemoryLive()
        self._ops: object = None
        self._pending: dict[str, tuple[str, int]] = {}
        self._qualities: dict[str, Quality] = {}
        self._qualities_of: SharedState | None = None
        self._qualities_until_ms = 0

    def lines_used(self, key: str) -> int:
        """The lines in use under a key of the store."""
        return self.store.usage(key).in_use

    def money(self, account: str) -> Money:
        """Balance and reserve of an account."""
        return self.store.money(account)

    def quality(self, key: str, now_ms: int) -> Quality:
        """How well the last attempts at a gateway went; looked up once a second."""
        if now_ms >= self._qualities_until_ms or self._qualities_of is not self.store:
            self._qualities = {}
            self._qualities_of = self.store
            self._qualities_until_ms = now_ms + QUALITY_FOR_MS
        quality = self._qualities.get(key)
        if quality is None:
            quality = self._qualities[key] = self.store.quality(key)
        return quality

    def remember(self, engine: Engine, key: str, value: str, until_ms: int) -> None:
        """Shares a value: the others see it when the turn is committed, this worker at once."""
        engine.ask(Remember(key, value, until_ms), None)
        # The engine begins another list when it hands this one out to be committed.
        if self._ops is not engine.ops:
            self._ops = engine.ops
            self._pending = {}
        self._pending[key] = value, until_ms

    def recall(self, engine: Engine, key: str, now_ms: int) -> str | None:
        """The value shared under a key, None when there is none."""
        if self._ops is engine.ops and key in self._pending:
            value, until_ms = self._pending[key]
            return value if until_ms > now_ms else None
        return self.store.recall(key, now_ms)


NOTHING_LIVE = LiveView()
