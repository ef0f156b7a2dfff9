"""`trunkline phones`: which phones are online, from where, until when; one phone; changes to them.

Works while the router runs and after it has stopped.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from router.admin.object_changes import read_known
from router.admin.object_facts import phone_facts
from router.admin.object_state import read_live, settings_lines, used_of
from router.admin.phones_online import Online, OnlinePhone, read_phones
from router.cli.account_facts import Config
from router.cli.account_facts import State as GivenState
from router.cli.cdr_query import Json
from router.cli.object_commands import attach, obey
from router.store.boot import LIVE_DIR, live_is_current
from router.store.cdr_lines import plain
from router.store.errors import StoreError

app = App(name="phones", help="Show which phones are online, and change phones.")
attach(app, "phone")

State = Annotated[Path, Parameter(help="The router's state folder, as `state` in routes.cfg says.")]


def _told(at: Online) -> str:
    agent = f", {at.user_agent}" if at.user_agent else ""
    return f"{at.contact} from {at.source} for {at.expires_in_s} s{agent}"


def _show(phones: list[OnlinePhone]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not phones:
        console.print("No phone is online.")
        return
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("PHONE", "ACCOUNT", "FROM", "FOR"):
        table.add_column(column, justify="right" if column == "FOR" else "left", no_wrap=True)
    for column in ("CONTACT", "USER AGENT"):
        table.add_column(column, overflow="fold")
    for phone in phones:
        for at, contact in enumerate(phone.contacts):
            table.add_row(
                "" if at else phone.number,
                "" if at else phone.account,
                contact.source,
                f"{contact.expires_in_s} s",
                # What a phone says of itself is no markup.
                Text(plain(contact.contact)),
                Text(plain(contact.user_agent)),
            )
    console.print(table, highlight=False)


@app.command(name="list")
def list_phones(
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    state: State = Path("state"),
) -> int:
    """List the phones that are online, by number.

    Parameters
    ----------
    as_json
        Print one JSON object instead of a table.
    """
    try:
        phones = read_phones(state, time.time_ns() // 1_000_000)
    except StoreError as error:
        print(f"trunkline: {error}", file=sys.stderr)
        return 1
    if as_json:
        fields: Any = msgspec.to_builtins(phones)
        print(json.dumps({"phones": fields}, indent=2, ensure_ascii=False))
    else:
        _show(phones)
    return 0


@app.command
def show(
    name: str, /, *, config: Config = Path("routes.cfg"), state: GivenState = None,
    as_json: Json = False,
) -> int:
    """Show one phone, NUMBER or ACCOUNT/NUMBER: its settings, and where it is registered."""

    def run() -> None:
        known = read_known(config, state)
        block = known.find("phone", name)
        number = block.node.name
        online = []
        if live_is_current(known.state / LIVE_DIR):
            online = read_phones(known.state, time.time_ns() // 1_000_000)
        contacts = [at for phone in online if phone.number == number for at in phone.contacts]
        full = known.full_name("phone", name)
        facts = phone_facts(full, block, read_live(known.state), contacts)
        if as_json:
            fields: dict[str, Any] = msgspec.to_builtins(facts)
            fields["settings"] = dict(settings_lines(block))
            print(json.dumps(fields, ensure_ascii=False))
            return
        rows = [
            ("phone", facts.name),
            ("defined", facts.defined),
            ("state", facts.state),
            ("registered", "yes" if contacts else "no"),
            *(("contact", _told(at)) for at in contacts),
            ("lines in use", used_of(facts.lines_used, facts.lines)),
            *settings_lines(block),
        ]
        width = max(len(title) for title, _ in rows)
        for title, text in rows:
            print(plain(f"{title:<{width}}  {text}"))

    return obey(run)
