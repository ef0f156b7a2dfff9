"""Test blocks as data: what a trial of the routes does and expects, step by step.

What the steps mean is router/routing/trial's affair; here stands what can be written down.
Durations are milliseconds, `at_ms` is epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from dsl.program import Position


@dataclass(frozen=True, slots=True)
class Step:
    """A statement of a test block: where it stands, and its words as they were written."""

    position: Position
    text: str


@dataclass(frozen=True, slots=True)
class Invite(Step):
    """`invite from …`: a call comes in.

    `port` 0: any that is free; `headers` are (name, value) pairs; `codecs` are words of the table's
    enumeration "codec", empty for an ordinary offer.
    """

    source: str
    port: int
    caller: str
    callee: str
    headers: tuple[tuple[str, str], ...]
    codecs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Register(Step):
    """`register from IP phone NUMBER`: a phone registers; `port` 0: any that is free."""

    source: str
    port: int
    number: str


def called_phone(number: str) -> str:
    """How a phone is named where gateways are: in attempts, and in the steps about them."""
    return f"phone {number}"


@dataclass(frozen=True, slots=True)
class ExpectGateway(Step):
    """`expect gateway NAME …`, `expect phone NUMBER …`: the next attempt goes there.

    None: whatever the number is.
    """

    gateway: str
    callee: str | None
    caller: str | None
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ExpectReply(Step):
    """`expect reply CODE`: what the caller gets."""

    status: int


@dataclass(frozen=True, slots=True)
class ExpectMetric(Step):
    """`expect metric "name" INT`: how often routes have counted it, all labels together."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class ExpectEnd(Step):
    """`expect end REASON …`: how the call ends; None: not looked at."""

    reason: str
    charge: Decimal | None
    cost: Decimal | None
    duration_ms: int | None


REPLIES = "replies"
RINGS = "rings"
ANSWERS = "answers"
SILENT = "stays silent"
EARLY_MEDIA = "sends early media"


@dataclass(frozen=True, slots=True)
class GatewayActs(Step):
    """`gateway NAME replies CODE`, `rings`, `answers`, …, and `phone NUMBER` the same.

    `action` is one of the constants above; `status` is that of REPLIES and else 0.
    """

    gateway: str
    action: str
    status: int
    after_ms: int


@dataclass(frozen=True, slots=True)
class Cancels(Step):
    """`caller cancels after T`."""

    after_ms: int


@dataclass(frozen=True, slots=True)
class HangsUp(Step):
    """`caller hangs up after T`, `callee hangs up after T`; `side` is the first word."""

    side: str
    after_ms: int


@dataclass(frozen=True, slots=True)
class Wait(Step):
    """`wait T`."""

    after_ms: int


@dataclass(frozen=True, slots=True)
class SetBalance(Step):
    """`account NAME balance D`: from here on that is its balance."""

    account: str
    balance: Decimal


@dataclass(frozen=True, slots=True)
class SetHealth(Step):
    """`gateway NAME down` or `up`."""

    gateway: str
    up: bool


@dataclass(frozen=True, slots=True)
class SetClock(Step):
    """`now "2026-11-22 03:00"`."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Trial:
    """A test block that was read without an error."""

    title: str
    position: Position
    steps: tuple[Step, ...]
