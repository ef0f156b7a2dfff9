"""Whether it is a time of the week, in a time zone; the moment is handed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from dsl.weekly import DAY_MINUTES, parse_week, zone_named

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Hours:
    """A text of times (dsl.weekly) in a zone; `text` is how it was written.

    A zone in the text goes before `zone`. The last minute's answer is kept: all calls of a minute
    ask the same.
    """

    __slots__ = ("_answer", "_minute", "_week", "_zone", "text")

    def __init__(self, text: str, zone: str = "") -> None:
        self.text = text
        self._week = parse_week(text)
        self._zone = zone_named(self._week.zone or zone)
        self._minute = -1
        self._answer = False

    def holds(self, now_ms: int) -> bool:
        """Whether it is that time at `now_ms` (epoch ms)."""
        minute = now_ms // 60_000
        if minute != self._minute:
            local = (_EPOCH + timedelta(minutes=minute)).astimezone(self._zone)
            of_week = local.weekday() * DAY_MINUTES + local.hour * 60 + local.minute
            self._answer = self._week.holds(of_week)
            self._minute = minute
        return self._answer

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=1024)
def hours_of(text: str, zone: str = "") -> Hours:
    """The times of a text; raises LiteralError when it is none or there is no such zone."""
    return Hours(text, zone)
