"""`trunkline rates`: what the decks of a configuration say."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console

from dsl.outcome import Outcome
from dsl.sources import SourceError
from router.admin.decks import deck_row, decks_of, open_decks, rate_cells, rate_data, rates_in
from router.admin.loaded_rates import state_of
from router.admin.wrong_value import NotThere
from router.billing.amounts import amount
from router.billing.rate import Rate
from router.billing.rates_file import COLUMNS
from router.cli.cdr_query import Json
from router.cli.findings_text import show_findings
from router.cli.tables import show_columns, show_facts
from router.routing.stored_decks import AnyDeck
from router.runtime.clock import make_clock
from router.runtime.routes_file import check_file
from router.store.errors import StoreError
from router.store.rates import LmdbRates

NONE = '{file} has no deck. Add one to it: deck NAME {{ file = "rates.csv" }}'

app = App(name="rates", help="Show what the decks of routes.cfg say.")


Config = Annotated[Path, Parameter(help="The configuration.")]
State = Annotated[
    Path | None, Parameter(help="The state folder, where it is not as the configuration says.")
]


@app.command
def find(
    number: Annotated[str, Parameter(help="The number that is called.")],
    file: Config = Path("routes.cfg"),
    *,
    deck: Annotated[str, Parameter(help="Only this deck; else all of them.")] = "",
    state: State = None,
    as_json: Json = False,
) -> int:
    """Show the rate that a call to a number would have now, in each deck.

    The exit code is 1 if no deck has one, or if the configuration has errors.

    Parameters
    ----------
    as_json
        Print JSON, one deck a line; `rate` is null where it has none.
    """

    def show(decks: dict[str, AnyDeck], _: Outcome, __: LmdbRates | None) -> int:
        now_ms = make_clock()()
        names = [deck] if deck else list(decks)
        found = {name: decks[name].find(number, now_ms) for name in names}
        if as_json:
            for name, rate in found.items():
                print(json.dumps(rate_data(name, number, rate), ensure_ascii=False))
        elif not found:
            print(NONE.format(file=file))
        else:
            show_facts(
                (name, _described(rate) if rate else f"no rate for {number}")
                for name, rate in found.items()
            )
        return 0 if any(found.values()) else 1

    return _with_decks(file, deck, state, show)


@app.command(name="decks")
def list_decks(
    file: Config = Path("routes.cfg"),
    *,
    state: State = None,
    as_json: Json = False,
) -> int:
    """List the decks: where their rates come from, how many there are, since when they count.

    Parameters
    ----------
    as_json
        Print JSON, one deck a line; times are epoch milliseconds.
    """

    def show(decks: dict[str, AnyDeck], outcome: Outcome, rates: LmdbRates | None) -> int:
        loaded = rates.decks() if rates is not None else {}
        files = decks_of(outcome)
        rows = [deck_row(name, files[name], one, loaded.get(name)) for name, one in decks.items()]
        if as_json:
            for row in rows:
                print(json.dumps(row, ensure_ascii=False))
        elif not rows:
            print(NONE.format(file=file))
        else:
            _show_decks(rows)
        return 0

    return _with_decks(file, "", state, show)


@app.command
def export(
    deck: Annotated[str, Parameter(help="The deck.")],
    file: Config = Path("routes.cfg"),
    *,
    state: State = None,
) -> int:
    """Write a deck's rates as CSV, as a rates file has them."""

    def show(decks: dict[str, AnyDeck], _: Outcome, rates: LmdbRates | None) -> int:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rate_cells(rate) for rate in rates_in(decks, deck, rates))
        return 0

    return _with_decks(file, deck, state, show)


def _with_decks(
    file: Path, deck: str, state: Path | None,
    show: Callable[[dict[str, AnyDeck], Outcome, LmdbRates | None], int],
) -> int:
    """Shows something of all decks; 1, with the reason, where there is nothing to show."""
    try:
        outcome = check_file(file)
        if outcome.errors:
            errors = Console(stderr=True, highlight=False, soft_wrap=True)
            show_findings(outcome.findings, outcome.unit.texts, errors)
            return 1
        folder = state or state_of(file, outcome.settings.values)
        with open_decks(outcome, folder, deck) as (decks, rates):
            return show(decks, outcome, rates)
    except (NotThere, SourceError, StoreError) as error:
        print(f"trunkline: {error}", file=sys.stderr)
    return 1


def _show_decks(rows: list[dict[str, Any]]) -> None:
    show_columns(
        {
            "DECK": [row["deck"] for row in rows],
            "RATES": [f"{row['rates']:,}" for row in rows],
            "LOADED": [_moment(row["loaded_ms"]) if row["loaded_ms"] else "" for row in rows],
            "FROM": [
                row["from"] or "nothing loaded yet: trunkline load rates FILE --deck NAME"
                for row in rows
            ],
        },
        {"RATES"},
        cuts=(("FROM", 20), ("DECK", 16)),
    )




def _described(rate: Rate) -> str:
    parts = [f"{rate.prefix or '*'}", f"{amount(rate.rate_per_min)} a minute"]
    if rate.connect_fee:
        parts.append(f"{amount(rate.connect_fee)} to connect")
    parts.append(f"first {rate.first_s} s, then every {rate.cycle_s} s")
    if rate.free_s:
        parts.append(f"{rate.free_s} s free")
    parts += [part for part in (rate.kind, rate.name) if part]
    if rate.valid_from:
        parts.append(f"from {_moment(rate.valid_from)}")
    if rate.valid_to:
        parts.append(f"until {_moment(rate.valid_to)}")
    return ", ".join(parts)


def _moment(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
