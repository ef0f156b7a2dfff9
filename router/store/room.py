"""Disk blocks behind a writable map, allocated before they are needed.

Live state is written through a memory map (half the cost of a commit by pwrite). A store to a
hole of a sparse file on a full disk is not an error one can catch but a SIGBUS, so the blocks of
the next stretch are allocated ahead, and when the disk refuses them new calls are turned away
while what is left serves the calls in progress.
"""

from __future__ import annotations

import os
from pathlib import Path

import lmdb

from router.store.errors import StoreError

STEP_BYTES = 64 << 20
# When less than this is left, the next step is allocated; without it only running calls go on.
MARGIN_BYTES = 32 << 20
# The least that must be left for any write: more than all workers use up between two looks.
RESERVE_BYTES = 4 << 20
CHECK_EVERY = 32


class Room:
    """How far the file behind `env` has disk blocks; looks again every few transactions.

    `refusal` says why there are too few, "" when there are enough.
    """

    __slots__ = ("_assured_bytes", "_countdown", "_env", "_fd", "_page_bytes", "_path", "refusal")

    def __init__(self, env: lmdb.Environment, path: Path) -> None:
        self._env = env
        self._path = path
        self._page_bytes = env.stat()["psize"]
        self._fd = os.open(path / "data.mdb", os.O_RDWR | os.O_CLOEXEC)
        self._assured_bytes = 0
        self._countdown = 0
        self.refusal = ""

    def suffices(self) -> bool:
        """Whether new calls may be taken; call before each write transaction.

        StoreError when not even the calls in progress may be written.
        """
        self._countdown -= 1
        if self._countdown <= 0:
            self._countdown = CHECK_EVERY
            self._look_ahead()
        if not self.refusal:
            return True
        if self._left_bytes() < RESERVE_BYTES:
            raise StoreError(self.refusal)
        return False

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _look_ahead(self) -> None:
        if self._left_bytes() >= MARGIN_BYTES:
            self.refusal = ""
            return
        # The end of the map is no hole to fall into: LMDB itself says when it is full.
        used = self._used_bytes()
        end = min(used + STEP_BYTES, os.fstat(self._fd).st_size)
        try:
            if end > used:
                os.posix_fallocate(self._fd, used, end - used)
        except OSError as error:
            self.refusal = (
                f"{self._path} cannot grow ({error.strerror}): new calls are refused until "
                "there is room on its disk"
            )
            return
        self._assured_bytes = used + STEP_BYTES
        self.refusal = ""

    def _left_bytes(self) -> int:
        return self._assured_bytes - self._used_bytes()

    def _used_bytes(self) -> int:
        return (self._env.info()["last_pgno"] + 1) * self._page_bytes
