"""Allowed and denied prefixes: the longest that begins the number decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.screening import Screening, screening


@pytest.mark.parametrize(
    ("allow", "deny", "number", "refusal"),
    [
        ((), (), "8613", ""),
        (("86",), (), "8613", ""),
        (("86",), (), "4930", "callee 4930 begins with nothing of callee_allow"),
        (("86",), (), "8", "callee 8 begins with nothing of callee_allow"),
        ((), ("86",), "8613", "callee 8613 begins with 86 of callee_deny"),
        ((), ("86",), "4930", ""),
        (("86",), ("8613",), "8613", "callee 8613 begins with 8613 of callee_deny"),
        (("86",), ("8613",), "8610", ""),
        (("8613",), ("86",), "8613", ""),
        (("8613",), ("86",), "8610", "callee 8610 begins with 86 of callee_deny"),
        (("86",), ("86",), "8613", "callee 8613 begins with 86 of callee_deny"),
        (("86",), (), "", "callee  begins with nothing of callee_allow"),
    ],
)
def test_a_number_is_let_through_or_not(
    allow: tuple[str, ...], deny: tuple[str, ...], number: str, refusal: str
) -> None:
    assert Screening("callee", allow, deny).refusal(number) == refusal


def test_without_lists_there_is_nothing_to_screen() -> None:
    assert screening("caller", (), ()) is None
    assert screening("caller", ("1",), ()) is not None
    assert screening("caller", (), ("1",)) is not None


digits = st.text("12", min_size=1, max_size=4)


@given(allow=st.lists(digits, max_size=4), deny=st.lists(digits, max_size=4), number=digits)
def test_it_is_the_naive_longest_match(allow: list[str], deny: list[str], number: str) -> None:
    matching = [(len(one), 1, False) for one in deny if number.startswith(one)]
    matching += [(len(one), 0, True) for one in allow if number.startswith(one)]
    expected = max(matching)[2] if matching else not allow
    assert (Screening("caller", allow, deny).refusal(number) == "") is expected
