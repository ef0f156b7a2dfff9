from __future__ import annotations

from collections import defaultdict

import pytest

from router.store.admission import choose_gateway
from router.store.ops import Candidate

NOW_MS = 1_000


def choose(
    tiers: list[list[tuple[str, int]]],
    usage: dict[str, tuple[int, int]] | None = None,
    down: dict[str, int] | None = None,
) -> tuple[str | None, list[tuple[str, str]]]:
    dropped: list[tuple[str, str]] = []
    chosen = choose_gateway(
        [[Candidate(key, limit) for key, limit in tier] for tier in tiers],
        defaultdict(lambda: (0, 0), usage or {}),
        defaultdict(int, down or {}),
        NOW_MS,
        dropped,
    )
    return chosen.key if chosen is not None else None, dropped


# tiers, usage (in use, handed), the gateway that is taken
ORDER = [
    pytest.param([[("a", 10), ("b", 10)]], {"a": (3, 0), "b": (2, 9)}, "b", id="lower load first"),
    pytest.param([[("a", 10), ("b", 100)]], {"a": (2, 0), "b": (10, 9)}, "b", id="load is a ratio"),
    pytest.param([[("a", 3), ("b", 6)]], {"a": (1, 5), "b": (2, 4)}, "b", id="equal ratios tie"),
    pytest.param(
        [[("a", 7), ("b", 49)]], {"a": (3, 2), "b": (21, 1)}, "b", id="odd ratios tie too"
    ),
    pytest.param([[("a", 5), ("b", 5)]], {"a": (1, 8), "b": (1, 7)}, "b", id="then fewest handed"),
    pytest.param([[("b", 5), ("a", 5)]], {"a": (1, 7), "b": (1, 7)}, "a", id="then the key"),
    pytest.param([[("b", 5), ("a", 5)]], {}, "a", id="never used: the key"),
    pytest.param([[("a", 9), ("b", -1)]], {"a": (1, 0), "b": (99, 9)}, "b", id="unlimited is 0"),
    pytest.param([[("a", 9), ("b", -1)]], {"b": (99, 1)}, "a", id="unlimited ties with unused"),
    pytest.param([[("a", 9)], [("b", 9)]], {"a": (8, 99)}, "a", id="an earlier tier wins"),
    pytest.param([[("a", 1)], [("b", 9)]], {"a": (1, 1)}, "b", id="a full tier is passed"),
    pytest.param([[], [("b", 9)]], {}, "b", id="an empty tier is passed"),
    pytest.param([[("a", 0)], [("b", 0)]], {}, None, id="no lines at all"),
    pytest.param([[("a", 2)]], {"a": (3, 3)}, None, id="over a limit lowered since"),
    pytest.param([], {}, None, id="nothing offered"),
]


@pytest.mark.parametrize(("tiers", "usage", "taken"), ORDER)
def test_gateways_are_taken_in_this_order(
    tiers: list[list[tuple[str, int]]], usage: dict[str, tuple[int, int]], taken: str | None
) -> None:
    assert choose(tiers, usage)[0] == taken


def test_what_is_dropped_is_named_in_the_order_offered() -> None:
    key, dropped = choose(
        [[("c", 1), ("b", 1), ("a", 1)], [("d", 1)]],
        {"c": (1, 1), "d": (1, 1)},
        {"b": NOW_MS + 1},
    )
    assert key == "a"
    assert dropped == [("c", "full"), ("b", "down")]


def test_a_gateway_that_is_down_and_full_is_called_down() -> None:
    assert choose([[("a", 1)]], {"a": (1, 1)}, {"a": NOW_MS + 1}) == (None, [("a", "down")])


@pytest.mark.parametrize(("until_ms", "taken"), [(NOW_MS, "a"), (NOW_MS + 1, None), (0, "a")])
def test_a_gateway_is_down_until_its_time(until_ms: int, taken: str | None) -> None:
    assert choose([[("a", 1)]], down={"a": until_ms})[0] == taken
