"""What goes wrong with a Python function, in one sentence, with both places: the route's and its.

The sentence is the exception's text; what the function raised is its cause, so that a log shows
both tracebacks.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

RAISED, WRONG_TYPE, TIMEOUT, STUCK = "raised", "wrong_type", "timeout", "stuck"
"""Why a function failed, as the metric has it."""


class HookError(Exception):
    """A Python function failed; the request that called it ends with 500."""


class HookMisuse(Exception):
    """A Python function did something with its Call that it may not do."""


class Stuck(BaseException):
    """Thrown into whatever runs when a worker has stood still for too long.

    No Exception, so that a function which catches all of them does not catch this one.
    """


def describe(error: BaseException) -> str:
    """An exception as Python prints it last, in one line."""
    text = str(error).strip().partition("\n")[0]
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def place_in(error: BaseException, function: Callable[..., Any]) -> str:
    """Where an exception left the function's own file, as `hooks.py:7`; else where it was made."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    own = code.co_filename if isinstance(code, CodeType) else ""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if file == own or not place.startswith(f"{own}:"):
            place = f"{file}:{line}"
    return place


def place_of(frame: FrameType | None) -> str:
    """Where a frame is now, as `routes.cfg:31`."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
