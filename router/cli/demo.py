"""`trunkline demo`: a router, two gateways and a caller on this machine, and a dozen calls.

Everything is real but the peers: the router is a `trunkline run` of its own, the messages cross
UDP sockets, the CDRs are read from its ledger. Nothing is left behind, however the demo ends.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from router.admin.cdr_search import read_cdrs
from router.cli.cdr_output import show_table
from router.cli.demo_calls import FAILOVER, GATEWAYS, PREFIX, STRANGER, Play, behaviour_of
from router.cli.demo_router import HOST, WORKERS, DemoRouter
from router.cli.ladder import Lane, render_ladder, wires_of
from router.core.agent import Agent
from router.runtime.agent_driver import AgentDriver
from router.store.errors import StoreError
from router.store.query import CdrQuery
from router.store.records import Cdr

START_LIMIT_MS: Final = 20_000
CALLS_LIMIT_MS: Final = 15_000
STOP_LIMIT_MS: Final = 8_000
SETTLE_MS: Final = 150
"""For the last answers, so that the ladder is whole."""

REFRESH_MS: Final = 100


class DemoFailed(Exception):
    """Why the demo could not be shown; the text is what the user sees."""


class Peers:
    """Who takes part besides the router; `stranger` is None where there is no second address."""

    def __init__(self, driver: AgentDriver) -> None:
        # The caller first: what arrives in one turn for both was sent to the caller first.
        self.caller = driver.add(HOST)
        self.gateways = [driver.add(HOST, behaviour_of(name)) for name in GATEWAYS]
        self.stranger: Agent | None
        try:
            self.stranger = driver.add(STRANGER)
        except OSError:
            self.stranger = None

    def lanes(self, router: DemoRouter) -> list[Lane]:
        """The parties of a ladder, from the caller to the second gateway."""
        first, second = (_address(gateway) for gateway in self.gateways)
        return [
            Lane("caller", _address(self.caller)),
            Lane("trunkline", (router.flow.host, router.flow.port)),
            Lane(GATEWAYS[0], first),
            Lane(GATEWAYS[1], second),
        ]


class Demo:
    """One run: `play` the calls, then `show` what became of them."""

    def __init__(self, folder: Path, driver: AgentDriver, console: Console) -> None:
        self.peers = Peers(driver)
        ports = [gateway.listener.port for gateway in self.peers.gateways]
        self.router = DemoRouter(folder, ports)
        self.calls = Play(self.peers.caller, self.peers.stranger, self.router.flow)
        self._driver = driver
        self._console = console
        self._cdrs: list[Cdr] = []

    def play(self) -> None:
        """Start the router, place the calls, stop the router; DemoFailed when it does not run."""
        router, calls = self.router, self.calls
        with _progress(self._console) as progress:
            look = _Look(self._driver, progress)
            router.start()
            look.until(
                "Starting Trunkline", START_LIMIT_MS, lambda _: router.ready() or router.ended()
            )
            self._check_router("did not start")
            self._introduce()

            def call(now_ms: int) -> bool:
                scene = calls.step(now_ms)
                if scene is not None:
                    self._console.print(f"  {scene.number.ljust(13)}  {scene.story}")
                look.say(f"{calls.ended} of {len(calls.scenes)} calls are over")
                return calls.over or router.ended()

            look.until("Placing calls", CALLS_LIMIT_MS, call)
            self._check_router("ended while calls were running")
            look.until("Stopping Trunkline", SETTLE_MS, lambda _: False)
            router.end()
            # The peers go on answering: what a router says at its end belongs to the calls.
            look.until("Stopping Trunkline", STOP_LIMIT_MS, lambda _: router.ended())
        try:
            self._cdrs = list(read_cdrs(router.state, CdrQuery()))[::-1]
        except StoreError as error:
            raise DemoFailed(f"the router's records cannot be read: {error}") from error

    def show(self, keep: bool) -> bool:
        """Print records, messages and verdict; whether all went as it was meant to."""
        console = self._console
        console.print("\nTheir call detail records:\n", style="bold")
        show_table(self._cdrs, 0, datetime.now().astimezone())
        console.print("CODE is what the caller got, TRY how many gateways were tried.", style="dim")
        by_call_id = {cdr.call_id: cdr for cdr in self._cdrs}
        self._show_ladder(by_call_id)
        console.print()
        faults = self.calls.faults(by_call_id)
        count = len(self.calls.scenes)
        if faults:
            verdict = f"{len(faults)} of {count} calls did not end as they were meant to."
        elif self.router.exit_code != 0:
            verdict = f"Trunkline did not stop as it should: {self.router.how_it_ended()}."
        else:
            console.print(f"All {count} calls ended as they were meant to.", style="bold green")
            console.print(f"\n{next_steps(program_name(), keep)}")
            return True
        for fault in faults:
            console.print(f"- {fault}", soft_wrap=True)
        console.print(verdict, style="bold red")
        if not keep:
            console.print(f"{program_name()} demo --keep keeps its log and records to look at.")
        return False

    def _introduce(self) -> None:
        first, second = (gateway.listener.port for gateway in self.peers.gateways)
        count = len(self.calls.scenes)
        self._console.print(
            f"Trunkline  {HOST}:{self.router.flow.port}, {WORKERS} workers\n"
            f"{GATEWAYS[0]}   {HOST}:{first}, takes numbers that begin with {PREFIX}\n"
            f"{GATEWAYS[1]}   {HOST}:{second}, takes them when {GATEWAYS[0]} fails\n"
            f"\n{count} calls, one after another and some at the same time:\n"
        )

    def _check_router(self, what: str) -> None:
        if self.router.ready() and not self.router.ended():
            return
        said = self.router.log() or "(nothing)"
        raise DemoFailed(f"the demo's router {what}. It said:\n{said}")

    def _show_ladder(self, cdrs: dict[str, Cdr]) -> None:
        call = next((call for scene, call in self.calls.played if scene is FAILOVER), None)
        if call is None:
            return
        call_ids = {call.leg.call_id}
        cdr = cdrs.get(call.leg.call_id)
        if cdr is not None:
            call_ids.update(attempt.b_call_id for attempt in cdr.attempts)
        console = self._console
        ladder = render_ladder(
            wires_of(self._driver.wires, call_ids),
            self.peers.lanes(self.router),
            console.width,
            ascii_only=console.options.ascii_only,
        )
        console.print(f"\nThe messages of {FAILOVER.number} ({FAILOVER.story}):\n", style="bold")
        console.print(ladder, no_wrap=True, overflow="crop")


class _Look:
    """The driver's turns with a line that says what is going on."""

    def __init__(self, driver: AgentDriver, progress: Progress) -> None:
        self._driver = driver
        self._progress = progress
        self._task = progress.add_task("")
        self._shown_ms = 0

    def say(self, text: str) -> None:
        """What stands there from the next refresh on."""
        self._progress.update(self._task, description=text)

    def until(self, text: str, limit_ms: int, enough: Callable[[int], bool]) -> None:
        """Turn until it is enough, or the limit has passed."""
        self.say(text)

        def turn(now_ms: int) -> bool:
            if now_ms - self._shown_ms >= REFRESH_MS:
                self._shown_ms = now_ms
                self._progress.refresh()
            return enough(now_ms)

        self._driver.run(turn, limit_ms)


def demo(*, keep: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Start a router of its own with two gateways and a caller, and place a dozen calls through it.

    It takes about ten seconds, uses free ports of 127.0.0.1 and shows the call detail records and
    the messages of one call.

    Parameters
    ----------
    keep
        Keep the folder with routes.cfg, log and records, and say where it is.
    """
    console = Console(highlight=False, markup=False)
    try:
        with _terminable(), _folder(keep, console) as folder, AgentDriver() as driver:
            run = Demo(folder, driver, console)
            try:
                run.play()
            finally:
                with _undisturbed():
                    run.router.clear_away()
            return 0 if run.show(keep) else 1
    except BrokenPipeError:
        raise
    except (DemoFailed, OSError) as error:
        print(f"trunkline: {error}", file=sys.stderr)
        return 1


@contextmanager
def _folder(keep: bool, console: Console) -> Iterator[Path]:
    """A temporary folder that is gone at the end unless it is to be kept."""
    folder = Path(tempfile.mkdtemp(prefix="trunkline-demo-"))
    try:
        yield folder
    finally:
        if keep:
            cdr = f"{program_name()} cdr --state {folder / 'state'}"
            console.print(
                f"\nKept: {folder} with routes.cfg, router.log and the records:\n  {cdr}",
                soft_wrap=True,
            )
        else:
            with _undisturbed():
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the demo as Ctrl-C does, with everything cleared."""

    def stop(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Clear away in spite of an impatient second Ctrl-C; what is done inside is short."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _progress(console: Console) -> Progress:
    """One line that is gone afterwards; our own turns refresh it, for a fork wants no threads."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
        auto_refresh=False,
        disable=not console.is_terminal,
    )


def program_name() -> str:
    """How this program was called, for commands that can be copied."""
    called = sys.argv[0]
    found_by_name = shutil.which("trunkline") == called
    return "trunkline" if found_by_name or Path(called).name != "trunkline" else called


def next_steps(program: str, kept: bool) -> str:
    """What a newcomer may try after the demo."""
    steps = [
        ("make run", "Trunkline on the routes.cfg of this folder"),
        (f"{program} status", "its workers, calls and gateways"),
        (f"{program} cdr", "its calls; cdr show ID tells all about one"),
        ("README.md", "a first call of your own, and how it goes on"),
    ]
    if not kept:
        steps.insert(0, (f"{program} demo --keep", "the same; its routes.cfg and records stay"))
    width = max(len(command) for command, _ in steps)
    lines = [f"  {command.ljust(width)}  {what}" for command, what in steps]
    return "\n".join(["What to try next:", *lines])


def _address(agent: Agent) -> tuple[str, int]:
    return agent.listener.host, agent.listener.port
