"""Logging: readable on a terminal, JSON lines elsewhere; bounded in rate, and never a secret.

Lines go to standard error. The engine does not log by itself: it leaves (level, event, fields),
which the driver passes on here. docs/logs.md has every event.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from router.runtime.log_stream import SteadyStream
from router.store.cdr_lines import plain

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
LINES_PER_SECOND = 50
BURST_LINES = 200
"""A worker's lines beyond these are counted and left out: a flood must not fill the disk."""
MAX_EVENTS_COUNTED = 20
MAX_TEXT = 1_000
MAX_TRACE = 8_000
"""Characters of one field, and of a traceback."""
LAST_WORDS_S = 1.0

SECRET_WORDS = ("password", "secret", "authorization", "credential", "api_key", "ha1", "token")
LEFT_OUT = "log lines left out"


class Log(Protocol):
    """Where a process says what happens: level, event, fields."""

    def __call__(self, level: str, event: str, /, **fields: object) -> None:
        """Write one line."""


class Sink:
    """Where the lines of this program go, in which form, and from which level on."""

    def __init__(self, stream: TextIO | SteadyStream, is_json: bool, level: str) -> None:
        self.stream = stream
        self.is_json = is_json
        self._least = LEVELS[level]

    def takes(self, level: str) -> bool:
        """Whether lines of this level are written."""
        return LEVELS[level] >= self._least

    def write(self, text: str) -> None:
        """Write whole lines as they are."""
        self.stream.write(text)
        self.stream.flush()

    def close(self) -> None:
        """The process ends: a slow reader has a second to take the last lines."""
        if isinstance(self.stream, SteadyStream):
            self.stream.settle(LAST_WORDS_S)


_sink = Sink(sys.stderr, False, "info")


def log_sink() -> Sink:
    """What `configure_logs` set up."""
    return _sink


def hide_secrets(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    """Put stars in place of the value of every field that is named like a secret."""
    for name in fields:
        lowered = name.lower()
        if any(word in lowered for word in SECRET_WORDS):
            fields[name] = "***"
    return fields


def cut_long_texts(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    """Bound every text: what peers send may be as long as a datagram."""
    for name, value in fields.items():
        if isinstance(value, str):
            most = MAX_TRACE if name == "trace" else MAX_TEXT
            if len(value) > most:
                # The end of a traceback says what happened, the beginning of any other text.
                kept = value[-most:] if name == "trace" else value[:most]
                fields[name] = f"{kept} ({len(value) - most} characters left out)"
    return fields


def tame_texts(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    """Escape what would move a terminal's cursor or begin a line; a traceback keeps its lines."""
    trace = fields.pop("trace", None)
    for name, value in fields.items():
        if isinstance(value, str):
            fields[name] = plain(value)
    if trace is not None:  # shown under the line
        fields["exception"] = "\n".join(map(plain, str(trace).split("\n")))
    return fields


def configure_logs(
    level: str = "info", stream: TextIO | None = None, form: str = "auto"
) -> Sink:
    """Set up structlog for this process and those it forks.

    `level` is one of LEVELS; `form` is json, text, or auto: text on a terminal and json elsewhere.
    """
    global _sink
    out = stream if stream is not None else _steady(sys.stderr)
    is_json = form == "json" or (form == "auto" and not out.isatty())
    _sink = Sink(out, is_json, level)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        hide_secrets,
        cut_long_texts,
    ]
    if is_json:
        tail: list[Processor] = [
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        colours = out.isatty() and not os.environ.get("NO_COLOR")
        tail = [
            tame_texts,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(pad_event_to=28, colors=colours),
        ]
    structlog.configure(
        processors=[_confess, *shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        # It only writes and flushes, which a SteadyStream does as well.
        logger_factory=structlog.WriteLoggerFactory(file=out),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    return _sink


def _steady(stream: TextIO) -> TextIO | SteadyStream:
    try:
        return SteadyStream(stream.fileno())
    except (OSError, ValueError):  # no descriptor: replaced by something in memory
        return stream


def _confess(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    """Before a line: how many were left out because nobody read them in time."""
    stream = _sink.stream
    if isinstance(stream, SteadyStream):
        lines = stream.take_left_out()
        if lines:
            structlog.get_logger().warning(LEFT_OUT, lines=lines, reason="nobody read them in time")
    return fields


class BoundedLog:
    """Passes the lines of one worker on, at most so many a second, and says how many it did not.

    Errors have an allowance of their own, which no flood of other lines can use up. `tick` is
    called about once a second and grants the next lines.
    """

    __slots__ = ("_credit", "_emit", "_left_out")

    def __init__(self, emit: Callable[..., Any]) -> None:
        self._emit = emit
        self._credit = {True: BURST_LINES, False: BURST_LINES}  # of errors, of all others
        self._left_out: dict[str, int] = {}

    def drain(self, lines: list[tuple[str, str, dict[str, Any]]]) -> None:
        """Pass on (level, event, fields) and empty the list."""
        for level, event, fields in lines:
            self.line(level, event, **fields)
        lines.clear()

    def line(self, level: str, event: str, **fields: Any) -> None:
        """Pass one line on, if the rate allows."""
        severe = level == "error"
        if self._credit[severe] <= 0:
            counted = self._left_out
            if event not in counted and len(counted) >= MAX_EVENTS_COUNTED:
                event = "others"
            counted[event] = counted.get(event, 0) + 1
            return
        self._credit[severe] -= 1
        self._emit(level, event, fields)

    def tick(self) -> None:
        """Grant the lines of the next second; say what was left out in the last."""
        self.say_left_out()
        _sink.stream.flush()
        for severe, credit in self._credit.items():
            self._credit[severe] = min(BURST_LINES, credit + LINES_PER_SECOND)

    def say_left_out(self) -> None:
        """How many lines were left out, by event; also for the end of the process."""
        counted, self._left_out = self._left_out, {}
        if counted:
            by_event = dict(sorted(counted.items(), key=lambda one: -one[1]))
            self._emit("warning", LEFT_OUT, {"lines": sum(counted.values()), "events": by_event})


def structlog_emitter(**bound: Any) -> Callable[[str, str, dict[str, Any]], None]:
    """What a BoundedLog emits into: structlog, with fields that stand on every line."""
    log = structlog.get_logger(**bound)

    def emit(level: str, event: str, fields: dict[str, Any]) -> None:
        # `event` would clash with structlog's own parameter of that name.
        named = {("event_" if name == "event" else name): value for name, value in fields.items()}
        getattr(log, level if level in LEVELS else "info")(event, **named)

    return emit
