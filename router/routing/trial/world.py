"""The world of one trial: the real engine, peers that do as they are told, and virtual time.

Messages take no time, so that the seconds in a test block are the seconds of the CDR. Peers never
act by themselves, with one exception: a gateway that was told nothing rings, once time passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from dsl.trials import Invite, Register
from router.billing.rate import MAX_DECIMALS
from router.core.agent import Agent, AgentCall, Behaviour
from router.core.engine import Engine
from router.core.events import DOWN, LOADED, UP
from router.core.flow import Flow, Listener
from router.core.network import Network
from router.core.states import ANSWERED
from router.core.tally import Tally
from router.routing.accounts import openings
from router.routing.switch import build_switch
from router.routing.trial.ground import Ground
from router.routing.trial.offer import render_offer
from router.routing.trial.registering import Registering
from router.routing.trial.results import Unmet
from router.sip.errors import SipError
from router.sip.message import Request, Response, parse_message
from router.sip.uri import escape_user
from router.store.memory import MemoryLive
from router.store.ops import Funds
from router.store.records import Attempt, Cdr, GatewayState

STARTS_MS = 1_767_225_600_000
"""2026-01-01 00:00 UTC: a trial that does not say `now` begins on the same day for ever."""
MAX_EVENTS = 100_000
"""More in one step than any call makes: something goes round in circles."""
NEVER_MS = 1 << 52
WAITS = Behaviour(silent=True)


@dataclass(slots=True, eq=False)
class PlacedCall:
    """A call as its caller has it; `cdr` is None when the routes dropped it."""

    caller: AgentCall
    cdr: Cdr | None = None
    replies: list[int] = field(default_factory=list)
    """the statuses that the caller got, in order"""
    looked_at: int = 0
    """how many of those were expected already"""

    @property
    def over(self) -> bool:
        """Whether it has ended, or was dropped."""
        return self.cdr is None or self.cdr.ended > 0


@dataclass(slots=True, eq=False)
class Arrival:
    """An INVITE that reached a gateway.

    `taken` says that a step spoke of it, `told` that its gateway was told what to do.
    """

    agent: Agent
    request: Request
    record: Attempt
    call: PlacedCall
    index: int
    taken: bool = False
    told: bool = False
    rings_untold: bool = False

    @property
    def open(self) -> bool:
        """Whether the gateway can still do something with it."""
        return not (self.record.ended or self.record.answered or self.record.sip_code)

    @property
    def leg(self) -> AgentCall:
        """The gateway's side of it."""
        return self.agent.received[self.index]


class World:
    """One trial's engine, network, calls and arrivals."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.logs: list[tuple[str, str, dict[str, Any]]] = []
        self.calls: list[PlacedCall] = []
        self.arrivals: list[Arrival] = []
        self.store = MemoryLive()
        self.store.commit(openings(ground.config.accounts.values(), STARTS_MS), STARTS_MS)
        self._payments = 0
        self.began_ms = STARTS_MS
        self._down: set[str] = set()
        self._tokens = 0
        self._phone_ports: dict[tuple[str, str], int] = {}
        self._heard = 0
        config = ground.config
        tally = Tally()
        self.engine = Engine(
            build_switch(
                ground.program, config, tally=tally, stopwatch=lambda: 0.0, log=self._on_log,
                live=self.store,
            ),
            listeners=ground.listeners, slot=0, slots=1, generation=1, token=self._token,
            tally=tally, now_ms=STARTS_MS, timers=config.timers,
        )
        self.engine.logs = self.logs
        # Not the timers: a trial that waits would wait for them for ever.
        self.engine.events.tell(LOADED)
        self.network = Network(
            self.engine, self.store, (), STARTS_MS, fate=_at_once, record=True,
            join=lambda flow: self._make_agent(Listener(*flow[:3])), run_wait=ground.run_wait,
        )

    def _on_log(self, level: str, text: str, **fields: Any) -> None:
        self.logs.append((level, text, fields))

    def _token(self) -> str:
        # The number stands in front: the engine makes a call's id of the first eight.
        self._tokens += 1
        return f"{self._tokens:08x}0000"

    # -- peers ------------------------------------------------------------------------------------

    def _make_agent(self, at: Listener) -> Agent:
        agent = Agent(
            at, token=self._token, now_ms=self.now, timers=self.ground.config.timers,
            behave=lambda request: self._arrive(agent, request),
        )
        return agent

    def _arrive(self, agent: Agent, request: Request) -> Behaviour:
        self._learn_cdrs()
        for call in self.calls:
            for record in call.cdr.attempts if call.cdr is not None else ():
                if record.b_call_id == request.call_id:
                    index = len(agent.received)
                    self.arrivals.append(Arrival(agent, request, record, call, index))
        return WAITS

    def _agent_at(self, source: str, port: int, who: str) -> tuple[Agent, Flow]:
        """The peer at an address, awake, and where it reaches us."""
        ground = self.ground
        if ground.listens_at(source, port):
            raise Unmet(f"{who} at {source}:{port}", "that is where the router itself listens")
        listener = ground.listener_near(source)
        agents = self.network.agents
        agent = agents.get((source, port))
        if agent is None:
            agent = self._make_agent(Listener(listener.transport, source, port))
            agents[source, port] = agent
        self.wake(agent)
        return agent, Flow(*listener, 0)

    def register(self, step: Register) -> int:
        """A phone registers from an address; the final status, 0 for none."""
        key = step.source, step.number
        port = step.port or self._phone_ports.get(key, 0)
        if not port:
            taken = {at for host, at in self.network.agents if host == step.source}
            port = self.ground.free_port(step.source, taken)
        self._phone_ports[key] = port
        agent, us = self._agent_at(step.source, port, "a phone")
        registering = Registering(agent, self.ground.config.phones[step.number], us)
        self.settle()
        return registering.status

    def place(self, step: Invite) -> PlacedCall:
        """A call comes in; what it leads to at once has happened."""
        port = step.port or self.ground.free_port(step.source)
        agent, us = self._agent_at(step.source, port, "a caller")
        hops = [value for name, value in step.headers if name.lower() == "max-forwards"]
        placed = PlacedCall(
            agent.place(
                escape_user(step.callee), escape_user(step.caller), us,
                extra="".join(
                    f"{name}: {value}\r\n"
                    for name, value in step.headers
                    if name.lower() != "max-forwards"
                ),
                body=render_offer(step.codecs),
                max_forwards=hops[-1] if hops else "70",
            )
        )
        self.calls.append(placed)
        self.settle()
        return placed

    def wake(self, agent: Agent) -> None:
        """Tells an agent what time it is before it is made to do something."""
        agent.on_timers(self.now)

    def set_health(self, gateway: str, up: bool) -> None:
        """Takes a gateway out, or back in, as its health would; its event happens then."""
        target = self.ground.config.gateways[gateway]
        state = GatewayState(target.key, 0, 0) if up else GatewayState(target.key, NEVER_MS, 5)
        self.store.commit([state], self.now)
        if up == (gateway in self._down):
            self._down ^= {gateway}
            self.engine.on_timers(self.now)
            self.engine.events.tell(UP if up else DOWN, target)
            self.settle()

    def set_balance(self, account: str, balance: Decimal) -> None:
        """Gives an account so much, as if somebody had paid in or taken out the difference."""
        wanted = int(balance.scaleb(MAX_DECIMALS))
        difference = wanted - self.store.money(account).balance
        self._payments += 1
        funds = Funds(f"trial:{self._payments}", account, difference, "adjust")
        self.store.commit([funds], self.now)

    # -- what has happened ------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The virtual time, epoch ms."""
        return self.network.now

    @property
    def hunting(self) -> bool:
        """Whether a call may still reach a gateway."""
        return any(call.state < ANSWERED for call in self.engine.calls.values())

    def _learn_cdrs(self) -> None:
        for placed in self.calls:
            if placed.cdr is not None:
                continue
            call_id = placed.caller.leg.call_id
            live = (call.cdr for call in self.engine.calls.values())
            for cdr in (*live, *self.store.cdrs.values()):
                if cdr.call_id == call_id:
                    placed.cdr = cdr

    def hear(self) -> None:
        """Notes the responses to INVITEs that callers got since it was asked last."""
        wires = self.network.wires
        by_call_id = {placed.caller.leg.call_id: placed for placed in self.calls}
        for wire in wires[self._heard :]:
            if not wire.data.startswith(b"SIP/2.0 "):
                continue
            message = _parsed(wire.data)
            placed = by_call_id.get(message.call_id) if message is not None else None
            if isinstance(message, Response) and placed and message.cseq_method == "INVITE":
                placed.replies.append(message.status)
        self._heard = len(wires)

    # -- time -------------------------------------------------------------------------------------

    def begin_at(self, at_ms: int) -> None:
        """Sets the clock of a world in which nothing has happened yet."""
        self.network.now = self.began_ms = at_ms

    def settle(self) -> None:
        """Lets happen what happens without time."""
        self._run_events(self.now)
        self._learn_cdrs()

    def _run_events(self, end_ms: int) -> None:
        for _ in range(MAX_EVENTS):
            if not self.network.advance(end_ms):
                return
        raise Unmet("the calls to come to rest", f"{MAX_EVENTS} events later they had not")

    def pass_time(self, after_ms: int) -> None:
        """Lets so much time pass."""
        end_ms = self.now + after_ms
        self.wait_for(lambda: False, end_ms)
        self.network.now = end_ms

    def wait_for(self, happened: Callable[[], bool], end_ms: int = NEVER_MS) -> bool:
        """Lets time pass, no more than is needed; False if it did not happen."""
        for _ in range(MAX_EVENTS):
            self.settle()
            if happened():
                return True
            when = self.network.next_ms()
            if when is None or when > end_ms:
                if not self._ring_untold(end_ms):
                    return False
            elif not self._ring_untold(when):
                self._run_events(when)
        raise Unmet("the calls to come to rest", f"{MAX_EVENTS} events later they had not")

    def _ring_untold(self, when_ms: int) -> bool:
        """Before time passes, what no step spoke of begins to ring; whether there was such."""
        rung = False
        for arrival in self.arrivals:
            if when_ms > self.now and arrival.open and not arrival.told:
                arrival.told = arrival.rings_untold = rung = True
                self.wake(arrival.agent)
                arrival.leg.ring()
        return rung


def _at_once(data: bytes) -> list[int]:
    return [0]


def _parsed(data: bytes) -> Request | Response | None:
    try:
        return parse_message(data)
    except SipError:
        return None
