"""Events outside of any request, for the routes that want to hear of them.

    event            when                                                   where it runs
    config:loaded    routes are taken into use: at the start, at a reload   the first worker
    timer:NAME       every so often                                         the first worker
    gateway:down     INVITEs or pings were left without any answer, or      who noticed it first
                     it does not register us
    gateway:up       it answered again, or registered us                    who noticed it first
    balance:low      a call's charge took a balance below its threshold     who ended the call

Workers hear of a gateway by themselves, so the policy sees to it that one of them runs the route.
A balance falls in the transaction that ends a call, and only one can take it below a threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from router.core.policy import Policy
from router.core.verdicts import Target
from router.core.waiting import suspend
from router.store.ops import Finish, Finished
from router.store.records import Cdr

if TYPE_CHECKING:
    from router.core.engine import Engine

LOADED = "config:loaded"
DOWN = "gateway:down"
UP = "gateway:up"
BALANCE_LOW = "balance:low"
TIMER = "timer:"


class Events:
    """Tells the routes of one engine what happens."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self) -> None:
        """The engine's policy has been taken into use: its timers start."""
        engine = self._engine
        if engine.slot != 0:
            return
        policy = engine.policy
        self.tell(LOADED)
        for name, period_ms in policy.periods.items():
            timer = _Timer(self, policy, name, period_ms)
            timer.arm(engine.layer.now)

    def tell(self, event: str, target: Target | None = None, account: str = "") -> None:
        """Runs the route of an event, if there is one; never raises."""
        self._engine.run_apart(event, self._run, event, target, account)

    def _run(self, event: str, target: Target | None, account: str) -> None:
        engine = self._engine
        wait = engine.policy.event(event, target, account, engine)
        if wait is not None:
            suspend(engine, wait, None, None, _nothing)

    def on_timer(self, timer: _Timer) -> None:
        """The time of a timer has come."""
        engine = self._engine
        if engine.policy is timer.policy and not engine.draining:
            timer.arm(engine.layer.now)
            self.tell(TIMER + timer.name)


def finish_in_store(engine: Engine, cdr: Cdr, low: Mapping[str, int]) -> None:
    """Asks the store to close a call, and where thresholds are watched, who is below by it."""
    charges = cdr.charges if low else ()
    watched = tuple(
        (charge.account, low[charge.account]) for charge in charges if charge.account in low
    )
    finish = Finish(cdr.id, cdr, watched)
    engine.ask(finish, LowBalances(engine, finish) if watched else None)


class LowBalances:
    """Hears from the store which balances a call's charges took below their thresholds."""

    __slots__ = ("_engine", "_finish", "server")

    def __init__(self, engine: Engine, finish: Finish) -> None:
        self._engine = engine
        self._finish = finish
        self.server = None

    def on_stored(self, answer: Finished) -> None:
        """The call is closed."""
        for account in answer.low:
            self._engine.events.tell(BALANCE_LOW, account=account)

    def on_not_stored(self) -> None:
        """No CDR may be lost: it is tried again, and who is low by it is not told."""
        self._engine.write_later(self._finish)


class _Timer:
    """A timer of a policy's; it ends with the policy."""

    __slots__ = ("events", "name", "period_ms", "policy")

    def __init__(self, events: Events, policy: Policy, name: str, period_ms: int) -> None:
        self.events = events
        self.policy = policy
        self.name = name
        self.period_ms = period_ms

    def arm(self, now_ms: int) -> None:
        self.events._engine.layer.wheel.at(now_ms + self.period_ms, _Timer.fire, self)

    def fire(self) -> None:
        self.events.on_timer(self)


def _nothing(_: Any, verdict: Any) -> None:
    """An event's route decides nothing."""
