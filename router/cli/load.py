"""`trunkline load`: what comes in bulk, checked whole before any of it counts.

A rates file is read to its end, every line that is wrong is named, and only a file without a fault
becomes the version of its deck that counts: for all workers at once, while calls go on. Calls in
progress keep the price that they were admitted at.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dsl.sources import SourceError
from router.admin.rates_loading import (
    MAX_PROBLEMS,
    Loading,
    Step,
    deck_folder,
    load_deck,
    problems_of,
    result_of,
)
from router.admin.wrong_value import WrongValue
from router.cli.findings_text import show_findings
from router.cli.rates_changes import show_changes
from router.runtime.routes_file import check_file
from router.store.cdr_lines import plain
from router.store.errors import StoreError
from router.store.rates import RATES_DIR

app = App(name="load", help="Load rates into a deck, while calls go on.")


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
    folder = deck_folder(config, outcome, deck)
    return folder if state is None else state


def _load(
    file: Path, deck: str, path: Path, dry_run: bool, rise: float, as_json: bool, console: Console
) -> int:
    began = time.monotonic()
    with file.open("rb") as raw, _progress(console) as progress:
        try:
            loading = load_deck(
                raw, str(file), deck, path, size=file.stat().st_size, dry_run=dry_run, rise=rise,
                step=_steps(progress),
            )
        except BaseException:
            progress.stop()
            raise
    if loading.changes is None:
        _tell_problems(file, loading, as_json)
        return 1
    took_s = time.monotonic() - began
    if as_json:
        print(json.dumps(result_of(deck, loading, took_s, dry_run=dry_run), indent=2))
    else:
        show_changes(loading.changes, rise)
        count = f"{loading.rates:,} rate{'' if loading.rates == 1 else 's'}"
        what = "Nothing was changed" if dry_run else f"Deck {deck} has {count} now"
        print(f"{what} ({count} read, {took_s:.1f} s).")
    return 0


def _steps(progress: Progress) -> Step:
    tasks: dict[str, TaskID] = {}

    def step(what: str, done: int, total: int | None) -> None:
        if what not in tasks:
            tasks[what] = progress.add_task(what, total=total)
        progress.update(tasks[what], completed=done)

    return step


def _tell_problems(file: Path, loading: Loading, as_json: bool) -> None:
    problems, faulty = loading.problems, loading.faulty
    if as_json:
        found = problems_of(loading)
        print(json.dumps({"loaded": False, "faulty_lines": faulty, "problems": found}, indent=2))
        return
    for one in problems:
        place = f"{file}:{one.line}" if one.line else str(file)
        print(f"{place}: {plain(one.message)} [{one.code}]", file=sys.stderr)
    lines = "1 line" if faulty == 1 else f"{faulty:,} lines"
    more = "" if len(problems) < MAX_PROBLEMS else f", the first {MAX_PROBLEMS} faults are shown"
    are = "is" if faulty == 1 else "are"
    print(f"{lines} of {file} {are} wrong{more}: nothing was loaded.", file=sys.stderr)


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
