"""Routes that wait for Python functions, run as tasks of the worker's loop.

The engine hands them out with the rest of its turn; each end of one is told to the engine, and
what it decides leaves with a turn of its own. A task whose request is over is cancelled, and its
end means nothing any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from router.core.waiting import Waiting


class WaitingEngine(Protocol):
    """What the tasks ask of an engine."""

    def on_waited(self, waiting: Waiting, error: BaseException | None, now_ms: int) -> None: ...


class HookTasks:
    """The routes of one engine that wait; `ask_turn` has a turn finished soon."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        engine: WaitingEngine,
        now: Callable[[], int],
        ask_turn: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._engine = engine
        self._now = now
        self._ask_turn = ask_turn
        self._waiting: dict[asyncio.Task[None], Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, waits: Iterable[Waiting]) -> None:
        """Run these from the next round of the loop on."""
        for waiting in waits:
            task = self._loop.create_task(waiting.wait.route)
            self._waiting[task] = waiting
            waiting.stop = _Stop(task)
            task.add_done_callback(self._end)

    def stop(self) -> None:
        """Cancel what still runs: the worker ends."""
        for task in list(self._waiting):
            task.cancel()

    def _end(self, task: asyncio.Task[None]) -> None:
        waiting = self._waiting.pop(task)
        error: BaseException | None = (
            asyncio.CancelledError("it was cancelled") if task.cancelled() else task.exception()
        )
        try:
            if not waiting.over:
                self._engine.on_waited(waiting, error, self._now())
                self._ask_turn()
        finally:
            error = None  # its traceback holds frames that lead here


class _Stop:
    """Cancels a task."""

    __slots__ = ("_task",)

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def __call__(self) -> None:
        self._task.cancel()
