"""The accounts of routes.cfg, each with the agents above it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from math import ceil

from dsl.program import Block, Program
from router.billing.rate import DEFAULT_HOLD_PRECISION_MS, MAX_DECIMALS
from router.routing.live_view import LiveView
from router.routing.objects import ALL_KINDS, DEFAULT_RESERVE_S, Account
from router.routing.stored_decks import AnyDeck
from router.store.funds import OPENING, opening_id
from router.store.ops import UNLIMITED, Funds


def accounts_of(
    program: Program, decks: Mapping[str, AnyDeck], live: LiveView
) -> dict[str, Account]:
    """All accounts by name, in the order of routes.cfg; an agent may stand behind its children."""
    blocks = {block.name: block for block in program.blocks_of("account")}
    made: dict[str, Account] = {}
    for block in blocks.values():
        _make(block, blocks, decks, live, made)
    return {name: made[name] for name in blocks}


def _make(
    block: Block,
    blocks: Mapping[str, Block],
    decks: Mapping[str, AnyDeck],
    live: LiveView,
    made: dict[str, Account],
) -> Account:
    """The account of a block, and before it the agents above it."""
    account = made.get(block.name)
    if account is None:
        above = blocks.get(block.settings.get("agent", ""))
        agent = _make(above, blocks, decks, live, made) if above is not None else None
        account = made[block.name] = _account(block, decks, agent, live)
    return account


def openings(accounts: Iterable[Account], now_ms: int) -> list[Funds]:
    """The opening balances of accounts, which each gets only once."""
    return [
        Funds(opening_id(one.name), one.name, one.opening, OPENING, "", "routes.cfg", now_ms)
        for one in accounts
        if one.opening is not None
    ]


def millionths(amount: Decimal | int | None) -> int | None:
    """An amount of routes.cfg as it is counted."""
    return None if amount is None else int(Decimal(amount).scaleb(MAX_DECIMALS))


def _account(
    block: Block, decks: Mapping[str, AnyDeck], agent: Account | None, live: LiveView
) -> Account:
    settings = block.settings
    expires: date | None = settings.get("expires")
    minutes: Decimal | None = settings.get("reserve_minutes")
    return Account(
        block.name,
        settings.get("lines", UNLIMITED),
        settings.get("status", "active") == "locked",
        expires,
        deck=decks.get(settings.get("deck", "")),
        deck_name=settings.get("deck", ""),
        fee_decimals=settings.get("fee_decimals", MAX_DECIMALS),
        hold_precision_ms=settings.get("hold_precision", DEFAULT_HOLD_PRECISION_MS),
        cps=settings.get("cps", UNLIMITED),
        agent=agent,
        opening=millionths(settings.get("balance")),
        overdraft=millionths(settings.get("overdraft")) or 0,
        balance_low=millionths(settings.get("balance_low")),
        permit=frozenset(settings.get("permit", ALL_KINDS)),
        # A part of a second is a second: it is never less than what was asked for.
        reserve_s=DEFAULT_RESERVE_S if minutes is None else ceil(minutes * 60),
        live=live,
    )
