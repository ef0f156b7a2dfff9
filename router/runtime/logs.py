"""Logging: readable on a terminal, JSON lines elsewhere; bounded in rate, and never a secret.

Lines go to standard error. The engine does not log by itself: it leaves (level, event, fields),
which the driver passes on here.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Protocol, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
LINES_PER_SECOND = 50
BURST_LINES = 200
"""A worker's lines beyond these are counted and left out: a flood must not fill the disk."""

SECRET_WORDS = ("password", "secret", "authorization", "credential", "api_key", "ha1")


class Log(Protocol):
    """Where a process says what happens: level, event, fields."""

    def __call__(self, level: str, event: str, /, **fields: object) -> None:
        """Write one line."""


def hide_secrets(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    """Put stars in place of the value of every field that is named like a secret."""
    for name in fields:
        lowered = name.lower()
        if any(word in lowered for word in SECRET_WORDS):
            fields[name] = "***"
    return fields


def configure_logs(level: str = "info", stream: TextIO | None = None) -> None:
    """Set up structlog for this process and those it forks; `level` is one of LEVELS."""
    out = stream if stream is not None else sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        hide_secrets,
    ]
    if out.isatty():
        tail: list[Processor] = [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(pad_event_to=28),
        ]
    else:
        tail = [
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )


class BoundedLog:
    """Passes the lines of one worker on, at most so many a second, and says how many it did not.

    `tick` is called about once a second and grants the next lines.
    """

    __slots__ = ("_credit", "_emit", "_left_out")

    def __init__(self, emit: Callable[..., Any]) -> None:
        self._emit = emit
        self._credit = BURST_LINES
        self._left_out = 0

    def drain(self, lines: list[tuple[str, str, dict[str, Any]]]) -> None:
        """Pass on (level, event, fields) and empty the list."""
        for level, event, fields in lines:
            self.line(level, event, **fields)
        lines.clear()

    def line(self, level: str, event: str, **fields: Any) -> None:
        """Pass one line on, if the rate allows."""
        if self._credit <= 0:
            self._left_out += 1
            return
        self._credit -= 1
        self._emit(level, event, fields)

    def tick(self) -> None:
        """Grant the lines of the next second; say what was left out in the last."""
        if self._left_out:
            self._emit("warning", "log lines left out", {"lines": self._left_out})
            self._left_out = 0
        self._credit = min(BURST_LINES, self._credit + LINES_PER_SECOND)


def structlog_emitter(**bound: Any) -> Callable[[str, str, dict[str, Any]], None]:
    """What a BoundedLog emits into: structlog, with fields that stand on every line."""
    log = structlog.get_logger(**bound)

    def emit(level: str, event: str, fields: dict[str, Any]) -> None:
        # `event` would clash with structlog's own parameter of that name.
        named = {("event_" if name == "event" else name): value for name, value in fields.items()}
        getattr(log, level if level in LEVELS else "info")(event, **named)

    return emit
