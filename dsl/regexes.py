"""Regex literals: what compiles, what could take for ever, what is anchored."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from functools import lru_cache
from re import _parser as re_parser
from typing import Any

from dsl.ambiguity import degree, is_ambiguous

FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
MAX_LENGTH = 2000

_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT"})
LIMITS = (0, 4_096, 512, 256)
"""by the power of the text's length with which its time grows, less 1"""
_MANY = 10
"""a repeat of up to this many turns is not taken for an endless one"""


class RegexError(Exception):
    """Why a regex is refused; `explosive` if it is for the time that it could take."""

    def __init__(self, message: str, explosive: bool = False, help: str = "") -> None:
        super().__init__(message)
        self.explosive = explosive
        self.help = help


def flags_of(letters: str) -> re.RegexFlag:
    """The flags that letters behind a regex stand for; raises RegexError."""
    flags = re.RegexFlag(0)
    for letter in letters:
        if letter not in FLAGS:
            raise RegexError(f"`{letter}` is no flag of a regex: they are i, m, s and x")
        flags |= FLAGS[letter]
    return flags


def compile_regex(pattern: str, letters: str) -> re.Pattern[str]:
    """The compiled regex; raises RegexError if it does not compile or can explode."""
    flags = flags_of(letters)
    if len(pattern) > MAX_LENGTH:
        raise RegexError(f"the regex is longer than {MAX_LENGTH} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = re.compile(pattern, flags)
            parsed = re_parser.parse(pattern, flags)
    except (re.error, OverflowError, RecursionError) as error:
        message = str(error) or "it is nested too deep"
        raise RegexError(f"the regex does not compile: {message}") from None
    if _explodes(parsed, inside=False):
        raise RegexError(
            "the regex repeats something that repeats: on some texts it would take for ever",
            explosive=True,
            help="write the repeat once, `a+` for `(a+)+`; or give the inner one a fixed length",
        )
    if is_ambiguous(parsed, parsed.state.flags, _MANY):
        raise RegexError(
            "the regex can repeat in two ways over the same characters: on some texts it would "
            "take for ever",
            explosive=True,
            help="leave one of the alternatives that begin alike, `\\d+` for `(\\d|\\d\\d)+`",
        )
    limit_of(pattern, letters)
    return compiled


@lru_cache(maxsize=1_000)
def limit_of(pattern: str, letters: str) -> int:
    """How many characters of a text the regex is let look at, 0 for all of them.

    So that it holds nobody up for longer than some hundredths of a second. Raises RegexError where
    no such limit helps.
    """
    flags = flags_of(letters)
    parsed = re_parser.parse(pattern, flags)
    power = degree(parsed, parsed.state.flags, _MANY, _anchored(parsed))
    if power >= len(LIMITS):
        raise RegexError(
            "the regex repeats too often: on some texts it would take for ever",
            explosive=True,
            help="begin it with `^`, and write `[^x]*` for a `.*` that `x` ends",
        )
    return LIMITS[power]


def is_anchored(pattern: str) -> bool:
    """Whether every way to match begins at the start of the text."""
    try:
        return _anchored(re_parser.parse(pattern))
    except (re.error, OverflowError, RecursionError):
        return True


def _anchored(items: Any) -> bool:
    if not len(items):
        return False
    name, argument = str(items[0][0]), items[0][1]
    if name == "AT":
        return str(argument) in ("AT_BEGINNING", "AT_BEGINNING_STRING")
    if name == "SUBPATTERN":
        return _anchored(argument[-1])
    if name == "BRANCH":
        return all(_anchored(branch) for branch in argument[1])
    return False


def _explodes(items: Any, inside: bool) -> bool:
    """Whether a repeat without a small bound holds another repeat of changing length."""
    for name, argument in items:
        repeat = str(name) in _REPEATS
        if repeat:
            low, high, body = argument
            varies = low != high and int(high) > 1
            if inside and varies:
                return True
            if _explodes(body, inside or (int(high) > _MANY and low != high)):
                return True
        elif any(_explodes(part, inside) for part in _parts(argument)):
            return True
    return False


def _parts(argument: Any) -> Iterator[Any]:
    """The sub-patterns inside an item's argument, wherever they stand in it."""
    if isinstance(argument, re_parser.SubPattern):
        yield argument
    elif isinstance(argument, (tuple, list)):
        for one in argument:
            yield from _parts(one)
