"""Routes that wait for a function of Python's: the request is kept, resumed once, or given up."""

from __future__ import annotations

import gc
from collections.abc import Coroutine, Generator
from typing import Any

import pytest
from virtual_world import CALLER, Phone, World, survivors

from router.core import waiting as waiting_module
from router.core.agent import Behaviour
from router.core.call import Call
from router.core.end_reasons import EndReason
from router.core.engine import Engine
from router.core.flow import Flow
from router.core.verdicts import Drop, End, Next, Respond, Verdict, Wait
from router.core.waiting import LimitReached, Waiting
from router.sip.errors import SipError


class Pause:
    """Yields once, as a future of a loop does."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Desk:
    """Runs no route by itself: the test says when each one has ended, and how."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.waits: list[Waiting] = []
        self.stopped: list[Waiting] = []
        world.network.run_wait = self.take

    def take(self, engine: Engine, waiting: Waiting, now_ms: int) -> None:
        waiting.stop = lambda: self.stopped.append(waiting)
        self.waits.append(waiting)

    def end(self, error: BaseException | None = None) -> None:
        """The oldest route that is not over has ended."""
        waiting = next(one for one in self.waits if not one.over)
        self.world.engine.on_waited(waiting, error, self.world.network.now)
        self.world.flush()


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


async def route() -> None:
    await Pause()


def started() -> Coroutine[Any, Any, None]:
    """A route that has come as far as its first wait."""
    made = route()
    made.send(None)
    return made


class Decision:
    """What a route decides when it has waited; remembers what it ended with."""

    def __init__(self, verdict: Verdict | None, limit_ms: int = 2_000) -> None:
        self.verdict = verdict
        self.limit_ms = limit_ms
        self.errors: list[BaseException | None] = []

    def wait(self, *_: object) -> Wait:
        return Wait(started(), self.limit_ms, self.conclude)

    def conclude(self, error: BaseException | None) -> Verdict | None:
        self.errors.append(error)
        if error is not None:
            raise RuntimeError("the route failed") from error
        return self.verdict


def begin(world: World, verdict: Verdict | None = None, limit_ms: int = 2_000) -> Decision:
    """INVITEs wait, and are then dialled unless told otherwise."""
    decision = Decision(verdict or world.routes.dial(), limit_ms)
    world.routes.on_invite = decision.wait
    return decision


def test_the_caller_hears_100_at_once_and_the_call_goes_on_when_the_route_has_ended(
    world: World, desk: Desk
) -> None:
    decision = begin(world)
    call = world.place(hang_up_after_ms=1_000)
    world.run(1_500)
    assert world.ladder() == ["caller>us INVITE", "us>caller 100 INVITE"]
    assert world.engine.active_calls == 1
    desk.end()
    world.run(10_000)
    assert (call.status, world.cdr.end_reason) == (200, "Normal")
    assert len(world.on_wire("us>caller 100 INVITE")) == 1
    assert decision.errors == [None]


def test_a_resent_invite_is_absorbed_while_the_route_waits(world: World, desk: Desk) -> None:
    begin(world, Respond(404))
    phone = world.phone()
    line = phone.call(branch="z9hG4bK-same")
    world.run(100)
    phone.call(branch="z9hG4bK-same", call_id=line.call_id)
    world.run(100)
    assert world.routes.invites == 1
    assert len(phone.got(100)) == 2
    desk.end()
    world.run()
    line.ack_failure(phone.one(404))


def test_what_a_route_decides_later_may_be_an_answer(world: World, desk: Desk) -> None:
    begin(world, Respond(488, "Not Now"))
    call = world.place()
    world.run(100)
    desk.end()
    world.run(100)
    assert call.status == 488
    assert world.cdr.end_reason == "ScriptRejected"


def test_cancel_ends_the_wait_and_what_comes_later_is_nothing(world: World, desk: Desk) -> None:
    decision = begin(world)
    call = world.place()
    world.run(500)
    call.cancel_after(0)
    world.run(1_000)
    assert world.cdr.end_reason == "Cancelled"
    assert world.ladder()[-2:] == ["us>caller 487 INVITE", "caller>us ACK"]
    assert desk.stopped == desk.waits
    (waiting,) = desk.waits
    world.engine.on_waited(waiting, None, world.network.now)
    world.run(5_000)
    assert decision.errors == []
    assert len(world.cdrs) == 1


def test_a_route_that_waits_too_long_is_cancelled_and_costs_500(world: World, desk: Desk) -> None:
    world.errors_expected = True
    decision = begin(world, limit_ms=2_000)
    call = world.place()
    world.run(1_990)
    assert call.status == 0
    world.run(50)
    assert call.status == 500
    assert world.cdr.end_reason == "ServerFailure"
    assert [type(error) for error in decision.errors] == [LimitReached]
    assert desk.stopped == desk.waits
    assert world.engine.tally.route_errors == 1
    assert "the route failed" in world.errors()[0][2]["trace"]


def test_a_route_that_raises_costs_its_request_a_500_and_nothing_else(
    world: World, desk: Desk
) -> None:
    world.errors_expected = True
    begin(world)
    first, second = world.place(), world.place(hang_up_after_ms=1_000)
    world.run(100)
    desk.end(ValueError("no such number"))
    desk.end()
    world.run(10_000)
    assert (first.status, second.status) == (500, 200)
    assert world.engine.tally.route_errors == 1
    assert "ValueError: no such number" in world.errors()[0][2]["trace"]


def test_a_part_of_the_message_that_cannot_be_read_costs_what_it_earns(
    world: World, desk: Desk
) -> None:
    decision = begin(world)
    call = world.place()

    def conclude(error: BaseException | None) -> Verdict:
        raise SipError(400, "Bad From")

    decision.conclude = conclude  # type: ignore[assignment]
    world.run(100)
    desk.end()
    world.run(100)
    assert call.status == 400
    assert world.cdr.end_reason == "IllegalCall"


def test_a_dropped_call_leaves_neither_record_nor_cdr(world: World, desk: Desk) -> None:
    begin(world, Drop())
    world.place()
    world.run(100)
    assert len(world.store.records) == 1
    desk.end()
    world.run(100)
    assert world.store.records == {}
    assert world.cdrs == []


def test_a_failure_route_may_wait_before_the_next_gateway(world: World, desk: Desk) -> None:
    decision = Decision(Next())
    world.routes.on_failure = decision.wait
    world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
    call = world.place(hang_up_after_ms=1_000)
    world.run(500)
    assert world.ladder()[-1] == "us>g1 ACK"
    desk.end()
    world.run(10_000)
    assert call.status == 200
    assert [attempt.gateway for attempt in world.cdr.attempts] == ["g1", "g2"]


def test_cancel_while_a_failure_route_waits_gives_the_line_back(world: World, desk: Desk) -> None:
    world.routes.on_failure = Decision(Next()).wait
    world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
    call = world.place()
    world.run(500)
    call.cancel_after(0)
    world.run(1_000)
    assert world.cdr.end_reason == "Cancelled"
    assert desk.stopped == desk.waits


def test_a_branch_route_may_wait_before_the_invite_is_sent(world: World, desk: Desk) -> None:
    def branch(call: Call, attempt: Any) -> Wait:
        attempt.added += "X-Before: 1\r\n"
        return Decision(None).wait()

    world.routes.on_branch = branch
    call = world.place(hang_up_after_ms=1_000)
    world.run(500)
    assert world.ladder() == ["caller>us INVITE", "us>caller 100 INVITE"]
    assert world.store.usage("gateway:g1").in_use == 1
    desk.end()
    world.run(10_000)
    assert call.status == 200
    assert b"X-Before: 1" in world.on_wire("us>g1 INVITE")[0]
    assert len(world.cdr.attempts) == 1


def test_cancel_while_a_branch_route_waits_sends_the_gateway_nothing(
    world: World, desk: Desk
) -> None:
    world.routes.on_branch = Decision(None).wait
    call = world.place()
    world.run(500)
    call.cancel_after(0)
    world.run(1_000)
    assert not any("g1" in line for line in world.ladder())
    assert world.cdr.end_reason == "Cancelled"
    assert world.cdr.attempts == []


def options(phone: Phone) -> None:
    """Sends OPTIONS, always the same."""
    phone.send(
        f"OPTIONS sip:us@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {phone.address};branch=z9hG4bK-o\r\n"
        f"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: options\r\nCSeq: 1 OPTIONS\r\n"
    )


def test_a_request_outside_of_a_call_may_wait(world: World, desk: Desk) -> None:
    world.routes.on_request = Decision(Respond(200)).wait
    phone = world.phone()
    options(phone)
    options(phone)
    world.run(100)
    assert len(desk.waits) == 1
    assert phone.told() == []
    desk.end()
    world.run(100)
    assert phone.told() == ["200 OPTIONS"]


def test_a_request_that_waits_too_long_gets_500(world: World, desk: Desk) -> None:
    world.errors_expected = True
    world.routes.on_request = Decision(Respond(200)).wait
    phone = world.phone()
    options(phone)
    world.run(2_100)
    assert phone.told() == ["500 OPTIONS"]
    assert desk.stopped == desk.waits
    assert world.engine.waiting == set()


def test_a_stop_ends_what_waits(world: World, desk: Desk) -> None:
    begin(world)
    world.routes.on_request = Decision(Respond(200)).wait
    call = world.place()
    phone = Phone("10.0.0.3")
    world.network.agents["10.0.0.3", 5060] = phone  # type: ignore[assignment]
    options(phone)
    world.run(100)
    assert len(desk.waits) == 2
    world.engine.end_all(world.network.now)
    world.run(100)
    assert phone.told() == ["503 OPTIONS"]
    assert call.status >= 500
    assert world.cdr.end_reason == EndReason.OperatorKill.name
    assert len(desk.stopped) == 2


def test_too_many_that_wait_are_refused(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_module, "MAX_WAITING", 1)
    begin(world)
    first, second = world.place(hang_up_after_ms=500), world.place()
    world.run(100)
    assert second.status == 503
    desk.end()
    world.run(5_000)
    assert first.status == 200
    assert sorted(cdr.end_reason for cdr in world.cdrs) == ["Normal", "Overloaded"]


def test_a_route_that_nobody_began_to_run_is_closed(world: World) -> None:
    made: list[Any] = []

    def invite(call: Call) -> Wait:
        made.append(started())
        return Wait(made[0], 2_000, lambda error: End(EndReason.NotFound))

    world.routes.on_invite = invite
    phone = world.phone()
    line = phone.call()
    # Both in one turn: the driver never sees the wait.
    line.send("CANCEL")
    (invite_data, _), (cancel_data, _) = phone.take_sends()
    for data in (invite_data, cancel_data):
        world.engine.receive(data, Flow("udp", *CALLER, 0), world.network.now)
    assert made[0].cr_frame is None
    assert world.engine.take_waits() == []
    world.flush()
    world.run(100)
    line.ack_failure(phone.one(487))


def test_a_route_keeps_to_the_policy_it_began_with(world: World, desk: Desk) -> None:
    begin(world)
    call = world.place(hang_up_after_ms=500)
    world.run(100)
    newer = type(world.routes)(world.routes.gateways)
    newer.on_failure = lambda call, attempt: End(EndReason.ScriptRejected)
    world.engine.use_policy(newer, world.timers, world.network.now)
    world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
    desk.end()
    world.run(10_000)
    assert call.status == 200
    assert world.cdr.gateway == "g2"


def test_a_successor_answers_the_callers_whose_routes_waited(world: World, desk: Desk) -> None:
    begin(world)
    call = world.place()
    world.run(100)
    world.crash()
    world.run(100)
    assert call.status == 500
    assert world.cdr.end_reason == "ServerFailure"
    assert desk.stopped == []


def test_nothing_of_a_call_that_waited_stays_in_memory() -> None:
    gc.collect()
    gc.disable()
    try:
        world = World()
        desk = Desk(world)
        world.routes.on_branch = Decision(None).wait
        begin(world)
        world.place(hang_up_after_ms=500)
        cancelled = world.place()
        world.run(100)
        desk.end()
        cancelled.cancel_after(0)
        world.run()
        desk.end()
        world.run(5_000)
        desk.waits.clear()
        desk.stopped.clear()
        world.routes.on_invite = world.routes.on_branch = None
        world.assert_nothing_is_left()
        assert survivors([world]) == []
    finally:
        gc.enable()
