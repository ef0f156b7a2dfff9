"""What commands order and workers carry out within a second: locks, ends of calls, captures.

A worker asks for one number a second. Only when it has changed, the locks and the calls that are
to be ended are read.
"""

from __future__ import annotations

import weakref
from pathlib import Path

from router.core.end_reasons import EndReason
from router.core.engine import Engine
from router.routing.config import Config
from router.routing.locks import apply_locks, locked_by_status
from router.store.objects import LmdbObjects


class OperatorOrders:
    """Follows one state folder's orders in a worker; StoreError when they cannot be read."""

    def __init__(self, path: Path) -> None:
        self._objects = LmdbObjects(path, readonly=True)
        self._version = self._objects.version()
        self._locked = frozenset(self._objects.locks())
        self.captures = self._objects.captures(0)
        # The calls of a configuration that is gone keep it until they end.
        self._by_status: weakref.WeakKeyDictionary[Config, frozenset[str]]
        self._by_status = weakref.WeakKeyDictionary()

    def obey(self, config: Config) -> None:
        """Put the locks on a configuration, and keep them as they are ordered."""
        by_status = self._by_status[config] = locked_by_status(config)
        if self._locked:
            apply_locks(config, by_status, self._locked)

    def look(self, engine: Engine, now_ms: int) -> None:
        """Do what was ordered since the last time."""
        version = self._objects.version()
        if version == self._version:
            return
        self._version = version
        self.captures = self._objects.captures(now_ms)
        locked = frozenset(self._objects.locks())
        if locked != self._locked:
            self._locked = locked
            for config, by_status in self._by_status.items():
                apply_locks(config, by_status, locked)
        engine.layer.now = now_ms
        for id, who in self._objects.kills().items():
            call = engine.calls.get(id)
            if call is not None:
                call.cdr.decision.append(f"ended by {who}")
                engine.run_apart(f"the end of call {id}", call.hang_up, EndReason.OperatorKill)

    def close(self) -> None:
        """Release the environment."""
        self._objects.close()
