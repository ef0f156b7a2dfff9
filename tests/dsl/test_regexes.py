"""Which regexes are refused: those that would hold a worker up, and no others."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import product
from re import _parser as re_parser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.ambiguity import is_ambiguous
from dsl.regexes import RegexError, compile_regex

EXPLOSIVE = [
    (r"^(a|a)*$", "a"),
    (r"^(\d|\d\d)*$", "1"),
    (r"^(?:86|8|6)+$", "86"),
    (r"^(\w|\dx?)+!", "1"),
    (r"^([a-z]|[x-z0-9]\.?)*!", "x"),
    (r"^(ab|a|b)*!", "ab"),
    (r"^(.|\s)*!", " "),
    (r"^(a?a?)*!", "a"),
    (r"^(a|bb|(?:c|a))+!", "a"),
    (r"^(aa|aaa)+!", "a"),
    (r"^(a{2}|a{3})*!", "a"),
    (r"^([ab]c|a[cd])+!", "ac"),
    (r"^(a|a){12,}!", "a"),
    (r"^(x(y|y)z)*!", "xyz"),
]
NESTED = [r"^(a+)+$", r"(\d*)*x", r"^(a|b+)*$", r"(?:\d{1,3})+x", r"(a{1,20}){11,}"]
HARMLESS = [
    r"^86",
    r"^(\w|\d)+!",
    r"^([a-z]|[x-z0-9])*!",
    r"^00\d+$",
    r"^(?:0086|86)?1[3-9]\d{9}$",
    r"friendly-scanner|sipvicious",
    r"^(110|112|119|120)$",
    r"^(\d\d|\d[a-f])*$",
    r"^(?:a|b|c)*$",
    r"^[^@]*@[^@]*$",
    r"^(?:[0-9]|[a-f]|-)+$",
    r"^.*foo.*$",
    r"(a|b){1,5}",
    r"^sip:[^;]*(?:;[a-z]=[0-9])*$",
    r"^(?P<x>a)(?P=x)*$",
    r"(?<=a)(?:b|c)*(?!d)",
    r"^(?:ab|cd)+$",
    r"(?>(?:a|a)*)b",
]


@pytest.mark.parametrize("pattern", [*(pattern for pattern, _ in EXPLOSIVE), *NESTED])
def test_what_can_explode_is_refused(pattern: str) -> None:
    with pytest.raises(RegexError) as caught:
        compile_regex(pattern, "")
    assert caught.value.explosive


@pytest.mark.parametrize("pattern", HARMLESS)
def test_what_cannot_is_taken(pattern: str) -> None:
    compile_regex(pattern, "")
    compile_regex(pattern, "ims")


def test_case_counts_where_it_is_told_apart() -> None:
    compile_regex("^(?:ax?|A)*!", "")
    with pytest.raises(RegexError):
        compile_regex("^(?:ax?|A)*!", "i")


def test_line_ends_count_where_a_dot_reads_them() -> None:
    compile_regex(r"^(?:.|\n)*!", "")
    with pytest.raises(RegexError):
        compile_regex(r"^(?:.|\n)*!", "s")


SEARCH = """
import re, sys, time
pattern, text = sys.argv[1:]
began = time.process_time()
re.search(pattern, text)
print(time.process_time() - began)
"""


@pytest.mark.parametrize(("pattern", "turn"), EXPLOSIVE, ids=[one for one, _ in EXPLOSIVE])
def test_what_is_refused_would_have_exploded(pattern: str, turn: str) -> None:
    """Not one of them is refused for nothing: a text of 200 turns is not done in half a second."""
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(
            [sys.executable, "-c", SEARCH, pattern, turn * 200 + "?"], timeout=0.5, check=True
        )


PIECES = st.sampled_from(["a", "b", "[ab]", "ab", "a?", "aa", "[^bc]", "ba"])
# One of two letters at least: of single ones the parser makes a set, which has one reading.
LOOPS = st.lists(PIECES, min_size=1, max_size=4).map(lambda ways: ["cc", *ways])
TEXTS = ["".join(turn) * 24 for size in (1, 2, 3) for turn in product("ab", repeat=size)]


def readings(ways: list[str], text: str) -> int:
    """In how many ways the text is a row of these, none of them empty."""
    counts = [1] + [0] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(max(0, end - 2), end):
            counts[end] += counts[start] * sum(
                bool(re.fullmatch(way, text[start:end])) for way in ways
            )
    return counts[-1]


@settings(max_examples=150, deadline=None)
@given(LOOPS)
def test_what_is_taken_has_one_reading_and_what_is_refused_has_many(ways: list[str]) -> None:
    parsed = re_parser.parse(f"^(?:{'|'.join(ways)})*!")
    most = max(readings(ways, text) for text in TEXTS)
    assert is_ambiguous(parsed, parsed.state.flags, 10) == (most > 100)
