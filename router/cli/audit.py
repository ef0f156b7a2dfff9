"""`trunkline audit`: who changed what by command."""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec

from router.admin.audit_rows import read_audit
from router.admin.object_changes import read_known
from router.admin.wrong_value import WrongValue
from router.cli.account_facts import Config, State
from router.cli.cdr_query import Json
from router.cli.object_commands import obey
from router.cli.tables import show_columns
from router.store.objects import AuditRow


def audit(
    *,
    what: str = "",
    limit: int = 50,
    config: Config = Path("routes.cfg"),
    state: State = None,
    as_json: Json = False,
) -> int:
    """Show the changes that commands have made, newest first: who, when, what, from, to.

    Parameters
    ----------
    what
        Only rows about this: backup, or "gateway backup".
    limit
        At most so many; 0 for all.
    as_json
        Print JSON, one object a line; times are epoch milliseconds.
    """

    def run() -> None:
        if limit < 0:
            raise WrongValue(f"--limit {limit} is negative: give 0 for all")
        rows = read_audit(state or read_known(config, state).state, what, limit)
        if as_json:
            for row in rows:
                print(json.dumps(msgspec.structs.asdict(row), ensure_ascii=False))
        elif not rows:
            print("No command has changed anything here.")
        else:
            _show(rows)

    return obey(run)


def _show(rows: list[AuditRow]) -> None:
    show_columns(
        {
            "TIME": [
                time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.at_ms / 1000))
                for row in rows
            ],
            "WHO": [row.who for row in rows],
            "COMMAND": [row.command for row in rows],
            "WHAT": [row.what for row in rows],
            "FROM": [row.before for row in rows],
            "TO": [row.after for row in rows],
            "RESULT": [f"{row.result}: {row.why}" if row.why else row.result for row in rows],
        },
        cuts=(("RESULT", 10), ("FROM", 8), ("TO", 8), ("WHAT", 14), ("WHO", 6)),
    )
