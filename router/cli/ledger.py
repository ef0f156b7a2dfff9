"""`trunkline ledger`: the accounts' book, and the proof that it is right."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from router.admin.account_facts import unknown
from router.admin.amounts import money
from router.admin.cdr_search import open_ledger, parse_limit
from router.admin.wrong_value import WrongValue
from router.cli.accounts import obey
from router.cli.cdr_output import clock
from router.cli.cdr_query import Json
from router.cli.tables import show_columns
from router.store.boot import LIVE_DIR, live_is_current
from router.store.cdr_lines import decimal, plain
from router.store.funds import Row
from router.store.ledger import LmdbLedger
from router.store.ledger_check import Checked, Progress, check_ledger, check_live
from router.store.live import LmdbLive

app = App(name="ledger", help="Show the accounts' book, and prove that it is right.")

State = Annotated[Path, Parameter(help="The router's state folder, as `state` in routes.cfg says.")]


@app.command
def verify(*, state: State = Path("state"), as_json: Json = False) -> int:
    """Prove that balances are the sums of their rows, and rows those of their CDRs.

    Looks at live money too; the router may run. The exit code is 1 when something is wrong.

    Parameters
    ----------
    as_json
        Print one JSON object instead.
    """
    sound = False

    def run() -> None:
        nonlocal sound
        with _opened(state) as ledger:
            with _progress(ledger) as progress:
                found = check_ledger(ledger, progress)
            found.problems.extend(_live_problems(state, ledger))
        sound = not found.problems
        if as_json:
            print(json.dumps({"sound": sound, **found._asdict()}, ensure_ascii=False))
        else:
            _tell(found)

    return obey(run) or (0 if sound else 1)


@app.command
def show(
    account: str,
    /,
    *,
    limit: str = "50",
    state: State = Path("state"),
    as_json: Json = False,
) -> int:
    """Show the rows of an account, newest first: what changed its balance, and when.

    Parameters
    ----------
    account
        The account.
    limit
        At most so many; 0 for all.
    as_json
        Print JSON, one object a line; times are epoch milliseconds.
    """

    def run() -> None:
        most = parse_limit(limit)
        with _opened(state) as ledger:
            balances = ledger.balances()
            if account not in balances:
                raise WrongValue(unknown(account, balances))
            if as_json:
                for row in ledger.rows(account, most):
                    print(json.dumps(_fields(row), ensure_ascii=False))
                return
            rows = list(ledger.rows(account, most))
        _show_rows(rows)
        if most and len(rows) == most:
            print(f"The newest {most}; --limit 0 shows all.")

    return obey(run)


@app.command
def balances(*, state: State = Path("state"), as_json: Json = False) -> int:
    """Show the balance of every account as it is durable.

    Parameters
    ----------
    as_json
        Print JSON, one object a line.
    """

    def run() -> None:
        with _opened(state) as ledger:
            found = ledger.balances()
        if as_json:
            for name, balance in found.items():
                line = {"account": name, "balance": decimal(balance)}
                print(json.dumps(line, ensure_ascii=False))
        elif not found:
            print(
                "No account has a row yet: one with a `balance` in routes.cfg gets its first when "
                "the router starts."
            )
        else:
            amounts = [money(balance) for balance in found.values()]
            show_columns({"ACCOUNT": list(found), "BALANCE": amounts}, {"BALANCE"})

    return obey(run)


@contextmanager
def _opened(state: Path) -> Iterator[LmdbLedger]:
    ledger = open_ledger(state)
    try:
        yield ledger
    finally:
        ledger.close()


def _live_problems(state: Path, ledger: LmdbLedger) -> list[str]:
    if not live_is_current(state / LIVE_DIR):
        return []  # of before a restart of the machine: the next start makes it anew
    live = LmdbLive(state / LIVE_DIR, readonly=True)
    try:
        return check_live(ledger, live)
    finally:
        live.close()


@contextmanager
def _progress(ledger: LmdbLedger) -> Iterator[Progress]:
    """A bar on a terminal's standard error, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda entries: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("looking at rows and CDRs", total=ledger.size())
        yield lambda entries: bar.advance(task, entries)


def _tell(found: Checked) -> None:
    looked = (
        f"{_count(found.accounts, 'account')}, {_count(found.rows, 'row')} and "
        f"{_count(found.cdrs, 'CDR')}"
    )
    if not found.problems:
        print(f"{looked}: every balance is the sum of its rows, every charge one row.")
        return
    for problem in found.problems:
        print(plain(problem))
    wrong = len(found.problems)
    print(f"{looked}: {_count(wrong, 'thing')} {'is' if wrong == 1 else 'are'} wrong.")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _fields(row: Row) -> dict[str, object]:
    fields = msgspec.structs.asdict(row)
    return fields | {"amount": decimal(row.amount), "balance": decimal(row.balance)}


def _show_rows(rows: list[Row]) -> None:
    show_columns(
        {
            "TIME": [clock(row.at_ms, "%Y-%m-%d %H:%M:%S") for row in rows],
            "KIND": [row.kind for row in rows],
            "AMOUNT": [money(row.amount) for row in rows],
            "BALANCE": [money(row.balance) for row in rows],
            "CDR": [row.cdr_id for row in rows],
            "WHO": [row.who for row in rows],
            "NOTE": [row.note for row in rows],
        },
        {"AMOUNT", "BALANCE"},
        cuts=(("NOTE", 10), ("WHO", 6)),
        drops=("WHO", "CDR", "NOTE"),
    )
