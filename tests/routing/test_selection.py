"""Longest prefix, then priority, against a sort that is too simple to be wrong."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.objects import DEFAULT_SWITCH_ON, Gateway
from router.routing.selection import Candidates, PrefixTable, shuffled, tiers_of, without
from router.store.ops import Candidate


def gateway(
    name: str, *prefixes: str, priority: int = 1, lines: int = -1, terminates: bool = False
) -> Gateway:
    return Gateway(
        name, "udp", "10.0.0.1", 5060, prefixes, priority, lines, DEFAULT_SWITCH_ON, False, False,
        {}, terminates=terminates,
    )


def names(candidates: list[Gateway]) -> list[str]:
    return [one.name for one in candidates]


def test_the_longest_prefix_goes_first_and_shorter_ones_follow() -> None:
    table = PrefixTable([gateway("all", ""), gateway("cn", "86"), gateway("mobile", "8613")])
    assert names(table.find("8613800")) == ["mobile", "cn", "all"]
    assert names(table.find("8610")) == ["cn", "all"]
    assert names(table.find("49")) == ["all"]
    assert names(table.find("")) == ["all"]


def test_a_number_shorter_than_every_prefix_finds_nothing() -> None:
    table = PrefixTable([gateway("mobile", "8613")])
    assert table.find("861") == []
    assert table.find("").tiers == ()


def test_a_smaller_priority_number_goes_first_and_equals_share_a_tier() -> None:
    table = PrefixTable([
        gateway("c", "86", priority=2), gateway("b", "86"), gateway("a", "86"),
        gateway("d", "86", priority=0),
    ])
    found = table.find("8613")
    assert names(found) == ["d", "a", "b", "c"]
    assert [[one.key for one in tier] for tier in found.tiers] == [
        ["gateway:d"], ["gateway:a", "gateway:b"], ["gateway:c"],
    ]


def test_a_priority_never_beats_a_longer_prefix() -> None:
    table = PrefixTable([gateway("near", "86", priority=0), gateway("long", "8613", priority=9)])
    assert names(table.find("8613")) == ["long", "near"]


def test_a_gateway_with_two_matching_prefixes_is_there_once_by_the_longer() -> None:
    table = PrefixTable([gateway("both", "86", "8613"), gateway("other", "861")])
    assert names(table.find("8613")) == ["both", "other"]


def test_the_candidates_carry_their_lines() -> None:
    table = PrefixTable([gateway("small", "86", lines=3)])
    assert table.find("86").tiers == ((Candidate("gateway:small", 3),),)


def test_after_a_prefix_that_terminates_no_shorter_one_follows() -> None:
    table = PrefixTable([
        gateway("all", ""), gateway("cn", "86"), gateway("other", "8613", priority=2),
        gateway("mobile", "8613", terminates=True),
    ])
    assert names(table.find("8613800")) == ["mobile", "other"]
    assert names(table.find("8610")) == ["cn", "all"]
    assert table.matches("8613800") == {
        "gateway:all": "", "gateway:cn": "86", "gateway:mobile": "8613", "gateway:other": "8613",
    }


def test_matches_are_the_longest_prefix_of_each_gateway() -> None:
    table = PrefixTable([gateway("both", "86", "8613"), gateway("other", "49"), gateway("no")])
    assert table.matches("8613") == {"gateway:both": "8613"}
    assert table.matches("861") == {"gateway:both": "86"}
    assert table.matches("") == {}


def test_the_same_longest_prefix_is_the_same_list() -> None:
    table = PrefixTable([gateway("a", "86")])
    assert table.find("8613") is table.find("8614")


digits = st.text("12", max_size=5)


@given(
    gateways=st.lists(
        st.tuples(st.lists(digits, min_size=1, max_size=3), st.integers(0, 2)), max_size=8
    ),
    number=digits,
)
def test_find_is_the_naive_sort(gateways: list[tuple[list[str], int]], number: str) -> None:
    made = [
        gateway(f"g{at}", *prefixes, priority=priority)
        for at, (prefixes, priority) in enumerate(gateways)
    ]
    matching = [
        (-max(len(prefix) for prefix in one.prefixes if number.startswith(prefix)),
         one.priority, one.id, one)
        for one in made
        if any(number.startswith(prefix) for prefix in one.prefixes)
    ]
    matching.sort(key=lambda entry: entry[:3])
    found = PrefixTable(made).find(number)
    assert found == [entry[3] for entry in matching]
    tiers: dict[tuple[int, int], list[str]] = {}
    for length, priority, _, one in matching:
        tiers.setdefault((length, priority), []).append(one.key)
    assert [[one.key for one in tier] for tier in found.tiers] == list(tiers.values())


def test_a_list_that_a_script_made_is_tried_in_its_own_order() -> None:
    a, b = gateway("a", "1"), gateway("b", "1")
    assert tiers_of([b, a]) == ((b.candidate,), (a.candidate,))
    assert tiers_of([]) == ()


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_without_keeps_order_and_tiers(name: str) -> None:
    made = {one: gateway(one, "1", priority=2 if one == "c" else 1) for one in "abc"}
    found = PrefixTable(made.values()).find("1")
    left = without(found, made[name])
    assert isinstance(left, Candidates)
    assert names(left) == [one for one in "abc" if one != name]
    assert [candidate.key for tier in left.tiers for candidate in tier] == [
        f"gateway:{one}" for one in "abc" if one != name
    ]
    assert all(left.tiers)
    assert names(found) == ["a", "b", "c"]


def test_without_of_a_plain_list_is_a_plain_list() -> None:
    a, b = gateway("a", "1"), gateway("b", "1")
    assert without([b, a], a) == [b]
    assert without([b], a) == [b]


def test_an_order_of_chance_is_the_same_for_the_same_call() -> None:
    listed = [gateway(name) for name in "abcde"]
    orders = {
        call_id: [one.name for one in shuffled(listed, call_id)]
        for call_id in map(str, range(300))
    }
    assert all(sorted(order) == list("abcde") for order in orders.values())
    assert [one.name for one in shuffled(listed[::-1], "7")] == orders["7"]
    firsts = Counter(order[0] for order in orders.values())
    assert set(firsts) == set("abcde") and max(firsts.values()) < 100
