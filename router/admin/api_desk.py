"""Where the HTTP API's requests are carried out: in lanes, so that long work keeps nobody waiting.

    short      what is there now, ends of calls: several beside each other
    objects    what stands in the configuration, locks, decisions: several beside each other, and
               apart, because a Python file that it imports may take its time
    searches   through CDRs, the ledger and decks: long, two beside each other
    orders     changes of objects, and reloads: one after the other
    money      payments: one after the other, with nothing else before them
    loads      rates files: one after the other
    calls      test calls: as long as they are, two beside each other

A lane is a few threads and a queue with an end: who comes when it is full is told to come again.
Requests wait outside of the loop that serves connections, and never across a transaction: each
opens the stores it needs, of which the process has one environment each (`store/sharing.py`).
Who has to wait too long is told so; what has begun goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from router.admin.api_problems import Refusal
from router.admin.object_changes import Known, read_known
from router.store.api_access import ACCESS_DIR, LmdbAccess
from router.store.errors import StoreError
from router.store.objects import OBJECTS_DIR, AuditRow, LmdbObjects
from router.store.sharing import share_environments

PATIENCE_S: Final = 30.0
MAX_WAITING: Final = 32
MAX_LOADS: Final = 4
MAX_CALLS: Final = 4
UPLOAD: Final = ".upload."
"""How the names of files begin that are being sent."""
BLOCK_LINES: Final = 500
SEARCH_S: Final = 10.0
AGAIN: Final = {"Retry-After": "5"}
_T = TypeVar("_T")


class Lane:
    """So many threads, and so many requests in them and before them at most."""

    def __init__(self, name: str, threads: int, most: int = MAX_WAITING) -> None:
        self._name = name
        self._most = most
        self._waiting = 0
        self._threads = ThreadPoolExecutor(threads, f"desk-{name}")

    async def do(self, work: Callable[[], _T], patience_s: float = PATIENCE_S) -> _T:
        """What `work` returns; Refusal 503 when too many wait, or it takes too long."""
        if self._waiting >= self._most:
            raise Refusal(
                503, f"{self._most} requests of this kind ({self._name}) are here already",
                headers=AGAIN,
            )
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        future.add_done_callback(self._done)
        done, _ = await asyncio.wait((future,), timeout=patience_s)
        if not done:
            if future.cancel():
                raise Refusal(
                    503, "other requests take too long: this was not begun", headers=AGAIN
                )
            raise Refusal(
                503,
                f"it is not done after {patience_s:g} s and may still be done: see the audit",
                headers=AGAIN,
            )
        return future.result()

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, future: asyncio.Future[_T]) -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()


class Desk:
    """What every operation needs: the configuration, the state folder, and the lanes."""

    def __init__(self, config: Path, state: Path) -> None:
        self._end_sharing = share_environments()
        self.config = config
        self.state = state
        try:
            self.access = LmdbAccess(state / ACCESS_DIR)
        except StoreError:
            self._end_sharing()
            raise
        self.short = Lane("short", 4)
        self.objects = Lane("objects", 4)
        self.searches = Lane("searches", 2)
        self.orders = Lane("orders", 1)
        self.money = Lane("money", 1)
        self.loads = Lane("loads", 1, MAX_LOADS)
        self.calls = Lane("calls", 2, MAX_CALLS)
        self.uploads = 0
        for left in state.glob(UPLOAD + "*"):  # by a process that was killed
            left.unlink(missing_ok=True)
        self.stopping = False
        """Whether the process ends: what goes on for long looks at it."""

    def known(self) -> Known:
        """The configuration as it is on disk now; WrongValue when it has errors."""
        return read_known(self.config, self.state)

    def note(self, who: str, command: str, what: str, result: str, why: str = "") -> None:
        """A row in the audit for what was done, or refused."""
        objects = LmdbObjects(self.state / OBJECTS_DIR)
        try:
            objects.begin(
                AuditRow(
                    time.time_ns() // 1_000_000, who, command, what, result=result, why=why[:200]
                )
            )
        finally:
            objects.close()

    async def stream(self, lines: Generator[str, None, None]) -> AsyncIterator[str]:
        """The lines, in blocks that are made in the lane of searches; no thread waits for readers.

        What goes wrong before the first block is raised here, before there is an answer.
        """

        def block() -> str:
            return "".join(islice(lines, BLOCK_LINES))

        first = await self.searches.do(block)

        async def blocks() -> AsyncIterator[str]:
            text = first
            try:
                while text:
                    yield text
                    text = await self.searches.do(block)
            finally:
                lines.close()

        return blocks()

    def close(self) -> None:
        """Let go of the threads and the stores."""
        self.stopping = True
        for lane in vars(self).values():
            if isinstance(lane, Lane):
                lane.close()
        self.access.close()
        self._end_sharing()


def in_time(found: Iterator[_T], seconds: float = SEARCH_S) -> Iterator[_T]:
    """The same, for so long; Refusal 503 when it takes longer."""
    end = time.monotonic() + seconds
    for one in found:
        yield one
        if time.monotonic() > end:
            raise Refusal(
                503, f"the search takes longer than {seconds:g} s: narrow it with since and until"
            )
