"""Times of the week: `Mo-Fr 08:00-12:00,13:00-18:00; Sa 09:00-13:00 Asia/Shanghai`.

    week   = rule *( ";" rule ) [ zone ]      rule  = [ days ] [ times ]
    days   = day [ "-" day ] *( "," … )       day   = Mo | Tu | We | Th | Fr | Sa | Su
    times  = hh:mm "-" hh:mm *( "," … )       the end not included; 24:00 is the end of the day

Without days a rule means every day, without times the whole day. Times that end before they begin
go on into the next morning: `Fr 22:00-06:00` ends on Saturday. Without a zone it is UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from dsl.check.report import did_you_mean
from dsl.literals import LiteralError

DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
DAY_MINUTES = 1_440
WEEK_MINUTES = 7 * DAY_MINUTES

_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_EXAMPLE = 'write "Mo-Fr 08:00-18:00"'


@dataclass(frozen=True, slots=True)
class Week:
    """When it is that time: [begin, end) in minutes from Monday 00:00; `zone` "" is UTC."""

    spans: tuple[tuple[int, int], ...]
    zone: str

    def holds(self, minute: int) -> bool:
        """Whether the minute of the week is inside."""
        return any(begin <= minute < end for begin, end in self.spans)


def parse_week(text: str) -> Week:
    """The times that a text means; raises LiteralError with the code bad-time."""
    zone = ""
    rules = text.split(";")
    last = rules[-1].split()
    if last and ("/" in last[-1] or last[-1] == "UTC"):
        zone = last.pop()
        zone_named(zone)
        rules[-1] = " ".join(last)
    spans: list[tuple[int, int]] = []
    for rule in rules:
        spans += _rule(rule, text)
    return Week(tuple(sorted(set(spans))), zone)


def zone_named(name: str) -> tzinfo:
    """The time zone; raises LiteralError with the code bad-time when there is none."""
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        known = available_timezones()
        help = did_you_mean(name, known) if known else "this machine knows no time zones (tzdata)"
        message = f"there is no time zone `{name}`"
        raise _bad(message, help or "zones are named as in Asia/Shanghai") from None


def _rule(rule: str, text: str) -> list[tuple[int, int]]:
    words = re.sub(r"\s*([,-])\s*", r"\1", rule).split()
    days, times = list(range(7)), [(0, DAY_MINUTES)]
    if not words:
        raise _bad(f"`{text}` has an empty part", _EXAMPLE)
    if words[0][0].isalpha():
        days = [day for part in words[0].split(",") for day in _days(part)]
        words = words[1:]
    if words:
        times = [_span(part) for part in words[0].split(",")]
        words = words[1:]
    if words:
        raise _bad(f"`{words[0]}` has no place in `{text}`", _EXAMPLE)
    spans = []
    for day in days:
        for begin, end in times:
            start, stop = day * DAY_MINUTES + begin, day * DAY_MINUTES + end
            spans.append((start, min(stop, WEEK_MINUTES)))
            if stop > WEEK_MINUTES:
                spans.append((0, stop - WEEK_MINUTES))
    return spans


def _days(part: str) -> list[int]:
    first, dash, last = part.partition("-")
    begin = _day(first)
    if not dash:
        return [begin]
    end = _day(last)
    return [day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)]


def _day(word: str) -> int:
    names = [day.lower() for day in DAYS]
    if word.lower() not in names:
        meant = next((day for day in DAYS if word.lower().startswith(day.lower())), "")
        raise _bad(
            f"`{word}` is no day", f"did you mean `{meant}`?" if meant else "days are Mo to Su"
        )
    return names.index(word.lower())


def _span(part: str) -> tuple[int, int]:
    first, dash, last = part.partition("-")
    if not dash:
        raise _bad(f"`{part}` is no span of time", _EXAMPLE)
    begin, end = _minute(first), _minute(last)
    if begin in (end, DAY_MINUTES):
        raise _bad(f"`{part}` is empty", "the whole day is 00:00-24:00")
    return begin, end if end > begin else end + DAY_MINUTES


def _minute(text: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise _bad(f"`{text}` is no time", "a time is written 08:00")
    hours, minutes = int(match[1]), int(match[2])
    if hours > 24 or minutes > 59 or (hours == 24 and minutes):
        raise _bad(f"`{text}` is no time", "times are 00:00 to 24:00")
    return hours * 60 + minutes


def _bad(message: str, help: str = "") -> LiteralError:
    return LiteralError("bad-time", message, help)
