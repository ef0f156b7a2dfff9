"""`trunkline cdr export`: CDRs to a file or a pipe, however many there are."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal, TextIO

from cyclopts import Parameter

from router.admin.cdr_search import parse_limit, read_cdrs
from router.admin.wrong_value import WrongValue
from router.cli.cdr_query import Filters, State, obey
from router.store.cdr_lines import csv_header, csv_line, json_line
from router.store.records import Cdr

PROGRESS_S: Final = 0.2


def export(
    *,
    format: Literal["csv", "jsonl"] | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    filters: Filters | None = None,
    limit: str = "0",
    state: State = Path("state"),
) -> int:
    """Write CDRs as CSV with a header line, or as JSON lines, newest first.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.

    Parameters
    ----------
    format
        csv, or jsonl for one JSON object a line; by the ending of the file if there is one.
    output
        The file; it is there once it is whole. Without it standard output.
    limit
        At most so many; 0 for all.
    """

    def run() -> None:
        query = (filters or Filters()).query(datetime.now().astimezone(), parse_limit(limit))
        is_csv = _is_csv(format, output)
        cdrs = read_cdrs(state, query)
        with _target(output) as out:
            count = _write(_told(cdrs), out, is_csv)
        if output is not None:
            print(f"{count:,} CDRs written to {output}")

    return obey(run)


def _is_csv(format: str | None, output: Path | None) -> bool:
    if format is None and output is not None and output.suffix not in (".csv", ".jsonl"):
        raise WrongValue(f"{output} does not say what to write: give --format csv or jsonl")
    return format == "csv" or (format is None and (output is None or output.suffix == ".csv"))


@contextmanager
def _target(output: Path | None) -> Iterator[TextIO]:
    """Where the lines go; a file gets its name when all are in it, and leaves nothing otherwise."""
    if output is None:
        yield sys.stdout
        return
    part = output.with_name(output.name + ".part")
    try:
        with part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as out:
            yield out
        os.replace(part, output)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise WrongValue(f"{output} cannot be written: {error.strerror or error}") from error
        raise


def _write(cdrs: Iterable[Cdr], out: TextIO, is_csv: bool) -> int:
    if is_csv:
        out.write(csv_header())
    line: Callable[[Cdr], str] = csv_line if is_csv else json_line
    count = 0
    for cdr in cdrs:
        out.write(line(cdr))
        count += 1
    return count


def _told(cdrs: Iterable[Cdr]) -> Iterator[Cdr]:
    """The same, while a terminal is shown how many there are."""
    if not sys.stderr.isatty():
        yield from cdrs
        return
    shown = time.monotonic()
    count = 0
    try:
        for count, cdr in enumerate(cdrs, 1):
            yield cdr
            if not count % 256 and (now := time.monotonic()) - shown >= PROGRESS_S:
                shown = now
                print(f"\r{count:,} CDRs", end="", file=sys.stderr, flush=True)
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
