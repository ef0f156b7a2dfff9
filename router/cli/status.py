"""`trunkline status`: is it running, who is up, how many lines are in use, does anything wait?"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from router.admin.gateway_health import span
from router.admin.status_facts import (
    Status,
    read_status,
)
from router.store.cdr_lines import plain
from router.store.errors import StoreError

if TYPE_CHECKING:
    from rich.console import Console


def show(status: Status, state: Path, console: Console, now_ms: int) -> None:
    """Print the status for people."""
    from rich.table import Table

    facts = Table.grid(padding=(0, 2))
    for name, text in _facts(status, state, now_ms):
        facts.add_row(name, text)
    console.print(facts, highlight=False)
    if not status.gateways:
        return
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("GATEWAY")
    table.add_column("LINES USED", justify="right")
    table.add_column("ALLOWED", justify="right")
    table.add_column("CALLS SO FAR", justify="right")
    table.add_column("STATE")
    for gateway in status.gateways:
        allowed = "unlimited" if gateway.lines is None else str(gateway.lines)
        table.add_row(
            gateway.name,
            str(gateway.lines_used),
            allowed if gateway.lines_known else "unknown",
            str(gateway.handed),
            gateway.state,
        )
    console.print()
    console.print(table, highlight=False)


def _facts(status: Status, state: Path, now_ms: int) -> list[tuple[str, str]]:
    up = sum(worker.up for worker in status.workers)
    down = [str(worker.slot) for worker in status.workers if not worker.up]
    workers = f"{up} of {len(status.workers)} up"
    if down and status.running:
        workers += f" (not up: {', '.join(down)})"
    facts = [("Trunkline", f"{_running(status, now_ms)}, state folder {state}")]
    if status.config_hash:
        facts.append(("Configuration", status.config_hash))
    if status.python:
        facts.append(("Interpreter", f"Python {status.python_version}, {status.python}"))
    if status.metrics:
        facts.append(("Metrics", f"http://{status.metrics}/metrics"))
    facts.append(("Workers", workers))
    facts.append(("Active calls", str(status.active_calls)))
    facts.append(("CDRs waiting", f"{status.cdr_backlog} for the ledger"))
    used = f"{_size(status.live_map_used_bytes)} of {_size(status.live_map_bytes)}"
    share = 100 * status.live_map_used_bytes / status.live_map_bytes
    facts.append(("Live map", f"{used} used ({share:.2g} %)"))
    for capture in status.captures:
        told = f"SIP messages of {capture.told} (capture {capture.id}, {capture.started_by})"
        facts.append(("Capturing", plain(told)))
    return facts


def _running(status: Status, now_ms: int) -> str:
    if not status.running:
        beats = [w.heartbeat_age_ms for w in status.workers if w.heartbeat_age_ms is not None]
        return f"not running, last heartbeat {span(min(beats))} ago" if beats else "not running"
    text = "running"
    if status.started_ms:
        text += f" for {span(now_ms - status.started_ms)}"
    if status.pid:
        text += f", process {status.pid}"
    return text


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def status(
    *,
    state: Path = Path("state"),
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Show whether a router runs, its workers, calls and gateways.

    Parameters
    ----------
    state
        The router's state folder, as `state` in routes.cfg says.
    as_json
        Print one JSON object instead of tables.
    """
    now_ms = time.time_ns() // 1_000_000
    try:
        found = read_status(state, now_ms)
    except StoreError as error:
        print(f"trunkline: {error}", file=sys.stderr)
        return 1
    if as_json:
        fields: Any = msgspec.to_builtins(found)
        print(json.dumps(fields, indent=2, ensure_ascii=False))
        return 0
    from rich.console import Console

    show(found, state, Console(), now_ms)
    return 0
