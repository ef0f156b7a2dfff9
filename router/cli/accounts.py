"""`trunkline accounts`: who pays, how much is left, and money given to them.

An account is defined in routes.cfg; its balance is the ledger's. Another command for accounts is
another function of `app`.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from router.cli.account_facts import AccountFacts, Accounts, Config, State, read_accounts
from router.cli.amounts import money, parse_amount
from router.cli.cdr_query import Json, WrongValue
from router.cli.object_commands import attach
from router.cli.operator import who
from router.cli.tables import show_columns
from router.runtime.payments import Payment, give_funds
from router.store.cdr_lines import CONTROL, decimal, plain
from router.store.errors import StoreError
from router.store.funds import ADJUST, TOPUP, Funds, new_funds_id
from router.store.objects import DONE, OBJECTS_DIR, AuditRow, LmdbObjects

app = App(name="accounts", help="Show accounts and their money, give them some, and change them.")
attach(app, "account")

MAX_NOTE = 200
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
            print("There is no account.")
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
        width = max(len(title) for title, _ in _lines_of(one))
        for title, text in _lines_of(one):
            print(f"{title:<{width}}  {plain(text)}")

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
        amount = parse_amount(text)
        if amount == 0 or (kind == TOPUP and amount < 0):
            raise WrongValue(
                f"{text} adds nothing: give more than 0"
                + (", or take money away with trunkline accounts adjust" if amount else "")
            )
        if kind == ADJUST and not note.strip():
            raise WrongValue("a correction needs a reason: give one with --note")
        if CONTROL.search(note) or len(note) > MAX_NOTE:
            raise WrongValue(f"--note has control characters or is longer than {MAX_NOTE}")
        accounts = _read(config, state)
        accounts.named(name)
        now_ms = time.time_ns() // 1_000_000
        id = new_funds_id(now_ms, secrets.token_hex(8))
        funds = Funds(id, name, amount, kind, note.strip(), who(), now_ms)
        payment = _audited(accounts, funds)
        waits = payment.row is None
        if as_json:
            answer = {
                "account": name, "amount": decimal(amount), "balance": decimal(payment.balance),
                "durable": not waits, "id": id,
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


def _audited(accounts: Accounts, funds: Funds) -> Payment:
    """The payment, with a row in the audit before it is made."""
    what = AuditRow(
        funds.at_ms, funds.who, funds.kind, f"account {funds.account}", "",
        f"{decimal(funds.amount)}, payment {funds.id}",
    )
    objects = LmdbObjects(accounts.state / OBJECTS_DIR)
    try:
        number = objects.begin(what)
        payment = give_funds(accounts.state, funds, accounts.openings.get(funds.account))
        objects.conclude(number, DONE, funds.note)
    finally:
        objects.close()
    return payment


def obey(run: Callable[[], None]) -> int:
    """The exit code of a command, with what went wrong as one line on standard error."""
    try:
        run()
    except (StoreError, WrongValue) as error:
        print(f"trunkline: {plain(str(error))}", file=sys.stderr)
        return 1
    return 0


def as_fields(one: AccountFacts) -> dict[str, Any]:
    """The account for a program: amounts are decimals, None is no limit or not known."""
    fields = msgspec.structs.asdict(one)
    fields.update({name: decimal(fields[name]) for name in ("balance", "overdraft", "reserved")})
    fields["free"] = decimal(one.free) if one.limited else None
    return fields


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
        ("cps", "no limit" if one.cps is None else str(one.cps)),
    ]


def _status(one: AccountFacts) -> str:
    return one.status if one.configured else "not in the configuration"


def _free(one: AccountFacts) -> str:
    return money(one.free) if one.limited else "no limit"


def _lines(one: AccountFacts) -> str:
    return str(one.lines_used) if one.lines is None else f"{one.lines_used}/{one.lines}"
