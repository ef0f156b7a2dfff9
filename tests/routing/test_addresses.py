"""A gateway with several addresses: the next is tried when one fails, the silent one is last."""

from __future__ import annotations

import pytest
from routed import Routed

from router.core.agent import Behaviour
from router.core.flow import Flow
from router.core.fork import waves_of
from router.routing.objects import Gateway

US = ("10.0.0.1", 5060)
ROUTES = """
gateway g1 { address = 10.0.1.1, 10.0.1.2:5072, 10.0.1.3;transport=tcp  prefixes = 86  lines = 1 }
gateway g2 { address = 10.0.2.1  prefixes = 86  priority = 2 }
account acme { trunk office { ips = 192.0.2.0/24 } }
request_route {
    if (!identify()) end(IllegalCall);
    call(gateways($rU), on_branch = B, on_failure = F);
}
branch_route[B]  { log(info, "to " + $gateway.id); }
failure_route[F] { log(info, "failed " + str($rs)); next(); }
"""
SILENT = Behaviour(silent=True)
REFUSES = Behaviour(ring_after_ms=None, status=503)
BUSY = Behaviour(status=486)
ANSWERS = Behaviour()


def world_of(*behaviours: Behaviour, text: str = ROUTES) -> Routed:
    """A router whose gateway g1 has agents that do this at its addresses."""
    world = Routed(text)
    places = [(one.host, one.port) for one in world.config.gateways["g1"].contacts]
    for (host, port), behaviour in zip(places, behaviours, strict=False):
        agent = world.agent(host, port, lambda request, it=behaviour: it)
        world.network.agents[host, port] = agent
    return world


def addresses(world: Routed) -> list[str]:
    """Where the INVITEs outside of dialogs went, in order."""
    return [
        f"{wire.target[0]}:{wire.target[1]}"
        for wire in world.network.wires
        if wire.source == US
        and wire.data.startswith(b"INVITE")
        and b";tag=" not in wire.data.partition(b"\r\nTo:")[2].partition(b"\r\n")[0]
    ]


def order(world: Routed) -> list[str]:
    return [one.host for one in world.config.gateways["g1"].contacts]


def test_the_addresses_are_those_of_the_setting() -> None:
    gateway = world_of().config.gateways["g1"]
    assert (gateway.transport, gateway.host, gateway.port) == ("udp", "10.0.1.1", 5060)
    assert [(one.transport, one.host, one.port) for one in gateway.contacts] == [
        ("udp", "10.0.1.1", 5060), ("udp", "10.0.1.2", 5072), ("tcp", "10.0.1.3", 5060),
    ]  # fmt: skip
    assert all(
        (one.key, one.lines, one.contacts) == (gateway.key, 1, []) for one in gateway.contacts
    )
    assert world_of().config.gateways["g2"].contacts == []


def test_the_first_address_is_enough_where_it_answers() -> None:
    world = world_of(ANSWERS)
    world.network._record = True
    world.place("8613800")
    assert addresses(world) == ["10.0.1.1:5060"]
    assert (world.cdr.end_reason, len(world.cdr.attempts)) == ("Normal", 1)


@pytest.mark.parametrize("first", [SILENT, REFUSES], ids=["silent", "503"])
def test_the_next_address_is_tried_when_one_fails(first: Behaviour) -> None:
    world = world_of(first, ANSWERS)
    world.place("8613800")
    cdr = world.cdr
    assert (cdr.end_reason, cdr.gateway, cdr.attempt) == ("Normal", "g1", 2)
    assert [one.gateway for one in cdr.attempts] == ["g1", "g1"]
    assert [text for _, text, _ in world.lines] == ["to g1", "to g1"], "no failure of g1 yet"
    assert world.store.verify() == []


def test_when_all_have_failed_the_next_gateway_is_tried_once() -> None:
    world = world_of(REFUSES, REFUSES, REFUSES)
    world.place("8613800")
    assert (world.cdr.end_reason, world.cdr.gateway) == ("Normal", "g2")
    assert [text for _, text, _ in world.lines] == [
        "to g1", "to g1", "to g1", "failed 503", "to g2",
    ]  # fmt: skip


def test_what_ends_hunting_ends_it_at_one_address_too() -> None:
    world = world_of(BUSY, ANSWERS)
    world.place("8613800")
    assert (world.cdr.end_reason, len(world.cdr.attempts)) == ("UserBusy", 1)


def test_the_silent_address_is_asked_last_from_then_on() -> None:
    world = world_of(SILENT, ANSWERS)
    world.network._record = True
    world.place("8613800")
    assert order(world) == ["10.0.1.2", "10.0.1.3", "10.0.1.1"]
    world.place("8613801")
    assert addresses(world)[-1] == "10.0.1.2:5072"
    assert world.store.usage("gateway:g1").in_use == 0


def test_one_dead_address_takes_no_gateway_out() -> None:
    world = world_of(SILENT, ANSWERS)
    for number in range(8):
        world.config.gateways["g1"].turn_from(world.config.gateways["g1"].contacts[0])
        world.place(f"861380{number}")
    assert {cdr.gateway for cdr in world.store.cdrs.values()} == {"g1"}
    assert not world.engine.health._down_until


def test_all_dead_addresses_take_it_out() -> None:
    world = world_of(SILENT, SILENT, SILENT)
    for number in range(3):
        world.place(f"861380{number}")
    assert "g1" in world.engine.health._down_until


def test_its_line_is_taken_once() -> None:
    world = world_of(SILENT, Behaviour(answer_after_ms=None))
    world.caller.place("8613800", "1000", Flow("udp", *US, 0))
    world.network.run_for(15_000)
    assert world.store.usage("gateway:g1").in_use == 1
    world.place("8613801")
    (cdr,) = world.store.cdrs.values()
    assert cdr.gateway == "g2", "g1 has one line"


def test_rung_with_others_it_still_goes_one_by_one() -> None:
    gateways = world_of().config.gateways_by_key
    waves = waves_of(gateways, ["gateway:g1", "gateway:g2"], True)
    hosts = [[one.target.host for one in wave] for wave in waves]
    assert hosts == [["10.0.1.1", "10.0.2.1"], ["10.0.1.2"], ["10.0.1.3"]]


def test_routes_see_the_gateway_and_not_an_address_of_it() -> None:
    text = ROUTES.replace("next();", "call(without([g1, g2], $gateway), on_failure = F);")
    world = world_of(REFUSES, REFUSES, REFUSES, text=text)
    world.place("8613800")
    assert world.cdr.gateway == "g2"
    assert isinstance(world.config.gateways["g1"].contacts[0], Gateway)


def pings(world: Routed, ms: int) -> list[str]:
    """The hosts of g1 that OPTIONS go to in so many ms."""
    world.network._record = True
    seen = len(world.network.wires)
    world.network.run_for(ms)
    return [
        wire.target[0]
        for wire in world.network.wires[seen:]
        if wire.source == US
        and wire.data.startswith(b"OPTIONS")
        and wire.target[0].startswith("10.0.1.")
    ]


def test_pings_turn_to_the_address_that_answers() -> None:
    text = ROUTES.replace("lines = 1", "lines = 1  ping = 10s")
    world = world_of(text=text)
    agent = world.agent("10.0.1.2", 5072)
    world.network.agents["10.0.1.2", 5072] = agent
    del world.network.agents["10.0.1.1", 5060]
    world.engine.health.watch({})
    first, *others = pings(world, 60_000)
    assert (first, set(others)) == ("10.0.1.1", {"10.0.1.2"})
    state = world.store.gateway_state("gateway:g1")
    assert state is None or not state.down
    del world.network.agents["10.0.1.2", 5072]
    assert set(pings(world, 60_000)) == {"10.0.1.1", "10.0.1.2", "10.0.1.3"}
    state = world.store.gateway_state("gateway:g1")
    assert state is not None and state.down
