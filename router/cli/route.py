"""`trunkline route`: decides a call as the router would, and sends nothing.

The real routes run on the real engine, in a moment of its own. With the state folder of a running
router the lines in use and the health of gateways are those of now; nothing in it is changed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console

from dsl.load import load_program
from dsl.sources import SourceError
from router.admin.deciding import decide, live_now, question_of
from router.admin.loaded_rates import state_of
from router.admin.route_lines import Visit
from router.admin.wrong_value import WrongValue
from router.cli.findings_text import show_outcome
from router.cli.route_text import show_decision
from router.routing.decided import Decided, Question
from router.routing.surface import SURFACE
from router.runtime.routes_file import DiskFiles, check_file
from router.store.cdr_lines import plain
from router.store.errors import StoreError
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
        question = question_of(source, caller, callee, header or [], at)
        outcome = check_file(file)
        if outcome.errors:
            show_outcome(outcome, Console(stderr=True, highlight=False, soft_wrap=True))
            return 1
        program = load_program(str(file), SURFACE, DiskFiles())
        folder = state or state_of(program.path, program.settings)
        with live_now(state) as live, loaded_rates(folder) as rates:
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


def _json(question: Question, decided: Decided, visits: list[Visit]) -> str:
    asked: dict[str, Any] = msgspec.to_builtins(question)
    found: dict[str, Any] = msgspec.to_builtins({**msgspec.structs.asdict(decided)})
    route_taken = msgspec.to_builtins(visits)
    return json.dumps({**asked, "route": route_taken, **found}, indent=2, ensure_ascii=False)


# -- what was asked for ---------------------------------------------------------------------------
