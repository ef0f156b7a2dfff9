"""`trunkline calls`: the calls in progress, and the end of one by command."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from cyclopts import App

from router.cli.account_facts import Config, State
from router.cli.cdr_query import Json, WrongValue
from router.cli.object_changes import read_known
from router.cli.object_commands import obey
from router.cli.operator import who
from router.cli.tables import show_columns
from router.store.boot import LIVE_DIR, live_is_current
from router.store.errors import StoreError
from router.store.live import LmdbLive
from router.store.objects import OBJECTS_DIR, AuditRow, LmdbObjects
from router.store.records import CallRecord

app = App(name="calls", help="Show the calls in progress, and end one.")

TAIL_DIGITS = 8
KILL_WAIT_S = 8.0
LOOK_S = 0.1


@app.command(name="list")
def list_calls(
    *,
    account: str = "",
    gateway: str = "",
    limit: int = 100,
    config: Config = Path("routes.cfg"),
    state: State = None,
    as_json: Json = False,
) -> int:
    """List the calls in progress, oldest first.

    Parameters
    ----------
    account
        Only calls of this account.
    gateway
        Only calls on this gateway.
    limit
        At most so many; 0 for all.
    as_json
        Print JSON, one object a line; times are epoch milliseconds.
    """

    def run() -> None:
        if limit < 0:
            raise WrongValue(f"--limit {limit} is negative: give 0 for all")
        found = [
            record
            for record in _calls(_folder(config, state))
            if (not account or record.cdr.account == account)
            and (not gateway or record.cdr.gateway == gateway)
        ]
        shown = found[:limit] if limit else found
        now_ms = time.time_ns() // 1_000_000
        if as_json:
            for record in shown:
                print(json.dumps(_fields(record, now_ms), ensure_ascii=False))
            return
        if shown:
            _show(shown, now_ms)
            if len(shown) < len(found):
                print(f"and {len(found) - len(shown)} more: --limit 0 shows all")
        else:
            print("No call is in progress.")

    return obey(run)


@app.command
def show(
    id: str, /, *, config: Config = Path("routes.cfg"), state: State = None, as_json: Json = False
) -> int:
    """Show one call in progress: its numbers, gateways tried, and what it holds.

    Parameters
    ----------
    id
        The call's id, or the end of it as the list shows it.
    as_json
        Print one JSON object instead.
    """

    def run() -> None:
        fields = _fields(_call(_folder(config, state), id), time.time_ns() // 1_000_000)
        if as_json:
            print(json.dumps(fields, ensure_ascii=False))
            return
        width = max(map(len, fields))
        for name, value in fields.items():
            if isinstance(value, list):
                value = "; ".join(map(str, value))
            print(f"{name:<{width}}  {value}")

    return obey(run)


@app.command
def kill(
    id: str,
    /,
    *,
    note: str = "",
    config: Config = Path("routes.cfg"),
    state: State = None,
) -> int:
    """End a call in progress: both sides get BYE, the end reason is OperatorKill.

    Parameters
    ----------
    id
        The call's id, or the end of it as the list shows it.
    note
        Why; stands in the audit.
    """

    def run() -> None:
        folder = _folder(config, state)
        record = _call(folder, id)
        cdr = record.cdr
        numbers = f"{cdr.caller_in} to {cdr.callee_in} by {cdr.gateway or 'no gateway'}"
        row = AuditRow(
            time.time_ns() // 1_000_000, who(), "kill", f"call {record.id}", numbers, "ended",
            why=note.strip()[:200],
        )
        objects = LmdbObjects(folder / OBJECTS_DIR)
        try:
            objects.kill(record.id, row)
            gone = _wait_until_gone(folder, record.id)
            objects.forget_kill(record.id)
        finally:
            objects.close()
        if not gone:
            raise WrongValue(
                f"call {record.id} has not ended within {KILL_WAIT_S:g} s: see trunkline status, "
                "whether the workers are up"
            )
        print(f"call {record.id} is over: trunkline cdr show {record.id[-TAIL_DIGITS:]}")

    return obey(run)


def _folder(config: Path, state: Path | None) -> Path:
    folder = state or read_known(config, state).state
    if not live_is_current(folder / LIVE_DIR):
        raise StoreError(
            f'no router has run with state folder "{folder}" since this machine was started'
        )
    return folder


def _calls(folder: Path) -> list[CallRecord]:
    live = LmdbLive(folder / LIVE_DIR, readonly=True)
    try:
        return list(live.calls())
    finally:
        live.close()


def _call(folder: Path, id: str) -> CallRecord:
    if not id:
        raise WrongValue("which call? trunkline calls list shows the ids")
    found = [record for record in _calls(folder) if record.id.endswith(id)]
    if not found:
        raise WrongValue(f"no call in progress has an id that ends in {id}")
    if len(found) > 1:
        raise WrongValue(f"{len(found)} calls have an id that ends in {id}: give more of it")
    return found[0]


def _wait_until_gone(folder: Path, id: str) -> bool:
    deadline = time.monotonic() + KILL_WAIT_S
    while time.monotonic() < deadline:
        time.sleep(LOOK_S)
        if not any(record.id == id for record in _calls(folder)):
            return True
    return False


def _fields(record: CallRecord, now_ms: int) -> dict[str, Any]:
    cdr = record.cdr
    return {
        "id": record.id,
        "state": _state(record),
        "started": cdr.started,
        "answered": cdr.answered,
        "seconds": max(0, now_ms - (cdr.answered or cdr.started)) // 1000,
        "account": cdr.account,
        "trunk": cdr.trunk,
        "phone": cdr.phone,
        "source": cdr.source,
        "caller": cdr.caller_in,
        "callee": cdr.callee_in,
        "gateway": cdr.gateway,
        "attempts": [one.gateway for one in cdr.attempts],
        "call_id": record.call_id,
        "b_call_id": record.b_call_id,
        "holds": [*record.holds, *([record.gateway] if record.gateway else [])],
        "worker": record.slot,
        "decision": list(cdr.decision),
    }


def _state(record: CallRecord) -> str:
    if record.answered:
        return "talking"
    return "ringing" if record.cdr.ringing else "calling"


def _show(records: list[CallRecord], now_ms: int) -> None:
    rows = [_fields(record, now_ms) for record in records]
    show_columns(
        {
            "ID": [row["id"][-TAIL_DIGITS:] for row in rows],
            "STATE": [row["state"] for row in rows],
            "TIME": [_clock(row["seconds"]) for row in rows],
            "ACCOUNT": [row["account"] for row in rows],
            "CALLER": [row["caller"] for row in rows],
            "CALLEE": [row["callee"] for row in rows],
            "GATEWAY": [row["gateway"] for row in rows],
        },
        {"TIME"},
    )


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
