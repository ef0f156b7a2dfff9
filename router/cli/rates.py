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
from rich.table import Table

from dsl.outcome import Outcome
from dsl.sources import SourceError
from router.admin.decks import deck_row, decks_of, open_decks, rate_cells, rates_in
from router.admin.loaded_rates import state_of
from router.admin.wrong_value import NotThere
from router.billing.amounts import amount
from router.billing.rate import Rate
from router.billing.rates_file import COLUMNS
from router.cli.findings_text import show_findings
from router.routing.stored_decks import AnyDeck
from router.runtime.clock import make_clock
from router.runtime.routes_file import check_file
from router.store.errors import StoreError
from router.store.rates import LmdbRates

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
) -> int:
    """Show the rate that a call to a number would have now, in each deck.

    The exit code is 1 if no deck has one, or if the configuration has errors.
    """

    def show(decks: dict[str, AnyDeck], _: Outcome, __: LmdbRates | None) -> int:
        return _show(number, {deck: decks[deck]} if deck else decks)

    return _with_decks(file, deck, state, show)


@app.command(name="decks")
def list_decks(
    file: Config = Path("routes.cfg"),
    *,
    state: State = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """List the decks: where their rates come from, how many there are, since when they count."""

    def show(decks: dict[str, AnyDeck], outcome: Outcome, rates: LmdbRates | None) -> int:
        loaded = rates.decks() if rates is not None else {}
        files = decks_of(outcome)
        rows = [deck_row(name, files[name], one, loaded.get(name)) for name, one in decks.items()]
        if as_json:
            print(json.dumps(rows, indent=2, ensure_ascii=False))
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
        if not deck and not decks_of(outcome):
            print(f"{file} has no deck", file=sys.stderr)
            return 1
        folder = state or state_of(file, outcome.settings.values)
        with open_decks(outcome, folder, deck) as (decks, rates):
            return show(decks, outcome, rates)
    except NotThere as error:
        print(f"trunkline: {error}", file=sys.stderr)
    except SourceError as error:
        print(f"trunkline: {error}", file=sys.stderr)
    except StoreError as error:
        print(f"trunkline: {error}", file=sys.stderr)
    return 1


def _show_decks(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("DECK")
    table.add_column("RATES", justify="right")
    table.add_column("FROM")
    for row in rows:
        if row["loaded"]:
            origin = f"{row['from']}, loaded {row['loaded'][:16].replace('T', ' ')} UTC"
        else:
            origin = row["from"] or "nothing loaded yet: trunkline load rates FILE --deck NAME"
        table.add_row(row["deck"], f"{row['rates']:,}", origin)
    Console(highlight=False, markup=False, soft_wrap=True).print(table)


def _show(number: str, decks: dict[str, AnyDeck]) -> int:
    now_ms = make_clock()()
    width = max(len(name) for name in decks)
    found = 0
    for name, deck in decks.items():
        rate = deck.find(number, now_ms)
        found += rate is not None
        print(f"{name:<{width}}  {_described(rate) if rate else f'no rate for {number}'}")
    return 0 if found else 1


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
