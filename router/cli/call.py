"""`trunkline call`: a test call through the running router, with a live ladder and its CDR.

The caller is a simulated peer on a socket of its own; the router knows nothing of it. No media is
sent: what the other side sends is left unread.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import Console

from dsl.literals import LiteralError, read_duration
from router.admin.call_as import (
    Caller,
    phone_caller,
    router_flow,
    session_description,
    trunk_caller,
)
from router.admin.cdr_search import parse_reason
from router.admin.object_changes import read_known
from router.admin.story import tell
from router.admin.test_calls import TestCall, Watch, check_number, check_running, why_no_cdr
from router.admin.wrong_value import WrongValue
from router.cli.account_facts import Config, State
from router.cli.call_ladder import draw_call
from router.cli.cdr_query import Json
from router.cli.ladder import Lane, LiveLadder, wires_of
from router.cli.paragraphs import print_wrapped
from router.core.flow import Flow
from router.core.network import Wire
from router.store.cdr_lines import json_line, plain
from router.store.errors import StoreError
from router.store.records import Cdr

WIDTH: Final = 100
INTERRUPTED: Final = 130


class _Stop:
    """Whether the user asked for the end; a second time it is now."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def call(
    number: str,
    /,
    *,
    as_: Annotated[str, Parameter(name="--as")] = "",
    phone: str = "",
    caller: str = "",
    hold: str = "5s",
    codec: str = "pcma,pcmu",
    expect: str = "",
    give_up: str = "3m",
    router: str = "",
    config: Config = Path("routes.cfg"),
    state: State = None,
    as_json: Json = False,
) -> int:
    """Place a test call through the running router; 0 when it was answered, or as expected.

    Nothing is simulated but the caller: the call is routed, counted and billed like any other. No
    media is sent. Ctrl-C hangs up.

    Parameters
    ----------
    number
        Whom to call.
    as_
        The trunk that calls, ACCOUNT/TRUNK, from an address of its networks that this machine has.
    phone
        The phone that calls, with its password from the configuration.
    caller
        The caller's number; the phone's, or 1000 behind the trunk's caller_prefix.
    hold
        How long to talk: 500ms, 5s, 1m.
    codec
        What is offered, with commas: pcma, pcmu, g722, g729, opus.
    expect
        The end reason that makes it a success, such as UserBusy, instead of being answered.
    give_up
        How long to wait for everything.
    router
        The router's UDP address, where it is not the first of `listen`.
    as_json
        Print the CDR as one JSON object, and no ladder.
    """
    try:
        wanted = parse_reason(expect)
        if bool(as_) == bool(phone):
            raise WrongValue("who calls? give --as ACCOUNT/TRUNK or --phone NUMBER")
        check_number("the number", number)
        if caller:
            check_number("--caller", caller)
        known = read_known(config, state)
        who = trunk_caller(known, as_, caller) if as_ else phone_caller(known, phone, caller)
        flow = router_flow(known, who.source, router)
        hold_ms, limit_ms = _span("--hold", hold), _span("--give-up", give_up)
        session_description(who.source, 9, codec)
        check_running(known.state)
        played = TestCall(who, flow, known.state, hold_ms=hold_ms, codecs=codec)
        console = None if as_json else Console(highlight=False, markup=False)
        if console is not None:
            console.print(
                f"{who.number} calls {number} as {who.told}, from {who.source}, for {hold}.\n"
                "No media is sent. Ctrl-C hangs up.\n", soft_wrap=True,
            )
        with _stoppable() as stop:
            played.play(
                number, limit_ms + hold_ms, watch=_watching(console, who, flow),
                stop_asked=lambda: stop.asked,
            )
        return _verdict(played, as_, phone, wanted, console)
    except (StoreError, WrongValue, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        print(f"trunkline: {plain(str(error))}", file=sys.stderr)
        return 1


def _verdict(
    played: TestCall, trunk: str, phone: str, wanted: str, console: Console | None
) -> int:
    cdr = played.cdr
    if cdr is None:
        raise WrongValue(why_no_cdr(played))
    if console is None:
        sys.stdout.write(json_line(cdr))
    else:
        _show(cdr, console)
    taken = cdr.phone if phone else f"{cdr.account}/{cdr.trunk}"
    asked = phone.rpartition("/")[2] or trunk
    if taken != asked and not taken.endswith(f"/{asked}"):
        whose = taken.strip("/") or "nobody known"
        print(
            f"trunkline: the router took this for a call of {whose}, not of {asked}: "
            f"trunkline explain {cdr.id[-8:]} says why", file=sys.stderr,
        )
        return 1
    if played.stopped:
        return INTERRUPTED
    if wanted:
        reason = cdr.end_reason
        right = reason == wanted or reason.partition("(")[0] == wanted
        if not right:
            print(f"trunkline: it ended with {reason}, expected {wanted}", file=sys.stderr)
        return 0 if right else 1
    return 0 if cdr.answered else 1


def _show(cdr: Cdr, console: Console) -> None:
    story = tell(cdr)
    width = min(console.width, WIDTH)
    console.print("\nThe call as the router saw it", style="bold")
    ladder = draw_call(cdr, width, ascii_only=console.options.ascii_only)
    console.print(ladder, no_wrap=True, crop=False)
    colour = "green" if story.reason == "Normal" else "red"
    console.print()
    print_wrapped(console, f"{story.reason}: {story.cause}", width, style=colour)
    for line in (*story.attempts, *story.bill):
        print_wrapped(console, line, width)
    if story.reason != "Normal":
        console.print("\nWhat to do", style="bold")
        for line in story.next:
            print_wrapped(console, line, width, 2)
    console.print(f"\ntrunkline explain {cdr.id[-8:]} tells all of it.", style="dim")


def _watching(console: Console | None, caller: Caller, router: Flow) -> Watch:
    """What draws the ladder as it grows; nothing without a console."""
    if console is None:
        return lambda port, wires, call_id: None
    ladder: LiveLadder | None = None

    def watch(port: int, wires: Sequence[Wire], call_id: str) -> None:
        nonlocal ladder
        ladder = ladder or _ladder(console, caller, port, router)
        for row in ladder.rows(wires_of(wires, {call_id})):
            console.print(row, no_wrap=True, overflow="crop")

    return watch


def _ladder(console: Console, caller: Caller, port: int, router: Flow) -> LiveLadder:
    lanes = [
        Lane(f"{caller.number} {caller.source}:{port}", (caller.source, port)),
        Lane(f"trunkline {router.host}:{router.port}", (router.host, router.port)),
    ]
    return LiveLadder(lanes, min(console.width, WIDTH), ascii_only=console.options.ascii_only)


def _span(option: str, text: str) -> int:
    try:
        return read_duration(text)
    except LiteralError as error:
        raise WrongValue(f"{option}: {error.message}: {error.help}") from None


@contextmanager
def _stoppable() -> Iterator[_Stop]:
    """Ctrl-C and SIGTERM hang up instead of leaving the call open."""
    stop = _Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
