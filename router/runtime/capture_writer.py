"""The thread that writes captured messages to the ring and sends them to Homer.

A worker's loop hands it a batch a second and never waits for it: what it has not taken in time is
dropped and counted. The thread is started with the first batch. Secrets are written over here, so
that neither disk nor Homer ever has them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from router.runtime.hep import HepPlan, HepSender
from router.sip.masking import mask_secrets
from router.store.capture_ring import Captured, RingWriter

MAX_BEHIND_BYTES = 32_000_000
"""Handed over and not written yet; more is dropped."""
LAST_WRITE_S = 2.0


class Kept(NamedTuple):
    """A message for the ring; `whole` where secrets stay in it."""

    message: Captured
    whole: bool


class CaptureWriter:
    """One worker's part of a ring of `size` bytes that `slots` workers write."""

    def __init__(self, folder: Path, slot: int, slots: int, size: int, hep: HepPlan | None) -> None:
        self.size = size
        self.slots = max(1, slots)
        self._ring = RingWriter(folder, slot, size, slots)
        self._hep = HepSender()
        self._plan = hep
        self._queue: queue.SimpleQueue[Sequence[Kept] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._handed = 0
        self._done = 0  # written by the thread
        self._lost: dict[str, tuple[int, str]] = {}
        self._lock = threading.Lock()

    def use(self, size: int, hep: HepPlan | None) -> None:
        """Another size and another Homer from the next batch on."""
        self.size = size
        self._plan = hep

    def take_lost(self) -> dict[str, tuple[int, str]]:
        """Messages lost since the last time: by reason how many, and why in words."""
        if not self._lost:
            return self._lost
        with self._lock:
            lost, self._lost = self._lost, {}
        return lost

    def hand_over(self, batch: Sequence[Kept]) -> None:
        """Have a batch written; returns at once."""
        if self._handed - self._done > MAX_BEHIND_BYTES:
            self._lose("disk", len(batch), "the writer is too far behind")
            return
        self._handed += _size(batch)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
            self._thread.start()
        self._queue.put(batch)

    def close(self) -> None:
        """Write what was handed over, for a moment at most."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(LAST_WRITE_S)
            self._thread = None

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            messages = [kept.message if kept.whole else _masked(kept.message) for kept in batch]
            self._ring.resize(self.size)
            try:
                self._ring.write(messages)
            except OSError as error:
                self._lose("disk", len(batch), f"the ring: {(error.strerror or '').lower()}")
            if self._plan is not None:
                unsent = self._hep.send(messages, self._plan)
                if unsent:
                    self._lose("homer", unsent, self._hep.fault)
            self._done += _size(batch)
        self._ring.close()
        self._hep.close()

    def _lose(self, reason: str, messages: int, fault: str) -> None:
        with self._lock:
            before, _ = self._lost.get(reason, (0, ""))
            self._lost[reason] = (before + messages, fault)


def _masked(message: Captured) -> Captured:
    data = mask_secrets(message.data)
    return message if data is message.data else msgspec.structs.replace(message, data=data)


def _size(batch: Sequence[Kept]) -> int:
    return sum(len(kept.message.data) for kept in batch)
