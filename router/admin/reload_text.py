"""What a reload came to, for people."""

from __future__ import annotations

from router.runtime.reload_report import (
    ADDED,
    APPLIED,
    CHANGED,
    REMOVED,
    SOUND,
    Answer,
    Change,
)

PATIENCE_S = 600.0
"""Longer than any reload may take, even behind some others."""
_SIGNS = {ADDED: "+", REMOVED: "-", CHANGED: "~"}


def lines_of(answer: Answer) -> list[str]:
    """The answer for people."""
    lines = []
    for text in (*answer.findings, *answer.failures):
        lines += [text, ""]
    if answer.result not in (APPLIED, SOUND):
        lines.append(f"{answer.routes or 'the configuration'} not loaded: {answer.sentence}")
        if answer.previous_hash:
            lines.append(f"{answer.previous_hash} runs on")
        return lines
    hashes = f"{answer.previous_hash} → {answer.config_hash}"
    tests = f", {_count(answer.tests, 'test')} passed" if answer.tests else ""
    if answer.result == APPLIED:
        where = _count(answer.workers, "worker")
        lines.append(f"{answer.routes} loaded: {hashes}, by {where} in {answer.took_ms} ms{tests}")
    else:
        lines.append(f"{answer.routes} can be loaded: {hashes}, in {answer.took_ms} ms{tests}")
    lines += [f"  {_line_of(change)}" for change in answer.changes]
    if not answer.changes:
        lines.append("  no gateway, account, route or setting differs")
    lines += [
        f"  ! `{setting}` is not the one Trunkline was started with: it waits for a restart"
        for setting in answer.restart
    ]
    return lines


def _line_of(change: Change) -> str:
    details = f" ({', '.join(change.details)})" if change.details else ""
    return f"{_SIGNS[change.what]} {change.name}{details}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
