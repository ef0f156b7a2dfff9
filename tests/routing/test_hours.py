"""Times of the week, in time zones, through the change of clocks."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.literals import LiteralError
from dsl.weekly import DAYS, parse_week
from router.routing.hours import Hours, hours_of

# 2026-11-23 is a Monday.
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


def at(day: int, clock: str, zone: str = "UTC") -> int:
    """Epoch ms of a time of day in that week; day 0 is Monday."""
    hour, minute = map(int, clock.split(":"))
    local = datetime(2026, 11, 23, hour, minute, tzinfo=ZoneInfo(zone)) + timedelta(days=day)
    return int(local.timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "day", "clock", "holds"),
    [
        ("Mo-Fr 08:00-18:00", 0, "08:00", True),
        ("Mo-Fr 08:00-18:00", 0, "07:59", False),
        ("Mo-Fr 08:00-18:00", 4, "17:59", True),
        ("Mo-Fr 08:00-18:00", 4, "18:00", False),
        ("Mo-Fr 08:00-18:00", 5, "12:00", False),
        ("Sa-Mo", 6, "00:00", True),
        ("Sa-Mo", 0, "23:59", True),
        ("Sa-Mo", 1, "00:00", False),
        ("Mo,We 8:00-9:00, 10:00 - 11:00", 2, "10:30", True),
        ("Mo, We 8:00-9:00, 10:00 - 11:00", 2, "09:30", False),
        ("Mo,We 8:00-9:00", 1, "08:30", False),
        ("Mo 08:00-09:00; Tu 10:00-11:00", 1, "10:00", True),
        ("Mo 08:00-09:00; Tu 10:00-11:00", 1, "08:00", False),
        ("08:00-18:00", 6, "12:00", True),
        ("fr 22:00-06:00", 4, "22:00", True),
        ("fr 22:00-06:00", 5, "05:59", True),
        ("fr 22:00-06:00", 5, "06:00", False),
        ("fr 22:00-06:00", 4, "05:00", False),
        ("Su 22:00-06:00", 0, "05:00", True),
        ("Su 22:00-06:00", 6, "05:00", False),
        ("00:00-24:00", 3, "23:59", True),
        ("Mo-Su", 3, "12:00", True),
        ("Su 12:00-24:00", 6, "23:59", True),
    ],
)
def test_a_moment_lies_inside_or_not(text: str, day: int, clock: str, holds: bool) -> None:
    assert Hours(text).holds(at(day, clock)) is holds


def test_the_zone_is_the_texts_own_or_the_one_given() -> None:
    morning = at(0, "08:30", "Asia/Shanghai")
    assert Hours("Mo 08:00-09:00", "Asia/Shanghai").holds(morning)
    assert Hours("Mo 08:00-09:00 Asia/Shanghai").holds(morning)
    assert Hours("Mo 08:00-09:00 Asia/Shanghai", "Europe/Berlin").holds(morning)
    assert not Hours("Mo 08:00-09:00").holds(morning)
    assert Hours("Mo 08:00-09:00 UTC", "Asia/Shanghai").holds(at(0, "08:30"))


def test_the_clocks_change_with_the_zone() -> None:
    office = Hours("08:00-09:00 Europe/Berlin")
    summer = datetime(2026, 7, 1, 6, 30, tzinfo=UTC)
    winter = datetime(2026, 12, 1, 7, 30, tzinfo=UTC)
    assert office.holds(int(summer.timestamp() * 1000))
    assert office.holds(int(winter.timestamp() * 1000))
    assert not office.holds(int((winter - timedelta(hours=1)).timestamp() * 1000))


def test_times_are_read_once_and_know_their_text() -> None:
    assert hours_of("Mo", "UTC") is hours_of("Mo", "UTC")
    assert str(hours_of("Mo")) == "Mo"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has an empty part"),
        ("Mo;", "has an empty part"),
        ("Mon 08:00-09:00", "`Mon` is no day"),
        ("Xy", "`Xy` is no day"),
        ("Mo 08:00", "`08:00` is no span of time"),
        ("Mo 8-9", "`8` is no time"),
        ("Mo 25:00-26:00", "`25:00` is no time"),
        ("Mo 08:60-09:00", "`08:60` is no time"),
        ("Mo 24:01-09:00", "`24:01` is no time"),
        ("Mo 08:00-08:00", "`08:00-08:00` is empty"),
        ("Mo 24:00-08:00", "is empty"),
        ("Mo 08:00-09:00 Tu", "`Tu` has no place"),
        ("08:00-09:00 Mo", "`Mo` has no place"),
        ("Mo Asia/Nowhere", "there is no time zone `Asia/Nowhere`"),
        ("Mo ../etc/passwd", "there is no time zone"),
        ("Mo Asia/", "there is no time zone"),
    ],
)
def test_what_is_no_time_is_said(text: str, message: str) -> None:
    with pytest.raises(LiteralError, match=re.escape(message)) as error:
        Hours(text)
    assert error.value.code == "bad-time"


def test_a_zone_that_is_nearly_right_is_named() -> None:
    with pytest.raises(LiteralError) as error:
        Hours("Mo", "Asia/Shangai")
    assert error.value.help == "did you mean `Asia/Shanghai`?"


minutes = st.integers(0, 24 * 60)


@given(
    day=st.integers(0, 6), begin=st.integers(0, 24 * 60 - 1), end=minutes,
    when=st.integers(0, 7 * 24 * 60 - 1),
)
def test_one_span_of_one_day_is_a_stretch_of_the_week(
    day: int, begin: int, end: int, when: int
) -> None:
    if begin == end:
        return
    text = f"{DAYS[day]} {begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    length = (end - begin) % 1440 or 1440
    expected = (when - day * 1440 - begin) % (7 * 1440) < length
    assert parse_week(text).holds(when) is expected
    assert Hours(text).holds(int(MONDAY.timestamp() * 1000) + when * 60_000) is expected


@given(st.text("MoTuSaAsia/Shanghai 0128:-,;", max_size=24))
def test_any_text_is_a_time_or_a_sentence(text: str) -> None:
    try:
        Hours(text).holds(at(0, "12:00"))
    except LiteralError as error:
        assert error.message
