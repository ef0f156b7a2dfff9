"""Functions of routes that depend on the request, the moment or what is shared, and decide nothing.

The actions, and the facts of the message, are in `context`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from router.routing.hours import hours_of
from router.routing.rewrite import rewriting_of

if TYPE_CHECKING:
    from router.core.call import Call
    from router.core.engine import Engine


class CallFunctions:
    """The part of the context that answers questions."""

    __slots__ = ()

    if TYPE_CHECKING:
        call: Call | None
        engine: Engine

        @property
        def call_id(self) -> str: ...

    @property
    def now_ms(self) -> int:
        """The engine's time, epoch ms."""
        return self.engine.layer.now

    def rewrite(self, number: str, rules: str) -> str:
        """The number after rewrite rules; raises LiteralError when the text is none."""
        return rewriting_of(rules).apply(number, self._stable_id)

    def in_time(self, when: str, zone: str = "UTC") -> bool:
        """Whether it is that time of the week now; raises LiteralError for no time, no zone."""
        return hours_of(when, zone).holds(self.now_ms)

    def percent(self, share: int) -> bool:
        """True for that share of the Call-IDs."""
        key = f"percent {self._stable_id}"
        return crc32(key.encode("utf-8", "surrogateescape")) % 100 < share

    @property
    def _stable_id(self) -> str:
        """The caller's Call-ID, also where the message in hand is a gateway's."""
        return self.call.a.call_id if self.call is not None else self.call_id
