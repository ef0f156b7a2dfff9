"""`trunkline rates`: what the decks of a configuration say."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from dsl.check.report import did_you_mean
from dsl.sources import SourceError
from router.billing.deck import Deck
from router.billing.rate import Rate
from router.cli.findings_text import show_findings
from router.routing.pricing import amount
from router.runtime.clock import make_clock
from router.runtime.routes_file import check_file

app = App(name="rates", help="Show what the decks of routes.cfg say.")


@app.command
def find(
    number: Annotated[str, Parameter(help="The number that is called.")],
    file: Annotated[Path, Parameter(help="The configuration.")] = Path("routes.cfg"),
    *,
    deck: Annotated[str, Parameter(help="Only this deck; else all of them.")] = "",
) -> int:
    """Show the rate that a call to a number would have now, in each deck.

    The exit code is 1 if no deck has one, or if the configuration has errors.
    """
    try:
        outcome = check_file(file)
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    if outcome.errors:
        errors = Console(stderr=True, highlight=False, soft_wrap=True)
        show_findings(outcome.findings, outcome.unit.texts, errors)
        return 1
    decks: dict[str, Deck] = outcome.tables
    if deck and deck not in decks:
        known = did_you_mean(deck, decks) or f"the decks are: {', '.join(decks) or 'none'}"
        print(f"there is no deck `{deck}`; {known}", file=sys.stderr)
        return 1
    if not decks:
        print(f"{file} has no deck", file=sys.stderr)
        return 1
    return _show(number, {deck: decks[deck]} if deck else decks)


def _show(number: str, decks: dict[str, Deck]) -> int:
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
