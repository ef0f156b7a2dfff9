"""`trunkline accounts`: who pays, how much is left, and money given to them.

An account is defined in routes.cfg; its balance is the ledger's. Another command for accounts is
another function of `app`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from router.admin.account_facts import AccountFacts, Accounts, as_fields, read_accounts
from router.admin.amounts import money
from router.admin.object_state import UNLIMITED, limit_words, used_of
from router.admin.paying import pay
from router.admin.wrong_value import WrongValue
from router.cli.account_facts import Config, State
from router.cli.cdr_query import Json
from router.cli.object_commands import attach
from router.cli.operator import who
from router.cli.tables import show_columns, show_facts, state_colours
from router.store.cdr_lines import decimal, plain
from router.store.errors import StoreError
from router.store.funds import ADJUST, TOPUP

NONE = "No accounts. Add one: trunkline accounts add NAME balance=100"

app = App(name="accounts", help="Show accounts and their money, give them some, and change them.")
attach(app, "account")

WAITS = 3
"""The exit code when the payment counts and is not durable yet."""

Amount = Annotated[str, Parameter(allow_leading_hyphen=True)]


@app.command(name="list")
def list_accounts(
    *, config: Config = Path("routes.cfg"), state: State = None, as_json: Json = False
) -> int:
    """List all accounts: balance, what calls have reserved of it, what is free, lines in use.

    Parameters
    ----------
    as_json
        Print JSON, one object a line; amounts are decimals in quotes.
    """

    def run() -> None:
        accounts = _read(config, state)
        facts = sorted(accounts.facts.values(), key=lambda one: one.name)
        if as_json:
            for one in facts:
                print(json.dumps(as_fields(one), ensure_ascii=False))
        elif not facts:
            print(NONE)
        else:
            _show_list(facts)

    return obey(run)


@app.command
def show(
    name: str,
    /,
    *,
    config: Config = Path("routes.cfg"),
    state: State = None,
    as_json: Json = False,
) -> int:
    """Show one account: its status, money and lines.

    Parameters
    ----------
    name
        The account, as in routes.cfg.
    as_json
        Print one JSON object instead.
    """

    def run() -> None:
        one = _read(config, state).named(name)
        if as_json:
            print(json.dumps(as_fields(one), ensure_ascii=False))
            return
        show_facts(_lines_of(one))

    return obey(run)


@app.command
def topup(
    name: str,
    amount: Amount,
    /,
    *,
    note: str = "",
    config: Config = Path("routes.cfg"),
    state: State = None,
    as_json: Json = False,
) -> int:
    """Add an amount to an account's balance; the router may run or not.

    The exit code is 3 when the payment counts, but the ledger has not stored it in time.

    Parameters
    ----------
    name
        The account, as in routes.cfg.
    amount
        How much, such as 100 or 12.50; more than 0.
    note
        What it is for; stands in the ledger.
    as_json
        Print one JSON object instead.
    """
    return _pay(name, amount, TOPUP, note, config, state, as_json)


@app.command
def adjust(
    name: str,
    amount: Amount,
    /,
    *,
    note: str = "",
    config: Config = Path("routes.cfg"),
    state: State = None,
    as_json: Json = False,
) -> int:
    """Correct an account's balance by an amount, which may be negative; else as topup.

    Parameters
    ----------
    name
        The account, as in routes.cfg.
    amount
        By how much, such as -12.50.
    note
        Why; stands in the ledger, and has to be given.
    as_json
        Print one JSON object instead.
    """
    return _pay(name, amount, ADJUST, note, config, state, as_json)


def _pay(
    name: str, text: str, kind: str, note: str, config: Path, state: Path | None, as_json: bool
) -> int:
    waits = False

    def run() -> None:
        nonlocal waits
        funds, payment = pay(_read(config, state), name, text, kind, note, who())
        amount = funds.amount
        waits = payment.row is None
        if as_json:
            answer = {
                "account": name, "amount": decimal(amount), "balance": decimal(payment.balance),
                "durable": not waits, "id": funds.id,
            }
            print(json.dumps(answer, ensure_ascii=False))
            return
        print(f"{name}: {money(amount)} given, the balance is {money(payment.balance)}")
        if waits:
            print(
                "trunkline: it counts, but the ledger has not stored it yet: see that the router's "
                "ledger process works, and do not pay again",
                file=sys.stderr,
            )

    return obey(run) or (WAITS if waits else 0)


def obey(run: Callable[[], None]) -> int:
    """The exit code of a command, with what went wrong as one line on standard error."""
    try:
        run()
    except (StoreError, WrongValue) as error:
        print(f"trunkline: {plain(str(error))}", file=sys.stderr)
        return 1
    return 0


def _read(config: Path, state: Path | None) -> Accounts:
    accounts = read_accounts(config, state)
    if accounts.trouble:
        print(
            f"trunkline: {plain(accounts.trouble)}; only what the state folder knows is shown",
            file=sys.stderr,
        )
    return accounts


def _show_list(facts: list[AccountFacts]) -> None:
    show_columns(
        {
            "ACCOUNT": [one.name for one in facts],
            "STATUS": [_status(one) for one in facts],
            "BALANCE": [money(one.balance) for one in facts],
            "RESERVED": [money(one.reserved) for one in facts],
            "OVERDRAFT": [money(one.overdraft) for one in facts],
            "FREE": [_free(one) for one in facts],
            "LINES": [_lines(one) for one in facts],
            "AGENT": [one.agent for one in facts],
            "DECK": [one.deck for one in facts],
        },
        {"BALANCE", "RESERVED", "OVERDRAFT", "FREE", "LINES"},
        cuts=(("ACCOUNT", 12), ("DECK", 8), ("AGENT", 8)),
        drops=("OVERDRAFT", "DECK", "AGENT", "RESERVED"),
        colours={"STATUS": state_colours(map(_status, facts))},
    )


def _lines_of(one: AccountFacts) -> list[tuple[str, str]]:
    return [
        ("account", one.name),
        ("status", _status(one)),
        ("expires", one.expires or "never"),
        ("agent", one.agent or "-"),
        ("deck", one.deck or "-"),
        ("balance", money(one.balance)),
        ("reserved", f"{money(one.reserved)} by calls in progress"),
        ("overdraft", money(one.overdraft)),
        ("free", _free(one)),
        ("lines", _lines(one)),
        ("cps", limit_words(one.cps)),
    ]


def _status(one: AccountFacts) -> str:
    return one.status if one.configured else "not in the configuration"


def _free(one: AccountFacts) -> str:
    return money(one.free) if one.limited else UNLIMITED


def _lines(one: AccountFacts) -> str:
    return used_of(one.lines_used, one.lines)
