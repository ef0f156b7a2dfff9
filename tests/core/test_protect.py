"""Protected gateways go last, and stand at their ordinary place once a call has waited."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.protect import NEVER, protected_last
from router.store.ops import Candidate, Tiers


def tiers(*rows: str) -> Tiers:
    return tuple(tuple(Candidate(name) for name in row) for row in rows)


@pytest.mark.parametrize(
    ("protected", "waited", "expected"),
    [
        ({}, 0, ("ab", "c", "de")),
        ({"a": NEVER}, 0, ("b", "c", "de", "a")),
        ({"a": NEVER}, 10**9, ("b", "c", "de", "a")),
        ({"a": 5, "d": NEVER, "e": NEVER}, 4, ("b", "c", "a", "de")),
        ({"a": 5, "d": NEVER, "e": NEVER}, 5, ("ab", "c", "de")),
        (dict.fromkeys("abcde", NEVER), 0, ("ab", "c", "de")),
        ({"z": NEVER}, 0, ("ab", "c", "de")),
        ({"c": 0}, 0, ("ab", "c", "de")),
    ],
)
def test_protected_last(
    protected: Mapping[str, int], waited: int, expected: tuple[str, ...]
) -> None:
    assert protected_last(tiers("ab", "c", "de"), protected, waited) == tiers(*expected)


@given(
    st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=1), max_size=4),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-1, 3)),
    st.integers(0, 3),
)
def test_nobody_is_lost_and_no_protected_one_comes_before_another(
    rows: list[set[str]], protected: dict[str, int], waited: int
) -> None:
    given_tiers = tiers(*("".join(sorted(row)) for row in rows))
    found = protected_last(given_tiers, protected, waited)
    flat = [one.key for tier in found for one in tier]
    assert sorted(flat) == sorted(one.key for tier in given_tiers for one in tier)
    closed = [protected.get(key, 0) == NEVER or protected.get(key, 0) > waited for key in flat]
    assert closed == sorted(closed)
