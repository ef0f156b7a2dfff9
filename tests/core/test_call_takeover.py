"""The worker's life: death and takeover, shutdown, and a store that cannot commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from virtual_world import CopyingStore, Line, Phone, World

from router.core.agent import SDP, Behaviour
from router.core.parameters import CallTimers
from router.store.ops import Admit, Answer, Finish, Funds, Hold, Op, Save
from router.store.records import Charge

RINGS_FOR_EVER = Behaviour(answer_after_ms=None)


def by_hand(world: World) -> tuple[Phone, Phone, Line, Line]:
    """An answered and acknowledged call."""
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call()
    world.run()
    invite = callee.one("INVITE")
    callee.reply(invite, 200, body=SDP)
    world.run()
    a.learn(caller.one(200))
    a.send("ACK")
    world.run(100)
    return caller, callee, a, callee.line_of(invite)


# -- takeover -------------------------------------------------------------------------------------


@pytest.mark.parametrize("hanging_up", ["caller", "callee"])
def test_a_successor_carries_an_answered_call_to_its_end(world: World, hanging_up: str) -> None:
    world.routes.holds = (Hold("account:acme", 5),)
    caller, callee, a, b = by_hand(world)
    sent = max(message.cseq for message in callee.got("INVITE"))
    world.run(5_000)
    world.crash()
    assert world.engine.active_calls == 1
    assert world.store.usage("account:acme").in_use == 1
    world.run(5_000)
    line, phone, other = (a, caller, callee) if hanging_up == "caller" else (b, callee, caller)
    line.send("BYE")
    world.run()
    assert phone.got(200)[-1].cseq_method == "BYE"
    bye = other.one("BYE")
    other.reply(bye, 200)
    if other is callee:
        assert bye.cseq > sent
        assert bye.to_tag == "b-tag"
    cdr = world.cdr
    assert (cdr.end_reason, cdr.end_side) == ("Normal", hanging_up)
    assert 10_000 <= cdr.duration_ms <= 10_200
    assert cdr.attempts[0].reason == "Normal"
    assert world.store.usage("account:acme").in_use == 0


def test_a_successor_of_a_successor_carries_it_too(world: World) -> None:
    _, callee, a, _ = by_hand(world)
    world.crash()
    world.run(100)
    world.crash()
    world.run(100)
    a.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)
    assert world.cdr.end_reason == "Normal"


def test_a_gateway_that_still_waits_for_its_ack_gets_it_from_the_successor(world: World) -> None:
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call()
    world.run()
    invite = callee.one("INVITE")
    callee.reply(invite, 200, body=SDP)
    world.run(20)
    a.learn(caller.one(200))
    a.send("ACK")
    world.run(20)
    world.crash()
    heard = len(callee.got("ACK"))
    callee.reply(invite, 200, body=SDP)
    world.run(10)
    assert len(callee.got("ACK")) == heard + 1
    assert callee.got("ACK")[-1].cseq == invite.cseq
    a.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)


def test_a_caller_who_never_heard_the_answer_can_still_give_up(world: World) -> None:
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call()
    world.run()
    callee.reply(callee.one("INVITE"), 200, body=SDP)
    world.run(20)
    world.crash()
    a.send("CANCEL")
    world.run(10)
    assert caller.got(200)[-1].cseq_method == "CANCEL"
    callee.reply(callee.one("BYE"), 200)
    world.run(10)
    cdr = world.cdr
    assert (cdr.end_reason, cdr.end_side) == ("Cancelled", "caller")
    assert world.engine.active_calls == 0


def test_requests_pass_through_a_successor(world: World) -> None:
    caller, callee, a, b = by_hand(world)
    a.send("INFO")
    world.run()
    callee.reply(callee.one("INFO"), 200)
    world.run()
    world.crash()
    a.send("INVITE", caller.contact, SDP)
    world.run()
    invite = callee.got("INVITE")[-1]
    assert invite.cseq > callee.one("INFO").cseq
    callee.reply(invite, 200, body=SDP)
    world.run()
    a.send("ACK")
    world.run()
    b.send("INFO")
    world.run()
    caller.reply(caller.one("INFO"), 200)
    a.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)


def test_a_contact_that_changed_is_stored_for_the_successor(world: World) -> None:
    caller, callee, a, b = by_hand(world)
    a.send("UPDATE", "Contact: <sip:10.0.0.2:5060;moved>\r\n", SDP)
    world.run()
    callee.reply(callee.one("UPDATE"), 200)
    world.run()
    world.crash()
    b.send("BYE")
    world.run()
    assert caller.one("BYE").uri == "sip:10.0.0.2:5060;moved"
    caller.reply(caller.one("BYE"), 200)


def test_a_route_set_is_stored_for_the_successor(world: World) -> None:
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call(headers="Record-Route: <sip:10.0.0.2:5060;lr>\r\n")
    world.run()
    invite = callee.one("INVITE")
    callee.reply(invite, 200, "Record-Route: <sip:10.0.1.1;lr>\r\n", SDP)
    world.run()
    a.learn(caller.one(200))
    a.send("ACK")
    world.run()
    world.crash()
    callee.line_of(invite).send("BYE")
    world.run()
    assert caller.one("BYE").routes == ["<sip:10.0.0.2:5060;lr>"]
    caller.reply(caller.one("BYE"), 200)


def test_the_longest_duration_counts_from_the_answer_not_from_the_takeover(world: World) -> None:
    world.routes.timers = CallTimers(max_duration_ms=20_000)
    caller, callee, _, _ = by_hand(world)
    world.run(15_000)
    world.crash()
    world.run(5_100)
    caller.reply(caller.one("BYE"), 200)
    callee.reply(callee.one("BYE"), 200)
    assert world.cdr.end_reason == "SessionTimeout"
    assert 20_000 <= world.cdr.duration_ms <= 20_050


def test_a_call_that_should_have_ended_meanwhile_ends_at_once(world: World) -> None:
    world.routes.timers = CallTimers(max_duration_ms=5_000)
    caller, callee, _, _ = by_hand(world)
    world.network.now += 60_000
    world.crash()
    world.run(50)
    caller.reply(caller.one("BYE"), 200)
    callee.reply(callee.one("BYE"), 200)
    assert world.cdr.end_reason == "SessionTimeout"


@pytest.mark.parametrize("behaviour", [RINGS_FOR_EVER, Behaviour(silent=True)])
def test_an_unanswered_call_is_closed_on_both_sides(world: World, behaviour: Behaviour) -> None:
    world.routes.holds = (Hold("account:acme", 5),)
    world.behaviours["g1"] = behaviour
    call = world.place()
    world.run(2_000)
    world.crash()
    world.run(2_000)
    cdr = world.cdr
    assert (cdr.end_reason, cdr.end_side, cdr.sip_code) == ("ServerFailure", "server", 500)
    assert call.status == 500
    assert world.gateways["g1"].received[0].status == 487
    assert world.store.usage("account:acme").in_use == 0


def test_an_unanswered_call_at_its_second_gateway_cancels_that_one(world: World) -> None:
    world.behaviours |= {"g1": Behaviour(status=503, ring_after_ms=None), "g2": RINGS_FOR_EVER}
    call = world.place()
    world.run(1_000)
    world.crash()
    world.run(1_000)
    assert call.status == 500
    assert world.gateways["g2"].received[0].status == 487
    assert world.on_wire("us>g1 CANCEL") == []


def test_a_record_that_cannot_be_read_is_closed_and_not_carried_on(world: World) -> None:
    by_hand(world)
    records = world.store.copies()
    records[0].dialog = b"\xc1"
    records[0].paid_until = 5_000
    world.engine = world.network.engine = world.make_engine(2)
    world.engine.adopt(records, world.network.now)
    world.run()
    assert world.cdr.end_reason == "ServerFailure"
    assert world.cdr.duration_ms > 0
    assert world.routes.orphans == [(world.cdr, 5_000)]  # and billed
    assert world.engine.logs[0][:2] == ("error", "call not taken over")
    assert world.engine.legs == {}
    world.engine.logs.clear()


@pytest.mark.parametrize("at_ms", range(0, 60, 1))
def test_a_death_at_any_moment_leaves_one_cdr_and_no_lines(
    make_world: Callable[..., World], at_ms: int
) -> None:
    """A worker dies at some millisecond of a short call; its successor hears the rest."""
    world = make_world()
    world.routes.holds = (Hold("account:acme", 5),)
    world.behaviours["g1"] = Behaviour(ring_after_ms=7, answer_after_ms=13)
    call = world.place(hang_up_after_ms=20)
    world.run(at_ms)
    world.crash()
    world.run(120_000)
    assert call.ended_ms
    assert len(world.cdrs) == 1
    assert len(world.store.finished) == len(world.cdrs)


# -- shutdown -------------------------------------------------------------------------------------


def test_a_shutdown_refuses_new_calls_and_lets_the_old_ones_go_on(world: World) -> None:
    old = world.place(hang_up_after_ms=10_000)
    world.run(1_000)
    world.engine.begin_shutdown(world.network.now)
    new = world.place()
    world.run(100)
    assert new.status == 503
    assert b"Retry-After: 5\r\n" in world.on_wire("us>caller 503 INVITE")[0]
    world.run(20_000)
    assert old.ended_by == "us"
    assert sorted(cdr.end_reason for cdr in world.cdrs) == ["Normal", "Overloaded"]
    assert world.engine.active_calls == 0


def test_the_end_of_all_reaches_every_call_in_every_state(world: World) -> None:
    world.behaviours |= {"g1": RINGS_FOR_EVER}
    ringing = world.place()
    world.run(100)
    world.behaviours |= {"g1": Behaviour()}
    answered = world.place(hang_up_after_ms=None)
    world.run(100)
    world.engine.end_all(world.network.now)
    world.flush()
    assert world.engine.active_calls == 0
    world.run(1_000)
    assert (ringing.status, answered.ended_by) == (503, "peer")
    assert [cdr.end_reason for cdr in world.cdrs] == ["OperatorKill"] * 2
    assert world.gateways["g1"].received[0].status == 487
    assert world.gateways["g1"].received[1].ended_by == "peer"


def test_a_call_ends_at_its_longest_duration(world: World) -> None:
    world.routes.timers = CallTimers(max_duration_ms=60_000)
    call = world.place(hang_up_after_ms=None)
    world.run(59_900)
    assert call.ended_ms == 0
    world.run(200)
    assert call.ended_by == "peer"
    cdr = world.cdr
    assert (cdr.end_reason, cdr.end_side) == ("SessionTimeout", "server")
    assert 60_000 <= cdr.duration_ms <= 60_020


@pytest.mark.parametrize(("lasts_ms", "openings"), [(1_900, 0), (2_200, 1), (60_000, 1)])
def test_a_call_that_lasts_is_announced_once(world: World, lasts_ms: int, openings: int) -> None:
    world.place(hang_up_after_ms=lasts_ms)
    world.run(lasts_ms + 1_000)
    assert len(world.store.opened) == openings


# -- a store that cannot commit -------------------------------------------------------------------


class FailingStore(CopyingStore):
    """A store that fails while `failing` says so: the network is told as the driver would."""

    failing = False

    def commit(self, ops: Sequence[Op], now_ms: int) -> list[Answer | None]:
        if self.failing:
            raise OSError("disk full")
        return super().commit(ops, now_ms)


@pytest.fixture
def failing_world(make_world: Callable[..., World]) -> World:
    world = make_world()
    store = FailingStore()
    world.store = world.network.store = store
    network = world.network

    def flush() -> None:
        engine = network.engine
        while ops := engine.take_ops():
            try:
                results = store.commit(ops, network.now)
            except OSError:
                engine.on_commit_failed(network.now)
            else:
                engine.on_committed(results, network.now)
        original()

    original = network._flush
    network._flush = flush  # type: ignore[method-assign]
    return world


def test_a_call_that_cannot_be_admitted_is_refused_and_its_cdr_is_written_later(
    failing_world: World,
) -> None:
    world = failing_world
    assert isinstance(world.store, FailingStore)
    world.store.failing = True
    call = world.place()
    world.run(500)
    assert call.status == 500
    assert world.on_wire("us>g1 INVITE") == []
    assert world.cdrs == []
    world.run(5_000)
    world.store.failing = False
    world.run(1_100)
    assert world.cdr.end_reason == "ServerFailure"


def test_a_call_that_ends_while_nothing_can_be_stored_is_stored_later(
    failing_world: World,
) -> None:
    world = failing_world
    assert isinstance(world.store, FailingStore)
    world.routes.holds = (Hold("account:acme", 1),)
    world.place(hang_up_after_ms=3_000)
    world.run(1_000)
    world.store.failing = True
    world.run(10_000)
    assert world.engine.active_calls == 0
    assert world.cdrs == []
    world.store.failing = False
    world.run(1_100)
    assert world.cdr.end_reason == "Normal"
    assert world.store.usage("account:acme").in_use == 0


def test_a_hunt_that_cannot_go_on_ends_the_call(failing_world: World) -> None:
    world = failing_world
    assert isinstance(world.store, FailingStore)
    world.behaviours["g1"] = Behaviour(ring_after_ms=None, answer_after_ms=500, status=503)
    call = world.place()
    world.run(100)
    world.store.failing = True
    world.run(1_000)
    assert call.status == 500
    world.store.failing = False
    world.run(1_100)
    assert world.cdr.end_reason == "ServerFailure"
    assert world.store.usage("gateway:g1").in_use == 0


def test_operations_that_failed_are_tried_again_in_their_order(failing_world: World) -> None:
    world = failing_world
    assert isinstance(world.store, FailingStore)
    calls = [world.place(hang_up_after_ms=None) for _ in range(2)]
    world.run(5)
    world.store.failing = True
    world.run(1_000)
    for call in calls:
        call.hang_up()
    world.run(5_000)
    world.store.ops.clear()
    world.store.failing = False
    world.run(1_100)
    kinds = [type(op) for op in world.store.ops]
    assert Admit not in kinds
    assert kinds.count(Finish) == 2
    assert kinds == sorted(kinds, key=[Save, Finish].index)


@pytest.mark.parametrize("failing", [False, True])
def test_a_balance_that_falls_below_its_threshold_is_told_once(
    failing_world: World, failing: bool
) -> None:
    world = failing_world
    assert isinstance(world.store, FailingStore)
    world.routes.low_balances = {"acme": 50}
    world.store.commit([Funds("1", "acme", 100)], world.network.now)
    world.routes.on_ended = lambda call: call.cdr.charges.append(Charge("acme", 40))
    for number in range(3):
        world.place(hang_up_after_ms=3_000)
        world.run(2_000)
        world.store.failing = failing and number == 1
        world.run(5_000)
        world.store.failing = False
        world.run(2_000)
    assert world.store.money("acme").balance == -20
    assert len(world.cdrs) == 3
    # What was stored later by itself was not told: no event is better than two.
    assert world.routes.events.count(("balance:low", "acme")) == (0 if failing else 1)
