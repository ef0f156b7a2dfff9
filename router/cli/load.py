"""`trunkline load`: what comes in bulk, checked whole before any of it counts.

A rates file is read to its end, every line that is wrong is named, and only a file without a fault
becomes the version of its deck that counts: for all workers at once, while calls go on. Calls in
progress keep the price that they were admitted at.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dsl.check.report import did_you_mean
from dsl.sources import SourceError
from router.billing.rates_file import Problem, read_lines, twice
from router.cli.cdr_query import WrongValue
from router.cli.findings_text import show_findings
from router.cli.loaded_rates import state_of
from router.cli.rates import decks_of
from router.cli.rates_changes import Changes, compare, show_changes
from router.routing.stored_decks import row_of
from router.runtime.routes_file import check_file
from router.store.cdr_lines import plain
from router.store.errors import StoreError
from router.store.rates import RATES_DIR, RatesLoad

app = App(name="load", help="Load rates into a deck, while calls go on.")

MAX_PROBLEMS: Final = 100
"""how many faulty lines are printed; all are counted"""
TELL_EVERY: Final = 5_000
GZIP: Final = b"\x1f\x8b"


@app.command
def rates(
    file: Annotated[Path, Parameter(help="The CSV file, also gzipped.")],
    *,
    deck: str,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    rise: float = 10.0,
    config: Path = Path("routes.cfg"),
    state: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Load a rates file into a deck that routes.cfg names without a file.

    The exit code is 1, and nothing has changed, if a line is wrong or the deck cannot be loaded.

    Parameters
    ----------
    deck
        The deck of routes.cfg.
    dry_run
        Only show what would change.
    rise
        Tell prices that rise by more than so many percent.
    config
        The configuration that the deck stands in.
    state
        The router's state folder, where it is not as the configuration says.
    as_json
        Print one JSON object instead of text.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        if rise < 0:
            raise WrongValue(f"--rise {rise:g} is negative: give a number of percent, such as 10")
        folder = _state_of_deck(config, deck, state, console)
        return _load(file, deck, folder / RATES_DIR, dry_run, rise, as_json, console)
    except OSError as error:
        print(f"trunkline: {file}: {(error.strerror or str(error)).lower()}", file=sys.stderr)
    except (WrongValue, StoreError, SourceError) as error:
        print(f"trunkline: {plain(str(error))}", file=sys.stderr)
    return 1


def _state_of_deck(config: Path, deck: str, state: Path | None, console: Console) -> Path:
    """The state folder to load into; WrongValue if the deck is not one that can be loaded."""
    outcome = check_file(config)
    if outcome.errors:
        show_findings(outcome.findings, outcome.unit.texts, console)
        raise WrongValue(f"{config} has errors: nothing is loaded")
    decks = decks_of(outcome)
    if deck not in decks:
        known = did_you_mean(deck, decks) or f"its decks are: {', '.join(decks) or 'none'}"
        raise WrongValue(f"{config} has no deck `{deck}`; {known}")
    if decks[deck]:
        raise WrongValue(
            f"deck {deck} is read from {decks[deck]}: change that file and run trunkline reload, "
            f"or take `file` away from the deck in {config}"
        )
    if state is not None:
        return state
    return state_of(config, outcome.settings.values)


def _load(
    file: Path, deck: str, path: Path, dry_run: bool, rise: float, as_json: bool, console: Console
) -> int:
    began = time.monotonic()
    with file.open("rb") as raw, _progress(console) as progress:
        load = RatesLoad(path, deck)
        try:
            problems, faulty = _read(raw, file.stat().st_size, load, progress)
            if faulty:
                _tell_problems(file, problems, faulty, as_json)
                _sweep(load, progress, "removing what was read")
                return 1
            changes = _compare(load, progress, rise)
            if not dry_run:
                load.switch(str(file), time.time_ns() // 1_000_000)
            _sweep(load, progress, "removing what was read" if dry_run else "removing the old one")
        except BaseException:
            progress.stop()
            raise
        finally:
            load.close()
    took_s = time.monotonic() - began
    if as_json:
        print(json.dumps(_result(deck, load, changes, dry_run, took_s), indent=2))
    else:
        show_changes(changes, rise)
        what = "Nothing was changed" if dry_run else f"Deck {deck} has {load.count:,} rates now"
        print(f"{what} ({load.count:,} rates read, {took_s:.1f} s).")
    return 0


def _read(
    raw: BinaryIO, size: int, load: RatesLoad, progress: Progress
) -> tuple[list[Problem], int]:
    """Adds every rate of the file; the first faults, and how many lines are wrong."""
    task = progress.add_task("reading", total=max(size, 1))
    problems: list[Problem] = []
    faulty = 0
    try:
        for count, (line, faults, rate) in enumerate(read_lines(_text(raw))):
            if rate is not None and rate.enabled and not load.add(rate.prefix, row_of(rate)):
                faults = (twice(line, rate),)
            if faults:
                faulty += 1
                problems += faults[: max(0, MAX_PROBLEMS - len(problems))]
            if count % TELL_EVERY == 0:
                progress.update(task, completed=raw.tell())
    except UnicodeDecodeError:
        faulty += 1
        problems.append(Problem(0, "is not UTF-8 text"))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        faulty += 1
        problems.append(Problem(0, f"is not a whole gzip file: {error}"))
    load.finish()
    progress.update(task, completed=size)
    return problems, faulty


def _text(raw: BinaryIO) -> io.TextIOWrapper:
    magic = raw.read(len(GZIP))
    raw.seek(0)
    data: Any = gzip.GzipFile(fileobj=raw) if magic == GZIP else raw
    return io.TextIOWrapper(data, encoding="utf-8-sig", newline="")


def _compare(load: RatesLoad, progress: Progress, rise: float) -> Changes:
    task = progress.add_task("comparing", total=load.count)

    def step(count: int) -> None:
        progress.update(task, completed=count)

    return compare(load.changes(), rise, step)


def _sweep(load: RatesLoad, progress: Progress, what: str) -> None:
    task: TaskID | None = None
    for removed in load.sweep():
        if task is None:
            task = progress.add_task(what, total=None)
        progress.update(task, completed=removed)


def _tell_problems(file: Path, problems: list[Problem], faulty: int, as_json: bool) -> None:
    if as_json:
        found = [{"line": one.line, "code": one.code, "message": one.message} for one in problems]
        print(json.dumps({"loaded": False, "faulty_lines": faulty, "problems": found}, indent=2))
        return
    for one in problems:
        place = f"{file}:{one.line}" if one.line else str(file)
        print(f"{place}: {plain(one.message)} [{one.code}]", file=sys.stderr)
    lines = "1 line" if faulty == 1 else f"{faulty:,} lines"
    more = "" if len(problems) < MAX_PROBLEMS else f", the first {MAX_PROBLEMS} faults are shown"
    are = "is" if faulty == 1 else "are"
    print(f"{lines} of {file} {are} wrong{more}: nothing was loaded.", file=sys.stderr)


def _result(
    deck: str, load: RatesLoad, changes: Changes, dry_run: bool, took_s: float
) -> dict[str, Any]:
    return {
        "loaded": not dry_run,
        "deck": deck,
        "rates": load.count,
        **changes.summary(),
        "seconds": round(took_s, 3),
    }


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    """A bar for a person, nothing for a file."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        yield progress
