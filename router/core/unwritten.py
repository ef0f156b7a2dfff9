"""What the store did not take and may not be lost: kept, and tried again until it is taken.

One operation that the store never takes, a fault of ours, must not keep the others out. So a batch
that fails is halved, until what fails stands alone and all the rest is stored: for one among ten
thousand that is 14 failures. A store that takes nothing at all is left alone after MAX_FAILURES,
until the next time.
"""

from __future__ import annotations

from collections import deque

from router.core.transactions.layer import TransactionLayer
from router.store.ops import Op

RETRY_MS = 1_000
MAX_FAILURES = 32
"""Batches that may fail in one round of trying again."""


class Unwritten:
    """Operations that wait for the store, in batches that are committed one by one.

    A round begins a second after something was kept: `is_tried` is true then, until `take` has
    given every batch or too many of them have failed.
    """

    __slots__ = (
        "_batches", "_failures", "_fresh", "_is_timed", "_layer", "_taken", "_waiting",
        "is_tried", "size",
    )

    def __init__(self, layer: TransactionLayer) -> None:
        self._layer = layer
        self.is_tried = False
        self.size = 0
        """how many operations wait, without those that are just tried"""
        self._fresh: list[Op] = []
        self._waiting: list[list[Op]] = []
        self._batches: deque[list[Op]] = deque()
        self._taken: list[Op] = []
        self._failures = 0
        self._is_timed = False

    def add(self, op: Op) -> None:
        """Keeps an operation for the next round."""
        self._fresh.append(op)
        self.size += 1
        self._try_soon()

    def take(self) -> list[Op]:
        """The next batch of the round; empty when it is over."""
        batches = self._batches
        if batches and self._failures < MAX_FAILURES:
            taken = self._taken = batches.popleft()
            self.size -= len(taken)
            return taken
        self._waiting.extend(batches)
        batches.clear()
        self._taken = []
        self.is_tried = False
        self._try_soon()
        return []

    def failed(self, ops: list[Op]) -> bool:
        """Whether what was not stored is the batch just taken; it is kept then."""
        batch = self._taken
        if not batch or ops is not batch:
            return False
        self._taken = []
        self.size += len(batch)
        self._failures += 1
        if len(batch) == 1:
            self._waiting.append(batch)
        else:
            half = len(batch) // 2
            self._batches.extendleft((batch[half:], batch[:half]))
        return True

    def _try_soon(self) -> None:
        if self.size and not self._is_timed:
            self._is_timed = True
            layer = self._layer
            layer.wheel.at(layer.now + RETRY_MS, Unwritten._begin, self)

    def _begin(self) -> None:
        """A new round: the newest first, what failed alone after it."""
        self._is_timed = False
        self.is_tried = True
        self._failures = 0
        if self._fresh:
            self._batches.append(self._fresh)
        self._batches.extend(self._waiting)
        self._fresh, self._waiting = [], []
