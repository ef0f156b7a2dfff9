"""Allowed and denied prefixes: the longest that begins the number decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.number_lists import KEY, NumberList
from router.routing.screening import Level, screening, together


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
    assert Level("callee", allow, deny, {}, {}).refusal(number) == refusal


def test_without_lists_there_is_nothing_to_screen() -> None:
    assert screening("caller", {"callee_deny": ["1"]}, {}) is None
    assert screening("caller", {"caller_allow": ["1"]}, {}) is not None
    assert screening("caller", {"caller_deny": ["1"]}, {}) is not None


digits = st.text("12", min_size=1, max_size=4)


@given(allow=st.lists(digits, max_size=4), deny=st.lists(digits, max_size=4), number=digits)
def test_it_is_the_naive_longest_match(allow: list[str], deny: list[str], number: str) -> None:
    matching = [(len(one), 1, False) for one in deny if number.startswith(one)]
    matching += [(len(one), 0, True) for one in allow if number.startswith(one)]
    expected = max(matching)[2] if matching else not allow
    assert (Level("caller", allow, deny, {}, {}).refusal(number) == "") is expected


LISTS = {
    KEY + "black": NumberList(["90012345", "+4990*", "12*"]),
    KEY + "white": NumberList(["90012345", "123", "12*"]),
}


@pytest.mark.parametrize(
    ("allow", "deny", "number", "refusal"),
    [
        ((), ("black",), "90012345", "is 90012345 of list black"),
        ((), ("black",), "900123456", ""),
        ((), ("black",), "+49901", "begins with +4990* of list black"),
        ((), ("black", "900"), "9001", "begins with 900 of caller_deny"),
        (("900",), ("black",), "90012345", "is 90012345 of list black"),
        (("white",), ("black",), "90012345", "is 90012345 of list black"),
        (("white",), ("black",), "123", ""),
        (("white",), ("black",), "124", "begins with 12* of list black"),
        (("12",), ("black",), "124", "begins with 12* of list black"),
        (("white",), ("12",), "124", "begins with 12 of caller_deny"),
        (("white",), ("12",), "123", ""),
        (("white",), (), "77", "begins with nothing of caller_allow"),
        (("white", "7"), (), "77", ""),
    ],
)
def test_a_list_decides_by_its_longest_entry(
    allow: tuple[str, ...], deny: tuple[str, ...], number: str, refusal: str
) -> None:
    made = screening("caller", {"caller_allow": allow, "caller_deny": deny}, LISTS)
    assert made is not None
    assert made.refusal(number) == (f"caller {number} {refusal}" if refusal else "")


def test_every_level_has_to_let_a_number_through() -> None:
    first = screening("callee", {"callee_deny": ["99"]}, {}, " (for all calls)")
    second = screening("callee", {"callee_allow": ["99", "98"]}, {})
    both = together(first, None, second)
    assert both is not None
    assert both.refusal("991") == "callee 991 begins with 99 of callee_deny (for all calls)"
    assert both.refusal("981") == ""
    assert both.refusal("971") == "callee 971 begins with nothing of callee_allow"
    assert together(None, None) is None
    assert together(None, second) is second


entries = st.from_regex(r"\+?[12]{1,4}\*?", fullmatch=True)


@given(
    allow=st.lists(entries, max_size=4), deny=st.lists(entries, max_size=4),
    number=st.from_regex(r"\+?[12]{1,5}", fullmatch=True),
)
def test_lists_are_the_naive_longest_match_too(
    allow: list[str], deny: list[str], number: str
) -> None:
    def strength(entry: str) -> int:
        if entry.endswith("*"):
            return len(entry) - 1 if number.startswith(entry[:-1]) else -1
        return 100 if entry == number else -1

    best_denied = max(map(strength, deny), default=-1)
    best_allowed = max(map(strength, allow), default=-1)
    expected = best_allowed > best_denied if max(best_allowed, best_denied) >= 0 else not allow
    tables = {KEY + "a": NumberList(allow), KEY + "d": NumberList(deny)}
    settings = {
        "caller_allow": ["a"] if allow else [], "caller_deny": ["d"] if deny else []
    }
    made = screening("caller", settings, tables)
    assert (made is None or made.refusal(number) == "") is expected
