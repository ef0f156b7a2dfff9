"""`trunkline calls`: the calls in progress, and the end of one by command."""

from __future__ import annotations

import json
import time
from pathlib import Path

from cyclopts import App

from router.admin.live_calls import (
    call_fields,
    end_call,
    find_call,
    live_folder,
    read_calls,
)
from router.admin.object_changes import read_known
from router.admin.wrong_value import WrongValue
from router.cli.account_facts import Config, State
from router.cli.cdr_query import Json
from router.cli.object_commands import obey
from router.cli.operator import who
from router.cli.tables import show_columns, show_facts
from router.store.records import CallRecord

app = App(name="calls", help="Show the calls in progress, and end one.")

TAIL_DIGITS = 8
NONE = "No call is in progress. Those that ended: trunkline cdr. A test call: trunkline call NUMBER"


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
            for record in read_calls(_folder(config, state))
            if (not account or record.cdr.account == account)
            and (not gateway or record.cdr.gateway == gateway)
        ]
        shown = found[:limit] if limit else found
        now_ms = time.time_ns() // 1_000_000
        if as_json:
            for record in shown:
                print(json.dumps(call_fields(record, now_ms), ensure_ascii=False))
            return
        if shown:
            _show(shown, now_ms)
            if len(shown) < len(found):
                print(f"and {len(found) - len(shown)} more: --limit 0 shows all")
        else:
            print(NONE)

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
        fields = call_fields(find_call(_folder(config, state), id), time.time_ns() // 1_000_000)
        if as_json:
            print(json.dumps(fields, ensure_ascii=False))
            return
        show_facts((name, _told(value)) for name, value in fields.items())

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
        ended = end_call(_folder(config, state), id, note, who())
        print(f"call {ended} is over: trunkline cdr show {ended[-TAIL_DIGITS:]}")

    return obey(run)


def _folder(config: Path, state: Path | None) -> Path:
    return live_folder(state or read_known(config, state).state)


def _show(records: list[CallRecord], now_ms: int) -> None:
    rows = [call_fields(record, now_ms) for record in records]
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
        cuts=(("CALLER", 10), ("ACCOUNT", 8), ("GATEWAY", 10), ("CALLEE", 12)),
    )


def _told(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
