"""`trunkline capture`: which calls' SIP messages are kept, and the way to Wireshark."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from router.admin.capture_orders import (
    DEFAULT_SPAN,
    CaptureWish,
    capture_status,
    clear_captured,
    start_capture,
    stop_captures,
    told,
)
from router.admin.captured import as_data, captured_messages, list_captured, messages_of
from router.admin.object_changes import read_known
from router.admin.pcap import PcapWriter
from router.admin.wrong_value import NotThere
from router.cli.account_facts import Config, State
from router.cli.cdr_query import Json
from router.cli.object_commands import obey
from router.cli.operator import who
from router.cli.tables import show_columns
from router.store.capture_ring import CAPTURE_DIR, Captured, read_ring
from router.store.cdr_lines import iso, plain

app = App(name="capture", help="Keep the SIP messages of calls, and export them for Wireshark.")

Call = Annotated[str, Parameter(help="A CDR's id, the end of one, or a Call-ID of either leg.")]


@app.command
def start(
    *,
    account: str = "",
    number: str = "",
    gateway: str = "",
    source: str = "",
    sample: str = "",
    span: Annotated[str, Parameter(name="--for")] = DEFAULT_SPAN,
    credentials: Annotated[bool, Parameter(negative="")] = False,
    config: Config = Path("routes.cfg"),
    state: State = None,
) -> int:
    """Begin to capture within a second: all calls, or those that all that is given is true of.

    Parameters
    ----------
    account
        Calls of this account, and of those below it.
    number
        Calls from or to numbers that begin so.
    gateway
        Calls that are tried on this gateway.
    source
        Calls, registrations and all else from this address or network.
    sample
        A share of the calls: 1/20, or 5%.
    span
        For how long: 90s, 10m, 2h, at most a week. Then it ends by itself.
    credentials
        Keep digests of passwords and SRTP keys; without it they are written over with x.
    """

    def run() -> None:
        known = read_known(config, state)
        wish = CaptureWish(account, number, gateway, source, sample, span, credentials)
        order = start_capture(known, wish, who(), _now_ms())
        print(plain(f"Capture {order.id}: {told(order)}."))
        print("A running router begins within a second. See trunkline capture list.")

    return obey(run)


@app.command
def stop(id: int = 0, /, *, config: Config = Path("routes.cfg"), state: State = None) -> int:
    """End all captures, or one by its number; what was captured stays."""

    def run() -> None:
        ended = stop_captures(_state(config, state), id, who(), _now_ms())
        for order in ended:
            print(plain(f"Capture {order.id} ends: {told(order)}."))
        print("What was captured stays." if ended else "Nothing is being captured.")

    return obey(run)


@app.command
def status(
    *, config: Config = Path("routes.cfg"), state: State = None, as_json: Json = False
) -> int:
    """Show what is being captured, and how much is kept."""

    def run() -> None:
        found = capture_status(_state(config, state), _now_ms())
        if as_json:
            print(json.dumps(msgspec.to_builtins(found), ensure_ascii=False))
            return
        for order in found.captures:
            by = f"started by {order.started_by} {iso(order.started_ms)}"
            print(plain(f"Capture {order.id}: {order.told}; {by}."))
        if not found.captures:
            print("Nothing is being captured: trunkline capture start begins.")
        if found.bytes:
            print(f"The ring holds {found.bytes:,} bytes, since {iso(found.since_ms)}.")
        else:
            print("The ring is empty.")

    return obey(run)


@app.command(name="list")
def list_calls(
    *, limit: int = 50, config: Config = Path("routes.cfg"), state: State = None,
    as_json: Json = False,
) -> int:
    """List the calls whose messages are kept, oldest first; what is no call has no id.

    Parameters
    ----------
    limit
        The newest so many; 0 for all.
    """

    def run() -> None:
        ring = _state(config, state) / CAPTURE_DIR
        found = list_captured(read_ring(ring))[-max(limit, 0) :]
        if as_json:
            for one in found:
                print(json.dumps(msgspec.to_builtins(one), ensure_ascii=False))
            return
        if not found:
            print("Nothing was captured: see trunkline capture status.")
            return
        show_columns(
            {
                "BEGAN": [iso(one.began_us // 1_000) for one in found],
                "CDR": [one.call[-8:] for one in found],
                "BEGINNING": [one.first for one in found],
                "END": [one.last for one in found],
                "MESSAGES": [str(one.messages) for one in found],
                "CALL-ID": [one.call_id for one in found],
            },
            right=("MESSAGES",),
        )

    return obey(run)


@app.command
def show(
    call: Call, /, *, full: Annotated[bool, Parameter(negative="")] = False,
    config: Config = Path("routes.cfg"), state: State = None, as_json: Json = False,
) -> int:
    """Show the captured messages of a call, also of one in progress.

    Parameters
    ----------
    full
        The whole messages instead of a line each.
    """

    def run() -> None:
        messages = _found(_state(config, state), call)
        if as_json:
            for message in messages:
                print(json.dumps(as_data(message), ensure_ascii=False))
            return
        from rich.console import Console

        from router.cli.captured_text import show_messages

        show_messages(messages, Console(highlight=False, markup=False), full=full)

    return obey(run)


@app.command
def export(
    file: Path, call: str = "", /, *, config: Config = Path("routes.cfg"), state: State = None
) -> int:
    """Write captured messages to a pcap file that Wireshark and sngrep open.

    Parameters
    ----------
    file
        The file to write; one that is there is replaced.
    call
        Only this call: the CDR's id, the end of it, or a Call-ID of either leg.
    """

    def run() -> None:
        messages = _found(_state(config, state), call)
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "wb") as opened:
            os.fchmod(fd, 0o600)
            count = PcapWriter(opened).write_all(messages)
        calls = len({one.call for one in messages if one.call})
        of = f"{calls} call" if calls == 1 else f"{calls} calls"
        print(plain(f"{count} messages of {of} are in {file}."))

    return obey(run)


@app.command
def clear(*, config: Config = Path("routes.cfg"), state: State = None) -> int:
    """Delete all that was captured; captures that run go on."""

    def run() -> None:
        gone = clear_captured(_state(config, state), who(), _now_ms())
        print(f"{gone:,} bytes are deleted.")

    return obey(run)


def _found(state: Path, call: str) -> list[Captured]:
    """NotThere where nothing was captured."""
    word = call.strip()
    messages = messages_of(state, word) if word else captured_messages(state)
    if not messages:
        what = f"of the call {word}" if word else "at all"
        raise NotThere(
            f"no message {what} was captured, or they have been overwritten: see trunkline capture "
            "status, and trunkline capture start before the next call"
        )
    return messages


def _state(config: Path, state: Path | None) -> Path:
    return state or read_known(config, state).state


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
