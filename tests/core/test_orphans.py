"""Calls that nobody can go on with after their worker's death, and the end_route that they have."""

from __future__ import annotations

from virtual_world import World

from router.core.agent import Behaviour
from router.core.call import Call
from router.store.ops import Hold

RINGS_FOR_EVER = Behaviour(answer_after_ms=None)


def hearing(world: World) -> list[Call]:
    """The calls whose end the routes hear of; each leaves a word on its CDR."""
    heard: list[Call] = []

    def ended(call: Call) -> None:
        heard.append(call)
        call.cdr.variables = {"heard": call.cdr.end_reason}

    world.routes.on_ended = ended
    return heard


def test_the_routes_hear_once_of_a_call_that_rang_when_its_worker_died(world: World) -> None:
    heard = hearing(world)
    world.routes.holds = (Hold("account:acme", 5),)
    world.behaviours["g1"] = RINGS_FOR_EVER
    placed = world.place("8613800", extra="X-Lost: gone\r\n")
    world.run(2_000)
    world.crash()
    assert (heard, world.cdrs) == ([], [])  # not before it is stored that they will
    world.run(50)
    (call,) = heard
    assert world.cdr.variables == {"heard": "ServerFailure"}
    assert (call.callee, call.caller, call.cdr.sip_code) == ("8613800", "100", 500)
    assert call.a.remote == placed.leg.local
    assert call.a.local.startswith(placed.leg.remote)
    assert call.flow.host == "10.0.0.2"
    assert [attempt.gateway for attempt in world.cdr.attempts] == ["g1"]
    assert placed.status == 500
    assert world.store.usage("account:acme").in_use == 0
    heard.clear()


def test_a_route_that_raises_costs_no_cdr(world: World) -> None:
    def ended(call: Call) -> None:
        raise ValueError("a route went wrong")

    world.behaviours["g1"] = RINGS_FOR_EVER
    world.routes.on_ended = ended
    world.place()
    world.run(100)
    world.crash()
    world.run(50)
    assert world.cdr.end_reason == "ServerFailure"
    ((level, event, fields),) = world.engine.logs
    assert (level, event, fields["name"]) == ("error", "a route failed", "end_route")
    world.engine.logs.clear()


def test_a_route_that_takes_its_worker_with_it_does_so_once(world: World) -> None:
    heard = hearing(world)
    world.behaviours["g1"] = RINGS_FOR_EVER
    world.place()
    world.run(100)
    world.crash()
    world.flush()  # committed, and the route is about to run
    ended = world.store.copies()[0].cdr.ended
    assert world.store.copies()[0].closing
    world.run(0)
    world.network.now += 700
    world.crash()
    world.run(50)
    assert heard == []
    cdr = world.cdr
    assert (cdr.end_reason, cdr.ended, len(cdr.attempts)) == ("ServerFailure", ended, 1)


def test_an_answered_call_whose_record_cannot_be_read_is_heard_of_too(world: World) -> None:
    heard = hearing(world)
    world.place(hang_up_after_ms=None)
    world.run(1_000)
    records = world.store.copies()
    records[0].dialog = b"\xc1"
    world.engine = world.network.engine = world.make_engine(2)
    world.engine.adopt(records, world.network.now)
    world.run(50)
    assert world.cdr.variables == {"heard": "ServerFailure"}
    assert [orphan.id for orphan, _ in world.routes.orphans] == [world.cdr.id]
    assert world.engine.tally.account_calls["", "ServerFailure"] == 1
    heard.clear()
    world.engine.logs.clear()


def test_those_of_many_calls_run_in_turns(world: World) -> None:
    heard = hearing(world)
    world.behaviours["g1"] = RINGS_FOR_EVER
    for _ in range(100):
        world.place()
    world.run(1_000)
    world.crash()
    seen = []
    for _ in range(40):
        world.run(1)
        seen.append(len(heard))
    assert seen[-1] == 100
    assert max(after - before for before, after in zip([0, *seen], seen, strict=False)) < 100
    heard.clear()


def test_without_an_end_route_they_are_closed_at_once(world: World) -> None:
    world.behaviours["g1"] = RINGS_FOR_EVER
    world.place()
    world.run(100)
    world.crash()
    world.flush()
    assert world.cdr.end_reason == "ServerFailure"
    assert not world.routes.has_end_route
