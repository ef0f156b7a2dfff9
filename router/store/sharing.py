"""One LMDB environment a folder for all threads of a process that serves several at once.

LMDB must not have an environment open twice in one process. Commands and workers open each store
once; the HTTP API carries out requests beside each other, and each opens the stores it needs. While
a process shares its environments, the first opening stays open and the others get a view of it:
read-only where that was asked for. A folder that was made anew meanwhile is another environment.

Not known here: what is in an environment, and how one is opened.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import lmdb


class _Shared:
    """An environment that is open, for writing, and who uses it."""

    __slots__ = ("databases", "env", "file", "lock", "replaced", "users")

    def __init__(self, env: lmdb.Environment, file: tuple[int, int]) -> None:
        self.env = env
        self.file = file
        self.users = 0
        self.replaced = False
        self.databases: dict[bytes, lmdb._Database] = {}
        self.lock = threading.RLock()
        """Held while databases are opened: LMDB wants one transaction at a time that does so."""


class _View:
    """An environment as one user of it has opened it; only `close` is the user's own."""

    def __init__(self, shared: _Shared, release: Callable[[_Shared], None], readonly: bool) -> None:
        self._shared = shared
        self._release = release
        self._readonly = readonly
        self._closed = False
        self.lock = shared.lock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shared.env, name)

    def begin(
        self, db: lmdb._Database | None = None, parent: None = None, write: bool = False
    ) -> lmdb.Transaction[bytes]:
        """A transaction; lmdb.ReadonlyError for a writing one of a view for reading."""
        if write and self._readonly:
            raise lmdb.ReadonlyError("opened for reading")
        return self._shared.env.begin(db, parent, write)

    def open_db(self, key: bytes, txn: Any = None, create: bool = True) -> lmdb._Database:
        """The named database; opened once, whoever asks."""
        with self.lock:
            known = self._shared.databases.get(key)
            if known is not None:
                return known
            if txn is not None:
                # Not remembered: the transaction that makes it may still fail.
                return self._shared.env.open_db(key, txn=txn, create=create)
            env = self._shared.env
            # Without a transaction of ours lmdb begins one for writing and keeps the interpreter
            # to itself meanwhile: a thread that writes could never come to the end of its own.
            with env.begin(write=True) as own:
                found = env.open_db(key, txn=own, create=create and not self._readonly)
            return self._shared.databases.setdefault(key, found)

    def flags(self) -> dict[str, Any]:
        """How it was opened."""
        return {**self._shared.env.flags(), "readonly": self._readonly}

    def close(self) -> None:
        """Give it back."""
        if not self._closed:
            self._closed = True
            self._release(self._shared)


class SharedEnvironments:
    """The environments that a process has open, by folder; safe to be used by its threads."""

    def __init__(self) -> None:
        self.sharers = 0
        self._by_path: dict[str, _Shared] = {}
        self._lock = threading.Lock()

    def open(
        self, path: Path, make: Callable[[bool], lmdb.Environment], readonly: bool
    ) -> lmdb.Environment:
        """A view of the environment in `path`, which `make(readonly=False)` opens if need be.

        Raises what `make` does, and OSError when there is nothing to read.
        """
        name = os.path.realpath(path)
        with self._lock:
            shared = self._by_path.get(name)
            file = None if shared is None and not readonly else _file_in(name, readonly)
            if shared is not None and shared.file != file:
                self._forget(name, shared)
                shared = None
            if shared is None:
                env = make(False)
                shared = self._by_path[name] = _Shared(env, _file_in(name, True) or (0, 0))
            shared.users += 1
            return cast(lmdb.Environment, _View(shared, self._give_back, readonly))

    def close(self) -> None:
        """Close all that nobody uses; the others close with their last user."""
        with self._lock:
            for name, shared in list(self._by_path.items()):
                self._forget(name, shared)

    def _give_back(self, shared: _Shared) -> None:
        with self._lock:
            shared.users -= 1
            if shared.replaced and not shared.users:
                shared.env.close()

    def _forget(self, name: str, shared: _Shared) -> None:
        del self._by_path[name]
        shared.replaced = True
        if not shared.users:
            shared.env.close()


def _file_in(path: str, must: bool) -> tuple[int, int] | None:
    """What file the environment is; OSError when it must be there and is not."""
    try:
        found = os.stat(os.path.join(path, "data.mdb"))
    except FileNotFoundError:
        if must:
            raise
        return None
    return found.st_dev, found.st_ino


_current: SharedEnvironments | None = None


def shared_environments() -> SharedEnvironments | None:
    """Where environments of this process are opened; None where each opens its own."""
    return _current


def share_environments() -> Callable[[], None]:
    """From now on this process shares its environments; what is returned ends that."""
    global _current
    if _current is None:
        _current = SharedEnvironments()
    mine = _current
    mine.sharers += 1

    def end() -> None:
        global _current
        mine.sharers -= 1
        if not mine.sharers:
            mine.close()
            _current = None

    return end


def opening(env: lmdb.Environment) -> AbstractContextManager[Any]:
    """What is held while databases of an environment are made."""
    return env.lock if isinstance(env, _View) else nullcontext()
