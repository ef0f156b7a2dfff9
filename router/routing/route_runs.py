"""Compiled routes as they run: timed, named when they are slow, and carried on when they wait."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from inspect import iscoroutinefunction
from types import FrameType
from typing import TYPE_CHECKING, Any

from dsl.program import Handler
from router.core.tally import Tally
from router.core.verdicts import Wait
from router.core.waiting import LimitReached
from router.routing.hook_calls import begin, stepped
from router.routing.hook_errors import TIMEOUT, HookError, Stuck, describe, place_in
from router.routing.hook_meter import SLOW_S, HookMeter
from router.routing.phone_functions import RouteOver

if TYPE_CHECKING:
    from router.routing.context import Context

Conclude = Callable[["Context"], Any]
"""The verdict that a route has left in its context."""
RouteRun = Callable[["Context", Conclude], "Wait | None"]
"""Runs a route; a Wait for what is left of it if it waits, which then asks for the verdict."""


def make_run(
    title: str, handler: Handler, tally: Tally, meter: HookMeter, limit_ms: int
) -> RouteRun:
    """What runs a route; `title` is its name in metrics and messages."""
    route = _Route(title, handler, tally, meter, limit_ms)
    tally.slow_routes[title] += 0  # a rate needs a first value
    if iscoroutinefunction(handler):
        return route.run_waiting
    # Most routes are of this kind, and run for every call.
    stopwatch = meter.stopwatch
    observe = tally.route_duration[title].observe

    def run(context: Context, conclude: Conclude) -> None:
        started = stopwatch()
        try:
            handler(context)
        except RouteOver:
            pass
        except BaseException as error:
            route.on_error(context, error, stopwatch() - started)
            raise
        seconds = stopwatch() - started
        observe(seconds)
        if seconds > SLOW_S:
            meter.slow_route(title, seconds)
        if context.hooks is not None:
            context.end_hooks()

    return run


def runs_a_route(frame: FrameType | None) -> bool:
    """Whether a route is being run, or a function that it called, where this frame is the last."""
    while frame is not None:
        if frame.f_globals is _HERE:
            return True
        frame = frame.f_back
    return False


_HERE = globals()


class _Route:
    """What is the same for every run of one route."""

    __slots__ = ("_handler", "_limit_ms", "_meter", "_tally", "_title")

    def __init__(
        self, title: str, handler: Handler, tally: Tally, meter: HookMeter, limit_ms: int
    ) -> None:
        self._title = title
        self._handler = handler
        self._tally = tally
        self._meter = meter
        self._limit_ms = limit_ms

    def on_error(self, context: Context, error: BaseException, seconds: float) -> None:
        """The route has raised something; raises in its stead what is no Exception."""
        context.end_hooks()
        if seconds > SLOW_S:
            self._meter.slow_route(self._title, seconds)
        if isinstance(error, Stuck):
            raise self._broken_off(error) from error

    def run_waiting(self, context: Context, conclude: Conclude) -> Wait | None:
        """Runs a route that may wait up to the first async function that it meets."""
        stopwatch = self._meter.stopwatch
        started = stopwatch()
        try:
            route = self._handler(context)
            waits = begin(route)
        except RouteOver:
            waits = False
        except BaseException as error:
            self.on_error(context, error, stopwatch() - started)
            raise
        seconds = stopwatch() - started
        if seconds > SLOW_S:
            self._meter.slow_route(self._title, seconds)
        if not waits:
            self._observe(seconds)
            context.end_hooks()
            return None
        return Wait(
            self._rest(route, seconds),
            self._limit_ms,
            lambda error: self._end(context, conclude, error),
        )

    def _observe(self, seconds: float) -> None:
        self._tally.route_duration[self._title].observe(seconds)

    async def _rest(self, route: Coroutine[Any, Any, Any], seconds: float) -> None:
        """What is left of a route that waits; the time is that in which it did something."""

        def on_step(took: float) -> None:
            nonlocal seconds
            seconds += took
            if took > SLOW_S:
                self._meter.slow_route(self._title, took)

        try:
            await stepped(route, self._meter.stopwatch, on_step)
        finally:
            self._observe(seconds)

    def _end(self, context: Context, conclude: Conclude, error: BaseException | None) -> Any:
        """The verdict of a route that has waited; raises what the route raised."""
        try:
            if isinstance(error, RouteOver):
                error = None
            if isinstance(error, LimitReached):
                raise self._too_long(context)
            if isinstance(error, Stuck):
                raise self._broken_off(error) from error
            if error is not None and not isinstance(error, Exception):
                raise HookError(f"{self._title} was broken off: {describe(error)}") from error
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
            return HookError(f"{self._title} did not end within {limit}")
        self._meter.failed(run.title, TIMEOUT)
        where = run.awaited()
        return HookError(
            f"{run.title}, called at {run.at}, did not return within hook_timeout = {limit}"
            + (f"; it waits at {where}" if where else "")
        )

    def _broken_off(self, error: BaseException) -> HookError:
        where = place_in(error, self._handler)
        return HookError(f"{self._title} did not end and was broken off at {where}")
