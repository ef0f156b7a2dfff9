"""Events outside of requests: who tells whom, once, and that nothing of it can hurt a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from virtual_world import World, gateway

from router.core.agent import Behaviour
from router.core.parameters import TimerDefaults

SILENT = Behaviour(silent=True)


def silence(world: World, calls: int = 5) -> None:
    """So many calls to a gateway that leaves them unanswered."""
    for _ in range(calls):
        world.place()
        world.run(30_000)


@pytest.fixture
def one(make_world: Callable[..., World]) -> World:
    """A world of one gateway that is silent."""
    world = make_world([gateway("g1", 1)])
    world.behaviours["g1"] = SILENT
    return world


def test_a_gateway_that_leaves_five_invites_unanswered_is_down(one: World) -> None:
    silence(one, 4)
    assert one.routes.events == []
    silence(one, 1)
    assert one.routes.events == [("gateway:down", "g1")]


def test_a_gateway_is_down_once_until_it_answers_and_then_up_once(one: World) -> None:
    silence(one, 12)
    assert one.routes.events == [("gateway:down", "g1")]
    one.run(60_000)
    one.behaviours["g1"] = Behaviour(status=486, ring_after_ms=None)
    silence(one, 2)
    assert one.routes.events == [("gateway:down", "g1"), ("gateway:up", "g1")]
    one.behaviours["g1"] = SILENT
    silence(one, 5)
    assert one.routes.events[2:] == [("gateway:down", "g1")]


def test_a_gateway_that_only_answers_has_no_events(world: World) -> None:
    for _ in range(3):
        world.place()
        world.run(10_000)
    assert world.routes.events == []


def test_an_events_route_that_fails_is_counted_and_hurts_no_call(one: World) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("broken")

    one.routes.event = fail  # type: ignore[method-assign]
    one.errors_expected = True
    silence(one)
    assert [cdr.end_reason for cdr in one.cdrs] == ["ConnectionTimeout"] * 5
    (error,) = one.errors()
    assert error[1] == "a route failed"
    assert (error[2]["name"], one.engine.tally.route_errors) == ("gateway:down", 1)
    assert "ValueError: broken" in error[2]["trace"]


def test_the_first_worker_hears_of_the_load_and_of_its_timers(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    world.routes.periods = {"often": 1_000, "seldom": 60_000}
    world.engine.events.begin()
    world.run(3_500)
    assert world.routes.events == [("config:loaded", ""), *[("timer:often", "")] * 3]
    world.run(60_000)
    assert world.routes.events.count(("timer:seldom", "")) == 1
    world.engine.begin_shutdown(world.network.now)
    told = len(world.routes.events)
    world.run(5_000)
    assert len(world.routes.events) == told


def test_the_other_workers_hear_of_neither(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.routes.periods = {"often": 1_000}
    world.engine.slot = 1
    world.engine.events.begin()
    world.run(5_000)
    assert world.routes.events == []


def test_timers_end_with_the_policy_that_has_them(make_world: Callable[..., World]) -> None:
    world = make_world()
    old, new = world.routes, make_world().routes
    old.periods = {"old": 1_000}
    new.periods = {"new": 1_000}
    world.engine.events.begin()
    world.run(1_500)
    world.engine.use_policy(new, TimerDefaults(), world.network.now)
    world.run(2_500)
    assert old.events == [("config:loaded", ""), ("timer:old", "")]
    assert new.events == [("config:loaded", ""), ("timer:new", ""), ("timer:new", "")]
    world.engine.begin_shutdown(world.network.now)
