"""The ledger process: the only writer of the ledger, fed by the outbox of live state.

    outbox (live.lmdb) ──read──► store, one fsync (ledger.lmdb) ──► delete from the outbox

It may be killed between any two lines: what was stored and not yet deleted is stored again, which
changes nothing, because the ledger keeps the first CDR of an id and charges no other. The steps
and their order are in `store/draining.py`. It knows no SIP.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Protocol

from router.billing.charges import settle
from router.runtime.call_log import CallLog
from router.runtime.cdr_file import CdrFile, FilePlan
from router.runtime.child import EXIT_CANNOT_BOOT, EXIT_FAILED, EXIT_OK
from router.runtime.logs import Log
from router.store.boot import LEDGER_DIR, LIVE_DIR
from router.store.draining import BATCH_ENTRIES, Draining
from router.store.errors import StoreError
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive

INTERVAL_S = 0.25
"""How long CDRs gather for one fsync."""
INDEX_ENTRIES = 2_000
HEARTBEAT_MS = 1_000
PREDECESSOR_WAIT_S = 5.0
SLOWEST_RETRY_S = 5.0
REPEAT_FAULT_MS = 30_000
LAST_TRIES = 4
"""How often a failing ledger is tried again after the order to stop."""


class Stop(Protocol):
    """What tells the process to drain and end; a `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether to end."""

    def wait(self, timeout: float) -> object:
        """Return after `timeout` seconds, or as soon as it is set."""


class StopSignal:
    """A `Stop` that a signal handler may set: Event.wait() and a handler could block each other."""

    def __init__(self) -> None:
        self._set = False
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def set(self) -> None:
        """End soon; safe in a signal handler, and doing it twice changes nothing."""
        if not self._set:
            self._set = True
            os.write(self._write, b"!")

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._set

    def wait(self, timeout: float) -> bool:
        """Sleep until it is set, `timeout` seconds at most; whether it is set."""
        if not self._set:
            select.select([self._read], [], [], timeout)
        return self._set


def run_ledger(
    state: str | Path,
    *,
    log: Log,
    stop: Stop | None = None,
    interval_s: float = INTERVAL_S,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    beat: Callable[[], None] = lambda: None,
    file: FilePlan | None = None,
    calls: CallLog | None = None,
) -> int:
    """Move what waits in the outbox into the ledger until told to stop; the exit code.

    Without `stop` SIGTERM is the order. It then drains until nothing waits, and returns 0; 1 when
    the ledger refuses what is left (it stays in the outbox for the next start), 3 when the state
    cannot be opened or another process writes this ledger. `beat` is called every turn. With `file`
    a line of each CDR goes there as well; what a full disk keeps out of it waits in the ledger.
    `calls` writes the lines of calls into the log.
    """
    folder = Path(state)
    stop = stop or _stop_on_sigterm()
    try:
        ledger = LmdbLedger(
            folder / LEDGER_DIR, lock_wait_s=PREDECESSOR_WAIT_S, bill=settle
        )
    except StoreError as error:
        log("error", "the ledger cannot be opened", reason=str(error))
        return EXIT_CANNOT_BOOT
    try:
        try:
            live = LmdbLive(folder / LIVE_DIR)
        except StoreError as error:
            log("error", "live state cannot be opened", reason=str(error))
            return EXIT_CANNOT_BOOT
        try:
            try:
                ledger.feed.switch(file is not None)
            except StoreError as error:
                log("error", "the file of CDRs cannot be switched on or off", reason=str(error))
                return EXIT_FAILED
            lines = CdrFile(ledger, file, log) if file is not None else None
            draining = Draining(ledger, live, calls.tell if calls and calls.is_on else None)
            return _Drain(ledger, live, draining, log, now_ms, lines).run(stop, interval_s, beat)
        finally:
            live.close()
    finally:
        ledger.close()


class _Drain:
    """The loop, with what it must remember between turns: the heartbeat and the current fault."""

    def __init__(
        self, ledger: LmdbLedger, live: LmdbLive, draining: Draining, log: Log,
        now_ms: Callable[[], int], file: CdrFile | None,
    ) -> None:
        self._file = file
        self._indexed = ledger.search.is_complete()
        self._ledger = ledger
        self._live = live
        self._draining = draining
        self._log = log
        self._now_ms = now_ms
        self._to_index = -1
        self._heartbeat_ms = 0
        self._tries = 0
        self._told_ms = 0

    def run(self, stop: Stop, interval_s: float, beat: Callable[[], None]) -> int:
        """Turn until stopped and empty."""
        last_tries = LAST_TRIES
        while True:
            beat()
            # Asked before the turn: what the workers committed before the order is in it.
            stopping = stop.is_set()
            try:
                moved = self._turn()
            except StoreError as error:
                self._on_fault(error)
                if stopping:
                    last_tries -= 1
                    if last_tries <= 0:
                        return self._give_up()
                    time.sleep(interval_s)
                else:
                    stop.wait(min(interval_s * 2**self._tries, SLOWEST_RETRY_S))
                continue
            self._on_success()
            if stopping and not moved:
                if self._file is not None and self._file.is_stuck:
                    self._log("warning", "CDRs wait for their file until the next start")
                return EXIT_OK
            if not stopping and moved < BATCH_ENTRIES:
                stop.wait(interval_s)

    def _turn(self) -> int:
        """Move one batch; how many entries."""
        now_ms = self._now_ms()
        closed = self._draining.bind(now_ms)
        if closed:
            self._log("warning", "calls open at a restart of the machine were closed", calls=closed)
        moved = self._draining.move(now_ms)
        if moved:
            self._heartbeat_ms = now_ms
        elif now_ms - self._heartbeat_ms >= HEARTBEAT_MS and self._ledger.open_count():
            # Only open calls are ever billed up to it, so an idle router writes nothing.
            self._ledger.heartbeat(now_ms)
            self._heartbeat_ms = now_ms
        written = self._file.write(now_ms) if self._file is not None else 0
        if not self._indexed:
            self._index_more()
        return max(moved, written)

    def _index_more(self) -> None:
        """Gives CDRs of an older version their place in the index, some in each turn."""
        if self._to_index < 0:
            self._to_index = self._ledger.count()
            self._log("info", "CDRs of an older version are being indexed", cdrs=self._to_index)
        if not self._ledger.search.index_more(INDEX_ENTRIES):
            self._indexed = True
            self._log("info", "CDRs of an older version are indexed", cdrs=self._to_index)

    def _on_fault(self, error: StoreError) -> None:
        self._tries = min(self._tries + 1, 10)
        now_ms = self._now_ms()
        if self._tries == 1 or now_ms - self._told_ms >= REPEAT_FAULT_MS:
            self._told_ms = now_ms
            self._log("error", "CDRs wait, the ledger cannot store them", reason=str(error))

    def _on_success(self) -> None:
        if self._tries:
            self._tries = 0
            self._log("info", "the ledger stores CDRs again")

    def _give_up(self) -> int:
        self._log(
            "error", "CDRs stay in the outbox until the next start", entries=self._live.backlog()
        )
        return EXIT_FAILED


def _stop_on_sigterm() -> StopSignal:
    stop = StopSignal()

    def on_sigterm(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_sigterm)
    return stop
