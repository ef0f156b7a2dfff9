"""A process that stands still: roused by its supervisor, then killed; the log says where it was.

    beats missing for half of the limit    ROUSE: it writes down where it is, and may free itself
    … for the whole limit                  killed; what it has written down stands in the log

Only posts that say so are roused. Knows nothing of what the process does.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Sequence

import structlog

from router.runtime.child import ROUSE, Heartbeats
from router.runtime.posts import Limits, Seat

log = structlog.get_logger(process="supervisor")

MAX_PLACES = 16
_MAX_BYTES = 16_384
_PLACE = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)


class LastWords:
    """A piece of memory in which a process writes down where it is, for its supervisor."""

    def __init__(self, name: str) -> None:
        self.descriptor = os.memfd_create(name)

    def clear(self) -> None:
        """Forget what was written."""
        os.ftruncate(self.descriptor, 0)
        # The process has the same open file: its next word goes to the beginning.
        os.lseek(self.descriptor, 0, os.SEEK_SET)

    def read(self) -> list[str]:
        """Where the process was, innermost first, as `hooks.py:12 lookup`; empty: no word of it."""
        with contextlib.suppress(OSError):
            text = os.pread(self.descriptor, _MAX_BYTES, 0).decode("utf-8", "replace")
            found = _PLACE.findall(text)
            return [f"{file}:{line} {name}" for file, line, name in found[:MAX_PLACES]]
        return []

    def close(self) -> None:
        """Let go of the memory."""
        os.close(self.descriptor)


class SilenceWatch:
    """Looks at the heartbeats of all seats."""

    def __init__(self, seats: Sequence[Seat], heartbeats: Heartbeats) -> None:
        self._seats = seats
        self._heartbeats = heartbeats
        self._words = {
            seat.cell: LastWords(seat.post.title) for seat in seats if seat.post.rouses
        }
        self._roused: dict[int, int] = {}
        """the last beat of a process that was roused, by its cell"""
        self._killed: dict[int, int] = {}
        """the last process that was killed, by its cell: dying takes a moment, once is enough"""

    def descriptor(self, seat: Seat) -> int:
        """Where the process of a seat writes down where it is; -1: nowhere."""
        words = self._words.get(seat.cell)
        return words.descriptor if words is not None else -1

    def look(self, now_ms: int, limits: Limits) -> None:
        """Rouse and kill whoever has been silent for too long."""
        for seat in self._seats:
            if not seat.pid or not seat.post.beats:
                continue
            beat_ms = self._heartbeats.cells[seat.cell]
            limit_ms = limits.silence_ms if beat_ms else limits.boot_ms
            silent_ms = now_ms - (beat_ms or seat.born_ms)
            if silent_ms > limit_ms:
                self._kill(seat, silent_ms)
            elif beat_ms and silent_ms > limit_ms // 2:
                self._rouse(seat, beat_ms, silent_ms)

    def _rouse(self, seat: Seat, beat_ms: int, silent_ms: int) -> None:
        words = self._words.get(seat.cell)
        if words is None or self._roused.get(seat.cell) == beat_ms:
            return
        self._roused[seat.cell] = beat_ms
        words.clear()
        log.warning("silent, roused", post=seat.post.name, pid=seat.pid, silent_ms=silent_ms)
        os.kill(seat.pid, ROUSE)

    def _kill(self, seat: Seat, silent_ms: int) -> None:
        if self._killed.get(seat.cell) == seat.pid:
            return
        self._killed[seat.cell] = seat.pid
        fields: dict[str, object] = {}
        words = self._words.get(seat.cell)
        if words is not None and self._roused.pop(seat.cell, None) is not None:
            fields["stood_at"] = words.read()
        log.error(
            "silent, killed", post=seat.post.name, pid=seat.pid, silent_ms=silent_ms, **fields
        )
        os.kill(seat.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of what the processes wrote."""
        for words in self._words.values():
            words.close()
