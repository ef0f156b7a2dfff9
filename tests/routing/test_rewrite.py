"""Rewrite rules, by example and against a matcher that is too simple to be wrong."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dsl.literals import LiteralError
from dsl.rewriting import parse_rules
from router.routing.rewrite import Rewriting, rewriting_of

EXAMPLES = [
    # a prefix is replaced, the rest stays
    ("0086:86", "00868613", "868613"),
    ("0086:86", "0086", "86"),
    ("0086:86", "86", "86"),
    ("0086:86", "1008613", "1008613"),
    ("0086:", "008613", "13"),
    ("+86:0086", "+8613", "008613"),
    # the longest wins, wherever it is written; the first match is the only one
    ("00:1, 0086:2", "008613", "213"),
    ("0086:2, 00:1", "008613", "213"),
    ("0086:2, 00:1", "004913", "14913"),
    ("0086:00, 00:1", "008613", "0013"),
    # any digits: the whole number
    ("*:9*", "8613", "98613"),
    ("*:9*", "", "9"),
    ("*:9*", "+8613", "+8613"),
    ("*:9*", "alice", "alice"),
    ("*:", "8613", ""),
    ("00*:*", "008613", "8613"),
    ("*99:*88", "12399", "12388"),
    ("*99:*88", "123990", "123990"),
    ("*99:*88", "9999", "9988"),
    ("8*6:*", "8136", "13"),
    ("8*6:**", "8136", "1313"),
    # one digit
    ("1?:2?", "134", "234"),
    ("1?:2?", "1", "1"),
    ("1?:2?", "1a", "1a"),
    ("??5:?0?", "125", "102"),
    ("1??:?", "1234", "24"),
    ("?*:*?", "1234", "2341"),
    # equally long: fewer wildcards first, then a beginning before a whole number
    ("1?:a, 13:b", "138", "b8"),
    ("1?:a, 13:b", "148", "a8"),
    ("1*3:a, 13:b", "13", "b"),
    ("1*3:a, 13:b", "143", "a"),
    ("1?:a, ?3:b", "138", "a8"),
    ("?3:b, 1?:a", "138", "b8"),
    # a longer one with fewer fixed digits is not longer
    ("1*:a, 13:b", "138", "b8"),
    # nothing to do
    ("", "8613", "8613"),
    (" 0086 : 86 ,\n1:2 ", "0086", "86"),
    ("bob:1001", "bob", "1001"),
]


@pytest.mark.parametrize(("rules", "number", "expected"), EXAMPLES)
def test_a_number_is_rewritten(rules: str, number: str, expected: str) -> None:
    assert Rewriting(rules).apply(number, "call") == expected


def test_of_several_targets_the_call_id_chooses_one_for_good() -> None:
    rules = Rewriting("0:1|2|")
    chosen = [rules.apply("05", f"call-{at}") for at in range(300)]
    assert {number: chosen.count(number) > 60 for number in set(chosen)} == {
        "15": True, "25": True, "5": True,
    }
    assert chosen == [rules.apply("05", f"call-{at}") for at in range(300)]
    assert rules.apply("05", "\udcff") in ("15", "25", "5")


def test_rules_are_compiled_once_and_know_their_text() -> None:
    assert rewriting_of("1:2") is rewriting_of("1:2")
    assert str(rewriting_of("1:2")) == "1:2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0086", "has no colon"),
        ("1:2,", "a comma without a rule"),
        (":86", "does not say what is replaced"),
        ("1:2:3", "more than one colon"),
        ("1 2:3", "` ` in `1 2:3` is no part of a number"),
        ("1:2;3:4", "more than one colon"),
        ("1:<2>", "`<` in"),
        ("*1*:2", "more than one `*`"),
        ("1:2*", "stands for nothing"),
        ("1?:2??", "more `?` than"),
        ("1:2|3?", "more `?` than"),
        ("1" * 65 + ":2", "too long"),
        (",".join(f"{at}:1" for at in range(1001)), "1001 rules"),
    ],
)
def test_what_is_no_rule_is_said(text: str, message: str) -> None:
    with pytest.raises(LiteralError, match=re.escape(message)) as error:
        Rewriting(text)
    assert error.value.code == "bad-rule"


# -- against a naive matcher ----------------------------------------------------------------------


def naive_match(orig: str, number: str) -> list[str] | None:
    """What each wildcard stands for, by trying every length of the star; the rest comes last."""
    if not orig:
        return [number]
    if orig[0] == "*":
        for length in range(len(number), -1, -1):
            if all(char in "0123456789" for char in number[:length]):
                rest = naive_match(orig[1:], number[length:])
                if rest is not None and rest[-1] == "":
                    return [number[:length], *rest]
        return None
    if not number or (number[0] not in "0123456789" if orig[0] == "?" else number[0] != orig[0]):
        return None
    rest = naive_match(orig[1:], number[1:])
    if rest is None:
        return None
    return [number[0], *rest] if orig[0] == "?" else rest


def naive_apply(rules: list[tuple[str, str]], number: str) -> str:
    order = sorted(
        range(len(rules)),
        key=lambda at: (
            -sum(char != "*" for char in rules[at][0]), rules[at][0].count("?"),
            "*" in rules[at][0], at,
        ),
    )
    for at in order:
        orig, target = rules[at]
        stands_for = naive_match(orig, number)
        if stands_for is None:
            continue
        wild = [char for char in orig if char in "?*"]
        digits = [value for char, value in zip(wild, stands_for, strict=False) if char == "?"]
        star = next(
            (value for char, value in zip(wild, stands_for, strict=False) if char == "*"), ""
        )
        made = ""
        for char in target:
            made += digits.pop(0) if char == "?" else star if char == "*" else char
        return made + stands_for[-1]
    return number


@st.composite
def rule(draw: st.DrawFn) -> tuple[str, str]:
    before, after = draw(st.text("12?", max_size=3)), draw(st.text("12?", max_size=2))
    star = draw(st.sampled_from(["", "*"]))
    orig = before + star + after or "1"
    wild = orig.count("?")
    target = draw(st.text("129?*", max_size=4))
    while target.count("?") > wild:
        target = target.replace("?", "", 1)
    if not star:
        target = target.replace("*", "")
    return orig, target


@given(rules=st.lists(rule(), max_size=6), number=st.text("12+", max_size=7))
@example(rules=[("1*", "2"), ("1", "3")], number="12")
@example(rules=[("?*1", "*?")], number="2211")
def test_rules_are_applied_as_a_naive_matcher_does(
    rules: list[tuple[str, str]], number: str
) -> None:
    text = ", ".join(f"{orig}:{target}" for orig, target in rules)
    assert Rewriting(text).apply(number, "call") == naive_apply(rules, number)


@given(st.text("0123456789:,|*?+ a\n", max_size=30))
def test_any_text_is_rules_or_a_sentence(text: str) -> None:
    try:
        rules = parse_rules(text)
    except LiteralError as error:
        assert error.message
        return
    for number in ("", "1", "0086138", "+1", "a"):
        assert isinstance(Rewriting(text).apply(number, "x"), str)
    assert all(one.orig and one.targets for one in rules)
