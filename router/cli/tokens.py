"""`trunkline tokens`: who may use the HTTP API."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from router.admin.api_tokens import READ, make_token, read_tokens, remove_token
from router.admin.object_changes import read_known
from router.cli.account_facts import Config, State
from router.cli.cdr_query import Json
from router.cli.object_commands import obey
from router.cli.operator import who
from router.cli.tables import show_columns

app = App(name="tokens", help="Make, list and remove tokens of the HTTP API.")


@app.command
def add(
    name: str,
    /,
    *,
    role: Annotated[list[str] | None, Parameter(negative="")] = None,
    config: Config = Path("routes.cfg"),
    state: State = None,
) -> int:
    """Make a token and print it, once: only a hash of it is kept.

    Parameters
    ----------
    name
        What the audit calls whoever uses it: token:NAME.
    role
        What it may do: read, operate (change objects, calls and rates) or money (pay); may be
        given several times. Every token may read.
    """

    def run() -> None:
        folder = state or read_known(config, state).state
        folder.mkdir(parents=True, exist_ok=True)
        print(make_token(folder, name, role or [READ], who()))

    return obey(run)


@app.command(name="list")
def list_tokens(
    *, config: Config = Path("routes.cfg"), state: State = None, as_json: Json = False
) -> int:
    """List the tokens: their names, what they may do, since when."""

    def run() -> None:
        tokens = read_tokens(state or read_known(config, state).state)
        if as_json:
            for name, one in tokens.items():
                fields = {"name": name, "roles": one.roles, "made_ms": one.made_ms, "who": one.who}
                print(json.dumps(fields))
        elif not tokens:
            print("No tokens. Make one: trunkline tokens add NAME --role read")
        else:
            made = [time.localtime(one.made_ms / 1000) for one in tokens.values()]
            show_columns(
                {
                    "TOKEN": list(tokens),
                    "ROLES": [", ".join(one.roles) for one in tokens.values()],
                    "MADE": [time.strftime("%Y-%m-%d %H:%M:%S", one) for one in made],
                    "BY": [one.who for one in tokens.values()],
                },
                cuts=(("TOKEN", 16), ("BY", 8)),
            )

    return obey(run)


@app.command
def remove(name: str, /, *, config: Config = Path("routes.cfg"), state: State = None) -> int:
    """Remove a token: the API refuses it within a second."""

    def run() -> None:
        remove_token(state or read_known(config, state).state, name, who())
        print(f"token {name} is removed.")

    return obey(run)
