"""A rates file that becomes the version of its deck that counts, whole or not at all.

It is read to its end, every line that is wrong is named, and only a file without a fault becomes
the deck: for all workers at once, while calls go on.
"""

from __future__ import annotations

import gzip
import io
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from dsl.check.report import did_you_mean
from dsl.outcome import Outcome
from router.admin.decks import decks_of
from router.admin.loaded_rates import state_of
from router.admin.rates_compare import TELL_EVERY, Changes, compare
from router.admin.wrong_value import Clash, NotThere
from router.billing.rates_file import Problem, read_lines, twice
from router.routing.stored_decks import row_of
from router.store.rates import RatesLoad

Step = Callable[[str, int, int | None], None]

MAX_PROBLEMS: Final = 100
MAX_LINE: Final = 64 * 1024
MAX_UNPACKED: Final = 2 << 30
"""Characters of a file that is not packed any more."""
"""how many faulty lines are printed; all are counted"""
GZIP: Final = b"\x1f\x8b"


class Loading(NamedTuple):
    """What became of a file: rates read, changes of the deck, or the lines that are wrong.

    `problems` are the first MAX_PROBLEMS of `faulty` lines; `changes` is None with any.
    """

    rates: int
    changes: Changes | None
    problems: list[Problem]
    faulty: int


def no_step(what: str, done: int, total: int | None) -> None:
    """Nobody looks."""


def deck_folder(config: Path, outcome: Outcome, deck: str) -> Path:
    """The state folder to load a deck into; WrongValue if it is not one that can be loaded."""
    decks = decks_of(outcome)
    if deck not in decks:
        known = did_you_mean(deck, decks) or f"its decks are: {', '.join(decks) or 'none'}"
        raise NotThere(f"{config} has no deck `{deck}`; {known}")
    if decks[deck]:
        raise Clash(
            f"deck {deck} is read from {decks[deck]}: change that file and run trunkline reload, "
            f"or take `file` away from the deck in {config}"
        )
    return state_of(config, outcome.settings.values)


def load_deck(
    raw: BinaryIO, name: str, deck: str, rates: Path, *,
    size: int, dry_run: bool, rise: float, step: Step = no_step,
) -> Loading:
    """Load a file into a deck of the rates at `rates`; StoreError when it cannot be stored.

    `name` is what the file is called from then on, `size` its bytes, `rise` the percents over
    which a rise counts; `step` hears what is done, how far, and of how much.
    """
    load = RatesLoad(rates, deck)
    try:
        problems, faulty = _read(raw, size, load, step)
        if faulty:
            _sweep(load, step, "removing what was read")
            return Loading(load.count, None, problems, faulty)

        def compared(count: int) -> None:
            step("comparing", count, load.count)

        changes = compare(load.changes(), rise, compared)
        if not dry_run:
            load.switch(name, time.time_ns() // 1_000_000)
        _sweep(load, step, "removing what was read" if dry_run else "removing the old one")
        return Loading(load.count, changes, [], 0)
    finally:
        load.close()


def result_of(deck: str, loading: Loading, took_s: float, *, dry_run: bool) -> dict[str, Any]:
    """What became of a file without a fault, as plain data."""
    changes = loading.changes or Changes()
    return {
        "loaded": not dry_run,
        "deck": deck,
        "rates": loading.rates,
        **changes.summary(),
        "seconds": round(took_s, 3),
    }


def problems_of(loading: Loading) -> list[dict[str, Any]]:
    """The lines that are wrong, as plain data."""
    return [
        {"line": one.line, "code": one.code, "message": one.message} for one in loading.problems
    ]


def _read(
    raw: BinaryIO, size: int, load: RatesLoad, step: Step
) -> tuple[list[Problem], int]:
    """Adds every rate of the file; the first faults, and how many lines are wrong."""
    problems: list[Problem] = []
    faulty = 0
    text = _text(raw)  # held here: it closes the file with its end
    try:
        for count, (line, faults, rate) in enumerate(read_lines(_bounded(text))):
            if rate is not None and rate.enabled and not load.add(rate.prefix, row_of(rate)):
                faults = (twice(line, rate),)
            if faults:
                faulty += 1
                problems += faults[: max(0, MAX_PROBLEMS - len(problems))]
            if count % TELL_EVERY == 0:
                step("reading", raw.tell(), max(size, 1))
    except UnicodeDecodeError:
        faulty += 1
        problems.append(Problem(0, "is not UTF-8 text"))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        faulty += 1
        problems.append(Problem(0, f"is not a whole gzip file: {error}"))
    except _TooMuch as error:
        faulty += 1
        problems.append(Problem(error.line, str(error)))
    load.finish()
    step("reading", size, max(size, 1))
    return problems, faulty


def _sweep(load: RatesLoad, step: Step, what: str) -> None:
    for removed in load.sweep():
        step(what, removed, None)


class _TooMuch(Exception):
    """A file that is none of rates: it would fill the memory, or never end."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def _bounded(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines; _TooMuch for one without end, or too much altogether: a small gzip file may
    unpack to anything.
    """
    left = MAX_UNPACKED
    number = 0
    while line := text.readline(MAX_LINE):
        number += 1
        left -= len(line)
        if len(line) >= MAX_LINE:
            raise _TooMuch(number, f"is longer than {MAX_LINE >> 10} KiB")
        if left < 0:
            raise _TooMuch(number, f"comes after more than {MAX_UNPACKED >> 30} GiB")
        yield line


def _text(raw: BinaryIO) -> io.TextIOWrapper:
    magic = raw.read(len(GZIP))
    raw.seek(0)
    data: Any = gzip.GzipFile(fileobj=raw) if magic == GZIP else raw
    return io.TextIOWrapper(data, encoding="utf-8-sig", newline="")
