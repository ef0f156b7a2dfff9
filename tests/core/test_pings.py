"""OPTIONS to gateways: when they are sent, by whom, and when a gateway is down and up again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_world import US, World, gateway

from router.core.agent import Behaviour
from router.core.flow import Listener
from router.core.steering import gateway_slot, owner_slot
from router.routing.objects import Gateway
from router.sip.message import parse_message
from router.store.ops import GatewayNews, GatewayState
from router.store.records import NEVER_MS

PING_MS = 10_000


def pinged(name: str = "g1", number: int = 1) -> Gateway:
    return gateway(name, number, ping_ms=PING_MS)


@pytest.fixture
def one(make_world: Callable[..., World]) -> Iterator[World]:
    """A world of one gateway that is asked every 10 s."""
    world = make_world([pinged()])
    world.engine.health.watch({})
    yield world
    world.routes.gateways = []
    world.engine.health.watch({})


def state(world: World) -> GatewayState:
    found = world.store.gateway_state("gateway:g1")
    assert found is not None
    return found


def lose(world: World, lost: bool) -> None:
    """Whether pings reach the gateway, from here on."""
    world.network._fate = lambda data: [] if lost and data.startswith(b"OPTIONS") else [1]


def answer(world: World, status: int, rounds: int) -> None:
    """The gateway answers so many pings by hand."""
    phone = world.phone("g1")
    for _ in range(rounds):
        seen = len(phone.got("OPTIONS"))
        while len(phone.got("OPTIONS")) == seen:
            world.run(100)
        phone.reply(phone.last("OPTIONS"), status)
        world.run(100)


def sent(world: World) -> int:
    return len(world.on_wire("us>g1 OPTIONS"))


def test_the_first_ping_comes_after_a_first_interval_and_then_one_each(one: World) -> None:
    one.run(PING_MS - 1)
    assert sent(one) == 0
    one.run(PING_MS // 4 + 1)
    assert sent(one) == 1
    one.run(5 * PING_MS)
    assert sent(one) == 6
    assert one.store.gateway_states() == {}
    assert one.engine.tally.pings == {("g1", "answered"): 6}


def test_first_pings_are_spread_and_the_same_each_time(make_world: Callable[..., World]) -> None:
    def first_pings() -> list[int]:
        world = make_world([pinged(f"g{n}", n) for n in range(1, 30)])
        world.engine.health.watch({})
        world.run(2 * PING_MS)
        world.routes.gateways = []
        world.engine.health.watch({})
        times: dict[bytes, int] = {}
        for wire in world.network.wires:
            if wire.data.startswith(b"OPTIONS"):
                times.setdefault(wire.data.split(b" ")[1], wire.at_ms)
        return list(times.values())

    times = first_pings()
    assert len(times) == 29 and len(set(times)) > 20
    assert times == first_pings()


def test_the_third_miss_takes_a_gateway_down_and_the_second_answer_up(one: World) -> None:
    lose(one, True)
    one.run(PING_MS + PING_MS // 4 + 2 * PING_MS)
    assert sent(one) == 3 and one.store.gateway_states() == {}
    one.run(5_000)
    assert state(one).down and state(one).out_until_ms == NEVER_MS
    assert state(one).trouble == "3 pings without a good answer"
    assert one.routes.events == [("gateway:down", "g1")]
    lose(one, False)
    one.run(PING_MS)
    assert state(one).down
    one.run(PING_MS)
    assert not state(one).down and state(one).out_until_ms == 0 and state(one).trouble == ""
    assert one.routes.events == [("gateway:down", "g1"), ("gateway:up", "g1")]


def test_a_gateway_that_is_down_is_no_candidate(one: World) -> None:
    one.store.commit([GatewayNews("gateway:g1", down=True)], one.network.now)
    one.place()
    one.run(1_000)
    assert one.cdr.end_reason == "NoAvailableRouter"
    assert one.cdr.decision[-1] == "g1: down"


@pytest.mark.parametrize("status", [200, 302, 403, 404, 405, 481, 486, 500, 603])
def test_any_answer_but_503_is_a_sign_of_life(one: World, status: int) -> None:
    answer(one, status, 4)
    assert one.store.gateway_states() == {}


def test_three_503_take_a_gateway_down(one: World) -> None:
    answer(one, 503, 2)
    answer(one, 200, 1)
    answer(one, 503, 2)
    assert one.store.gateway_states() == {}
    answer(one, 503, 1)
    assert state(one).down


def test_misses_and_answers_must_be_in_a_row(one: World) -> None:
    answer(one, 503, 3)
    answer(one, 200, 1)
    answer(one, 503, 1)
    answer(one, 200, 1)
    assert state(one).down
    answer(one, 200, 1)
    assert not state(one).down


def test_five_silent_invites_take_a_pinged_gateway_down_until_two_pings_are_answered(
    one: World,
) -> None:
    one.behaviours["g1"] = Behaviour(silent=True)
    for _ in range(5):
        one.place()
    one.run(10_100)
    assert state(one).down and state(one).trouble == "5 INVITEs without any answer"
    assert one.routes.events == [("gateway:down", "g1")]
    one.run(25_000)
    assert not state(one).down
    assert one.routes.events == [("gateway:down", "g1"), ("gateway:up", "g1")]


def test_nothing_is_sent_and_no_timer_set_where_nobody_wants_pings(world: World) -> None:
    world.engine.health.watch({})
    assert world.engine.next_timer_ms() is None


def test_a_ping_is_never_sent_again_and_a_late_answer_means_nothing(one: World) -> None:
    phone = one.phone("g1")
    one.run(PING_MS + PING_MS // 4 + 5_000)
    assert len(phone.got("OPTIONS")) == 1
    phone.reply(phone.last("OPTIONS"), 200)
    one.run(100)
    assert one.engine.tally.pings == {("g1", "missed"): 1}


def test_a_successor_goes_on_with_a_gateway_that_is_down(one: World) -> None:
    lose(one, True)
    one.run(5 * PING_MS)
    assert state(one).down
    lose(one, False)
    one.crash().health.watch(one.store.gateway_states())
    one.run(3 * PING_MS)
    assert not state(one).down


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 8])
def test_each_gateway_is_asked_by_one_worker_which_gets_the_answer(
    make_world: Callable[..., World], slots: int
) -> None:
    world = make_world([pinged(f"g{n}", n) for n in range(1, 20)])
    asked: list[str] = []
    for slot in range(slots):
        engine = world.make_engine(1)
        engine.slot, engine.slots = slot, slots
        engine.health.watch({})
        engine.on_timers(world.network.now + 2 * PING_MS)
        for data, flow in engine.take_sends():
            message = parse_message(data)
            assert owner_slot(message.call_id, slots) == slot
            name = next(one.name for one in world.routes.gateways if one.host == flow.host)
            assert gateway_slot(name, slots) == slot
            asked.append(name)
    assert sorted(asked) == sorted(one.name for one in world.routes.gateways)


def test_after_a_reload_only_what_is_wanted_is_asked(one: World) -> None:
    one.run(PING_MS // 2)
    again = pinged()
    one.routes.gateways = [again]
    one.engine.health.watch({})
    assert one.engine.health._pings["g1"].target is again
    one.run(PING_MS)
    assert sent(one) == 1  # the same pings go on: a reload puts none off
    one.routes.gateways = [gateway("g1", 1)]
    one.store.commit([GatewayNews("gateway:g1", down=True)], one.network.now)
    one.engine.health.watch(one.store.gateway_states())
    one.run(3 * PING_MS)
    assert sent(one) == 1
    assert not state(one).down  # nobody would ever take that back


def test_a_ping_is_good_sip(one: World) -> None:
    one.run(2 * PING_MS)
    message = parse_message(one.on_wire("us>g1 OPTIONS")[0])
    assert message.get("max-forwards") == "70"
    assert message.contact_uri == f"sip:{US[0]}:{US[1]}"
    assert message.get("to") == "<sip:10.0.1.1:5060>"
    assert message.from_tag


def test_a_stream_that_cannot_be_opened_is_a_miss(make_world: Callable[..., World]) -> None:
    world = make_world(
        [gateway("g1", 1, transport="tcp", ping_ms=PING_MS)],
        listeners=(Listener("udp", *US), Listener("tcp", *US)),
    )
    engine = world.engine
    engine.health.watch({})
    for round_ in range(1, 4):
        engine.on_timers(world.network.now + (round_ + 1) * PING_MS)
        [(_, flow)] = engine.take_sends()
        engine.on_transport_error(flow, engine.layer.now)
    world.network.now = engine.layer.now
    world.flush()
    assert state(world).down
    world.routes.gateways = []
    engine.health.watch({})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([200, 404, 503, 0]), max_size=30))
def test_up_and_down_follow_from_what_came_in_a_row(answers: list[int]) -> None:
    world = World([pinged()])
    world.engine.health.watch({})
    phone = world.phone("g1")
    up, told = True, 0
    history = ""
    for status in answers:
        seen = len(phone.got("OPTIONS"))
        while len(phone.got("OPTIONS")) == seen:
            world.run(500)
        if status:
            phone.reply(phone.last("OPTIONS"), status)
        world.run(5_200)
        history += "-" if status in (0, 503) else "+"
        # Told anew: what counts are the last few answers since it last changed.
        if up and history.endswith("---"):
            up, told, history = False, told + 1, ""
        elif not up and history.endswith("++"):
            up, told, history = True, told + 1, ""
        found = world.store.gateway_state("gateway:g1")
        assert (found is not None and found.down) is not up
    assert len(world.routes.events) == told
