"""`trunkline call`: a test call through the running router, with a live ladder and its CDR.

The caller is a simulated peer on a socket of its own; the router knows nothing of it. No media is
sent: what the other side sends is left unread.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import Console

from dsl.literals import LiteralError, read_duration
from router.admin.cdr_search import find_cdr, parse_reason
from router.admin.object_changes import read_known
from router.admin.status_facts import read_status
from router.admin.story import tell
from router.admin.wrong_value import WrongValue
from router.cli.account_facts import Config, State
from router.cli.call_as import (
    Caller,
    phone_caller,
    router_flow,
    session_description,
    trunk_caller,
)
from router.cli.call_ladder import draw_call
from router.cli.cdr_query import Json
from router.cli.ladder import Lane, LiveLadder, wires_of
from router.cli.paragraphs import print_wrapped
from router.core.agent import AgentCall
from router.core.flow import Flow
from router.runtime.agent_driver import AgentDriver
from router.store.cdr_lines import json_line, plain
from router.store.errors import StoreError
from router.store.records import Cdr

WIDTH: Final = 100
SETTLE_MS: Final = 200
"""For the last answers, so that the ladder is whole."""
CDR_WAIT_S: Final = 10.0
BYE_WAIT_MS: Final = 5_000
LONGEST_NUMBER: Final = 128
INTERRUPTED: Final = 130


class _Stop:
    """Whether the user asked for the end; a second time it is now."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class TestCall:
    """One call: `play` it, then `cdr` is what the router says of it, None where it says nothing."""

    def __init__(
        self, caller: Caller, router: Flow, state: Path, *, hold_ms: int, codecs: str
    ) -> None:
        self._caller = caller
        self._router = router
        self._state = state
        self._hold_ms = hold_ms
        self._codecs = codecs
        self.cdr: Cdr | None = None
        self.status = 0
        self.stopped = False

    def play(self, number: str, console: Console | None, limit_ms: int) -> None:
        """Call, show what is said as it is said, hang up; OSError when there is no socket."""
        caller, router = self._caller, self._router
        with (
            AgentDriver() as driver,
            _stoppable() as stop,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media,
        ):
            agent = driver.add(caller.source)
            # Held, so that media for us meets a socket and nobody is told that nobody listens.
            media.bind((caller.source, 0))
            body = session_description(caller.source, media.getsockname()[1], self._codecs)
            ladder = _ladder(console, caller, agent.listener.port, router)
            placed: list[AgentCall] = []

            def turn(now_ms: int) -> bool:
                if not placed:
                    placed.append(agent.place(
                        number, caller.number, router, hang_up_after_ms=self._hold_ms,
                        body=body, login=caller.login,
                    ))
                call = placed[0]
                if stop.asked and not self.stopped:
                    self.stopped = True
                    call.give_up()
                if console is not None:
                    for row in ladder.rows(wires_of(driver.wires, {call.leg.call_id})):
                        console.print(row, no_wrap=True, overflow="crop")
                return bool(call.ended_ms) or self.stopped

            if not driver.run(turn, limit_ms):
                placed[0].give_up()
            driver.run(lambda now_ms: turn(now_ms) and bool(placed[0].ended_ms), BYE_WAIT_MS)
            self.status = placed[0].status
            self._await_cdr(driver, placed[0].leg.call_id, turn)

    def _await_cdr(
        self, driver: AgentDriver, call_id: str, turn: Callable[[int], bool]
    ) -> None:
        """Go on answering until the CDR is there; a challenge that was refused has none."""
        deadline = time.monotonic() + CDR_WAIT_S
        refused = self.status in (401, 407)
        while self.cdr is None:
            driver.run(lambda now_ms: turn(now_ms) and False, SETTLE_MS)
            try:
                self.cdr = find_cdr(self._state, call_id)
            except WrongValue:
                if refused or time.monotonic() > deadline:
                    return


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
        _check_number("the number", number)
        if caller:
            _check_number("--caller", caller)
        known = read_known(config, state)
        who = trunk_caller(known, as_, caller) if as_ else phone_caller(known, phone, caller)
        flow = router_flow(known, who.source, router)
        hold_ms, limit_ms = _span("--hold", hold), _span("--give-up", give_up)
        session_description(who.source, 9, codec)
        _check_running(known.state)
        played = TestCall(who, flow, known.state, hold_ms=hold_ms, codecs=codec)
        console = None if as_json else Console(highlight=False, markup=False)
        if console is not None:
            console.print(
                f"{who.number} calls {number} as {who.told}, from {who.source}, for {hold}.\n"
                "No media is sent. Ctrl-C hangs up.\n", soft_wrap=True,
            )
        played.play(number, console, limit_ms + hold_ms)
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
        raise WrongValue(_why_no_cdr(played))
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


def _why_no_cdr(played: TestCall) -> str:
    if played.status in (401, 407):
        return (
            "the router does not take the password of the configuration: was it reloaded since "
            "the password changed? trunkline reload"
        )
    if not played.status or played.status == 408:
        return "the router has not answered: trunkline status, and is --router its address?"
    return (
        f"the call ended with {played.status}, and the router wrote no CDR: routes answered it "
        "with reply(), or the ledger is behind (trunkline status)"
    )


def _ladder(console: Console | None, caller: Caller, port: int, router: Flow) -> LiveLadder:
    lanes = [
        Lane(f"{caller.number} {caller.source}:{port}", (caller.source, port)),
        Lane(f"trunkline {router.host}:{router.port}", (router.host, router.port)),
    ]
    if console is None:
        return LiveLadder(lanes, WIDTH)
    return LiveLadder(lanes, min(console.width, WIDTH), ascii_only=console.options.ascii_only)


def _check_number(what: str, number: str) -> None:
    allowed = "+*-_.~!"
    if not number or len(number) > LONGEST_NUMBER or not all(
        char.isascii() and (char.isalnum() or char in allowed) for char in number
    ):
        raise WrongValue(f'{what} "{number}" cannot be dialled: digits, letters and {allowed}')


def _span(option: str, text: str) -> int:
    try:
        return read_duration(text)
    except LiteralError as error:
        raise WrongValue(f"{option}: {error.message}: {error.help}") from None


def _check_running(state: Path) -> None:
    if not read_status(state, time.time_ns() // 1_000_000).running:
        raise StoreError(f'no router is running with state folder "{state}": trunkline run')


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
