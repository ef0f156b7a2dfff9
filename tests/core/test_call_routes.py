"""What routes decide, and what happens when they raise: a 500 for that request and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from virtual_world import World, gateway

from router.core.agent import SDP, Behaviour
from router.core.call import Call
from router.core.end_reasons import EndReason
from router.core.flow import Flow
from router.core.parameters import CallTimers, TimerDefaults
from router.core.verdicts import Drop, End, Next, Respond
from router.store.ops import Hold

RINGS_FOR_EVER = Behaviour(answer_after_ms=None)
BUSY = Behaviour(status=486, ring_after_ms=None)
UNAVAILABLE = Behaviour(status=503, ring_after_ms=None)


class Mistake(Exception):
    """What a route with an error raises."""


def raising(*_: Any) -> NoReturn:
    raise Mistake("a route went wrong")


def expect_one_fault(world: World) -> None:
    world.errors_expected = True
    assert len(world.errors()) == 1, world.errors()
    assert "Mistake" in world.errors()[0][2]["trace"]
    assert world.engine.tally.route_errors == 1


def assert_server_failure(world: World) -> None:
    cdr = world.cdr
    assert (cdr.end_reason, cdr.end_side, cdr.sip_code) == ("ServerFailure", "server", 500)
    assert (cdr.answered, cdr.duration_ms, cdr.q850) == (0, 0, 41)
    expect_one_fault(world)


def assert_next_call_works(world: World) -> None:
    world.routes.on_invite = world.routes.on_branch = world.routes.on_reply = None
    world.routes.on_failure = world.routes.on_ended = None
    world.behaviours.clear()
    call = world.place(hang_up_after_ms=10)
    world.run(1_000)
    assert call.status == 200


# -- decisions ------------------------------------------------------------------------------------


def test_a_route_may_answer_itself(world: World) -> None:
    world.routes.on_invite = lambda call: Respond(403, "Go Away", "X-Why: because\r\n")
    call = world.place()
    world.run()
    assert call.status == 403
    (answer,) = world.on_wire("us>caller 403 INVITE")
    assert answer.startswith(b"SIP/2.0 403 Go Away\r\n")
    assert b"X-Why: because\r\n" in answer
    assert (world.cdr.end_reason, world.cdr.end_side) == ("ScriptRejected", "server")
    assert world.cdr.attempt == 0


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (End(EndReason.IllegalCall), 403),
        (End(EndReason.CalledNumberRestricted, 484), 484),
        (End(EndReason.AccountLocked), 403),
        (End(None), 503),
        (Next(), 503),
    ],
)
def test_a_route_may_end_a_call_for_a_reason(world: World, verdict: Any, status: int) -> None:
    world.routes.on_invite = lambda call: verdict
    call = world.place()
    world.run()
    assert call.status == status
    reason = verdict.reason if isinstance(verdict, End) else None
    assert world.cdr.end_reason == (reason.name if reason else "NoAvailableRouter")


def test_a_dropped_call_gets_no_answer_and_no_cdr(world: World) -> None:
    world.routes.on_invite = lambda call: Drop()
    call = world.place()
    world.run(40_000)
    assert world.ladder() == ["caller>us INVITE"] * 7
    assert call.status == 408
    assert world.routes.invites == 1
    assert world.cdrs == []


def test_a_dropped_request_gets_no_answer(world: World) -> None:
    world.routes.on_request = lambda request, flow: Drop()
    phone = world.phone()
    line = phone.call()
    line.send("OPTIONS", branch="z9hG4bK-one")
    line.send("OPTIONS", branch="z9hG4bK-one", cseq=line.cseq)
    world.run(1_000)
    assert [m for m in phone.inbox if m.cseq_method == "OPTIONS"] == []
    line.learn(phone.got(200)[0])
    line.send("ACK")
    line.send("BYE")


def test_dropping_a_call_that_was_sent_out_refuses_it(world: World) -> None:
    world.behaviours["g1"] = UNAVAILABLE
    world.routes.on_failure = lambda call, attempt: Drop()
    call = world.place()
    world.run(1_000)
    assert call.status == 403
    assert world.cdr.end_reason == "ScriptRejected"


@pytest.mark.parametrize(("silent", "side"), [(False, "callee"), (True, "server")])
def test_a_reason_given_to_a_refusal_leaves_it_the_refusal_of_the_callee(
    world: World, silent: bool, side: str
) -> None:
    world.behaviours["g1"] = Behaviour(silent=True) if silent else BUSY
    world.routes.on_failure = lambda call, attempt: End(EndReason.UserBusy)
    call = world.place()
    world.run(40_000)
    assert call.status == 486
    assert (world.cdr.end_reason, world.cdr.end_side) == ("UserBusy", side)


@pytest.mark.parametrize(
    ("verdict", "status", "reason"),
    [
        (Respond(480), 480, "ScriptRejected"),
        (End(None), 404, "NotFound"),
        (End(EndReason.UserBusy), 486, "UserBusy"),
        (Next(), 404, "NotFound"),
    ],
)
def test_a_failure_route_may_end_the_call(
    world: World, verdict: Any, status: int, reason: str
) -> None:
    world.behaviours["g1"] = Behaviour(status=404, ring_after_ms=None)
    world.routes.on_failure = lambda call, attempt: verdict
    call = world.place()
    world.run(1_000)
    assert (call.status, world.cdr.end_reason) == (status, reason)
    assert len(world.cdr.attempts) == 1


def test_a_branch_route_changes_what_its_attempt_sends(world: World) -> None:
    def on_branch(call: Call, attempt: Any) -> None:
        attempt.callee = "00" + attempt.callee
        attempt.caller = "4930" + attempt.caller
        attempt.display = '"Acme"'
        attempt.added += "X-Gateway: one\r\n"
        attempt.removed |= {"x-secret"}
        if attempt.target.name == "g2":
            attempt.domain = "sip.example.com"

    world.behaviours["g1"] = UNAVAILABLE
    world.routes.on_branch = on_branch
    world.place(extra="X-Secret: s\r\nX-Open: o\r\n", hang_up_after_ms=10)
    world.run(20_000)
    first, second = world.gateways["g1"].requests[0], world.gateways["g2"].requests[0]
    assert first.uri == "sip:008613800@10.0.1.1:5060"
    assert first.get("to") == "<sip:008613800@10.0.1.1:5060>"
    assert first.get("from").startswith('"Acme" <sip:4930100@10.0.0.1:5060>;tag=')
    assert (first.get("x-gateway"), first.get("x-open")) == ("one", "o")
    assert not first.has("x-secret")
    assert second.uri == "sip:008613800@sip.example.com"
    assert [attempt.callee_out for attempt in world.cdr.attempts] == ["008613800"] * 2
    assert world.cdr.caller_out == "4930100"


def test_a_reply_route_sees_what_rings_and_what_answers(world: World) -> None:
    seen: list[int] = []
    world.routes.on_reply = lambda call, attempt, response: seen.append(response.status)
    world.place(hang_up_after_ms=10)
    world.run(1_000)
    assert seen == [180, 200]


def test_an_end_route_may_add_to_the_cdr(world: World) -> None:
    def on_ended(call: Call) -> None:
        call.cdr.variables = {"colour": "green"}

    world.routes.on_ended = on_ended
    world.place(hang_up_after_ms=10)
    world.run(1_000)
    assert world.cdr.variables == {"colour": "green"}


# -- mistakes -------------------------------------------------------------------------------------


def test_an_exception_in_request_route_costs_that_call_a_500(world: World) -> None:
    world.routes.on_invite = raising
    call = world.place()
    world.run()
    assert call.status == 500
    assert_server_failure(world)
    assert_next_call_works(world)


def test_an_exception_for_another_request_costs_it_a_500(world: World) -> None:
    world.routes.on_request = raising
    phone = world.phone()
    line = phone.call()
    line.send("OPTIONS", branch="z9hG4bK-options")
    world.run(30)
    assert phone.one(500).cseq_method == "OPTIONS"
    expect_one_fault(world)
    line.learn(phone.one(200))
    line.send("ACK")
    line.send("BYE")


def test_an_exception_in_branch_route_gives_the_lines_back(world: World) -> None:
    world.routes.holds = (Hold("account:acme", 1),)
    world.routes.on_branch = raising
    call = world.place()
    world.run()
    assert call.status == 500
    assert_server_failure(world)
    assert world.store.usage("account:acme").in_use == 0
    assert_next_call_works(world)


def test_an_exception_in_failure_route_ends_the_call(world: World) -> None:
    world.behaviours["g1"] = BUSY
    world.routes.on_failure = raising
    call = world.place()
    world.run(1_000)
    assert call.status == 500
    assert_server_failure(world)


@pytest.mark.parametrize("timers", [TimerDefaults(), TimerDefaults(t1_ms=50)])
def test_an_exception_in_failure_route_after_a_time_out_ends_the_call(
    make_world: Callable[..., World], timers: TimerDefaults
) -> None:
    """Once by the limit of the attempt, once by Timer B of its transaction."""
    world = make_world(timers=timers)
    world.behaviours["g1"] = Behaviour(silent=True)
    world.routes.on_failure = raising
    call = world.place(hang_up_after_ms=None)
    world.run(12_000)
    assert call.status in (500, 408)
    assert world.engine.calls == {}
    assert_server_failure(world)


def test_an_exception_in_failure_route_after_a_transport_error_ends_the_call(world: World) -> None:
    world.behaviours["g1"] = Behaviour(silent=True)
    world.routes.on_failure = raising
    call = world.place()
    world.run(100)
    world.engine.on_transport_error(Flow("udp", "10.0.1.1", 5060), world.network.now)
    world.run(100)
    assert call.status == 500
    assert_server_failure(world)


def test_an_exception_in_reply_route_while_it_rings_cancels_the_attempt(world: World) -> None:
    world.behaviours["g1"] = RINGS_FOR_EVER
    world.routes.on_reply = raising
    call = world.place()
    world.run(1_000)
    assert call.status == 500
    assert world.gateways["g1"].received[0].status == 487
    assert_server_failure(world)


def test_an_exception_in_reply_route_at_the_answer_ends_both_sides(
    make_world: Callable[..., World],
) -> None:
    world = make_world([gateway("g1", 1)])
    phone = world.phone("g1")
    call = world.place()
    world.run()
    world.routes.on_reply = raising
    world.engine.calls[next(iter(world.engine.calls))].dial.on_reply = "r"  # type: ignore
    phone.reply(phone.one("INVITE"), 200, body=SDP)
    world.run()
    assert call.status == 500
    phone.one("ACK")
    phone.reply(phone.one("BYE"), 200)
    assert_server_failure(world)


@pytest.mark.parametrize("how", ["caller", "callee", "limit", "refused", "cancelled", "script"])
def test_an_exception_in_end_route_loses_neither_the_cdr_nor_the_lines(
    world: World, how: str
) -> None:
    world.routes.holds = (Hold("account:acme", 1),)
    world.routes.on_ended = raising
    world.routes.timers = CallTimers(max_duration_ms=3_000)
    reason = "Normal"
    if how == "callee":
        world.behaviours["g1"] = Behaviour(hang_up_after_ms=1_000)
    elif how == "limit":
        reason = "SessionTimeout"
    elif how == "refused":
        world.behaviours["g1"], reason = BUSY, "UserBusy"
    elif how == "cancelled":
        world.behaviours["g1"], reason = RINGS_FOR_EVER, "Cancelled"
    elif how == "script":
        world.routes.on_invite, reason = (lambda call: Respond(403)), "ScriptRejected"
    call = world.place(hang_up_after_ms=1_000 if how == "caller" else None)
    if how == "cancelled":
        call.cancel_after(1_000)
    world.run(10_000)
    assert world.cdr.end_reason == reason
    assert world.store.usage("account:acme").in_use == 0
    assert world.engine.calls == {}
    assert call.ended_ms
    expect_one_fault(world)
    assert_next_call_works(world)


def test_an_exception_in_end_route_does_not_stop_the_end_of_all(world: World) -> None:
    for _ in range(3):
        world.place(hang_up_after_ms=None)
    world.run(1_000)
    world.routes.on_ended = raising
    world.engine.end_all(world.network.now)
    world.run(1_000)
    assert [cdr.end_reason for cdr in world.cdrs] == ["OperatorKill"] * 3
    world.errors_expected = True
    assert len(world.errors()) == 3


def test_a_fault_of_one_call_leaves_the_others_alone(world: World) -> None:
    good = world.place(hang_up_after_ms=3_000)
    world.run(100)
    world.routes.on_invite = raising
    world.place()
    world.run(10_000)
    assert good.ended_by == "us"
    assert sorted(cdr.end_reason for cdr in world.cdrs) == ["Normal", "ServerFailure"]
    expect_one_fault(world)
