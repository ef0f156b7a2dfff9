"""Compiled routes as they run: timed, named when they are slow, and carried on when they wait."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from dsl.program import Handler
from router.core.tally import Histogram, Tally
from router.core.verdicts import Wait
from router.core.waiting import LimitReached
from router.routing.hook_calls import begin, stepped
from router.routing.hook_errors import TIMEOUT, HookError, Stuck, describe, place_in
from router.routing.hook_meter import SLOW_S, HookMeter

if TYPE_CHECKING:
    from router.routing.context import Context


class CompiledRoute:
    """A route of a program; `title` is its name in metrics and messages."""

    __slots__ = (
        "_handler", "_limit_ms", "_meter", "_stopwatch", "_tally", "_times", "_waits", "title",
    )

    def __init__(
        self, title: str, handler: Handler, tally: Tally, meter: HookMeter, limit_ms: int
    ) -> None:
        self.title = title
        self._handler = handler
        self._waits = iscoroutinefunction(handler)
        self._tally = tally
        self._times: Histogram | None = None  # made when it first runs: no metric of nothing
        self._meter = meter
        self._stopwatch = meter.stopwatch
        self._limit_ms = limit_ms

    def run(
        self, context: Context, conclude: Callable[[Context], Any] | None = None
    ) -> Wait | None:
        """Runs the route; a Wait for what is left of it if it waits.

        `conclude` gives the verdict when that has ended; only routes that cannot wait have none.
        """
        stopwatch = self._stopwatch
        rest: Coroutine[Any, Any, Any] | None = None
        started = stopwatch()
        try:
            if self._waits:
                rest = self._handler(context)
                if not begin(rest):
                    rest = None
            else:
                self._handler(context)
        except BaseException as error:
            context.end_hooks()
            if isinstance(error, Stuck):
                self._meter.slow_route(self.title, stopwatch() - started)
                raise self._broken_off(error) from error
            raise
        seconds = stopwatch() - started
        if seconds > SLOW_S:
            self._meter.slow_route(self.title, seconds)
        if rest is not None and conclude is not None:
            decide = conclude
            return Wait(
                self._rest(rest, seconds), self._limit_ms,
                lambda error: self._end(context, decide, error),
            )
        (self._times or self._first_time()).observe(seconds)
        if context.hooks is not None:
            context.end_hooks()
        return None

    def _first_time(self) -> Histogram:
        self._times = self._tally.route_duration[self.title]
        self._tally.slow_routes[self.title] += 0  # a rate needs a first value
        return self._times

    async def _rest(self, route: Coroutine[Any, Any, Any], seconds: float) -> None:
        """What is left of a route that waits; the time is that in which it did something."""

        def on_step(took: float) -> None:
            nonlocal seconds
            seconds += took
            if took > SLOW_S:
                self._meter.slow_route(self.title, took)

        try:
            await stepped(route, self._stopwatch, on_step)
        finally:
            (self._times or self._first_time()).observe(seconds)

    def _end(
        self, context: Context, conclude: Callable[[Context], Any], error: BaseException | None
    ) -> Any:
        """The verdict of a route that has waited; raises what the route raised."""
        try:
            if isinstance(error, LimitReached):
                raise self._too_long(context)
            if isinstance(error, Stuck):
                raise self._broken_off(error) from error
            if error is not None and not isinstance(error, Exception):
                raise HookError(f"{self.title} was broken off: {describe(error)}") from error
            if error is not None:
                raise error
        finally:
            error = None  # its traceback may hold this frame
            context.end_hooks()
            verdict = conclude(context)
        return verdict

    def _too_long(self, context: Context) -> HookError:
        run = context.hooks
        limit = f"{self._limit_ms / 1000:g} s"
        if run is None or not run.title:
            return HookError(f"{self.title} did not end within {limit}")
        self._meter.failed(run.title, TIMEOUT)
        where = run.awaited()
        return HookError(
            f"{run.title}, called at {run.at}, did not return within hook_timeout = {limit}"
            + (f"; it waits at {where}" if where else "")
        )

    def _broken_off(self, error: BaseException) -> HookError:
        where = place_in(error, self._handler)
        return HookError(f"{self.title} did not end and was broken off at {where}")
