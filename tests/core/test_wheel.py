"""The timer wheel: never early, a tick late at most, and nothing kept of what was cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.core.wheel import TICK_MS, Timer, Wheel, cancel

T0 = 1_700_000_000_000


def note(log: list[Any]) -> Callable[[Any], None]:
    return log.append


def run_due(wheel: Wheel, now_ms: int) -> None:
    for entry in wheel.due(now_ms):
        function, argument = entry[0], entry[1]
        if function is not None:
            function(argument)


@given(
    timers=st.lists(st.tuples(st.integers(0, 400_000), st.booleans()), max_size=40),
    steps=st.lists(st.integers(1, 60_000), min_size=1, max_size=60),
)
def test_timers_fire_once_never_early_and_at_most_a_tick_late(
    timers: list[tuple[int, bool]], steps: list[int]
) -> None:
    """The driver wakes when `next_ms` says, or earlier for a message."""
    wheel = Wheel()
    fired: dict[int, int] = {}
    now = T0
    entries: list[Timer] = []
    for number, (after, cancelled) in enumerate(timers):
        entry = wheel.at(T0 + after, lambda one: fired.setdefault(one, now), number)
        entries.append(entry)
        if cancelled:
            cancel(entry)
    for step in steps:
        end = now + step
        while True:
            due = wheel.next_ms()
            if due is None or due > end:
                break
            now = max(now, due)
            run_due(wheel, now)
        now = end
        run_due(wheel, now)
    for number, (after, cancelled) in enumerate(timers):
        at = T0 + after
        if cancelled or at > now:
            assert number not in fired
        elif number in fired:
            assert at <= fired[number] <= at + TICK_MS
        else:
            assert now < at + TICK_MS


def test_timers_of_one_turn_come_in_the_order_of_their_times() -> None:
    wheel = Wheel()
    log: list[Any] = []
    for after in (50, 10, 30, 10):
        wheel.at(T0 + after, note(log), after)
    run_due(wheel, T0 + 100)
    assert log == [10, 10, 30, 50]
    assert wheel.next_ms() is None


def test_a_timer_may_cancel_another_of_the_same_turn() -> None:
    wheel = Wheel()
    log: list[Any] = []
    second: list[Timer] = []
    wheel.at(T0 + 10, lambda _: cancel(second[0]), None)
    second.append(wheel.at(T0 + 10, note(log), "second"))
    run_due(wheel, T0 + 10)
    assert log == []


def test_a_timer_set_by_a_timer_comes_in_a_later_turn() -> None:
    wheel = Wheel()
    log: list[Any] = []
    wheel.at(T0 + 10, lambda _: wheel.at(T0 + 10, note(log), "again"), None)
    run_due(wheel, T0 + 10)
    assert log == []
    assert wheel.next_ms() is not None
    run_due(wheel, T0 + 10)
    assert log == ["again"]


def test_cancelling_nothing_or_twice_is_nothing() -> None:
    cancel(None)
    wheel = Wheel()
    entry = wheel.at(T0, lambda _: None, object())
    cancel(entry)
    cancel(entry)
    assert entry[0] is None and entry[1] is None
    run_due(wheel, T0 + 10)


def test_a_cancelled_timer_of_a_far_time_is_not_kept_until_then() -> None:
    """A call is watched for two hours and lasts a minute: its timer must go soon after it."""
    wheel = Wheel()
    for second in range(600):
        now = T0 + second * 1_000
        run_due(wheel, now)
        for _ in range(10):
            cancel(wheel.at(now + 7_200_000, lambda _: None, None))
    assert len(wheel) < 1_000


def test_far_timers_still_come_at_their_time() -> None:
    wheel = Wheel()
    log: list[Any] = []
    for hours in (1, 2, 30):
        wheel.at(T0 + hours * 3_600_000, note(log), hours)
    came: list[int] = []
    wakes = 0
    now = T0
    while (due := wheel.next_ms()) is not None:
        wakes += 1
        now = max(now, due)
        before = len(log)
        run_due(wheel, now)
        came += [now] * (len(log) - before)
    assert log == [1, 2, 30]
    assert came == [T0 + hours * 3_600_000 for hours in log]
    assert wakes < 30 * 3_600 / 30


def test_after_a_long_silence_a_timer_is_as_punctual_as_ever() -> None:
    """Nobody asked the wheel anything for an hour: it does not know how late it is."""
    wheel = Wheel()
    run_due(wheel, T0)
    now = T0 + 3_600_000
    log: list[Any] = []
    wheel.at(now + 500, note(log), "soon")
    while (due := wheel.next_ms()) is not None:
        now = max(now, due)
        run_due(wheel, now)
    assert log == ["soon"]
    assert now == T0 + 3_600_500
