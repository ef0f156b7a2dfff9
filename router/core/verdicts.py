"""What a route decided, as values: the policy returns one, the core carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from router.core.end_reasons import EndReason
from router.core.parameters import CallTimers
from router.store.ops import Candidate, Hold


class Target(Protocol):
    """A gateway as the core sees it: where it is and how long to wait for it."""

    name: str
    transport: str
    host: str
    port: int
    switch_after_ring: bool
    switch_after_media: bool

    def switches_on(self, status: int) -> bool:
        """Whether hunting goes on after this final status."""


class Respond:
    """Answer the request with a final response of the route's own."""

    __slots__ = ("extra", "reason", "status")

    def __init__(self, status: int, reason: str = "", extra: str = "") -> None:
        self.status = status
        self.reason = reason
        self.extra = extra


class End:
    """End the call for a reason; None: for the reason of the last attempt."""

    __slots__ = ("reason", "status")

    def __init__(self, reason: EndReason | None, status: int = 0) -> None:
        self.reason = reason
        self.status = status


class Drop:
    """Stay silent."""

    __slots__ = ()


class Next:
    """Try the next candidate, or end with the last one's reason."""

    __slots__ = ()


class Dial:
    """Admit the call and hunt through the candidates.

    `tiers` and `holds` are what the store admits by; `targets` maps a candidate's key to the
    gateway; `timers_of` gives the call timers towards a gateway; the route names are "" for none.
    """

    __slots__ = (
        "holds", "max_attempts", "on_branch", "on_failure", "on_reply", "targets", "tiers",
        "timers",
    )

    def __init__(
        self,
        tiers: tuple[tuple[Candidate, ...], ...],
        holds: tuple[Hold, ...],
        targets: Mapping[str, Target],
        timers: Mapping[str, CallTimers],
        max_attempts: int,
        on_branch: str = "",
        on_reply: str = "",
        on_failure: str = "",
    ) -> None:
        self.tiers = tiers
        self.holds = holds
        self.targets = targets
        self.timers = timers
        self.max_attempts = max_attempts
        self.on_branch = on_branch
        self.on_reply = on_reply
        self.on_failure = on_failure


Verdict = Respond | End | Drop | Next | Dial
