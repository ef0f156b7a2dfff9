"""routes.cfg from disk: what the language may reach of files and environment, and the loading."""

from __future__ import annotations

import os
import threading
from errno import ENOENT
from glob import glob
from pathlib import Path

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
