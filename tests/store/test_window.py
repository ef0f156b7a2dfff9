"""Counting within a time that slides, against a list of all moments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.store.window import SLOTS, Window


@given(
    per_ms=st.integers(1, 5_000),
    gaps=st.lists(st.integers(0, 700), max_size=60),
    start=st.integers(0, 10**13),
)
def test_it_is_the_number_of_moments_that_are_young_enough(
    per_ms: int, gaps: list[int], start: int
) -> None:
    width = -(-per_ms // SLOTS)
    window = Window(per_ms)
    moments: list[int] = []
    now = start
    for gap in gaps:
        now += gap
        found = window.count(now)
        surely = sum(now - at < per_ms - width for at in moments)
        perhaps = sum(now - at < per_ms for at in moments)
        assert surely <= found <= perhaps
        window = Window(per_ms, window.render())
        window.note(now)
        moments.append(now)
        assert len(window.render()) == 8 + 4 * SLOTS


def test_a_short_time_is_counted_to_the_millisecond() -> None:
    window = Window(SLOTS)
    window.note(1_000)
    assert window.count(1_000 + SLOTS - 1) == 1
    assert window.count(1_000 + SLOTS) == 0


def test_a_clock_that_is_behind_counts_all_the_same() -> None:
    window = Window(1_000)
    window.note(10_000)
    window.note(9_900)
    assert window.count(9_900) == window.count(10_000) == 2
    assert window.count(11_000) == 0


@pytest.mark.parametrize("stored", [b"", Window(1_000).render()])
def test_nothing_stored_is_nothing_counted(stored: bytes) -> None:
    assert Window(1_000, stored).count(5) == 0
