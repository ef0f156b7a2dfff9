"""Whether a regex can read a text inside one of its loops in more than one way.

Python's matcher tries such readings one after the other when what follows does not match, and there
are twice as many with every few characters: `(a|a)*`, `(\\d|\\d\\d)*`. The regex is taken as the
automaton of its positions (Glushkov): a state for each place that reads a character, an edge where
one may follow the other. Two copies of it are run side by side over the same text; if they can
part inside a loop and meet again, the number of readings grows exponentially (Weber and Seidl
1991, the criterion EDA). Where that cannot be, the number may still grow as a power of the length,
as with `.*a.*b`: a chain of loops of which each can take over from the one before while both read
the same (the criterion IDA).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from re import _parser as re_parser
from typing import Any, NamedTuple

MAX_PAIRS = 20_000
"""of places that two readings may be at; a regex with more is taken for harmless"""
MAX_PLACES = 4_000
_MOST = 2
_SAMPLES = "aZ_0 \n\t-.é\u0663\u4e2d"
_CATEGORIES = {
    name: re.compile(f"\\{letter}")
    for letter, name in zip(
        "dDsSwW",
        ("DIGIT", "NOT_DIGIT", "SPACE", "NOT_SPACE", "WORD", "NOT_WORD"),
        strict=True,
    )
}

_Set = frozenset[str]
"""The characters that a place reads, out of those that the regex tells apart."""


class _Part(NamedTuple):
    """A part of the regex: in how many ways it can be empty, or begin or end with a place."""

    empty: int
    first: Counter[int]
    last: Counter[int]


class TooLarge(Exception):
    """The regex has more places than are looked at."""


def is_ambiguous(parsed: Any, flags: int, many: int) -> bool:
    """Whether a parsed regex has exponentially many readings of some text.

    A repeat of more than `many` turns counts as endless.
    """
    try:
        places = _Places(parsed, flags, many)
        places.add(parsed)
        return any(_has_two_readings(loop, places) for loop in _loops(places.follow))
    except (TooLarge, RecursionError):
        return False


def degree(parsed: Any, flags: int, many: int, anchored: bool) -> int:
    """The power of a text's length with which the readings of an unambiguous regex may grow.

    0: it reads a text once. A regex that is not anchored begins anywhere, which is a loop too.
    """
    try:
        places = _Places(parsed, flags, many)
        start = places.anywhere() if not anchored else None
        part = places.add(parsed)
        if start is not None:
            places.link(start, part)
        return _longest_chain(_loops(places.follow), places)
    except (TooLarge, RecursionError):
        return 1


class _Places:
    """The automaton while it is built: what each place reads, and what follows in how many ways."""

    def __init__(self, parsed: Any, flags: int, many: int) -> None:
        self._flags = flags
        self._many = many
        self._letters = _letters(parsed, flags)
        self.reads: list[_Set] = []
        self.follow: list[Counter[int]] = []

    def anywhere(self) -> _Part:
        """The loop in which a search looks for where the regex may begin."""
        part = self._place(frozenset(self._letters))
        self.link(part, part)
        return part

    def add(self, items: Any) -> _Part:
        """Adds a sequence."""
        whole = _nothing()
        for name, argument in items:
            whole = self._joined(whole, self._one(str(name), argument))
        return whole

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self.link(one, other)
        return _Part(
            min(one.empty * other.empty, _MOST),
            one.first + _times(other.first, one.empty),
            other.last + _times(one.last, other.empty),
        )

    def link(self, one: _Part, other: _Part) -> None:
        """What the one may end with is followed by what the other may begin with."""
        for place, ways in one.last.items():
            self.follow[place].update(_times(other.first, ways))

    def _one(self, name: str, argument: Any) -> _Part:
        if name in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            return self._place(_read_by(name, argument, self._letters, self._flags))
        if name == "SUBPATTERN":
            return self.add(argument[-1])
        if name == "BRANCH":
            return self._any_of([self.add(branch) for branch in argument[1]])
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            low, high, body = argument
            return self._repeat(int(low), int(high), body)
        if name == "GROUPREF":
            return self._place(frozenset(self._letters))._replace(empty=1)
        if name in ("ATOMIC_GROUP", "POSSESSIVE_REPEAT"):
            # What has matched there is never read in another way.
            return self._place(frozenset(self._letters))
        return _nothing()  # anchors and what only looks around

    def _place(self, reads: _Set) -> _Part:
        if len(self.reads) >= MAX_PLACES:
            raise TooLarge
        at = len(self.reads)
        self.reads.append(reads)
        self.follow.append(Counter())
        return _Part(0, Counter((at,)), Counter((at,)))

    def _any_of(self, parts: Sequence[_Part]) -> _Part:
        return _Part(
            min(sum(part.empty for part in parts), _MOST),
            sum((part.first for part in parts), Counter[int]()),
            sum((part.last for part in parts), Counter[int]()),
        )

    def _repeat(self, low: int, high: int, body: Any) -> _Part:
        if high > self._many:
            part = self.add(body)
            self.link(part, part)
            return part._replace(empty=min(part.empty + (low == 0), _MOST))
        # So that `a{0,2}` has one reading of "a": a turn more only where there was one before.
        whole = _nothing()
        for turn in reversed(range(high)):
            whole = self._joined(self.add(body), whole)
            if turn >= low:
                whole = whole._replace(empty=min(whole.empty + 1, _MOST))
        return whole


def _nothing() -> _Part:
    return _Part(1, Counter(), Counter())


def _times(places: Counter[int], ways: int) -> Counter[int]:
    """Each place in so many times as many ways, up to a number that is many enough."""
    return Counter({at: min(count * ways, _MOST) for at, count in places.items() if ways})


# ---------------------------------------------------------------------- the characters of a regex


def _letters(parsed: Any, flags: int) -> str:
    """Characters of which no regex place can tell two apart that are not both here."""
    found = set(_SAMPLES)
    for name, argument in _leaves(parsed):
        codes = argument if name == "RANGE" else (argument,)
        for code in codes:
            found.update(chr(near) for near in (code - 1, code, code + 1) if 0 <= near < 0x110000)
    if flags & re.IGNORECASE:
        found |= {other for letter in found for other in (letter.lower(), letter.upper())}
    return "".join(sorted(letter for letter in found if len(letter) == 1))


def _leaves(items: Any) -> Iterator[tuple[str, Any]]:
    """The literals and ranges, wherever they stand."""
    if isinstance(items, tuple) and len(items) == 2 and str(items[0]) in _LEAVES:
        yield str(items[0]), items[1]
    elif isinstance(items, (tuple, list, re_parser.SubPattern)):
        for one in items:
            yield from _leaves(one)


_LEAVES = frozenset({"LITERAL", "NOT_LITERAL", "RANGE"})


def _read_by(name: str, argument: Any, letters: str, flags: int) -> _Set:
    if name == "ANY":
        return frozenset(letters if flags & re.DOTALL else letters.replace("\n", ""))
    if name == "IN":
        negated = str(argument[0][0]) == "NEGATE"
        members = argument[1:] if negated else argument
    else:
        negated, members = name == "NOT_LITERAL", [("LITERAL", argument)]
    return frozenset(
        letter
        for letter in letters
        if negated != any(_is_member(letter, str(one[0]), one[1], flags) for one in members)
    )


def _is_member(letter: str, name: str, argument: Any, flags: int) -> bool:
    if name == "CATEGORY":
        regex = _CATEGORIES.get(str(argument).removeprefix("CATEGORY_"))
        return regex is None or regex.match(letter) is not None
    low, high = argument if name == "RANGE" else (argument, argument)
    if low <= ord(letter) <= high:
        return True
    cases = (letter.lower(), letter.upper()) if flags & re.IGNORECASE else ()
    return any(len(case) == 1 and low <= ord(case) <= high for case in cases)


# ------------------------------------------------------------------------- two readings at a time


def _loops(follow: Sequence[Counter[int]]) -> list[frozenset[int]]:
    """The sets of places that lead to each other; a single one may lead to itself."""
    graph = dict(enumerate(follow))
    return [
        frozenset(one)
        for one in _components(graph.keys(), graph.__getitem__)
        if len(one) > 1 or one[0] in graph[one[0]]
    ]


def _has_two_readings(loop: frozenset[int], places: _Places) -> bool:
    """Whether two readings of the same text can begin at one place, part, and meet there again."""
    reads, follow = places.reads, places.follow
    if any(follow[place][after] > 1 for place in loop for after in loop & follow[place].keys()):
        return True
    after = {place: sorted(loop & follow[place].keys()) for place in loop}
    seen: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def next_pairs(pair: tuple[int, int]) -> list[tuple[int, int]]:
        known = seen.get(pair)
        if known is None:
            if len(seen) >= MAX_PAIRS:
                raise TooLarge
            known = seen[pair] = [
                (one, other) if one <= other else (other, one)
                for one in after[pair[0]]
                for other in after[pair[1]]
                if reads[one] & reads[other]
            ]
        return known

    return any(
        any(one == other for one, other in component)
        and any(one != other for one, other in component)
        for component in _components(((place, place) for place in sorted(loop)), next_pairs)
    )


def _longest_chain(loops: Sequence[frozenset[int]], places: _Places) -> int:
    """How often, at most, one loop can be taken over by another in a row."""
    after = {
        at: [
            other
            for other in range(len(loops))
            if other != at and _takes_over(at, other, loops, places)
        ]
        for at in range(len(loops))
    }
    lengths: dict[int, int] = {}

    def length(at: int) -> int:
        if at not in lengths:
            lengths[at] = max((length(other) + 1 for other in after[at]), default=0)
        return lengths[at]

    return max((length(at) for at in after), default=0)


def _takes_over(one: int, other: int, loops: Sequence[frozenset[int]], places: _Places) -> bool:
    """Whether a text leads round the one loop, from it to the other, and round the other."""
    reads, follow = places.reads, places.follow
    first, second = loops[one], loops[other]
    for p in first:
        for q in second:
            seen = {(p, p, q)}
            waiting = list(seen)
            while waiting:
                a, b, c = waiting.pop()
                for triple in product(
                    follow[a].keys() & first, follow[b], follow[c].keys() & second
                ):
                    x, y, z = triple
                    if triple in seen or not reads[x] & reads[y] & reads[z]:
                        continue
                    if triple == (p, q, q):
                        return True
                    if len(seen) >= MAX_PAIRS:
                        raise TooLarge
                    seen.add(triple)
                    waiting.append(triple)
    return False


def _components(starts: Iterable[Any], after: Any) -> Iterator[list[Any]]:
    """The strongly connected components of what can be reached (Tarjan 1972), without recursion."""
    index: dict[Any, int] = {}
    low: dict[Any, int] = {}
    stack: list[Any] = []
    open_: set[Any] = set()
    for start in starts:
        if start in index:
            continue
        work: list[tuple[Any, Iterator[Any]]] = [(start, iter(after(start)))]
        index[start] = low[start] = len(index)
        stack.append(start)
        open_.add(start)
        while work:
            node, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    open_.add(other)
                    work.append((other, iter(after(other))))
                    break
                if other in open_:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = []
                    while True:
                        one = stack.pop()
                        open_.discard(one)
                        component.append(one)
                        if one == node:
                            break
                    yield component
