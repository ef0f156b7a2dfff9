"""The state folder: made, checked, and its live part thrown away when the machine was restarted.

    STATE/live.lmdb/     live state, no fsync; the file `boot` names the boot it belongs to
    STATE/live.lock      held while live state is thrown away and made anew
    STATE/ledger.lmdb/   the ledger, durable
    STATE/ledger.lock    held by the one process that writes the ledger

The mark is a file beside the environment and not a record in it: after a power cut an environment
that was never fsynced must not even be opened. It is written last, atomically, so that whoever
finds the mark of this boot finds nothing of an earlier one beside it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from router.store.errors import LedgerBusyError, StoreError

BOOT_ID_PATH = Path("/proc/sys/kernel/random/boot_id")
LIVE_DIR = "live.lmdb"
LEDGER_DIR = "ledger.lmdb"
_MARK = "boot"
_LOCK_POLL_S = 0.02


def boot_id() -> str:
    """The kernel's name for this boot of the machine; StoreError where there is none."""
    try:
        return BOOT_ID_PATH.read_text(encoding="ascii").strip()
    except OSError as error:
        raise StoreError(
            f"{BOOT_ID_PATH} cannot be read ({error.strerror}): without it live state of "
            "before a restart could not be told from ours"
        ) from error


def live_mark(path: Path) -> str:
    """What names the live environment in `path`: "<boot id> <random>"; "" when it has no mark."""
    try:
        return (path / _MARK).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def live_is_current(path: Path) -> bool:
    """Whether the live environment in `path` belongs to this boot and may be opened."""
    mark = live_mark(path)
    return bool(mark) and mark.partition(" ")[0] == boot_id()


def ensure_current_live(path: Path) -> bool:
    """Make `path` a folder for live state of this boot; whether an older one was thrown away.

    Safe to be raced by any number of processes: the first empties the folder, the others find
    its mark. StoreError when the folder cannot be made.
    """
    if live_is_current(path):
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _flocked(path.with_suffix(".lock")):
            if live_is_current(path):
                return False
            stale = path.exists()
            if stale:
                shutil.rmtree(path)
            path.mkdir()
            _write_mark(path, f"{boot_id()} {secrets.token_hex(8)}\n")
            return stale
    except OSError as error:
        raise StoreError(f"state folder {path.parent} {_why(error)}") from error


def check_writable(folder: Path) -> None:
    """Make the folder if it is missing, and a file in it; StoreError when either fails."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        # Another thread of ours may have tried at the same moment.
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"state folder {folder} {_why(error)}") from error


class WriterLock:
    """The right to write one ledger: an flock, so that the kernel frees it when its holder dies.

    StoreError, with the holder's process id, when another process has it for longer than
    `wait_s` (a predecessor may be in its last fsync).
    """

    def __init__(self, path: Path, wait_s: float = 0.0) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"state folder {path.parent} {_why(error)}") from error
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() < deadline:
                    time.sleep(_LOCK_POLL_S)
                    continue
                holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(self._fd)
                raise LedgerBusyError(
                    f"state folder {path.parent} is in use by another Trunkline "
                    f"(its ledger process is {holder})"
                ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next one write."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@contextmanager
def _flocked(path: Path) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _write_mark(path: Path, text: str) -> None:
    fresh = path / f"{_MARK}.new"
    fresh.write_text(text, encoding="ascii")
    fresh.rename(path / _MARK)


def _why(error: OSError) -> str:
    return f"cannot be used: {error.strerror or error} ({error.filename or 'no file'})"
