"""`trunkline cdr`: which calls there were, and why each ended."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from router.admin.cdr_search import find_cdr, parse_limit, read_cdrs
from router.admin.wrong_value import WrongValue
from router.cli.cdr_output import show_cdr, show_table, write_csv
from router.cli.cdr_query import Filters, Json, State, nothing_found, obey
from router.store.cdr_lines import json_line

app = App(name="cdr", help="Show and search call detail records.")
app.command("router.cli.cdr_export:export", name="export")
app.command("router.cli.cdr_stats:stats", name="stats")

Csv = Annotated[bool, Parameter(name="--csv", negative="")]


@app.default
def list_cdrs(
    *,
    filters: Filters | None = None,
    limit: str = "50",
    as_json: Json = False,
    as_csv: Csv = False,
    state: State = Path("state"),
) -> int:
    """List call detail records, newest first.

    Parameters
    ----------
    limit
        At most so many; 0 for all.
    as_json
        Print JSON, one object a line; times are epoch milliseconds.
    as_csv
        Print CSV with a header line.
    """

    def run() -> None:
        if as_json and as_csv:
            raise WrongValue("--json and --csv exclude each other: give one of them")
        now = datetime.now().astimezone()
        query = (filters or Filters()).query(now, parse_limit(limit))
        cdrs = read_cdrs(state, query)
        if as_json:
            for cdr in cdrs:
                sys.stdout.write(json_line(cdr))
        elif as_csv:
            write_csv(cdrs)
        elif found := list(cdrs):
            show_table(found, query.limit, now)
        else:
            print(nothing_found(state, filters))

    return obey(run)


@app.command
def show(id: str, /, *, as_json: Json = False, state: State = Path("state")) -> int:
    """Show everything about one call: every field, every attempt, what it means.

    Parameters
    ----------
    id
        The CDR's id, or the end of it as the list shows it, or a Call-ID.
    as_json
        Print one JSON object instead.
    """

    def run() -> None:
        cdr = find_cdr(state, id)
        if as_json:
            sys.stdout.write(json_line(cdr))
        else:
            show_cdr(cdr)

    return obey(run)
