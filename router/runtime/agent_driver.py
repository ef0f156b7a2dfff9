"""Real UDP sockets and a clock for simulated peers: what the demo's gateways and callers run on.

One thread, no event loop: `run` turns until its caller has seen enough. Every message that a peer
sends or gets is kept as a Wire, with the time at which the peer saw it.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from types import TracebackType

from router.core.agent import ANSWERS, Agent, Behaviour
from router.core.flow import Flow, Listener
from router.core.network import Wire
from router.runtime.clock import make_clock
from router.runtime.tokens import TokenSource
from router.runtime.udp import MAX_DATAGRAM
from router.sip.message import Request

LONGEST_WAIT_MS = 20
"""How late a turn may come when nothing arrives and no timer is due."""


class AgentDriver:
    """Runs agents on sockets of their own; closes them at the end of a `with` block.

    `wires` is what they sent and got so far, in the order in which it happened, times in epoch ms.
    """

    def __init__(self, now: Callable[[], int] | None = None) -> None:
        self._now = now if now is not None else make_clock()
        self._token = TokenSource()
        self._ports: list[tuple[Agent, socket.socket]] = []
        self._selector = selectors.DefaultSelector()
        self.wires: list[Wire] = []

    def __enter__(self) -> AgentDriver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(
        self, host: str, behave: Callable[[Request], Behaviour] = lambda request: ANSWERS
    ) -> Agent:
        """A new agent on a free port of `host`; OSError when that address is not ours."""
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            opened.bind((host, 0))
        except OSError:
            opened.close()
            raise
        listener = Listener("udp", host, opened.getsockname()[1])
        agent = Agent(listener, token=self._token, now_ms=self._now(), behave=behave)
        self._ports.append((agent, opened))
        self._selector.register(opened, selectors.EVENT_READ, agent)
        return agent

    def run(self, enough: Callable[[int], bool], limit_ms: int) -> bool:
        """Turn until `enough(now_ms)` is true or `limit_ms` have passed; whether it became true.

        It is asked once a turn, at least every 20 ms, and may place calls: the agents' clocks are
        right then, and what it makes them send leaves in the same turn.
        """
        end_ms = self._now() + limit_ms
        while True:
            now_ms = self._now()
            for agent, opened in self._ports:
                self._receive(agent, opened, now_ms)
                agent.on_timers(now_ms)
            done = enough(now_ms)
            for agent, opened in self._ports:
                self._send(agent, opened)
            if done or now_ms >= end_ms:
                return done
            self._selector.select(self._pause_ms(min(end_ms, now_ms + LONGEST_WAIT_MS)) / 1_000)

    def close(self) -> None:
        """Close every socket; what the agents still wanted to send is lost."""
        self._selector.close()
        for _, opened in self._ports:
            opened.close()
        self._ports.clear()

    def _pause_ms(self, latest_ms: int) -> int:
        due = [when for agent, _ in self._ports if (when := agent.next_timer_ms()) is not None]
        return max(0, min((latest_ms, *due)) - self._now())

    def _receive(self, agent: Agent, opened: socket.socket, now_ms: int) -> None:
        listener = agent.listener
        here = (listener.host, listener.port)
        while True:
            try:
                data, source = opened.recvfrom(MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error about a past send: a silent peer, as on any network
                continue
            self.wires.append(Wire(now_ms, source, here, data))
            agent.receive(data, Flow("udp", source[0], source[1], 0), now_ms)

    def _send(self, agent: Agent, opened: socket.socket) -> None:
        listener = agent.listener
        for data, flow in agent.take_sends():
            target = (flow.host, flow.port)
            self.wires.append(Wire(self._now(), (listener.host, listener.port), target, data))
            try:
                opened.sendto(data, target)
            except OSError:
                # As if the network had lost it: the transaction sends it again, or times out.
                continue
