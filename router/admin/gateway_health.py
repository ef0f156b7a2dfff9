"""A gateway's health in words, the same in every command that shows it."""

from __future__ import annotations

from datetime import UTC, datetime

from router.store.records import GatewayState


def is_up(state: GatewayState | None, now_ms: int) -> bool:
    """Whether calls may go there, as far as live state knows."""
    return state is None or state.out_until_ms <= now_ms


def registered_until(state: GatewayState | None) -> int | None:
    """Until when it has registered us, epoch ms; 0: it has not, None: it need not."""
    if state is None or not (state.unregistered or state.registered_until_ms):
        return None
    return 0 if state.unregistered else state.registered_until_ms


def health_words(state: GatewayState | None, now_ms: int) -> str:
    """Whether a gateway is up and registered, and what went wrong there last."""
    words = "up" if is_up(state, now_ms) else "down"
    if state is None:
        return words
    aside_ms = state.down_until_ms - now_ms
    if aside_ms > 0:
        words += f", tried again in {span(aside_ms)}"
    registered = registered_until(state)
    if registered:
        until = datetime.fromtimestamp(registered // 1000, UTC)
        words += f", registered until {until:%Y-%m-%d %H:%M:%S} UTC"
    elif registered == 0:
        words += ", not registered"
    if state.trouble:
        words += f": {state.trouble} ({span(now_ms - state.trouble_ms)} ago)"
    return words


def span(ms: int) -> str:
    """A length of time in its largest two units."""
    seconds = max(0, ms) // 1000
    for size, unit, small_size, small_unit in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // small_size} {small_unit}"
    return f"{seconds} s"
