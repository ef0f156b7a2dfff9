"""A routes.cfg as text, loaded and put before an engine with peers, in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from dsl.load import load_program
from dsl.program import Program
from router.core.agent import Agent, AgentCall, Behaviour
from router.core.engine import Engine
from router.core.flow import Flow, Listener
from router.core.network import Network
from router.core.parameters import TimerDefaults
from router.core.tally import Tally
from router.routing.accounts import openings
from router.routing.config import Config, build_config
from router.routing.hook_meter import HookMeter
from router.routing.surface import SURFACE
from router.routing.switch import build_switch
from router.sip.message import Request
from router.store.memory import MemoryLive
from router.store.records import Cdr

T0 = 1_700_000_000_000
US = ("10.0.0.1", 5060)


FOLDER = "/etc/trunkline"


class TextFiles:
    """One configuration, held in memory, and other files by name."""

    def __init__(self, text: str, more: Mapping[str, str] | None = None) -> None:
        self._texts = {f"{FOLDER}/routes.cfg": text}
        self._texts.update((f"{FOLDER}/{name}", one) for name, one in (more or {}).items())

    def read(self, path: str) -> bytes:
        return self._texts[path].encode()

    def matches(self, pattern: str) -> list[str]:
        return []

    def variable(self, name: str) -> str | None:
        return None


def program_of(text: str, more: Mapping[str, str] | None = None) -> Program:
    """The program of a routes.cfg; a request_route is added when the text has none."""
    if "request_route" not in text:
        text += "\nrequest_route { reply(404); }\n"
    return load_program(f"{FOLDER}/routes.cfg", SURFACE, TextFiles(text, more))


def config_of(text: str) -> Config:
    return build_config(program_of(text))


class Routed:
    """An engine that runs a routes.cfg, a caller at 192.0.2.10, and gateways where it says."""

    def __init__(
        self, text: str, seed: int = 1, files: Mapping[str, str] | None = None
    ) -> None:
        self.random = random.Random(seed)
        self.program = program_of(f"listen = udp:{US[0]}:{US[1]}\n{text}", files)
        self.config = build_config(self.program)
        self.tally = Tally()
        self.lines: list[tuple[str, str, dict[str, Any]]] = []
        self.seconds = 0.0
        self.step_s = 0.001
        self.meter = HookMeter(self.tally, self.stopwatch, self.log)
        self.store = MemoryLive()
        self.store.commit(openings(self.config.accounts.values(), T0), T0)
        self.switch = build_switch(
            self.program, self.config, tally=self.tally, stopwatch=self.stopwatch, log=self.log,
            live=self.store,
        )
        self.engine = Engine(
            self.switch, listeners=self.config.listeners, slot=0, slots=1, generation=1,
            token=self.token, tally=self.tally, now_ms=T0, timers=TimerDefaults(),
        )
        self.caller = self.agent("192.0.2.10", 5060)
        self.behaviours: dict[str, Behaviour] = {}
        self.gateways = {
            gateway.name: self.agent(gateway.host, gateway.port, self.behave_as(gateway.name))
            for gateway in self.config.gateways.values()
        }
        self.network = Network(
            self.engine, self.store, [self.caller, *self.gateways.values()], T0
        )

    def token(self) -> str:
        return f"{self.random.getrandbits(64):016x}"

    def stopwatch(self) -> float:
        """Each look is a millisecond later than the last, or what `step_s` says."""
        self.seconds += self.step_s
        return self.seconds

    def log(self, level: str, text: str, **fields: Any) -> None:
        self.lines.append((level, text, fields))

    def agent(self, host: str, port: int, behave: Any = lambda request: Behaviour()) -> Agent:
        return Agent(Listener("udp", host, port), token=self.token, now_ms=T0, behave=behave)

    def behave_as(self, name: str) -> Callable[[Request], Behaviour]:
        return lambda request: self.behaviours.get(name, Behaviour())

    def place(self, callee: str, caller: str = "1000", **more: Any) -> AgentCall:
        """A call of a second, and the time until it is over."""
        more.setdefault("hang_up_after_ms", 1_000)
        call = self.caller.place(callee, caller, Flow("udp", *US, 0), **more)
        self.network.run_for(60_000)
        return call

    def sent_to(self, gateway: str) -> Request:
        """The first INVITE that a gateway got."""
        return next(
            request
            for request in self.gateways[gateway].requests
            if request.method == "INVITE" and not request.to_tag
        )

    @property
    def cdr(self) -> Cdr:
        (cdr,) = self.store.cdrs.values()
        return cdr

    @property
    def traces(self) -> list[str]:
        return [fields["trace"] for _, _, fields in self.engine.logs if "trace" in fields]
