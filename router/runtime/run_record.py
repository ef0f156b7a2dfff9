"""STATE/running.json: what a running router is, for commands that look at it from outside.

Live state says what happens; this says what was started: which interpreter, which configuration,
how many workers, which gateways with how many lines; a reload brings it up to date. It outlives
the router, so it alone proves nothing about whether one runs: heartbeats do.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

RUN_RECORD = "running.json"


class RunRecord(msgspec.Struct):
    """What was started: `pid` is the supervisor's, lines are -1 for no limit, times epoch ms."""

    pid: int
    started_ms: int
    config_hash: str
    slots: int
    gateways: list[tuple[str, int]]
    python: str
    python_version: str
    metrics: str = ""
    """host:port of /metrics, "" when there is none."""
    reloaded_ms: int = 0
    """Of the last reload that was applied, 0 for none."""
    accounts: list[tuple[str, int]] = []
    reloads: dict[str, int] = {}
    """Reloads so far by how they ended: applied, refused, failed."""


def make_run_record(
    *,
    pid: int,
    started_ms: int,
    config_hash: str,
    slots: int,
    gateways: Sequence[tuple[str, int]],
    accounts: Sequence[tuple[str, int]] = (),
    metrics: str = "",
) -> RunRecord:
    """The record of this run, with the interpreter that this process runs on."""
    return RunRecord(
        pid=pid,
        started_ms=started_ms,
        config_hash=config_hash,
        slots=slots,
        gateways=[(name, lines) for name, lines in gateways],
        accounts=[(name, lines) for name, lines in accounts],
        python=os.path.realpath(sys.executable),
        python_version=platform.python_version(),
        metrics=metrics,
    )


def write_run_record(state: Path, record: RunRecord) -> None:
    """Put the record into the state folder, whole or not at all; OSError when it cannot be."""
    fresh = state / f".{RUN_RECORD}.{os.getpid()}"
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(record)) + b"\n")
    fresh.rename(state / RUN_RECORD)


def read_run_record(state: Path) -> RunRecord | None:
    """The record of the last run with this state folder; None when there is none to be read."""
    try:
        return msgspec.json.decode((state / RUN_RECORD).read_bytes(), type=RunRecord)
    except (OSError, msgspec.DecodeError):
        return None
