"""How both stores open LMDB, and what its errors mean in an operator's words.

`lib_version=0` pins the 0.9 engine and its file format: py-lmdb 3 also carries LMDB 1.0, whose
files the usual tools cannot read, and an environment variable could otherwise choose it. A file
of another format is refused, never converted.

An environment must be opened in the process that uses it. Inherited through fork it fails
silently or stops the child from opening its own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import lmdb

from router.store.errors import StoreError
from router.store.sharing import opening, shared_environments

GIB = 1 << 30
# A reader slot costs 64 bytes of lock file; a slot whose process died is reaped at every boot.
MAX_READERS = 1024
PAGE_ENTRIES = 256

LMDB_VERSION = 0


def open_environment(
    path: Path, *, databases: int, map_bytes: int, durable: bool, readonly: bool = False
) -> lmdb.Environment:
    """Open the environment in folder `path`, with room for so many named databases.

    The map is address space, not disk: the file is sparse. Not durable means no fsync at all and
    pages written through the map: it survives the death of any process, not of the machine, and
    a commit costs half (see `room` for the price). StoreError when it cannot be opened.
    """

    def make(readonly: bool) -> lmdb.Environment:
        env = lmdb.Environment(
            str(path),
            map_size=map_bytes,
            max_dbs=databases,
            max_readers=MAX_READERS,
            readonly=readonly,
            create=not readonly,
            sync=durable,
            metasync=durable,
            writemap=not durable and not readonly,
            # Memory that was ours before may end up in the file's free space; it holds nothing
            # that the file itself does not.
            meminit=False,
            lib_version=LMDB_VERSION,
        )
        # The slots of readers that died would hold their pages back for ever.
        env.reader_check()
        return env

    shared = shared_environments()
    try:
        return make(readonly) if shared is None else shared.open(path, make, readonly)
    except (lmdb.Error, OSError) as error:
        raise fault(error, path) from error


def open_databases(env: lmdb.Environment, names: Sequence[str]) -> list[lmdb._Database]:
    """The named databases in that order, made if missing unless the environment is read-only.

    StoreError when one is missing and cannot be made.
    """
    try:
        if env.flags()["readonly"]:
            return [env.open_db(name.encode(), create=False) for name in names]
        with opening(env), env.begin(write=True) as txn:
            return [env.open_db(name.encode(), txn=txn) for name in names]
    except lmdb.Error as error:
        raise fault(error, Path(env.path())) from error


def open_if_there(env: lmdb.Environment, name: str) -> lmdb._Database | None:
    """The named database of an environment that is open for reading; None before it was made."""
    try:
        return env.open_db(name.encode(), create=False)
    except lmdb.NotFoundError:
        return None
    except lmdb.Error as error:
        raise fault(error, Path(env.path())) from error


class Access(NamedTuple):
    """How a part of a store comes to its environment, and to a write transaction in it."""

    environment: Callable[[], lmdb.Environment]
    writing: Callable[[], AbstractContextManager[lmdb.Transaction[bytes]]]


@contextmanager
def reading(env: lmdb.Environment) -> Iterator[lmdb.Transaction[bytes]]:
    """A read transaction, with LMDB's errors in our words; to be left soon."""
    try:
        with env.begin() as txn:
            yield txn
    except lmdb.Error as error:
        raise fault(error, Path(env.path())) from error


def fault(error: Exception, path: Path) -> StoreError:
    """The StoreError for what LMDB or the system said about the environment in `path`."""
    code = error.errno if isinstance(error, OSError) else getattr(error, "code", 0)
    if isinstance(error, lmdb.MapFullError):
        text = "is full: its map has no room left, raise its size"
    elif isinstance(error, lmdb.ReadersFullError):
        text = f"has no free reader slot ({MAX_READERS} are taken)"
    elif isinstance(error, (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.CorruptedError)):
        text = f"is not a sound LMDB 0.9 environment ({error})"
    elif isinstance(error, lmdb.NotFoundError):
        text = (
            "lacks a database that Trunkline keeps there: an older version made it (trunkline run "
            "adds what is missing), or it was not made by Trunkline"
        )
    elif code == errno.ENOSPC or (code == errno.EIO and _is_disk_full(path)):
        text = "cannot be written: the disk is full"
    elif code in (errno.EACCES, errno.EPERM, errno.EROFS):
        text = "may not be used by this user: run as the user that runs the router"
    elif code == errno.ENOENT:
        text = "does not exist"
    elif code == errno.ENOMEM:
        text = "does not fit in the address space: raise the limit (ulimit -v)"
    else:
        text = f"failed: {error}"
    return StoreError(f"{path} {text}")


def _is_disk_full(path: Path) -> bool:
    """Whether a write that ended half-way, which LMDB calls an I/O error, met a full disk."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < 1 << 20


def page_forward(
    env: lmdb.Environment, database: lmdb._Database, start: bytes = b""
) -> Iterator[list[tuple[bytes, bytes]]]:
    """The entries from key `start` on, in pages; each page is one short read transaction.

    Between pages no transaction is open: one held across many commits would keep every page
    freed since from being used again, and the file would grow for good.
    """
    while True:
        page: list[tuple[bytes, bytes]] = []
        with reading(env) as txn, txn.cursor(database) as cursor:
            found = cursor.set_range(start) if start else cursor.first()
            while found and len(page) < PAGE_ENTRIES:
                page.append(cursor.item())
                found = cursor.next()
        if not page:
            return
        yield page
        if len(page) < PAGE_ENTRIES:
            return
        start = page[-1][0] + b"\0"


def page_backward(
    env: lmdb.Environment, database: lmdb._Database, first: bytes = b"", end: bytes = b""
) -> Iterator[list[tuple[bytes, bytes]]]:
    """The entries from just below `end` (b"": the last) down to `first`, paged as above."""
    while True:
        page: list[tuple[bytes, bytes]] = []
        with reading(env) as txn, txn.cursor(database) as cursor:
            found = cursor.prev() if end and cursor.set_range(end) else cursor.last()
            while found and len(page) < PAGE_ENTRIES:
                entry = cursor.item()
                if entry[0] < first:
                    break
                page.append(entry)
                found = cursor.prev()
        if not page:
            return
        yield page
        if len(page) < PAGE_ENTRIES:
            return
        end = page[-1][0]
