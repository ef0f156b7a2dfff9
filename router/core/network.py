"""Virtual time: the engine, simulated peers and a store on a network that exists only here.

Time passes only when somebody asks for it, so an hour of calls takes milliseconds. The network may
lose, double and reorder datagrams, decided by a function that the caller seeds. For trials and
tests; nothing here is part of the running router.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple, Protocol

from router.core.agent import Agent
from router.core.engine import Engine
from router.core.flow import Flow, Listener
from router.core.waiting import Waiting
from router.store.ops import Answer, Op


class Store(Protocol):
    """What the network needs of a live store."""

    def commit(self, ops: Sequence[Op], now_ms: int) -> list[Answer | None]:
        """Does all operations in order in one transaction."""


class Wire(NamedTuple):
    """One datagram as it was sent: for ladders."""

    at_ms: int
    source: tuple[str, int]
    target: tuple[str, int]
    data: bytes


def instantly(data: bytes) -> list[int]:
    """The fate of a datagram on a perfect network: it arrives once, after 1 ms."""
    return [1]


AskRelay = Callable[[bytes], bytes | None]
"""What a media relay answers to a datagram; None: nothing."""
NO_RELAYS: Mapping[tuple[str, int], AskRelay] = {}


RunWait = Callable[[Engine, Waiting, int], None]
"""Runs a route that waits for a function of Python's, and tells the engine of its end."""


def run_at_once(engine: Engine, waiting: Waiting, now_ms: int) -> None:
    """Runs a route that waits to its end, in no time: what it waits for must be there already."""
    error: BaseException | None = None
    try:
        waiting.wait.route.send(None)
    except StopIteration:
        pass
    except Exception as raised:
        error = raised
    else:
        waiting.wait.route.close()
        error = RuntimeError("an async function waits for the outside, and there is none here")
    engine.on_waited(waiting, error, now_ms)


class Network:
    """An engine and agents by address; `fate(data)` gives the delays (ms) of a datagram's copies.

    An empty list loses it. `wires` keeps what was sent when `record` is set. `join(flow)` may give
    an agent for an address at which there was none before. `run_wait(engine, waiting, now_ms)`
    runs the routes that wait for a function of Python's. `relays` are the media relays by address;
    what they say is in time at once.
    """

    def __init__(
        self, engine: Engine, store: Store, agents: Sequence[Agent], now_ms: int, *,
        fate: Callable[[bytes], list[int]] = instantly, record: bool = False,
        join: Callable[[Flow], Agent | None] = lambda flow: None,
        run_wait: RunWait = run_at_once,
        relays: Mapping[tuple[str, int], AskRelay] = NO_RELAYS,
    ) -> None:
        self.relays = relays
        self.engine = engine
        self.store = store
        self.now = now_ms
        self.agents = {(agent.listener.host, agent.listener.port): agent for agent in agents}
        self.wires: list[Wire] = []
        self._record = record
        self._fate = fate
        self._join = join
        self.run_wait = run_wait
        self._order = count()
        self._air: list[tuple[int, int, tuple[str, int], Flow, bytes]] = []
        self._ours = {listener: at for at, listener in reversed([*enumerate(engine.listeners)])}
        self._addresses = {listener[1:]: at for listener, at in self._ours.items()}

    def run_for(self, ms: int) -> None:
        """Lets time pass."""
        self.run_until(self.now + ms)

    def run_until(self, end_ms: int) -> None:
        """Lets time pass until `end_ms`."""
        while self.advance(end_ms):
            pass
        self.now = end_ms

    def advance(self, end_ms: int) -> bool:
        """Goes to the next instant at which something happens; False when none is by `end_ms`."""
        when = self.next_ms()
        if when is None or when > end_ms:
            return False
        self.now = max(self.now, when)
        self._step()
        return True

    def next_ms(self) -> int | None:
        """When something happens next, or None: with no datagram in the air and no timer set."""
        self._flush()
        coming = [timer for timer in self._timers() if timer is not None]
        if self._air:
            coming.append(self._air[0][0])
        return min(coming, default=None)

    def _timers(self) -> list[int | None]:
        return [
            self.engine.next_timer_ms(),
            *(agent.next_timer_ms() for agent in self.agents.values()),
        ]

    def _step(self) -> None:
        now = self.now
        air = self._air
        while air and air[0][0] <= now:
            _, _, source, to, data = heappop(air)
            self._deliver(source, to, data)
        self.engine.on_timers(now)
        for agent in self.agents.values():
            agent.on_timers(now)
        self._flush()

    def _deliver(self, source: tuple[str, int], to: Flow, data: bytes) -> None:
        at = self._ours.get(Listener(to.transport, to.host, to.port))
        if at is None and to.transport != "udp" and source not in self._addresses:
            # What a peer says on a stream that we opened comes back on it, listener or not.
            at = self._addresses.get((to.host, to.port))
        if at is not None:
            self.engine.receive(data, Flow(to.transport, *source, at), self.now)
            return
        agent = self.agents.get((to.host, to.port))
        if agent is None:
            agent = self._join(to)
            if agent is None:
                return
            self.agents[to.host, to.port] = agent
        agent.receive(data, Flow(to.transport, *source, 0), self.now)

    def _flush(self) -> None:
        self._flush_engine()
        while waits := self.engine.take_waits():
            for waiting in waits:
                self.run_wait(self.engine, waiting, self.now)
            self._flush_engine()
        for address, agent in self.agents.items():
            for data, flow in agent.take_sends():
                self._send(address, flow, data)

    def _flush_engine(self) -> None:
        engine = self.engine
        while ops := engine.take_ops():
            engine.on_committed(self.store.commit(ops, self.now), self.now)
        while engine.relays.sends:
            for data, place in engine.relays.take_sends():
                ask = self.relays.get(place)
                answer = ask(data) if ask is not None else None
                if answer is not None:
                    engine.relays.receive(answer, place, self.now)
            while ops := engine.take_ops():
                engine.on_committed(self.store.commit(ops, self.now), self.now)
        for data, flow in engine.take_sends():
            listener = engine.listeners[max(flow.listener, 0)]
            self._send((listener.host, listener.port), flow, data)

    def _send(self, source: tuple[str, int], to: Flow, data: bytes) -> None:
        if self._record:
            self.wires.append(Wire(self.now, source, (to.host, to.port), data))
        for delay in self._fate(data):
            heappush(self._air, (self.now + delay, next(self._order), source, to, data))
