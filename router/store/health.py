"""What news make of a gateway's health: pure, so that every backend keeps the same."""

from __future__ import annotations

from msgspec.structs import replace

from router.store.ops import GatewayNews
from router.store.records import GatewayState


def changed(
    stored: GatewayState | None, news: GatewayState | GatewayNews, now_ms: int
) -> GatewayState:
    """The health of a gateway after an operation, from what was stored of it."""
    before = stored if stored is not None else GatewayState(news.key)
    if isinstance(news, GatewayState):
        return replace(before, down_until_ms=news.down_until_ms, misses=news.misses)
    after = replace(before)
    if news.down_until_ms is not None:
        after.down_until_ms, after.misses = news.down_until_ms, 0
    if news.down is not None:
        after.down = news.down
    if news.unregistered is not None:
        after.unregistered = news.unregistered
    if news.registered_until_ms is not None:
        after.registered_until_ms = news.registered_until_ms
    if news.trouble is not None:
        after.trouble = news.trouble
        after.trouble_ms = now_ms if news.trouble else 0
    return after
