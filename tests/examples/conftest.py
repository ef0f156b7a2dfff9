"""The shipped examples in virtual time: a real configuration, real functions, simulated peers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from router.core.agent import Agent, AgentCall, Behaviour
from router.core.engine import Engine
from router.core.flow import Flow, Listener
from router.core.network import Network
from router.core.tally import Tally
from router.routing.config import build_config
from router.routing.switch import build_switch
from router.runtime.hook_loop import HookLoop
from router.runtime.routes_file import load_routes
from router.store.memory import MemoryLive
from router.store.records import Cdr

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
T0 = 1_767_225_600_000


class Example:
    """The router of an example, with its gateways, and callers wherever they are wanted."""

    def __init__(self, name: str, loop: HookLoop) -> None:
        program = load_routes(EXAMPLES / name / "routes.cfg")
        config = build_config(program)
        self.tally = Tally()
        self.lines: list[str] = []
        self._numbers = itertools.count(1)
        self.engine = Engine(
            build_switch(
                program,
                config,
                tally=self.tally,
                stopwatch=lambda: 0.0,
                log=lambda level, text, **_: self.lines.append(f"{level}: {text}"),
            ),
            listeners=config.listeners,
            slot=0,
            slots=1,
            generation=1,
            token=self._token,
            tally=self.tally,
            now_ms=T0,
            timers=config.timers,
        )
        self.store = MemoryLive()
        gateways = [self._agent(one.host, one.port, T0) for one in config.gateways.values()]
        self.network = Network(self.engine, self.store, gateways, T0, run_wait=loop.run_wait)
        self._us = Flow(*config.listeners[0], 0)

    def _token(self) -> str:
        return f"{next(self._numbers):08x}0000"

    def _agent(self, host: str, port: int, now_ms: int) -> Agent:
        return Agent(
            Listener("udp", host, port),
            token=self._token,
            now_ms=now_ms,
            behave=lambda request: Behaviour(),
        )

    def call(self, caller: str, callee: str, source: str = "127.0.0.1") -> tuple[AgentCall, Cdr]:
        """A call of ten seconds, and its CDR."""
        known = set(self.store.cdrs)
        agent = self._agent(source, 40_000 + next(self._numbers), self.network.now)
        self.network.agents[agent.listener.host, agent.listener.port] = agent
        placed = agent.place(callee, caller, self._us, hang_up_after_ms=10_000)
        self.network.run_for(60_000)
        faults = [fields["trace"] for _, _, fields in self.engine.logs if "trace" in fields]
        assert faults == []
        ((_, cdr),) = ((id, one) for id, one in self.store.cdrs.items() if id not in known)
        return placed, cdr


@pytest.fixture
def loop() -> Iterator[HookLoop]:
    with HookLoop() as made:
        yield made


@pytest.fixture
def example(loop: HookLoop) -> Callable[[str], Any]:
    """Makes the router of an example, by its name."""
    return lambda name: Example(name, loop)
