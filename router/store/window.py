"""How often something happened within a time that slides on: for calls per second and rate_limit.

The time is cut into slots, a fiftieth of it each, and what is counted is forgotten slot by slot:
that is how exact the end of the time is. Nothing is forgotten too late: a limit that was reached
is free again after exactly its time at the latest.
"""

from __future__ import annotations

import struct

SLOTS = 50
_STORED = struct.Struct(f"<q{SLOTS}I")
_MAX_COUNT = 0xFFFFFFFF
_NONE = [0] * SLOTS


class Window:
    """The counts of one key within `per_ms`; `stored` is what `render` gave earlier."""

    __slots__ = ("_counts", "_newest", "_per_ms", "_width_ms")

    def __init__(self, per_ms: int, stored: bytes = b"") -> None:
        self._per_ms = per_ms
        self._width_ms = -(-per_ms // SLOTS)
        self._newest = 0
        self._counts = _NONE
        if stored:
            self._newest, *self._counts = _STORED.unpack(stored)

    def count(self, now_ms: int) -> int:
        """How often it happened within the time before `now_ms`."""
        self._advance(now_ms)
        gone = (now_ms - self._per_ms) // self._width_ms - (self._newest - SLOTS)
        return sum(self._counts[max(gone, 0) :])

    def note(self, now_ms: int) -> None:
        """It happened now."""
        self._advance(now_ms)
        self._counts = counts = self._counts.copy()
        counts[-1] = min(counts[-1] + 1, _MAX_COUNT)

    def render(self) -> bytes:
        """The counts as bytes, always of one length."""
        return _STORED.pack(self._newest, *self._counts)

    def _advance(self, now_ms: int) -> None:
        newest = now_ms // self._width_ms
        passed = newest - self._newest
        if passed > 0:  # a clock that is a little behind another worker's counts in its newest slot
            self._counts = _NONE if passed >= SLOTS else self._counts[passed:] + _NONE[:passed]
            self._newest = newest
