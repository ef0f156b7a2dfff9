"""`trunkline reload`: the running router takes routes.cfg as it is now, or says why it does not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from router.runtime.reload_control import NoRouter, Request, ask
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


def reload(
    *,
    state: Path = Path("state"),
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Let the running router take its routes.cfg as it is now, without a call noticing.

    It is checked and its tests are run first; if anything is wrong everything found is shown, the
    exit code is 1 and the old configuration runs on. Calls in progress keep the configuration they
    began with. SIGHUP to the router does the same and tells the log.

    Parameters
    ----------
    state
        The router's state folder, as `state` in routes.cfg says.
    dry_run
        Check only, and show what would change.
    as_json
        Print one JSON object instead of text.
    """
    try:
        answer = ask(state, Request(dry_run=dry_run), PATIENCE_S)
    except NoRouter as error:
        print(f"trunkline: {error}", file=sys.stderr)
        return 1
    well = answer.result in (APPLIED, SOUND)
    if as_json:
        fields: Any = msgspec.to_builtins(answer)
        print(json.dumps(fields, indent=2, ensure_ascii=False))
    else:
        shown = "\n".join(lines_of(answer))
        print(shown, file=sys.stdout if well else sys.stderr)
    return 0 if well else 1


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
