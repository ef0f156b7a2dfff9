"""Functions of routes that depend on the request, the moment or what is shared, and decide nothing.

The actions, and the facts of the message, are in `context`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from router.core.tally import ScriptMetric
from router.routing.hours import hours_of
from router.routing.rewrite import rewriting_of
from router.routing.selection import NO_CANDIDATES
from router.routing.text_functions import text_of
from router.store.ops import MAX_SHARED_BYTES

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from router.core.call import Call
    from router.core.engine import Engine
    from router.routing.config import Config
    from router.routing.objects import Account, Gateway, Phone, Trunk


class CallFunctions:
    """The part of the context that answers questions."""

    __slots__ = ()

    if TYPE_CHECKING:
        call: Call | None
        config: Config
        engine: Engine

        @property
        def call_id(self) -> str: ...

        def log(self, level: str, text: str) -> None: ...

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

    def lines_used(self, of: Account | Gateway | Trunk | Phone) -> int:
        """The lines of an account, gateway, trunk or phone in use now."""
        return of.lines_used

    def cache_get(self, key: str, default: str = "") -> str:
        """The value that all workers share under a key."""
        found = self.config.live.recall(self.engine, key, self.now_ms)
        return found if found is not None else default

    def cache_set(self, key: str, value: str, ttl: int) -> None:
        """Shares a value with all workers for so many ms; what is too long is not shared."""
        if len(value.encode("utf-8", "surrogateescape")) > MAX_SHARED_BYTES:
            text = f"cache_set: a value of {len(value)} characters is too long to be shared"
            self.log("warning", text)
            return
        self.config.live.remember(self.engine, key, value, self.now_ms + ttl)

    def rate_limit(
        self, key: str | IPv4Address | IPv6Address | Account | Gateway | Trunk | Phone, n: int,
        per: int,
    ) -> bool:
        """True for the first n of a key within `per` ms, over all workers."""
        text = key if isinstance(key, str) else getattr(key, "key", None) or str(key)
        return self.config.live.store.permit(text, n, max(per, 1), self.now_ms)

    def count(self, name: str, labels: tuple[str, ...] = (), *values: object) -> None:
        """Counts one more in a metric of the script's own."""
        texts = tuple(value if isinstance(value, str) else text_of(value) for value in values)
        engine, budget = self.engine, self.config.script_metric_series
        if engine.tally.count(ScriptMetric(name, labels), texts, budget):
            engine.log("warning", "a metric of a route has no series left", metric=name, had=budget)

    def group_of(self, name: str) -> list[Gateway]:
        """The gateways of a group, none when there is no such group."""
        return self.config.members.get(name, NO_CANDIDATES)

    @property
    def _stable_id(self) -> str:
        """The caller's Call-ID, also where the message in hand is a gateway's."""
        return self.call.a.call_id if self.call is not None else self.call_id
