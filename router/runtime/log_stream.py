"""Where log lines go: standard error, without ever waiting for whoever reads it.

A worker that waited for a full pipe would stop handling calls because somebody left a pager open.
So a pipe and a terminal are opened a second time, for this program alone, without blocking; the
flag on the descriptor that was inherited would hold for the shell as well. What does not fit is
kept, up to a limit, and lines beyond that are counted.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import time
from collections.abc import Callable

MAX_KEPT = 256 * 1024
"""Bytes that wait for a slow reader, of one process."""


class SteadyStream:
    """A stream of text on a descriptor that never blocks and never raises."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept = bytearray()
        self._send, self._ready = _sender(descriptor)
        self._left_out = 0
        os.register_at_fork(after_in_child=self._forget)

    def write(self, text: str) -> int:
        """Write it, or keep it, or count its lines; the number of characters."""
        data = text.encode("utf-8", "backslashreplace")
        kept = self._kept
        if kept and not self._push():
            if len(kept) + len(data) > MAX_KEPT:
                self._left_out += data.count(b"\n")
            else:
                kept += data
            return len(text)
        kept += data
        self._push()
        return len(text)

    def flush(self) -> None:
        """Write what was kept, as far as that is possible now."""
        self._push()

    def isatty(self) -> bool:
        """Whether a person may be reading."""
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def take_left_out(self) -> int:
        """Lines that nobody read in time since the last call."""
        lines, self._left_out = self._left_out, 0
        return lines

    def settle(self, seconds: float) -> None:
        """Before the process ends: wait so long at most for a slow reader."""
        end = time.monotonic() + seconds
        while not self._push() and (left := end - time.monotonic()) > 0:
            select.select([], [self._ready], [], left)

    def _push(self) -> bool:
        """Hand over what is kept; whether all of it went."""
        kept = self._kept
        while kept:
            try:
                del kept[: self._send(bytes(kept))]
            except BlockingIOError:
                return False
            except OSError:  # the reader is gone, or the disk is full: nobody can be told
                kept.clear()
        return True

    def _forget(self) -> None:
        """In a child: what waits is its parent's to write."""
        self._kept.clear()
        self._left_out = 0


def _sender(descriptor: int) -> tuple[Callable[[bytes], int], int]:
    """How bytes are handed over without blocking, and the descriptor that can be waited for."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        mode = 0
    if stat.S_ISSOCK(mode):
        with contextlib.suppress(OSError):
            own = socket.socket(fileno=os.dup(descriptor))
            at_once = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
            return lambda data: own.send(data, at_once), own.fileno()
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
            opened = os.open(f"/proc/self/fd/{descriptor}", flags)
            return lambda data: os.write(opened, data), opened
    return lambda data: os.write(descriptor, data), descriptor
