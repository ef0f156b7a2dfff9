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
from router.cli.tables import show_columns, show_facts
from router.store.boot import LIVE_DIR, live_is_current
from router.store.errors import StoreError

NONE = (
    "No phone is online. A phone that should be: trunkline phones show NUMBER\n"
    "A new one: trunkline phones add ACCOUNT/NUMBER password=-"
)

app = App(name="phones", help="Show which phones are online, and change phones.")
attach(app, "phone")

State = Annotated[Path, Parameter(help="The router's state folder, as `state` in routes.cfg says.")]


def _told(at: Online) -> str:
    agent = f", {at.user_agent}" if at.user_agent else ""
    return f"{at.contact} from {at.source} for {at.expires_in_s} s{agent}"


def _show(phones: list[OnlinePhone]) -> None:
    if not phones:
        print(NONE)
        return
    rows = [(phone, contact) for phone in phones for contact in phone.contacts]
    show_columns(
        {
            "PHONE": [phone.number for phone, _ in rows],
            "ACCOUNT": [phone.account for phone, _ in rows],
            "FOR": [f"{contact.expires_in_s} s" for _, contact in rows],
            "FROM": [contact.source for _, contact in rows],
            "CONTACT": [contact.contact for _, contact in rows],
            "USER AGENT": [contact.user_agent for _, contact in rows],
        },
        {"FOR"},
        cuts=(("USER AGENT", 10), ("CONTACT", 20), ("ACCOUNT", 8), ("PHONE", 8)),
        drops=("USER AGENT", "CONTACT"),
    )


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
        Print JSON, one phone a line; times are epoch milliseconds.
    """
    try:
        phones = read_phones(state, time.time_ns() // 1_000_000)
    except StoreError as error:
        print(f"trunkline: {error}", file=sys.stderr)
        return 1
    if as_json:
        for phone in phones:
            print(json.dumps(msgspec.to_builtins(phone), ensure_ascii=False))
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
        show_facts(rows)

    return obey(run)
