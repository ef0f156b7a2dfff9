"""A loop for routes that wait where there is none: test blocks, and calls that are not made.

Time is virtual there, but what a Python function asks of the outside is not: it is really asked,
and really waited for, up to the limit. For the call no time passes.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from router.core.engine import Engine
from router.core.waiting import LimitReached, Waiting

LAST_S = 1.0
"""How long a function that is cancelled may take to end."""


class HookLoop:
    """Runs routes that wait, one after the other, in a loop of its own that is made when needed.

    To be closed; all of them see the same loop, so that what a Python file keeps open stays of use.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> HookLoop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run_wait(self, engine: Engine, waiting: Waiting, now_ms: int) -> None:
        """Run a route to its end and tell the engine of it."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.new_event_loop()
        task = loop.create_task(waiting.wait.route)
        limit_s = waiting.wait.limit_ms / 1_000
        loop.run_until_complete(asyncio.wait([task], timeout=limit_s))
        if not task.done():
            engine.on_waited(waiting, LimitReached(), now_ms)
            task.cancel()
            loop.run_until_complete(asyncio.wait([task], timeout=LAST_S))
            return
        cancelled = task.cancelled()
        error = asyncio.CancelledError("it was cancelled") if cancelled else task.exception()
        try:
            engine.on_waited(waiting, error, now_ms)
        finally:
            error = None  # its traceback holds frames that lead here

    def run_all(self, engine: Engine, now_ms: int) -> None:
        """Run whatever the engine has that waits, until nothing does."""
        while waits := engine.take_waits():
            for waiting in waits:
                self.run_wait(engine, waiting, now_ms)

    def close(self) -> None:
        """End what Python files have left running, and the loop."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=LAST_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
