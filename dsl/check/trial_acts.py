"""What peers do with a call in a test block: they reply, ring, answer, stay silent, hang up."""

from __future__ import annotations

from collections.abc import Callable

from dsl.check.trial_words import Words
from dsl.program import Position
from dsl.surface import ValueType
from dsl.trials import (
    ANSWERS,
    EARLY_MEDIA,
    REPLIES,
    RINGS,
    SILENT,
    Cancels,
    GatewayActs,
    HangsUp,
    Step,
)

CALLER = "write `caller cancels after T` or `caller hangs up after T`"
CALLEE = "write `callee hangs up after T`"

_DURATION = ValueType("duration")

# What a position and the statement's text make a step of.
Make = Callable[[Position, str], Step]


def read_act(words: Words, name: str, what: str) -> Make:
    """What somebody does with the call that came to him; `what` is he: gateway or phone."""
    status = 0
    if words.accept("replies"):
        action = REPLIES
        status = _replied(words, what)
    elif words.accept("rings"):
        action = RINGS
    elif words.accept("answers"):
        action = ANSWERS
    elif words.accept("stays"):
        action = SILENT
        if not words.accept("silent"):
            raise words.wrong("`silent`")
    elif words.accept("sends"):
        action = EARLY_MEDIA
        if not (words.accept("early") and words.accept("media")):
            raise words.wrong("`early media`")
    else:
        raise words.wrong(f"what the {what} does")
    after_ms = read_after(words) if action != SILENT else 0
    return lambda position, text: GatewayActs(position, text, name, action, status, after_ms)


def read_after(words: Words) -> int:
    """The time of `after T`, 0 without one."""
    if words.accept("after"):
        duration: int = words.value("a duration", _DURATION)
        return duration
    return 0


def read_caller(words: Words) -> Make:
    """`caller cancels` or `caller hangs up`."""
    words.form = CALLER
    if words.accept("cancels"):
        after_ms = read_after(words)
        return lambda position, text: Cancels(position, text, after_ms)
    return _hangs_up(words, "caller")


def read_callee(words: Words) -> Make:
    """`callee hangs up`."""
    words.form = CALLEE
    return _hangs_up(words, "callee")


def _hangs_up(words: Words, side: str) -> Make:
    if not words.accept("hangs"):
        raise words.wrong("`cancels` or `hangs up`" if side == "caller" else "`hangs up`")
    if not words.accept("up"):
        raise words.wrong("`up`")
    after_ms = read_after(words)
    return lambda position, text: HangsUp(position, text, side, after_ms)


def _replied(words: Words, what: str) -> int:
    found = words.peek()
    status = words.status(100, 699)
    if 200 < status < 300 and found is not None:
        raise words.fail(
            "bad-value",
            found.span,
            f"`{status}` answers no INVITE",
            f"a call is answered with 200: `{what} NAME answers`",
        )
    return status
