"""`trunkline phones`: which phones are online, from where, until when.

Reads live state; works while the router runs and after it has stopped, and changes nothing.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from router.admin.phones_online import OnlinePhone, read_phones
from router.cli.object_commands import attach
from router.store.cdr_lines import plain
from router.store.errors import StoreError

app = App(name="phones", help="Show which phones are online, and change phones.")
attach(app, "phone")

State = Annotated[Path, Parameter(help="The router's state folder, as `state` in routes.cfg says.")]


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
