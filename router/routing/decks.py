"""Decks of routes.cfg: how the language reads rates files, and what they say together with blocks.

The language knows no rates; this is what the function table hands to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dsl.program import Block
from dsl.surface import Remark, TableFault, TableSide
from router.billing.deck import Deck
from router.billing.rates_file import read_rates

MAX_NAMED = 5
"""how many prefixes one finding names"""


def _read(raw: bytes) -> tuple[Deck | None, Sequence[TableFault]]:
    parsed = read_rates(raw)
    return parsed.deck, [TableFault(one.line, one.code, one.message) for one in parsed.problems]


def compare_decks(blocks: Sequence[Block], decks: Mapping[str, Any]) -> Iterator[Remark]:
    """What decks, accounts and gateways do not agree on; warnings, one for each of the blocks."""
    gateways = [
        block for block in blocks if block.kind == "gateway" and block.settings.get("prefixes")
    ]
    sides = _Gateways(gateways, decks)
    told: dict[str, list[tuple[str, str, str]]] = {}
    for block in blocks:
        yield from _idle_settings(block)
        deck = decks.get(block.settings.get("deck", ""))
        if deck is None:
            continue
        if block.kind == "gateway" and "prefixes" in block.settings:
            unpriced = [
                prefix for prefix in block.settings["prefixes"] if not deck.prices_part_of(prefix)
            ]
            if unpriced:
                yield Remark(
                    "gateway", block.name, "prefixes", "unpriced-prefix",
                    f"deck `{block.settings['deck']}` has no rate for {_named(unpriced)}",
                    "no call of an account with a deck goes there",
                )
        elif block.kind == "account":
            name = block.settings["deck"]
            if name not in told:
                told[name] = list(_of_account(name, deck, sides))
            for code, message, help in told[name]:
                yield Remark("account", block.name, "deck", code, message, help)


_IDLE = {
    "account": (
        ("overdraft", "balance", "without a balance there is no limit of credit"),
        ("balance_low", "balance", "without a balance there is no limit of credit"),
        ("balance", "deck", "without a deck calls cost the account nothing"),
        ("reserve_minutes", "balance", "without a balance nothing is set aside"),
        ("permit", "deck", "the kind of a call is that of its rate"),
    ),
    "gateway": (
        ("clearing", "deck", "without a deck calls cost nothing here"),
        ("max_rate", "deck", "without a deck there is no rate to compare"),
        ("min_margin", "deck", "without a deck there is no rate to compare"),
    ),
}
"""settings that do nothing where another one is missing"""


def _idle_settings(block: Block) -> Iterator[Remark]:
    for setting, needed, why in _IDLE.get(block.kind, ()):
        if setting in block.settings and needed not in block.settings:
            if setting == "permit" and "agent" in block.settings:
                continue
            yield Remark(
                block.kind, block.name, setting, "idle-setting",
                f"`{setting}` does nothing: {block.kind} `{block.name}` has no `{needed}`", why,
            )


def _of_account(name: str, deck: Deck, sides: _Gateways) -> Iterator[tuple[str, str, str]]:
    unserved = []
    losing = []
    for prefix in deck.prefixes():
        if not sides.serve(prefix):
            unserved.append(prefix)
        elif sides.cost_more(prefix, deck.highest(prefix)):
            losing.append(prefix)
    if unserved:
        message = f"deck `{name}` sells {_named(unserved)}, which no gateway serves"
        yield "unserved-prefix", message, "calls there end NotFound"
    if losing:
        message = f"every gateway for {_named(losing)} costs more than deck `{name}` pays"
        yield "no-margin", message, "each minute of these calls loses money"


class _Gateways:
    """What gateways serve and ask, by prefix."""

    def __init__(self, gateways: Iterable[Block], decks: Mapping[str, Any]) -> None:
        self._by_prefix: dict[str, list[Deck | None]] = {}
        self._beginnings: set[str] = set()
        for gateway in gateways:
            deck = decks.get(gateway.settings.get("deck", ""))
            for prefix in gateway.settings["prefixes"]:
                served = self._by_prefix.setdefault(prefix, [])
                if deck not in served:
                    served.append(deck)
                self._beginnings.update(prefix[:length] for length in range(len(prefix) + 1))

    def serve(self, prefix: str) -> bool:
        """Whether some number with this prefix has a gateway."""
        return prefix in self._beginnings or any(self._decks(prefix))

    def cost_more(self, prefix: str, price: int) -> bool:
        """Whether all gateways of the whole prefix ask more than this for a minute."""
        served = [deck for decks in self._decks(prefix) for deck in decks]
        if prefix in self._beginnings and prefix not in self._by_prefix:
            return False  # parts of it have gateways of their own
        asked = [deck.lowest_for(prefix) if deck is not None else 0 for deck in served]
        known = [one for one in asked if one is not None]
        return bool(known) and min(known) > price

    def _decks(self, prefix: str) -> Iterator[list[Deck | None]]:
        for length in range(len(prefix) + 1):
            decks = self._by_prefix.get(prefix[:length])
            if decks is not None:
                yield decks


def _named(prefixes: Sequence[str]) -> str:
    named = ", ".join(prefix or '""' for prefix in prefixes[:MAX_NAMED])
    more = len(prefixes) - MAX_NAMED
    return f"prefix{'' if len(prefixes) == 1 else 'es'} {named}" + (
        f" and {more} more" if more > 0 else ""
    )


TABLES = TableSide("deck", "file", _read, compare_decks)
