"""What came of a trial, as data: for people, for machines, for a reload that asks whether to go on.

The lanes of a ladder are named, not numbered: in a routes.cfg two gateways may share an address.
"""

from __future__ import annotations

from dataclasses import dataclass

from dsl.program import Position
from router.core.network import Wire


@dataclass(frozen=True, slots=True)
class Failure:
    """The step that failed and what led to it.

    `wires` are the messages of the call, with (lane, 0) for addresses; `lanes` their names from
    left to right; `decision` is the CDR's; `log` what routes and core logged.
    """

    position: Position
    step: str
    expected: str
    happened: str
    lanes: tuple[str, ...]
    wires: tuple[Wire, ...]
    decision: tuple[str, ...]
    log: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What was expected and what happened."""
        return f"expected {self.expected}, but {self.happened}"


@dataclass(frozen=True, slots=True)
class TrialResult:
    """One trial: passed if there is no failure.

    `took_s` is real time by the stopwatch that was given, `virtual_ms` the time that passed for the
    calls.
    """

    title: str
    position: Position
    failure: Failure | None
    took_s: float
    virtual_ms: int

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return self.failure is None


class Unmet(Exception):
    """An expectation that was not met; both parts complete "expected …, but …"."""

    def __init__(self, expected: str, happened: str) -> None:
        super().__init__(f"expected {expected}, but {happened}")
        self.expected = expected
        self.happened = happened
