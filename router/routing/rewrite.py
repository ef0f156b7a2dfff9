"""Numbers rewritten by rules, compiled once (4-calls, section 3).

The rules themselves, and which of them goes first, stand in `dsl.rewriting`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from zlib import crc32

from dsl.rewriting import Rule, parse_rules
from router.core.decision import rewritten

if TYPE_CHECKING:
    from router.core.attempt import Attempt
    from router.core.call import Call

_WILD = {"?": "([0-9])", "*": "([0-9]*)"}


class Rewriting:
    """A list of rewrite rules, ready for use; `text` is how it was written."""

    __slots__ = ("_lengths", "_ordered", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        ordered = sorted(parse_rules(text), key=lambda rule: rule.precedence)
        plain: dict[int, dict[str, Rule]] = {}
        wild: dict[int, list[_WildRule]] = {}
        for rule in ordered:
            length = -rule.precedence[0]
            if "?" in rule.orig or rule.whole:
                wild.setdefault(length, []).append(_WildRule(rule))
            else:
                plain.setdefault(length, {}).setdefault(rule.orig, rule)
        self._lengths = tuple(
            (length, plain.get(length, {}), tuple(wild.get(length, ())))
            for length in sorted({*plain, *wild}, reverse=True)
        )

    def apply(self, number: str, call_id: str) -> str:
        """The number after the first rule that matches; of several targets the Call-ID chooses."""
        for length, plain, wild in self._lengths:
            rule = plain.get(number[:length])
            if rule is not None:
                return _target(rule.targets, call_id) + number[length:]
            for pattern in wild:
                found = pattern.regex.match(number)
                if found is not None:
                    return pattern.fill(found, call_id)
        return number

    def __str__(self) -> str:
        return self.text


class NumberRules:
    """The rules for callee and caller of one side of one peer; `where` is how a trace names it."""

    __slots__ = ("_callee", "_callee_where", "_caller", "_caller_where")

    def __init__(
        self, callee: Rewriting, caller: Rewriting, callee_where: str, caller_where: str
    ) -> None:
        self._callee = callee
        self._caller = caller
        self._callee_where = callee_where
        self._caller_where = caller_where

    def rewrite(self, numbers: Attempt | Call, call: Call) -> None:
        """Changes the numbers of an attempt or of the call itself, and says so in its decision."""
        call_id = call.a.call_id
        before = numbers.callee
        after = self._callee.apply(before, call_id)
        if after != before:
            numbers.callee = after
            call.cdr.decision.append(rewritten("callee", before, after, self._callee_where))
        before = numbers.caller
        after = self._caller.apply(before, call_id)
        if after != before:
            numbers.caller = after
            call.cdr.decision.append(rewritten("caller", before, after, self._caller_where))


def number_rules(callee: str, caller: str, side: str, peer: str) -> NumberRules | None:
    """The rules of a peer, None without any; `side` is in or out, `peer` as in "gateway a"."""
    if not callee and not caller:
        return None
    return NumberRules(
        rewriting_of(callee), rewriting_of(caller), f"callee_{side} of {peer}",
        f"caller_{side} of {peer}",
    )


class _WildRule:
    """A rule with `?` or `*` in it."""

    __slots__ = ("_groups", "_rule", "_star", "regex")

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        pattern = "".join(_WILD.get(char, re.escape(char)) for char in rule.orig)
        self.regex = re.compile(pattern + (r"\Z" if rule.whole else ""))
        wild = [char for char in rule.orig if char in _WILD]
        self._groups = [at for at, char in enumerate(wild, 1) if char == "?"]
        self._star = wild.index("*") + 1 if rule.whole else 0

    def fill(self, found: re.Match[str], call_id: str) -> str:
        """What the number becomes."""
        digits = iter(self._groups)
        made = []
        for char in _target(self._rule.targets, call_id):
            if char == "?":
                made.append(found[next(digits)])
            elif char == "*":
                made.append(found[self._star])
            else:
                made.append(char)
        return "".join(made) + found.string[found.end() :]


def _target(targets: tuple[str, ...], call_id: str) -> str:
    if len(targets) == 1:
        return targets[0]
    return targets[crc32(call_id.encode("utf-8", "surrogateescape")) % len(targets)]


@lru_cache(maxsize=1024)
def rewriting_of(text: str) -> Rewriting:
    """The rules of a text; raises LiteralError when it is none."""
    return Rewriting(text)
