"""The outcomes of a gateway's last attempts: bounded, and added up as they should be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.store.ops import outcome
from router.store.quality import ATTEMPTS, Quality, joined, quality_of

ENTRIES = st.lists(st.tuples(st.booleans(), st.integers(-1, 1 << 31)), max_size=450)


def test_of_nothing_nothing_is_known() -> None:
    assert quality_of(b"") == Quality(0, 0, -1)


def test_attempts_answers_and_the_mean_delay_of_those_that_rang() -> None:
    stored = outcome(True, 100) + outcome(False, -1) + outcome(False, 300) + outcome(True, 0)
    assert quality_of(stored) == Quality(4, 2, 133)


@given(ENTRIES, st.integers(1, 50))
def test_the_last_200_count_however_they_come(
    entries: list[tuple[bool, int]], chunk: int
) -> None:
    stored = b""
    for start in range(0, len(entries), chunk):
        stored = joined(stored, b"".join(outcome(*one) for one in entries[start : start + chunk]))
        assert len(stored) <= 4 * ATTEMPTS
    last = entries[-ATTEMPTS:]
    delays = [min(pdd, 1 << 30) for _, pdd in last if pdd >= 0]
    assert quality_of(stored) == Quality(
        len(last), sum(answered for answered, _ in last),
        sum(delays) // len(delays) if delays else -1,
    )
