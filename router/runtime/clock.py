"""The one clock of a process: epoch milliseconds that never jump."""

from __future__ import annotations

import time
from collections.abc import Callable


def make_clock_us() -> Callable[[], int]:
    """The same in microseconds."""
    monotonic_ns = time.monotonic_ns
    offset_ns = time.time_ns() - monotonic_ns()

    def now_us() -> int:
        return (monotonic_ns() + offset_ns) // 1_000

    return now_us


def make_clock() -> Callable[[], int]:
    """Epoch milliseconds, taken from the wall once and carried on by the monotonic clock.

    Somebody who sets the machine's time moves neither timers nor durations.
    """
    monotonic_ns = time.monotonic_ns
    offset_ns = time.time_ns() - monotonic_ns()

    def now_ms() -> int:
        return (monotonic_ns() + offset_ns) // 1_000_000

    return now_ms
