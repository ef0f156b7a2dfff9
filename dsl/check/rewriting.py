"""Rewrite rules and replaced codes: what can never apply, and what undoes each other.

Each list stands by itself; a call then goes through the lists of its trunk and of its gateway, and
one of them may undo what the other did.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dsl import ast
from dsl.check.report import Report, link
from dsl.check.settings import CheckedBlock, Given
from dsl.findings import WARNING
from dsl.literals import LiteralError
from dsl.rewriting import Rule, never_matches, parse_rules, undoes

_NUMBERS = ("callee", "caller")
MAX_LINKS = 3


@dataclass(slots=True)
class _RuleList:
    """The rules of one setting of one block."""

    title: str
    span: ast.Span
    rules: tuple[Rule, ...]


def check_rewriting(blocks: list[CheckedBlock], report: Report) -> None:
    """Report rules that can never match, and pairs `a:b`, `b:a` in a list or on a call's way."""
    peers = list(_peers(blocks))
    for setting in ("callee_in", "caller_in", "callee_out", "caller_out"):
        for peer in peers:
            found = _rules_of(peer, setting)
            if found is not None:
                _check_list(found, report)
    for peer in peers:
        check_codes(peer.given, report)
    for number in _NUMBERS:
        inward = _all_rules(peers, "trunk", f"{number}_in")
        for outward in _all_rules(peers, "gateway", f"{number}_out"):
            _check_way(inward, outward, report)


def _peers(blocks: list[CheckedBlock]) -> Iterator[CheckedBlock]:
    for block in blocks:
        if block.node.kind == "gateway":
            yield block
        yield from block.children


def _all_rules(peers: list[CheckedBlock], kind: str, setting: str) -> list[_RuleList]:
    found = [_rules_of(peer, setting) for peer in peers if peer.node.kind == kind]
    return [one for one in found if one is not None]


def _rules_of(peer: CheckedBlock, setting: str) -> _RuleList | None:
    text = peer.given.values.get(setting)
    if not isinstance(text, str):
        return None
    try:
        rules = parse_rules(text)
    except LiteralError:
        return None
    title = f"{setting} of {peer.node.kind} {peer.node.name}"
    return _RuleList(title, peer.given.nodes[setting].values[0].span, rules)


def _check_list(found: _RuleList, report: Report) -> None:
    for rule in found.rules:
        before = never_matches(rule, found.rules)
        if before is not None:
            report.warn(
                "rule-never-matches",
                found.span,
                f"the rule `{_shown(rule)}` never matches: `{_shown(before)}` always comes before",
            )
        for other in found.rules[: rule.position]:
            if undoes(rule, other):
                report.add(
                    "undone-rewriting",
                    found.span,
                    f"`{_shown(other)}` and `{_shown(rule)}` undo each other",
                    "only the first rule that matches is applied: keep one of the two",
                )


def _check_way(inward: list[_RuleList], outward: _RuleList, report: Report) -> None:
    """Warn once of each rule out of a gateway that undoes one of a trunk."""
    for rule in outward.rules:
        undone = [
            (one, other) for one in inward for other in one.rules if undoes(rule, other)
        ]
        if undone:
            first = undone[0][1]
            more = f" and {len(undone) - 1} more" if len(undone) > 1 else ""
            report.add(
                "undone-rewriting",
                outward.span,
                f"`{_shown(rule)}` undoes `{_shown(first)}` in {undone[0][0].title}{more}",
                "a call from there leaves as it came: is that what is meant?",
                WARNING,
                tuple(link(one.span, one.title) for one, _ in undone[:MAX_LINKS]),
            )


def check_codes(given: Given, report: Report) -> None:
    """Report codes that one setting names twice."""
    for name, what in (("replace_codes", "is replaced"), ("reason_of", "has its reason")):
        codes = given.values.get(name)
        if not isinstance(codes, list):
            continue
        seen: set[int] = set()
        spans = [value.span for value in given.nodes[name].values]
        for (code, _), span in zip(codes, spans, strict=False):
            if code in seen:
                report.warn("rule-never-matches", span, f"{code} {what} already")
            seen.add(code)


def _shown(rule: Rule) -> str:
    return f"{rule.orig}:{'|'.join(rule.targets)}"
