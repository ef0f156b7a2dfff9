"""Which regexes are refused: those that would hold a worker up, and no others."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from itertools import product
from re import _parser as re_parser

import pytest
from fake_context import logged
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.ambiguity import is_ambiguous
from dsl.regexes import RegexError, compile_regex, limit_of

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


@pytest.mark.parametrize(
    ("pattern", "limit"),
    [
        (r"^86", 0), (r"^\d+$", 0), (r"^(?:0086|86)?1[3-9]\d{9}$", 0), (r"^0086(.*)", 0),
        (r"friendly-scanner|sipvicious", 0), (r"a=rtpmap:\d+ opus", 0),
        (r"^[^@]+@[^;]+;[^=]+=", 0), (r"m=audio \d+ RTP\/AVP .*\b8\b", 4096),
        (r"\d+x", 4096), (r"a.*b!", 4096), (r"^(.*)@(.*)$", 4096),
        (r".*a.*b!", 512), (r"^(.*)\.(.*)\.(.*)$", 512), (r".*a.*b.*c!", 256),
    ],
)  # fmt: skip
def test_a_regex_looks_at_as_much_as_it_has_time_for(pattern: str, limit: int) -> None:
    assert limit_of(pattern, "") == limit


def test_one_that_no_limit_helps_is_refused() -> None:
    with pytest.raises(RegexError) as caught:
        compile_regex(".*a.*b.*c.*d!", "")
    assert caught.value.explosive
    compile_regex("^[^a]*a[^b]*b[^c]*c[^d]*d!", "")


@pytest.mark.parametrize("pattern", [r"\d+x", r"a.*b!", r".*a.*b!", r"^.*a.*b.*c!", r".*a.*b.*c!"])
def test_no_text_of_a_peers_holds_a_route_up(pattern: str) -> None:
    """Of 60,000 characters, and the worst there are; without the limits it takes minutes."""
    began = time.process_time()
    for unit in ("1", "a", "ab", "abc"):
        statements = (
            f'if ($ua =~ /{pattern}/) log(info, "found"); log(info, match($ua, /{pattern}/));'
        )
        logged(statements, user_agent=unit * (60_000 // len(unit)))
    assert time.process_time() - began < 3


def test_what_stands_at_the_beginning_is_found_all_the_same() -> None:
    assert logged("log(info, match($ua, /(a+).*b!/, 1));", user_agent="aaxb!" + "a" * 9000) == [
        "aa"
    ]


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
