"""How attempts went, for `by_quality`: gathered by each worker, handed to the store once a second.

Nothing is gathered where no route asks for it. A worker that is killed takes the outcomes of its
last second with it: they order gateways and are counted nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.store.ops import Outcomes, outcome
from router.store.records import Attempt as AttemptRecord

if TYPE_CHECKING:
    from router.core.engine import Engine

HANDED_OVER_EVERY_MS = 1_000


class Gathered:
    """The outcomes of one worker that the store does not have yet."""

    __slots__ = ("_by_key", "_engine")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._by_key: dict[str, bytearray] = {}

    def note(self, key: str, record: AttemptRecord) -> None:
        """An attempt was answered, or has ended without an answer; `key` is the gateway's."""
        by_key = self._by_key
        if not by_key:
            layer = self._engine.layer
            layer.wheel.at(layer.now + HANDED_OVER_EVERY_MS, Gathered._hand_over, self)
        heard = record.ringing or record.answered
        entry = outcome(record.answered > 0, heard - record.started if heard else -1)
        if key in by_key:
            by_key[key] += entry
        else:
            by_key[key] = bytearray(entry)

    def _hand_over(self) -> None:
        for key, entries in self._by_key.items():
            self._engine.ask(Outcomes(key, bytes(entries)), None)
        self._by_key = {}
