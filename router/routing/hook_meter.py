"""What one worker counts of its Python functions, and what it says of them in the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from router.core.tally import Histogram, Tally
from router.routing.hook_errors import RAISED, STUCK, TIMEOUT, WRONG_TYPE

SLOW_S = 0.05
"""Longer than this nobody may hold up the other calls of the worker."""
SILENCE_S = 10.0
"""How long nothing more is said of a slow one after it was named."""


class HookMeter:
    """Counts time, slowness and failures by function and by route; names the slow ones.

    `stopwatch` gives seconds from any fixed point; `log(level, text, **fields)` takes lines.
    """

    __slots__ = ("_said", "_tally", "_times", "log", "stopwatch")

    def __init__(
        self, tally: Tally, stopwatch: Callable[[], float], log: Callable[..., None]
    ) -> None:
        self._tally = tally
        self.log = log
        self.stopwatch = stopwatch
        self._times: dict[str, Histogram] = {}
        self._said: dict[str, tuple[float, int]] = {}

    def took(self, hook: str, seconds: float) -> None:
        """A function has returned, or raised, so long after it was called."""
        (self._times.get(hook) or self._first_time(hook)).observe(seconds)

    def _first_time(self, hook: str) -> Histogram:
        """Also counts nothing of what can go wrong: a rate needs a first value."""
        tally = self._tally
        times = self._times[hook] = tally.hook_duration[hook]
        tally.slow_hooks[hook] += 0
        for why in (RAISED, WRONG_TYPE, TIMEOUT, STUCK):
            tally.hook_errors[hook, why] += 0
        return times

    def failed(self, hook: str, why: str) -> None:
        """A function failed; `why` is a reason of hook_errors."""
        self._tally.hook_errors[hook, why] += 1

    def slow_hook(self, hook: str, seconds: float, at: str) -> None:
        """A function held up everything for so long; `at` is where a route called it."""
        self._tally.slow_hooks[hook] += 1
        self._name("a Python function is slow", "hook", hook, seconds, at)

    def slow_route(self, route: str, seconds: float) -> None:
        """A route held up everything for so long."""
        self._tally.slow_routes[route] += 1
        self._name("a route is slow", "route", route, seconds, "")

    def _name(self, event: str, kind: str, name: str, seconds: float, at: str) -> None:
        """A line in the log, at most one in ten seconds for each; it tells how many there were."""
        key = f"{kind} {name}"
        now = self.stopwatch()
        last, unsaid = self._said.get(key, (now - SILENCE_S, 0))
        if now - last < SILENCE_S:
            self._said[key] = (last, unsaid + 1)
            return
        self._said[key] = (now, 0)
        fields: dict[str, Any] = {kind: name, "took_ms": round(seconds * 1000)}
        if at:
            fields["at"] = at
        if unsaid:
            fields["more_since"] = unsaid
        self.log("warning", event, **fields)
