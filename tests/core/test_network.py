from __future__ import annotations

import itertools

import pytest
from virtual_world import Routes

from router.core.agent import Agent
from router.core.engine import Engine
from router.core.flow import Flow, Listener
from router.core.network import Network
from router.core.parameters import TimerDefaults
from router.core.tally import Tally
from router.routing.objects import Gateway
from router.store.memory import MemoryLive

T0 = 1_700_000_000_000


class Small:
    """An engine with one gateway, whose agent joins only when it is called."""

    def __init__(
        self, ours: Listener, callers: Listener, transport: str, host: str, only: bool = False
    ) -> None:
        self.tokens = itertools.count()
        self.gateway = Gateway(
            "far", transport, host, 5070, ("",), 1, -1, (), False, False, {}
        )
        self.joined: list[Flow] = []
        listeners = [ours]
        if not only:
            listeners.append(Listener("tcp" if ours.transport == "udp" else "udp", *ours[1:]))
        self.engine = Engine(
            Routes([self.gateway]), listeners=listeners, slot=0, slots=1, generation=1,
            token=self.token, tally=Tally(), now_ms=T0, timers=TimerDefaults(),
        )
        self.caller = self.agent(callers)
        self.store = MemoryLive()
        self.network = Network(
            self.engine, self.store, [self.caller], T0, join=self.join, record=True,
            fate=lambda data: [0],
        )

    def token(self) -> str:
        return f"{next(self.tokens):08x}abcd"

    def agent(self, at: Listener) -> Agent:
        return Agent(at, token=self.token, now_ms=T0)

    def join(self, flow: Flow) -> Agent | None:
        self.joined.append(flow)
        return self.agent(Listener(*flow[:3])) if flow.port == 5070 else None


@pytest.mark.parametrize(
    ("ours", "callers", "transport", "host"),
    [
        (Listener("udp", "10.0.0.1", 5060), Listener("udp", "10.0.0.2", 5060), "udp", "10.0.1.1"),
        (Listener("udp", "10.0.0.1", 5060), Listener("udp", "10.0.0.2", 5060), "tcp", "10.0.1.1"),
        (Listener("udp", "10.0.0.1", 5060), Listener("tcp", "10.0.0.2", 5060), "udp", "10.0.1.1"),
        (Listener("udp", "::1", 5060), Listener("udp", "2001:db8::2", 5060), "udp", "2001:db8::1"),
        (Listener("tcp", "::1", 5060), Listener("tcp", "2001:db8::2", 5060), "tcp", "2001:db8::1"),
        (Listener("udp", "10.0.0.1", 5060), Listener("udp", "10.0.0.2", 5060), "udp", "sip.net"),
    ],
)
def test_a_call_passes_over_every_transport_and_kind_of_address(
    ours: Listener, callers: Listener, transport: str, host: str
) -> None:
    world = Small(ours, callers, transport, host)
    to = Flow(callers.transport, ours.host, ours.port, 0)
    call = world.caller.place("86138", "1000", to, hang_up_after_ms=65_000)
    world.network.run_for(100_000)
    assert [flow[:3] for flow in world.joined] == [(transport, host, 5070)]
    (cdr,) = world.store.cdrs.values()
    assert (call.status, cdr.end_reason, cdr.duration_ms) == (200, "Normal", 65_000)
    assert cdr.source == callers.host
    said = [wire.data.split(b" ", 1)[0] for wire in world.network.wires]
    assert said.count(b"INVITE") == said.count(b"BYE") == said.count(b"ACK") == 2
    layer = world.engine.layer
    assert (layer.clients, layer.servers, world.engine.legs) == ({}, {}, {})


def test_a_gateway_is_reached_over_a_transport_that_we_do_not_listen_on() -> None:
    world = Small(
        Listener("udp", "10.0.0.1", 5060), Listener("udp", "10.0.0.2", 5060), "tcp", "10.0.1.1",
        only=True,
    )
    to = Flow("udp", "10.0.0.1", 5060, 0)
    call = world.caller.place("86138", "1000", to, hang_up_after_ms=1_000)
    world.network.run_for(10_000)
    assert (call.status, call.ended_by) == (200, "us")


def test_time_goes_on_event_by_event() -> None:
    world = Small(
        Listener("udp", "10.0.0.1", 5060), Listener("udp", "10.0.0.2", 5060), "udp", "10.0.1.1"
    )
    network = world.network
    assert network.next_ms() is None
    assert not network.advance(T0 + 1_000_000)
    world.caller.place("86138", "1000", Flow("udp", "10.0.0.1", 5060, 0), hang_up_after_ms=5_000)
    assert network.next_ms() == T0
    while network.advance(T0 + 4_999):
        assert network.now < T0 + 5_000
    assert world.engine.active_calls == 1
    while network.advance(T0 + 5_000):
        pass
    assert world.engine.active_calls == 0


def test_what_is_sent_where_nobody_is_gets_lost() -> None:
    world = Small(
        Listener("udp", "10.0.0.1", 5060), Listener("udp", "10.0.0.2", 5060), "udp", "10.0.1.1"
    )
    world.gateway.port = 5080
    call = world.caller.place("86138", "1000", Flow("udp", "10.0.0.1", 5060, 0))
    world.network.run_for(100_000)
    assert call.status == 504
