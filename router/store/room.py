"""Room for live state: disk blocks behind its map, and pages left in it.

Live state is written through a memory map (half the cost of a commit by pwrite). Two things then
must never happen:

- A store to a hole of the sparse file on a full disk: not an error one can catch but a SIGBUS.
  So the blocks of the next stretch are allocated ahead.
- A map without a free page: LMDB needs new pages even to delete, so the outbox could not be
  drained and nothing would ever get better.

Therefore new calls are turned away while there is still room for the calls in progress, and those
while there is still room to drain the outbox. A file that was deleted under us has room for nothing
that anybody could read again, and is treated alike.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import lmdb

from router.store.errors import StoreError

STEP_BYTES = 64 << 20
MARGIN_BYTES = 32 << 20
"""With less than this left no new call is taken."""
RESERVE_BYTES = 4 << 20
"""With less than this left only the outbox is drained."""
CHECK_EVERY = 32
"""Write transactions between two looks: what all workers write in them fits the margin."""


class Room:
    """How much the file behind `env` can still take; looks again every few transactions.

    `refusal` says why new calls are refused, "" when they are not. `databases` are all those of
    the environment, once they are open.
    """

    __slots__ = (
        "_assured_bytes",
        "_countdown",
        "_env",
        "_fd",
        "_left_bytes",
        "_map_bytes",
        "_margin_bytes",
        "_page_bytes",
        "_path",
        "_reserve_bytes",
        "databases",
        "refusal",
    )

    def __init__(self, env: lmdb.Environment, path: Path) -> None:
        self._env = env
        self._path = path
        self._page_bytes = env.stat()["psize"]
        self._map_bytes = env.info()["map_size"]
        self._margin_bytes = min(MARGIN_BYTES, self._map_bytes // 4)
        self._reserve_bytes = min(RESERVE_BYTES, self._map_bytes // 16)
        self._fd = os.open(path / "data.mdb", os.O_RDWR | os.O_CLOEXEC)
        self._assured_bytes = 0
        self._left_bytes = 0
        self._countdown = 0
        self.databases: Sequence[lmdb._Database] = ()
        self.refusal = ""

    def suffices(self) -> bool:
        """Whether new calls may be taken; call before each write transaction.

        StoreError when not even the calls in progress may be written.
        """
        self._countdown -= 1
        if self._countdown <= 0 or self.refusal:
            self._countdown = CHECK_EVERY
            self._look()
        if not self.refusal:
            return True
        if self._left_bytes < self._reserve_bytes:
            raise StoreError(self.refusal)
        return False

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _look(self) -> None:
        if not os.fstat(self._fd).st_nlink:
            # What is written from now on, nobody will ever read: no call may begin unrecorded.
            self._left_bytes = self._map_bytes
            self.refusal = (
                f"{self._path} was deleted while in use: new calls are refused until Trunkline "
                "is started again"
            )
            return
        used = (self._env.info()["last_pgno"] + 1) * self._page_bytes
        ahead = min(used + self._margin_bytes, self._map_bytes)
        unwilling = self._allocate(used) if self._assured_bytes < ahead else ""
        if unwilling:
            self._left_bytes = self._assured_bytes - used
            self.refusal = (
                f"{self._path} cannot grow ({unwilling}): new calls are refused until its disk "
                "has room"
            )
            return
        self._left_bytes = self._map_bytes - used
        if self._left_bytes < self._margin_bytes:
            # Pages are never given back to the file, so only now what is in use must be counted.
            self._left_bytes = self._map_bytes - self._in_use_bytes()
        self.refusal = ""
        if self._left_bytes < self._margin_bytes:
            self.refusal = (
                f"{self._path} is nearly full: new calls are refused until the ledger has taken "
                "what waits in the outbox"
            )

    def _allocate(self, used_bytes: int) -> str:
        """Have the next stretch of the file on disk; why not, or ""."""
        end = min(used_bytes + STEP_BYTES, self._map_bytes)
        try:
            os.posix_fallocate(self._fd, used_bytes, end - used_bytes)
        except OSError as error:
            return error.strerror or str(error)
        self._assured_bytes = end
        return ""

    def _in_use_bytes(self) -> int:
        pages = 0
        with self._env.begin() as txn:
            for database in self.databases:
                stat = txn.stat(database)
                pages += stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return pages * self._page_bytes
