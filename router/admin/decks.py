"""The decks of a configuration, and where their rates come from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dsl.check.report import did_you_mean
from dsl.outcome import Outcome
from router.admin.wrong_value import NotThere
from router.billing.amounts import amount
from router.billing.deck import Deck
from router.billing.rate import Rate
from router.routing.stored_decks import AnyDeck, RatesView, StoredDeck, rate_of
from router.store.rates import DeckVersion, LmdbRates, loaded_rates

RATE_FIELDS = ("prefix", "name", "first_s", "cycle_s", "free_s", "kind")


def decks_of(outcome: Outcome) -> dict[str, str]:
    """The decks of a configuration and the files they are read from, "" for none."""
    return {
        block.node.name: block.given.values.get("file", "")
        for block in outcome.blocks
        if block.node.kind == "deck"
    }


@contextmanager
def open_decks(
    outcome: Outcome, state: Path, deck: str = ""
) -> Iterator[tuple[dict[str, AnyDeck], LmdbRates | None]]:
    """All decks of a configuration by name, and the loaded rates; StoreError, or no such deck."""
    named = decks_of(outcome)
    if deck and deck not in named:
        known = did_you_mean(deck, named) or f"the decks are: {', '.join(named) or 'none'}"
        raise NotThere(f"there is no deck `{deck}`; {known}")
    with loaded_rates(state) as rates:
        view = RatesView()
        view.store = rates
        yield {
            name: outcome.tables[name] if path else StoredDeck(name, view)
            for name, path in named.items()
        }, rates


def rate_data(deck: str, number: str, rate: Rate | None) -> dict[str, Any]:
    """What a deck asks for a number, as plain data; `rate` None: nothing, it has no rate for it."""
    fields: dict[str, Any] | None = None
    if rate is not None:
        fields = {name: getattr(rate, name) for name in RATE_FIELDS}
        fields["rate_per_min"] = amount(rate.rate_per_min)
        fields["connect_fee"] = amount(rate.connect_fee)
    return {"deck": deck, "number": number, "rate": fields}


def deck_row(
    name: str, file: str, deck: AnyDeck, loaded: DeckVersion | None
) -> dict[str, Any]:
    """Where a deck comes from and how many rates it has; `loaded_ms` 0: not by command."""
    if isinstance(deck, Deck):
        return {"deck": name, "rates": len(deck), "from": file, "loaded_ms": 0}
    if loaded is None:
        return {"deck": name, "rates": 0, "from": "", "loaded_ms": 0}
    return {
        "deck": name, "rates": loaded.rows, "from": loaded.source, "loaded_ms": loaded.loaded_ms,
    }


def rates_in(
    decks: dict[str, AnyDeck], deck: str, rates: LmdbRates | None
) -> Iterator[Rate]:
    """Every rate of a deck by prefix, wherever it comes from; no transaction is held."""
    one = decks[deck]
    if isinstance(one, Deck):
        return iter(one.rates())
    stored = rates.rows(deck) if rates is not None else iter(())
    return (rate_of(prefix, row) for prefix, row in stored)


def rate_cells(rate: Rate) -> list[object]:
    """A row as a rates file has it, in the order of `billing.rates_file.COLUMNS`."""
    return [
        rate.prefix, rate.name, amount(rate.rate_per_min), amount(rate.connect_fee), rate.first_s,
        rate.cycle_s, rate.free_s, rate.kind, "yes", _iso(rate.valid_from), _iso(rate.valid_to),
    ]


def _iso(epoch_ms: int) -> str:
    if not epoch_ms:
        return ""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat().removesuffix("+00:00")
