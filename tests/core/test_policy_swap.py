"""New routes in a running engine: calls keep those they began with, and health follows."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
from virtual_world import Routes, World, gateway

from router.core.agent import Behaviour
from router.core.call import Call
from router.core.end_reasons import EndReason
from router.core.parameters import TimerDefaults
from router.core.verdicts import End, Verdict

RINGS_FOR_EVER = Behaviour(answer_after_ms=None)
SILENT = Behaviour(silent=True)
BUSY_LATER = Behaviour(status=486, answer_after_ms=2_000)


def swap(world: World, routes: Routes) -> None:
    world.engine.use_policy(routes, world.timers, world.network.now)


def newer(world: World) -> Routes:
    return Routes(world.routes.gateways)


def test_a_new_request_meets_the_new_routes_and_a_running_call_ends_by_its_own(
    world: World,
) -> None:
    ended: list[str] = []
    world.routes.on_ended = lambda call: ended.append("old")
    old = world.place(hang_up_after_ms=3_000)
    world.run(100)
    routes = newer(world)
    routes.on_ended = lambda call: ended.append("new")
    swap(world, routes)
    new = world.place(hang_up_after_ms=100)
    world.run(1_000)
    assert ended == ["new"]
    world.run(5_000)
    assert ended == ["new", "old"]
    assert (old.status, new.status) == (200, 200)
    assert (world.routes.invites, routes.invites) == (1, 1)


def test_a_call_in_progress_keeps_its_failure_route(world: World) -> None:
    world.behaviours["g1"] = BUSY_LATER
    asked: list[str] = []

    def decide(name: str, reason: EndReason) -> Callable[..., Verdict]:
        def failed(call: Call, attempt: object) -> Verdict:
            asked.append(name)
            return End(reason)

        return failed

    world.routes.on_failure = decide("old", EndReason.CalledNotOnline)
    world.place()
    world.run(100)
    routes = newer(world)
    routes.on_failure = decide("new", EndReason.ScriptRejected)
    swap(world, routes)
    world.run(5_000)
    assert asked == ["old"]
    assert world.cdr.end_reason == "CalledNotOnline"


def test_a_call_in_progress_keeps_its_branch_and_reply_routes(world: World) -> None:
    world.behaviours["g1"] = Behaviour(status=503, answer_after_ms=1_000, ring_after_ms=None)
    ran: list[str] = []
    world.routes.on_branch = lambda call, attempt: ran.append(f"old branch {attempt.target.name}")
    world.routes.on_reply = lambda call, attempt, response: ran.append(f"old {response.status}")
    call = world.place(hang_up_after_ms=100)
    world.run(100)
    routes = newer(world)
    routes.on_branch = routes.on_reply = lambda *_: ran.append("new")
    swap(world, routes)
    world.run(5_000)
    assert call.status == 200
    assert ran == ["old branch g1", "old 503", "old branch g2", "old 180", "old 200"]


def test_old_routes_are_freed_with_the_last_call_that_uses_them(world: World) -> None:
    gc.collect()  # make_world has turned the collector off: what goes from here on goes by itself
    middle = newer(world)
    freed = weakref.ref(middle)
    swap(world, middle)
    world.place(hang_up_after_ms=5_000)
    world.run(100)
    del middle
    swap(world, newer(world))
    world.run(1_000)
    assert freed() is not None
    world.run(5_000)
    assert freed() is None


def test_the_timers_of_new_transactions_are_the_new_ones(world: World) -> None:
    world.behaviours["g1"] = SILENT
    world.engine.use_policy(newer(world), TimerDefaults(t1_ms=100), world.network.now)
    world.place()
    world.run(750)
    assert len(world.on_wire("us>g1 INVITE")) == 4  # at 0, 100, 300 and 700 ms


# -- health ---------------------------------------------------------------------------------------


def place_silent(world: World, count: int) -> None:
    world.behaviours["g1"] = SILENT
    for _ in range(count):
        world.place(hang_up_after_ms=100)
        world.run(11_000)


def is_aside(world: World) -> Callable[[str], bool]:
    states = world.store.gateway_states()
    return lambda name: (
        f"gateway:{name}" in states and states[f"gateway:{name}"].down_until_ms > world.network.now
    )


@pytest.mark.parametrize("forgotten", [True, False])
def test_a_gateway_that_moved_is_no_longer_down(world: World, forgotten: bool) -> None:
    place_silent(world, 5)
    assert is_aside(world)("g1")
    world.behaviours["g1"] = Behaviour()
    world.engine.health.forget(["g1"] if forgotten else [], is_aside(world))
    world.run(10)
    world.place(hang_up_after_ms=100)
    world.run(5_000)
    newest = max(world.cdrs, key=lambda cdr: cdr.id)
    assert newest.decision == (["g1: taken"] if forgotten else ["g1: down", "g2: taken"])


def test_silences_of_before_a_move_do_not_count_after_it(world: World) -> None:
    place_silent(world, 4)
    world.engine.health.forget(["g1"], is_aside(world))
    place_silent(world, 4)
    assert world.engine.logs == []
    place_silent(world, 1)
    assert [line[1] for line in world.engine.logs] == ["gateway is down"]


def test_calls_that_wait_for_the_old_address_say_nothing_about_the_new_one(world: World) -> None:
    world.behaviours["g1"] = SILENT
    for _ in range(6):
        world.place(hang_up_after_ms=100)
    world.run(1_000)
    others = [one for one in world.routes.gateways if one.name != "g1"]
    swap(world, Routes([gateway("g1", 9), *others]))
    world.run(15_000)
    assert len(world.cdrs) == 6
    assert world.engine.logs == []
    assert world.store.gateway_states() == {}


def test_calls_that_wait_for_a_removed_gateway_leave_nothing_behind(world: World) -> None:
    world.behaviours["g1"] = Behaviour(
        status=503, ring_after_ms=None, answer_after_ms=2_000, extra="Retry-After: 9\r\n"
    )
    world.place(hang_up_after_ms=100)
    world.run(1_000)
    swap(world, Routes([one for one in world.routes.gateways if one.name != "g1"]))
    world.run(5_000)
    assert world.cdr.end_reason == "Normal"
    assert world.store.gateway_states() == {}
