"""`trunkline gateways`: where calls go out, how they are now, and changes to them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from router.admin.gateway_health import health_words
from router.admin.object_changes import Known, read_known
from router.admin.object_facts import GatewayFacts, gateway_facts, serves
from router.admin.object_state import LiveFacts, read_live, settings_lines, used_of
from router.cli.account_facts import Config, State
from router.cli.cdr_query import Json
from router.cli.object_commands import attach, obey
from router.cli.tables import show_columns, show_facts, state_colours

NONE = "No gateways. Add one: trunkline gateways add NAME address=192.0.2.1 prefixes=44"

app = App(name="gateways", help="Show gateways and how they are, and change them.")
attach(app, "gateway")


@app.command(name="list")
def list_gateways(
    *,
    prefix: Annotated[str, Parameter(help="Only those that serve this number or prefix.")] = "",
    config: Config = Path("routes.cfg"),
    state: State = None,
    as_json: Json = False,
) -> int:
    """List the gateways: prefixes, priority, lines in use, and whether they are up."""

    def run() -> None:
        known = read_known(config, state)
        live = read_live(known.state)
        facts = [gateway_facts(name, block, live) for name, block in known.all("gateway").items()]
        if prefix:
            facts = [one for one in facts if serves(one, prefix)]
        if as_json:
            for one in facts:
                print(json.dumps(msgspec.to_builtins(one), ensure_ascii=False))
        elif not facts:
            print(f"No gateway serves {prefix}." if prefix else NONE)
        else:
            _show(facts)

    return obey(run)


@app.command
def show(
    name: str, /, *, config: Config = Path("routes.cfg"), state: State = None, as_json: Json = False
) -> int:
    """Show one gateway: its settings, where they stand, and how it is now."""

    def run() -> None:
        known = read_known(config, state)
        block = known.find("gateway", name)
        live = read_live(known.state)
        facts = gateway_facts(name, block, live)
        if as_json:
            fields: dict[str, Any] = msgspec.to_builtins(facts)
            fields["settings"] = dict(settings_lines(block))
            print(json.dumps(fields, ensure_ascii=False))
            return
        rows = [
            ("gateway", name),
            ("defined", facts.defined),
            ("state", _state_line(facts, known, live)),
            ("lines in use", used_of(facts.lines_used, facts.lines)),
            ("calls so far", str(facts.handed)),
            *settings_lines(block),
        ]
        show_facts(rows)

    return obey(run)


def _state_line(facts: GatewayFacts, known: Known, live: LiveFacts) -> str:
    key = f"gateway:{facts.name}"
    lock = live.locks.get(key)
    if lock is not None:
        note = f": {lock.note}" if lock.note else ""
        return f"locked by {lock.who} at {_moment(lock.at_ms)}{note}"
    return health_words(live.health.get(key), time.time_ns() // 1_000_000)


def _moment(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1000))


def _show(facts: list[GatewayFacts]) -> None:
    show_columns(
        {
            "GATEWAY": [one.name for one in facts],
            "STATE": [one.state for one in facts],
            "LINES": [used_of(one.lines_used, one.lines) for one in facts],
            "CALLS": [str(one.handed) for one in facts],
            "PRIORITY": [str(one.priority) for one in facts],
            "PREFIXES": [_shortened(one.prefixes) for one in facts],
            "ADDRESS": [one.address for one in facts],
        },
        {"LINES", "CALLS", "PRIORITY"},
        cuts=(("PREFIXES", 12), ("GATEWAY", 16), ("ADDRESS", 16)),
        drops=("CALLS",),
        colours={"STATE": state_colours(one.state for one in facts)},
    )


def _shortened(prefixes: list[str]) -> str:
    shown = ", ".join(prefix or '""' for prefix in prefixes[:4])
    return shown + (f" +{len(prefixes) - 4}" if len(prefixes) > 4 else "")
