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
FAR_TICKS = 4_000  # 40 s: more than 64*T1, so that no transaction's timer goes the long way
LOOK_TICKS = 100

Timer = list[Any]


class Wheel:
    """Timers in buckets of 10 ms; a timer never fires early and at most one tick late.

    A timer farther away than FAR_TICKS waits in a coarse bucket and is looked at again when that
    is due. Most of them (a call's longest duration) are cancelled long before their time, and a
    cancelled entry is let go of the next time it is looked at.
    """

    __slots__ = ("_buckets", "_far", "_near", "_ticks")

    def __init__(self, now_ms: int = 0) -> None:
        self._buckets: dict[int, list[Timer]] = {}
        self._far: dict[int, list[tuple[int, Timer]]] = {}  # by tick of the next look: its own tick
        self._ticks: list[int] = []
        self._near = now_ms // TICK_MS + FAR_TICKS

    def __len__(self) -> int:
        """How many entries are held, cancelled ones included."""
        return sum(map(len, self._buckets.values())) + sum(map(len, self._far.values()))

    def at(self, when_ms: int, function: Callable[[Any], None], argument: Any) -> Timer:
        """Calls `function(argument)` at `when_ms` or within a tick after; returns the entry."""
        tick = (when_ms + TICK_MS - 1) // TICK_MS
        entry: Timer = [function, argument]
        if tick > self._near:
            self._put_far(tick, entry)
            return entry
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
        self._near = tick + FAR_TICKS
        ticks = self._ticks
        if not ticks or ticks[0] > tick:
            return []
        entries: list[Timer] = []
        far = self._far
        while ticks and ticks[0] <= tick:
            first = heappop(ticks)
            entries += self._buckets.pop(first, ())
            if first in far:
                for at, entry in far.pop(first):
                    if entry[0] is not None:
                        self._put(at, entry)
        return entries

    def next_ms(self) -> int | None:
        """When the next bucket is due, or None when the wheel is empty."""
        return self._ticks[0] * TICK_MS if self._ticks else None

    def _put(self, tick: int, entry: Timer) -> None:
        if tick > self._near:
            self._put_far(tick, entry)
        elif tick in self._buckets:
            self._buckets[tick].append(entry)
        else:
            self._buckets[tick] = [entry]
            heappush(self._ticks, tick)

    def _put_far(self, tick: int, entry: Timer) -> None:
        # After a long idle time `_near` is in the past: then the next look is at once.
        look = self._near - self._near % LOOK_TICKS
        if look in self._far:
            self._far[look].append((tick, entry))
        else:
            self._far[look] = [(tick, entry)]
            heappush(self._ticks, look)


def cancel(entry: Timer | None) -> None:
    """Makes the entry do nothing when its time comes, and lets go of what it held."""
    if entry is not None:
        entry[0] = entry[1] = None
