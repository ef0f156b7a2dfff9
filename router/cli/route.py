"""`trunkline route`: decides a call as the router would, and sends nothing.

The real routes run on the real engine, in a moment of its own. With the state folder of a running
router the lines in use and the health of gateways are those of now; nothing in it is changed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console

from dsl.load import compile_routes, load_program
from dsl.outcome import Outcome
from dsl.program import Program
from dsl.sources import SourceError
from router.cli.cdr_query import WrongValue, parse_instant
from router.cli.findings_text import show_outcome
from router.cli.loaded_rates import state_of
from router.cli.route_lines import LineTrace, Visit
from router.cli.route_text import show_decision
from router.routing.decided import Decided, LiveNow, Question
from router.routing.decision_run import DecisionRun
from router.routing.stored_decks import StoredRates
from router.routing.surface import SURFACE
from router.runtime.hook_loop import HookLoop
from router.runtime.routes_file import DiskFiles, check_file
from router.store.boot import LIVE_DIR, live_is_current
from router.store.cdr_lines import CONTROL, plain
from router.store.errors import StoreError
from router.store.live import LmdbLive
from router.store.rates import loaded_rates

FREE = (
    "All lines are taken to be free, all gateways up and all phones registered. Balances are as "
    "they begin."
)


def route(
    file: Annotated[Path, Parameter(help="The configuration.")] = Path("routes.cfg"),
    *,
    source: str,
    caller: str,
    callee: str,
    header: list[str] | None = None,
    at: str = "now",
    state: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Decide a call without making it: the route taken, the gateways, and why.

    The exit code is 1 when a route fails, or when the configuration has an error.

    Parameters
    ----------
    source
        The address that the call comes from.
    caller
        The number that calls; "" for none.
    callee
        The number that is dialled.
    header
        A further header of the INVITE, "Name: value"; may be given several times.
    at
        When the call comes in: 2026-05-01T12:30, now.
    state
        A router's state folder: lines and gateways are then as they are there now.
    as_json
        Print one JSON object instead of text.
    """
    try:
        question = _question(source, caller, callee, header or [], at)
        outcome = check_file(file)
        if outcome.errors:
            show_outcome(outcome, Console(stderr=True, highlight=False, soft_wrap=True))
            return 1
        program = load_program(str(file), SURFACE, DiskFiles())
        folder = state or state_of(program.path, program.settings)
        with _live_now(state) as live, loaded_rates(folder) as rates:
            decided, trace = decide(outcome, program, question, live, rates)
    except (WrongValue, StoreError) as error:
        print(f"trunkline: {plain(str(error))}", file=sys.stderr)
        return 1
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    if as_json:
        print(_json(question, decided, trace.visits))
    else:
        told = FREE if state is None else f"Lines, gateways and balances are as in {state} now."
        console = Console(highlight=False, markup=False, soft_wrap=True)
        show_decision(console, question, decided, trace, told)
    return 1 if decided.faults else 0


def decide(
    outcome: Outcome, program: Program, question: Question, live: LiveNow,
    rates: StoredRates | None = None,
) -> tuple[Decided, LineTrace]:
    """The decision, and the lines of the routes that were run for it."""
    with HookLoop() as loop:
        run = DecisionRun(
            program, question, live, lambda engine: loop.run_all(engine, question.now_ms), rates
        )
        with LineTrace(compile_routes(outcome, SURFACE)) as trace:
            decided = run.decide()
    return decided, trace


def _json(question: Question, decided: Decided, visits: list[Visit]) -> str:
    asked: dict[str, Any] = msgspec.to_builtins(question)
    found: dict[str, Any] = msgspec.to_builtins({**msgspec.structs.asdict(decided)})
    route_taken = msgspec.to_builtins(visits)
    return json.dumps({**asked, "route": route_taken, **found}, indent=2, ensure_ascii=False)


# -- what was asked for ---------------------------------------------------------------------------


def _question(source: str, caller: str, callee: str, headers: list[str], at: str) -> Question:
    try:
        address = str(ip_address(source.strip("[]")))
    except ValueError:
        raise WrongValue(f'--source "{source}" is no IP address: give 192.0.2.1') from None
    for option, text in (("--caller", caller), ("--callee", callee)):
        if CONTROL.search(text) or len(text) > 256:
            raise WrongValue(f"{option} is no number: it has control characters or is too long")
    for line in headers:
        name, colon, _ = line.partition(":")
        if not (colon and name.strip() and name.strip().isascii()) or CONTROL.search(line):
            raise WrongValue(f'--header "{line}" is no header: give "Name: value"')
    now = datetime.now().astimezone()
    now_ms = time.time_ns() // 1_000_000 if at == "now" else parse_instant("--at", at, now)
    return Question(address, caller, callee, now_ms, tuple(headers))


@contextmanager
def _live_now(state: Path | None) -> Iterator[LiveNow]:
    if state is None:
        yield LiveNow()
        return
    if not live_is_current(state / LIVE_DIR):
        raise StoreError(
            f'no router has run with state folder "{state}" since this machine was started: '
            "name the router's, or leave --state out"
        )
    live = LmdbLive(state / LIVE_DIR, readonly=True)
    try:
        yield LiveNow(live.usages(""), live.gateway_states(), live.monies(), live)
    finally:
        live.close()
