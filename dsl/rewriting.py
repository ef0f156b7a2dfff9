"""Rewrite rules for telephone numbers: `0086:86, *:9*` (4-calls, section 3).

    rules   = rule *( "," rule )          rule = orig ":" target *( "|" target )
    orig    digits and letters of a number; `?` is one digit, `*`, once, any digits or none
    target  what comes instead; `?` and `*` are what those of the orig stood for

An orig without `*` is a beginning of the number, and the rest stays; one with `*` is the whole
number. The longest orig goes first, `*` not counted; of equally long ones the one with fewer `?`,
then one without `*`, then the one that is written first. Only the first that matches is applied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dsl.literals import LiteralError

MAX_ORIG = 64
MAX_RULES = 1_000

_ORIG = re.compile(r"[0-9A-Za-z+#._?*-]*")
_EXAMPLE = "a rule is written 0086:86, and several are separated by commas"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `targets` has more than one where the call's Call-ID chooses."""

    orig: str
    targets: tuple[str, ...]
    position: int
    """its place among the rules that were written, from 0"""

    @property
    def whole(self) -> bool:
        """Whether the orig is the whole number, and not only its beginning."""
        return "*" in self.orig

    @property
    def precedence(self) -> tuple[int, int, bool, int]:
        """The rule with the smallest goes first."""
        return (
            self.orig.count("*") - len(self.orig),
            self.orig.count("?"),
            self.whole,
            self.position,
        )


def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules of a text, as they are written; raises LiteralError with the code bad-rule."""
    parts = [part.strip() for part in text.split(",")]
    if parts == [""]:
        return ()
    if len(parts) > MAX_RULES:
        raise _bad(f"there are {len(parts)} rules: the most is {MAX_RULES}")
    return tuple(_parse_rule(part, position) for position, part in enumerate(parts))


def _parse_rule(text: str, position: int) -> Rule:
    orig, colon, rest = text.partition(":")
    if not text:
        raise _bad("there is a comma without a rule", _EXAMPLE)
    if not colon:
        raise _bad(f"`{text}` has no colon between what is replaced and what by", _EXAMPLE)
    if not orig:
        raise _bad(f"`{text}` does not say what is replaced", f"did you mean `*:{rest}*`?")
    if ":" in rest:
        raise _bad(f"`{text}` has more than one colon", _EXAMPLE)
    orig = orig.strip()
    if len(orig) > MAX_ORIG:
        raise _bad(f"`{orig}` is too long: the most is {MAX_ORIG} characters")
    targets = tuple(target.strip() for target in rest.split("|"))
    for part in (orig, *targets):
        found = _ORIG.match(part)
        end = found.end() if found is not None else 0
        if end < len(part):
            raise _bad(f"`{part[end]}` in `{text}` is no part of a number")
    if orig.count("*") > 1:
        raise _bad(f"`{orig}` has more than one `*`", "one `*` stands for any digits")
    for target in targets:
        if "*" in target and "*" not in orig:
            raise _bad(
                f"the `*` in `{target}` stands for nothing: there is none in `{orig}`",
                "without `*` the rest of the number stays by itself",
            )
        if target.count("?") > orig.count("?"):
            raise _bad(f"`{target}` has more `?` than `{orig}`")
    return Rule(orig, targets, position)


def never_matches(rule: Rule, rules: tuple[Rule, ...]) -> Rule | None:
    """The rule among these that always comes before this one, or None."""
    for other in rules:
        if other.precedence >= rule.precedence:
            continue
        if other.orig == rule.orig or (not other.whole and rule.orig == other.orig + "*"):
            return other
    return None


def undoes(one: Rule, other: Rule) -> bool:
    """Whether the rules are a pair `a:b` and `b:a`."""
    return (
        one.orig != other.orig and other.orig in one.targets and one.orig in other.targets
    )


def _bad(message: str, help: str = "") -> LiteralError:
    return LiteralError("bad-rule", message, help)
