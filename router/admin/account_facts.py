"""What is known of accounts: by routes.cfg, by the ledger, and by live state now."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from dsl.check.report import did_you_mean
from dsl.findings import ConfigError
from dsl.sources import SourceError
from router.admin.loaded_rates import state_of
from router.admin.wrong_value import NotThere
from router.routing.accounts import accounts_of, openings
from router.routing.live_view import LiveView
from router.routing.objects import Account
from router.runtime.routes_file import load_routes_again
from router.store.boot import LEDGER_DIR, LIVE_DIR, live_is_current
from router.store.cdr_lines import decimal
from router.store.errors import StoreError
from router.store.funds import Funds
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive
from router.store.money import Money


class AccountFacts(msgspec.Struct):
    """One account; amounts in millionths, None where the configuration does not say."""

    name: str
    configured: bool = False
    """Whether it stands in the configuration."""
    status: str = ""
    expires: str = ""
    agent: str = ""
    deck: str = ""
    balance: int = 0
    overdraft: int = 0
    reserved: int = 0
    limited: bool = False
    """Whether its credit has a limit."""
    lines_used: int = 0
    lines: int | None = None
    cps: int | None = None

    @property
    def free(self) -> int:
        """What new calls can still reserve."""
        return self.balance + self.overdraft - self.reserved


class Accounts(msgspec.Struct):
    """All accounts by name, the state folder, and what could not be read, in a line.

    `openings` are the opening balances that the configuration gives, by account.
    """

    facts: dict[str, AccountFacts]
    state: Path
    openings: dict[str, Funds]
    trouble: str = ""

    def named(self, name: str) -> AccountFacts:
        """The account of this name; NotThere, with the nearest name, when there is none."""
        found = self.facts.get(name)
        if found is None:
            raise NotThere(unknown(name, self.facts))
        return found


def unknown(name: str, names: Iterable[str]) -> str:
    """What to say of a name that no account has."""
    known = sorted(names)
    hint = did_you_mean(name, known)
    if not hint:
        hint = f"the accounts are {', '.join(known[:20])}" if known else "there are no accounts"
    return f"there is no account `{name}`: {hint}"


def read_accounts(config: Path, state: Path | None) -> Accounts:
    """All that is known of all accounts; StoreError when a state folder cannot be read.

    A configuration that cannot be read leaves what the state folder says; `trouble` says why.
    """
    configured, folder, trouble = _configured(config)
    state = state or folder
    if state.exists() and not state.is_dir():
        raise StoreError(f"state folder {state} cannot be used: it is a file")
    facts = {name: _facts_of(account) for name, account in configured.items()}
    balances, monies, lines = _stored(state)
    for name in balances.keys() | monies.keys():
        facts.setdefault(name, AccountFacts(name)).balance = balances.get(name, 0)
    for name, live in monies.items():
        facts[name].balance, facts[name].reserved = live
    for name, used in lines.items():
        if name in facts:
            facts[name].lines_used = used
    opened = openings(configured.values(), time.time_ns() // 1_000_000)
    return Accounts(facts, state, {one.account: one for one in opened}, trouble)


def _configured(config: Path) -> tuple[dict[str, Account], Path, str]:
    try:
        program = load_routes_again(config)
    except SourceError as error:
        return {}, Path("state"), f"{error}"
    except ConfigError:
        return {}, Path("state"), f"{config} has errors, see trunkline check {config}"
    return (
        accounts_of(program, {}, LiveView()),
        state_of(program.path, program.settings),
        "",
    )


def _facts_of(account: Account) -> AccountFacts:
    return AccountFacts(
        account.name,
        True,
        "locked" if account.locked else "active",
        str(account.expires or ""),
        account.agent.name if account.agent is not None else "",
        account.deck_name,
        overdraft=-account.floor,
        limited=account.opening is not None,
        # What it will have as soon as the router knows it.
        balance=account.opening or 0,
        lines=account.lines if account.lines >= 0 else None,
        cps=account.cps if account.cps >= 0 else None,
    )


def _stored(state: Path) -> tuple[dict[str, int], dict[str, Money], dict[str, int]]:
    """Balances of the ledger, live money, and lines in use, each by account."""
    balances: dict[str, int] = {}
    if (state / LEDGER_DIR / "data.mdb").exists():
        ledger = LmdbLedger(state / LEDGER_DIR, readonly=True)
        try:
            balances = ledger.balances()
        finally:
            ledger.close()
    if not live_is_current(state / LIVE_DIR):
        return balances, {}, {}
    live = LmdbLive(state / LIVE_DIR, readonly=True)
    try:
        beginning = "account:"
        lines = {
            key.removeprefix(beginning): usage.in_use
            for key, usage in live.usages(beginning).items()
        }
        return balances, live.monies(), lines
    finally:
        live.close()


def as_fields(one: AccountFacts) -> dict[str, Any]:
    """The account for a program: amounts are decimals, None is no limit or not known."""
    fields = msgspec.structs.asdict(one)
    fields.update({name: decimal(fields[name]) for name in ("balance", "overdraft", "reserved")})
    fields["free"] = decimal(one.free) if one.limited else None
    return fields
