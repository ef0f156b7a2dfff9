"""The call of a Python function by a route: what stands between the two.

A function is called directly, with its time taken, its result held against its annotation and its
exceptions told in a sentence. An async one is only begun when a loop runs the route: the first of a
route hands the route over by yielding once, before anything of the function has run.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Coroutine, Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dsl.signatures import Hook
from router.routing.hook_errors import (
    RAISED,
    STUCK,
    WRONG_TYPE,
    HookError,
    Stuck,
    describe,
    place_in,
    place_of,
)
from router.routing.hook_meter import SLOW_S
from router.routing.hook_values import WrongValue, make_taker
from router.routing.hooks import Call

if TYPE_CHECKING:
    from router.routing.context import Context


class HookRun:
    """One route's dealings with Python functions, from its beginning to its end.

    `begun` says that a loop runs the route; `title`, `at` and `inner` are the async function that
    it waits for, where it called it, and its coroutine.
    """

    __slots__ = ("at", "begun", "call", "inner", "title")

    def __init__(self, context: Context) -> None:
        self.call = Call(context)
        self.begun = False
        self.title = ""
        self.at = ""
        self.inner: Coroutine[Any, Any, Any] | None = None

    def awaited(self) -> str:
        """Where the async function itself waits, as `hooks.py:14`; "" if it is not known."""
        return place_of(getattr(self.inner, "cr_frame", None))

    def close(self) -> None:
        """The route has ended: who kept the call can do nothing with it."""
        self.call._close()


class _HandOver:
    """Awaited once in a route: hands it to who will run the rest of it."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield


_HAND_OVER = _HandOver()


def begin(route: Coroutine[Any, Any, Any]) -> bool:
    """Run a route up to its first async function; whether there is a rest of it."""
    try:
        route.send(None)
    except StopIteration:
        return False
    return True


@types.coroutine
def stepped(
    inner: Coroutine[Any, Any, Any],
    stopwatch: Callable[[], float],
    on_step: Callable[[float], None],
) -> Generator[Any, Any, Any]:
    """What `inner` comes to; `on_step` is told how long each stretch took in which it held on."""
    value: Any = None
    error: BaseException | None = None
    while True:
        started = stopwatch()
        try:
            awaited = inner.send(value) if error is None else inner.throw(error)
        except StopIteration as end:
            return end.value
        finally:
            # Its traceback holds this frame: kept here, the two would keep each other.
            error = None
            on_step(stopwatch() - started)
        try:
            value = yield awaited
        except GeneratorExit:
            inner.close()
            raise
        except BaseException as raised:
            value, error = None, raised


def wrap_hook(hook: Hook, function: Callable[..., Any]) -> Callable[..., Any]:
    """What generated code calls with the context and the arguments, instead of the function."""
    if hook.durations:
        function = _with_timedeltas(function, hook)
    return _wrap_async(hook, function) if hook.waits else _wrap(hook, function)


def _wrap(hook: Hook, function: Callable[..., Any]) -> Callable[..., Any]:
    title, takes_call = hook.title, hook.takes_call
    exact, take = make_taker(hook.returns, hook.gives_timedelta)

    def call(c: Context, /, *arguments: Any, **named: Any) -> Any:
        meter = c.meter
        stopwatch = meter.stopwatch
        started = stopwatch()
        try:
            if takes_call:
                value = function(c.hook_call(), *arguments, **named)
            else:
                value = function(*arguments, **named)
        except (Exception, Stuck) as error:
            seconds = stopwatch() - started
            meter.took(title, seconds)
            at = place_of(sys._getframe(1))
            if seconds > SLOW_S:
                meter.slow_hook(title, seconds, at)
            raise failure(c, hook, function, at, error) from error
        seconds = stopwatch() - started
        meter.took(title, seconds)
        if seconds > SLOW_S:
            meter.slow_hook(title, seconds, place_of(sys._getframe(1)))
        if value.__class__ is not exact:
            try:
                return take(value)
            except WrongValue as error:
                raise wrong(c, hook, place_of(sys._getframe(1)), error) from None
        return value

    return call


def _wrap_async(hook: Hook, function: Callable[..., Any]) -> Callable[..., Any]:
    title, takes_call = hook.title, hook.takes_call
    exact, take = make_taker(hook.returns, hook.gives_timedelta)

    async def call(c: Context, /, *arguments: Any, **named: Any) -> Any:
        run = c.hook_run()
        at = place_of(sys._getframe(1))
        run.title, run.at = title, at
        if not run.begun:
            run.begun = True
            await _HAND_OVER
        meter = c.meter
        stopwatch = meter.stopwatch

        def on_step(seconds: float) -> None:
            if seconds > SLOW_S:
                meter.slow_hook(title, seconds, at)

        started = stopwatch()
        try:
            first = (run.call,) if takes_call else ()
            run.inner = function(*first, *arguments, **named)
            value = await stepped(run.inner, stopwatch, on_step)
        except (Exception, Stuck) as error:
            raise failure(c, hook, function, at, error) from error
        finally:
            run.title = run.at = ""
            run.inner = None
            meter.took(title, stopwatch() - started)
        if value.__class__ is not exact:
            try:
                return take(value)
            except WrongValue as error:
                raise wrong(c, hook, at, error) from None
        return value

    return call


def failure(
    c: Context, hook: Hook, function: Callable[..., Any], at: str, error: BaseException
) -> HookError:
    """What a route raises when a function did."""
    if isinstance(error, Stuck):
        c.meter.failed(hook.title, STUCK)
        return HookError(
            f"{hook.title}, called at {at}, did not return and was broken off at "
            f"{place_in(error, function)}"
        )
    c.meter.failed(hook.title, RAISED)
    return HookError(
        f"{hook.title}, called at {at}, raised {describe(error)} at {place_in(error, function)}"
    )


def wrong(c: Context, hook: Hook, at: str, error: WrongValue) -> HookError:
    """What a route raises when a function gave back what its annotation does not promise."""
    c.meter.failed(hook.title, WRONG_TYPE)
    return HookError(f"{hook.title}, called at {at}, returned {error}")


def _with_timedeltas(function: Callable[..., Any], hook: Hook) -> Callable[..., Any]:
    """The function, given timedeltas where routes have milliseconds."""
    durations, skip = hook.durations, int(hook.takes_call)

    def of(value: int) -> timedelta:
        return timedelta(milliseconds=value)

    def call(*arguments: Any, **named: Any) -> Any:
        made = [
            of(value) if place - skip in durations else value
            for place, value in enumerate(arguments)
        ]
        return function(
            *made, **{name: of(v) if name in durations else v for name, v in named.items()}
        )

    call.__dict__["__wrapped__"] = function
    return call
