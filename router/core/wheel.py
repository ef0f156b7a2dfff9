"""The timer wheel: thousands of timers a second, most of them cancelled before they fire.

An entry is a two-item list `[function, argument]`; cancelling writes None over the function, so it
costs one store and no search. `function` is a plain function or an unbound method: a bound method
would tie object, wheel and entry into a reference cycle, and the garbage collector is off the hot
path only because there are none. Knows no clock: `now_ms` comes from the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

TICK_MS = 10

Timer = list[Any]


class Wheel:
    """Timers in buckets of 10 ms; a timer never fires early and at most one tick late."""

    __slots__ = ("_buckets", "_ticks")

    def __init__(self) -> None:
        self._buckets: dict[int, list[Timer]] = {}
        self._ticks: list[int] = []

    def at(self, when_ms: int, function: Callable[[Any], None], argument: Any) -> Timer:
        """Calls `function(argument)` at `when_ms` or within a tick after; returns the entry."""
        tick = (when_ms + TICK_MS - 1) // TICK_MS
        entry: Timer = [function, argument]
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = [entry]
            heappush(self._ticks, tick)
        else:
            bucket.append(entry)
        return entry

    def due(self, now_ms: int) -> list[Timer]:
        """The entries whose time has come, oldest first, taken out of the wheel.

        A cancelled entry has None for its function, also when it was cancelled by another entry
        of this very list: look at it just before calling.
        """
        tick = now_ms // TICK_MS
        ticks = self._ticks
        if not ticks or ticks[0] > tick:
            return []
        entries: list[Timer] = []
        while ticks and ticks[0] <= tick:
            entries += self._buckets.pop(heappop(ticks))
        return entries

    def next_ms(self) -> int | None:
        """When the next bucket is due, or None when the wheel is empty."""
        return self._ticks[0] * TICK_MS if self._ticks else None


def cancel(entry: Timer | None) -> None:
    """Makes the entry do nothing when its time comes, and lets go of what it held."""
    if entry is not None:
        entry[0] = entry[1] = None
