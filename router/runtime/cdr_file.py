"""The streaming file of CDRs: a line for each CDR that the ledger has stored, written soon after.

    ledger.lmdb: feed ──► lines at the noted end of the file, synced ──► new end noted, feed shorter

It may be killed between any two lines: what stands behind the noted end is cut off, and its lines
are written again. A full disk stops nothing but the file, which catches up later. Files are named
by the time at which they are written, so one that was left for a newer one never changes again.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from router.runtime.logs import Log
from router.store.cdr_feed import Fed, Position
from router.store.cdr_lines import csv_header, csv_line, json_line
from router.store.cdr_search import readable
from router.store.ledger import LmdbLedger

BATCH_LINES = 2_000
RETRY_MS = 2_000
REPEAT_FAULT_MS = 30_000


class FilePlan(NamedTuple):
    """Where the lines go: `pattern` is a name in `folder`, with %Y%m%d-%H and the like in it.

    The name's ending says what the lines are, .csv or .jsonl. A file that has `max_bytes` (0: no
    limit) is followed by another part: calls.csv, calls.1.csv, calls.2.csv.
    """

    folder: Path
    pattern: str
    max_bytes: int = 0


class CdrFile:
    """Writes what the ledger feeds it; only the ledger process has one.

    The ledger's feed has to be switched on.
    """

    def __init__(self, ledger: LmdbLedger, plan: FilePlan, log: Log) -> None:
        self._ledger = ledger
        self._plan = plan
        self._log = log
        self._is_csv = plan.pattern.endswith(".csv")
        self._position: Position | None = None
        self._retry_ms = 0
        self._told_ms = 0

    def write(self, now_ms: int) -> int:
        """Writes some of the lines that wait; how many. StoreError only of the ledger."""
        if now_ms < self._retry_ms:
            return 0
        waiting = self._ledger.feed.waiting(BATCH_LINES)
        if not waiting:
            return 0
        try:
            self._append(waiting, now_ms)
        except OSError as error:
            self._retry_ms = now_ms + RETRY_MS
            if now_ms - self._told_ms >= REPEAT_FAULT_MS:
                self._told_ms = now_ms
                self._log(
                    "error", "the file of CDRs cannot be written; the ledger keeps what is missing",
                    reason=f"{error.filename or self._plan.pattern}: {error.strerror or error}",
                )
            return 0
        if self._told_ms:
            self._told_ms = self._retry_ms = 0
            self._log("info", "the file of CDRs is written again")
        return len(waiting)

    @property
    def is_stuck(self) -> bool:
        """Whether the last try failed."""
        return self._retry_ms > 0

    def _append(self, waiting: list[Fed], now_ms: int) -> None:
        position = self._place(now_ms)
        path = path_of(position)
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            good, found = position.size, os.fstat(file).st_size
            if found > good:
                _cut(file, good)
            elif found < good:
                self._log("warning", "the file of CDRs became shorter", file=str(path), bytes=found)
                good = found
            data = self._lines(waiting, with_header=not good)
            os.lseek(file, good, os.SEEK_SET)
            written = 0
            while written < len(data):
                written += os.write(file, data[written:])
            os.fsync(file)
        finally:
            os.close(file)
        if is_new:
            _sync_folder(path.parent)
        done = Position(position.name, position.part, good + len(data), waiting[-1].number)
        self._ledger.feed.note(done)
        self._position = done

    def _lines(self, waiting: list[Fed], with_header: bool) -> bytes:
        line = csv_line if self._is_csv else json_line
        text = csv_header() if self._is_csv and with_header else ""
        for fed in waiting:
            cdr = readable(fed.value)
            if cdr.id:
                text += line(cdr)
            else:
                self._log("error", "a damaged CDR has no line in the file", number=fed.number)
        return text.encode("utf-8", "backslashreplace")

    def _place(self, now_ms: int) -> Position:
        """Which file is written to now, and how much of it is good."""
        position = self._position or self._ledger.feed.position()
        self._position = None  # until it is noted anew
        plan = self._plan
        name = str(plan.folder / time.strftime(plan.pattern, time.localtime(now_ms / 1000)))
        full = 0 < plan.max_bytes <= position.size
        if name != position.name or full:
            self._leave(position)
            part = position.part + 1 if name == position.name else 0
            position = Position(name, part, 0, position.number)
            path = path_of(position)
            position.size = path.stat().st_size if path.exists() else 0
            # Before its first line: whoever comes after a crash has to look into this file.
            self._ledger.feed.note(position)
        return position


    def _leave(self, position: Position) -> None:
        """Sees to it that a file which is left for the next one holds what was noted, no more."""
        try:
            file = os.open(path_of(position), os.O_WRONLY | os.O_CLOEXEC)
        except (FileNotFoundError, IsADirectoryError):
            return  # somebody has fetched it, or there was none
        try:
            if os.fstat(file).st_size > position.size:
                _cut(file, position.size)
        finally:
            os.close(file)


def _cut(file: int, size: int) -> None:
    """Takes off lines of one that died before it noted them: they will be written again."""
    os.ftruncate(file, size)
    os.fsync(file)


def path_of(position: Position) -> Path:
    """The file of a position: the part stands before the ending."""
    path = Path(position.name)
    return path.with_suffix(f".{position.part}{path.suffix}") if position.part else path


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
