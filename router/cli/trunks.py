"""`trunkline trunks`: where calls come from, and changes to that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from cyclopts import App

from router.admin.object_changes import read_known
from router.admin.object_facts import trunk_facts
from router.admin.object_state import read_live, settings_lines, used_of
from router.cli.account_facts import Config, State
from router.cli.cdr_query import Json
from router.cli.object_commands import attach, obey
from router.cli.tables import show_columns, show_facts, state_colours

NONE = "No trunks. Add one: trunkline trunks add ACCOUNT/NAME ips=192.0.2.0/24"

app = App(name="trunks", help="Show the trunks of accounts, and change them.")
attach(app, "trunk")


@app.command(name="list")
def list_trunks(
    *,
    account: str = "",
    config: Config = Path("routes.cfg"),
    state: State = None,
    as_json: Json = False,
) -> int:
    """List the trunks: their networks, lines in use, and whether they are locked.

    Parameters
    ----------
    account
        Only those of this account.
    """

    def run() -> None:
        known = read_known(config, state)
        if account:
            known.find("account", account)
        live = read_live(known.state)
        facts = [
            trunk_facts(name, block, live)
            for name, block in known.all("trunk").items()
            if not account or name.partition("/")[0] == account
        ]
        if as_json:
            for one in facts:
                print(json.dumps(msgspec.to_builtins(one), ensure_ascii=False))
        elif not facts:
            print(NONE)
        else:
            show_columns(
                {
                    "TRUNK": [one.name for one in facts],
                    "STATE": [one.state for one in facts],
                    "LINES": [used_of(one.lines_used, one.lines) for one in facts],
                    "NETWORKS": [", ".join(one.networks) for one in facts],
                    "CALLER PREFIX": [one.caller_prefix for one in facts],
                },
                {"LINES"},
                cuts=(("NETWORKS", 20), ("TRUNK", 20)),
                colours={"STATE": state_colours(one.state for one in facts)},
            )

    return obey(run)


@app.command
def show(
    name: str, /, *, config: Config = Path("routes.cfg"), state: State = None, as_json: Json = False
) -> int:
    """Show one trunk, NAME or ACCOUNT/NAME: its settings and where they stand."""

    def run() -> None:
        known = read_known(config, state)
        block = known.find("trunk", name)
        facts = trunk_facts(known.full_name("trunk", name), block, read_live(known.state))
        if as_json:
            fields: dict[str, Any] = msgspec.to_builtins(facts)
            fields["settings"] = dict(settings_lines(block))
            print(json.dumps(fields, ensure_ascii=False))
            return
        rows = [
            ("trunk", facts.name),
            ("defined", facts.defined),
            ("state", facts.state),
            ("lines in use", used_of(facts.lines_used, facts.lines)),
            *settings_lines(block),
        ]
        show_facts(rows)

    return obey(run)
