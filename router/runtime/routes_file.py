"""routes.cfg from disk: what the language may reach of files and environment, and the loading."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from errno import ENOENT
from glob import glob
from pathlib import Path
from typing import TypeVar

from dsl.load import check_routes, load_program
from dsl.outcome import Outcome
from dsl.program import Program
from dsl.sources import Files
from router.billing.rates_file import MAX_BYTES
from router.routing.surface import SURFACE
from router.runtime.check_cache import Found, Recorder

ALONE = threading.RLock()
"""The parser, and where Python looks for modules, are one for a process: its threads take turns."""


class DiskFiles:
    """The files and the environment of this machine."""

    def read(self, path: str) -> bytes:
        """The bytes of a file, cut one byte behind the limit of rates; raises OSError."""
        if "\0" in path:
            raise FileNotFoundError(ENOENT, "No such file or directory", path)
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)

    def matches(self, pattern: str) -> list[str]:
        """The files that a pattern matches."""
        return glob(pattern)

    def variable(self, name: str) -> str | None:
        """An environment variable."""
        return os.environ.get(name)


def load_routes(path: Path | str, additions: Path | None = None) -> Program:
    """The program of a configuration; `additions` as in dsl.load.check_routes.

    Raises SourceError, in one line, when the file cannot be read, and ConfigError with all
    findings when it has errors.
    """
    with ALONE:
        return load_program(
            str(path), SURFACE, DiskFiles(), None if additions is None else str(additions)
        )


def check_and_keep(path: str) -> Found:
    """Checks a configuration and keeps what it found for the next time; raises SourceError.

    What Python files offer depends on more than their text: with one of them nothing is kept.
    """
    files = Recorder(DiskFiles())
    outcome = check_routes(path, SURFACE, files)
    found = Found(outcome.findings, outcome.unit.texts, outcome.summary())
    if not outcome.declarations.imports:
        files.keep(path, found)
    return found


def check_file(
    path: Path | str, additions: Path | str | None = None, files: Files | None = None
) -> Outcome:
    """Everything there is to say about a configuration; raises SourceError.

    `additions` as in dsl.load.check_routes; `files` are those of this machine if not given.
    """
    more = None if additions is None else str(additions)
    with ALONE:
        return check_routes(str(path), SURFACE, files or DiskFiles(), additions=more)


class _Watched(DiskFiles):
    """The files of this machine, with what they were like when they were asked for."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[int, int, int] | None] = {}
        self._patterns: dict[str, list[str]] = {}
        self._variables: dict[str, str | None] = {}

    def read(self, path: str) -> bytes:
        """The bytes of a file; raises OSError."""
        self._files.setdefault(path, _looks_of(path))
        return super().read(path)

    def matches(self, pattern: str) -> list[str]:
        """The files that a pattern matches."""
        return self._patterns.setdefault(pattern, super().matches(pattern))

    def variable(self, name: str) -> str | None:
        """An environment variable."""
        return self._variables.setdefault(name, super().variable(name))

    def are_as_before(self) -> bool:
        """Whether everything that was asked would be answered alike now."""
        return (
            all(_looks_of(path) == looks for path, looks in self._files.items())
            and all(glob(pattern) == found for pattern, found in self._patterns.items())
            and all(os.environ.get(name) == value for name, value in self._variables.items())
        )


def _looks_of(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


_Kept = TypeVar("_Kept", Outcome, Program)
_outcomes: dict[tuple[str, str], tuple[_Watched, Outcome]] = {}
_programs: dict[tuple[str, str], tuple[_Watched, Program]] = {}
MOST_KEPT = 4


def check_file_again(path: Path | str, additions: Path | str | None = None) -> Outcome:
    """As `check_file`; for who asks again and again: while no file has changed, what was said.

    The Python files of a configuration are not run each time then. Errors are not kept.
    """
    more = None if additions is None else str(additions)

    def check(files: _Watched) -> Outcome:
        return check_routes(str(path), SURFACE, files, additions=more)

    return _again(_outcomes, (str(path), more or ""), check, lambda one: not one.errors)


def load_routes_again(path: Path | str) -> Program:
    """As `load_routes`, kept like that; for its blocks and settings, not to run it."""

    def load(files: _Watched) -> Program:
        return load_program(str(path), SURFACE, files, None)

    return _again(_programs, (str(path), ""), load, lambda one: True)


def _again(
    kept: dict[tuple[str, str], tuple[_Watched, _Kept]],
    key: tuple[str, str],
    make: Callable[[_Watched], _Kept],
    is_good: Callable[[_Kept], bool],
) -> _Kept:
    with ALONE:
        known = kept.get(key)
        if known is not None and known[0].are_as_before():
            return known[1]
        kept.pop(key, None)
        files = _Watched()
        made = make(files)
        if is_good(made):
            while len(kept) >= MOST_KEPT:
                kept.pop(next(iter(kept)))
            kept[key] = files, made
        return made
