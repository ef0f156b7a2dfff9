"""Where the HTTP API's requests are carried out: one after the other, in one thread.

The stores are opened for each request, and a process must not open one twice at a time. Who has
to wait too long is told so; what has begun goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from router.admin.api_problems import Refusal
from router.admin.object_changes import Known, read_known
from router.store.api_access import LmdbAccess

PATIENCE_S: Final = 30.0
MAX_WAITING: Final = 32
SEARCH_S: Final = 10.0
_T = TypeVar("_T")


class Desk:
    """What every operation needs: the configuration, the state folder, and the thread."""

    def __init__(self, config: Path, state: Path, access: LmdbAccess) -> None:
        self.config = config
        self.state = state
        self.access = access
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, "desk")

    def known(self) -> Known:
        """The configuration as it is on disk now; WrongValue when it has errors."""
        return read_known(self.config, self.state)

    async def do(self, work: Callable[[], _T], patience_s: float = PATIENCE_S) -> _T:
        """What `work` returns; Refusal 503 when too many wait, or it takes too long."""
        if self._waiting >= MAX_WAITING:
            raise Refusal(
                503, f"{MAX_WAITING} requests wait already", headers={"Retry-After": "5"}
            )
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        future.add_done_callback(self._done)
        done, _ = await asyncio.wait((future,), timeout=patience_s)
        if not done:
            if future.cancel():
                raise Refusal(503, "other requests take too long: this was not begun")
            raise Refusal(
                503,
                f"it is not done after {patience_s:g} s and may still be done: see the audit",
            )
        return future.result()

    def close(self) -> None:
        """Let go of the thread and the store."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.access.close()

    def _done(self, future: asyncio.Future[_T]) -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()


def in_time(found: Iterator[_T], seconds: float = SEARCH_S) -> Iterator[_T]:
    """The same, for so long; Refusal 503 when it takes longer."""
    end = time.monotonic() + seconds
    for one in found:
        yield one
        if time.monotonic() > end:
            raise Refusal(
                503, f"the search takes longer than {seconds:g} s: narrow it with since and until"
            )
