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

from router.cli.object_commands import attach
from router.store.bindings import current
from router.store.boot import LIVE_DIR, live_is_current
from router.store.cdr_lines import plain
from router.store.errors import StoreError
from router.store.live import LmdbLive
from router.store.records import Contact, Registration

app = App(name="phones", help="Show which phones are online, and change phones.")
attach(app, "phone")

State = Annotated[Path, Parameter(help="The router's state folder, as `state` in routes.cfg says.")]


class Online(msgspec.Struct):
    """One contact of a phone: where its REGISTER came from, and until when it holds."""

    contact: str
    source: str
    q: float
    expires_ms: int
    expires_in_s: int
    user_agent: str


class OnlinePhone(msgspec.Struct):
    """A phone that is online."""

    number: str
    account: str
    contacts: list[Online]


def open_live(state: Path, *, readonly: bool = True) -> LmdbLive:
    """Live state of a router that runs or ran; StoreError, in one line, when there is none."""
    path = state / LIVE_DIR
    if not live_is_current(path):
        raise StoreError(
            f'no router has run with state folder "{state}" since this machine was started: '
            "start one with trunkline run, or name its folder with --state"
        )
    return LmdbLive(path, readonly=readonly)


def read_phones(state: Path, now_ms: int) -> list[OnlinePhone]:
    """The phones that are online at `now_ms`, by number; StoreError when that cannot be read."""
    live = open_live(state)
    try:
        found = [_phone(registration, now_ms) for registration in live.registrations()]
    finally:
        live.close()
    return [phone for phone in found if phone.contacts]


def _phone(registration: Registration, now_ms: int) -> OnlinePhone:
    contacts = [_online(one, now_ms) for one in current(registration.contacts, now_ms)]
    return OnlinePhone(registration.number, registration.account, contacts)


def _online(contact: Contact, now_ms: int) -> Online:
    host = f"[{contact.host}]" if ":" in contact.host else contact.host
    return Online(
        contact.uri,
        f"{contact.transport}:{host}:{contact.port}",
        contact.q / 1_000,
        contact.expires_ms,
        (contact.expires_ms - now_ms) // 1_000,
        contact.user_agent,
    )


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
