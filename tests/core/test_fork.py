"""Calls that ring several gateways at once, and contacts that are hunted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from virtual_world import T0, World, gateway

from router.core.agent import SDP, Behaviour
from router.core.call import Call
from router.core.end_reasons import EndReason
from router.core.protect import NEVER
from router.core.verdicts import Dial, End, Next, Verdict
from router.store.ops import Hold, Leave

RINGS_FOR_EVER = Behaviour(answer_after_ms=None)


def refuses(status: int, after_ms: int = 0, ring: int | None = None) -> Behaviour:
    return Behaviour(status=status, answer_after_ms=after_ms, ring_after_ms=ring)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    world = make_world([gateway("g1", 1, lines=5), gateway("g2", 2), gateway("g3", 3)])
    world.routes.ring_all = True
    world.routes.holds = (Hold("account:acme", 5),)
    return world


def in_use(world: World) -> dict[str, int]:
    return {key: used.in_use for key, used in world.store.usages("").items() if used.in_use}


def reasons(world: World) -> list[tuple[str, str]]:
    return [(attempt.gateway, attempt.reason) for attempt in world.cdr.attempts]


# -- the answer -----------------------------------------------------------------------------------


def test_all_ring_at_once_and_the_first_answer_wins(world: World) -> None:
    world.behaviours |= {
        "g1": RINGS_FOR_EVER, "g2": Behaviour(answer_after_ms=500), "g3": RINGS_FOR_EVER,
    }
    call = world.place(hang_up_after_ms=2_000)
    world.run(100)
    assert in_use(world) == {"account:acme": 1, "gateway:g1": 1, "gateway:g2": 1, "gateway:g3": 1}
    assert call.progress[:2] == [100, 180]
    world.run(500)
    assert call.status == 200
    assert in_use(world) == {"account:acme": 1, "gateway:g2": 1}
    for loser in ("g1", "g3"):
        (cancel,) = world.on_wire(f"us>{loser} CANCEL")
        assert b'Reason: SIP;cause=200;text="Call completed elsewhere"\r\n' in cancel
    world.run(3_000)
    cdr = world.cdr
    assert (cdr.end_reason, cdr.gateway, cdr.attempt, len(cdr.attempts)) == ("Normal", "g2", 2, 3)
    assert reasons(world) == [("g1", "Cancelled"), ("g2", "Normal"), ("g3", "Cancelled")]
    assert cdr.b_call_id == cdr.attempts[1].b_call_id
    assert cdr.attempts[1].ended == cdr.ended
    assert "g1: cancelled, ahead was g2" in cdr.decision
    assert world.engine.tally.attempts == {"g1": 1, "g2": 1, "g3": 1}


def test_a_second_2xx_that_crosses_the_cancel_gets_ack_and_bye(world: World) -> None:
    first, second, third = (world.phone(name) for name in ("g1", "g2", "g3"))
    caller = world.phone()
    line = caller.call()
    world.run()
    for phone in (first, second, third):
        phone.reply(phone.one("INVITE"), 180, tag=phone.address)
    world.run()
    first.reply(first.one("INVITE"), 200, body=SDP, tag=first.address)
    second.reply(second.one("INVITE"), 200, body=SDP, tag=second.address)
    world.run()
    line.learn(caller.one(200))
    line.send("ACK")
    world.run()
    second.one("ACK")
    second.reply(second.one("BYE"), 200)
    second.reply(second.one("CANCEL"), 481)
    third.reply(third.one("CANCEL"), 200)
    third.reply(third.one("INVITE"), 487, tag=third.address)
    assert first.got("BYE") == []
    line.send("BYE")
    world.run()
    first.reply(first.one("BYE"), 200)
    world.run()
    assert world.cdr.gateway == "g1"


def test_a_branch_that_has_given_no_sign_is_cancelled_when_it_does(world: World) -> None:
    late = world.phone("g2")
    world.behaviours |= {"g1": Behaviour(answer_after_ms=300), "g3": refuses(503)}
    world.place(hang_up_after_ms=1_000)
    world.run(600)
    assert late.got("CANCEL") == []
    late.reply(late.last("INVITE"), 100)
    world.run()
    late.reply(late.one("CANCEL"), 200)
    late.reply(late.last("INVITE"), 487)
    world.run(2_000)
    assert reasons(world) == [("g1", "Normal"), ("g2", "Cancelled"), ("g3", "NoAvailableRouter")]


def test_only_one_branch_speaks_before_the_answer(world: World) -> None:
    first, second = world.phone("g1"), world.phone("g2")
    world.behaviours["g3"] = refuses(404)
    caller = world.phone()
    line = caller.call(headers="Supported: 100rel, timer\r\n")
    world.run()
    assert first.one("INVITE").get("supported") == "timer"
    first.reply(first.one("INVITE"), 180, tag="one")
    second.reply(second.one("INVITE"), 180, tag="two")
    world.run()
    assert len(caller.got(180)) == 2
    assert len({response.to_tag for response in caller.got(180)}) == 1
    second.reply(second.one("INVITE"), 183, body=b"v=0 second", tag="two")
    world.run()
    assert caller.one(183).body == b"v=0 second"
    first.reply(first.one("INVITE"), 183, body=b"v=0 first", tag="one")
    first.reply(first.one("INVITE"), 180, tag="one")
    world.run()
    caller.one(183)
    assert len(caller.got(180)) == 2
    second.reply(second.one("INVITE"), 503, tag="two")
    world.run()
    first.reply(first.one("INVITE"), 183, body=b"v=0 first again", tag="one")
    world.run()
    assert caller.last(183).body == b"v=0 first again"
    line.send("CANCEL")
    world.run()
    first.reply(first.one("CANCEL"), 200)
    first.reply(first.one("INVITE"), 487, tag="one")
    world.run()
    line.ack_failure(caller.one(487))
    world.run()


# -- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "reason", "status"),
    [
        ((503, 486, 404), "UserBusy", 486),
        ((480, 404, 503), "NotFound", 404),
        ((408, 480, 500), "ResponseTimeout", 408),
        ((503, 302, 500), "GatewayRejected(500)", 500),
        ((302, 302, 302), "GatewayRejected(302)", 500),
        ((484, 486, 401), "GatewayRejected(484)", 484),
    ],
)
def test_the_best_failure_is_the_calls(
    world: World, statuses: tuple[int, ...], reason: str, status: int
) -> None:
    for at, code in enumerate(statuses):
        world.behaviours[f"g{at + 1}"] = refuses(code, 100 * at)
    call = world.place()
    world.run(1_000)
    assert (call.status, world.cdr.end_reason) == (status, reason)
    assert world.cdr.attempts[world.cdr.attempt - 1].reason == reason
    assert in_use(world) == {}


def test_a_line_goes_back_when_its_branch_fails(world: World) -> None:
    world.behaviours |= {"g1": refuses(503), "g2": RINGS_FOR_EVER, "g3": RINGS_FOR_EVER}
    world.routes.timers = world.routes.timers.__class__(ringing_ms=3_000)
    world.place()
    world.run(500)
    assert in_use(world) == {"account:acme": 1, "gateway:g2": 1, "gateway:g3": 1}
    (record,) = world.store.records.values()
    assert record.gateway == "gateway:g2"
    assert world.store.verify() == []
    world.run(5_000)
    assert world.cdr.end_reason == "ResponseTimeout"
    assert len([op for op in world.store.ops if isinstance(op, Leave)]) == 2


def test_a_6xx_ends_all(world: World) -> None:
    world.behaviours |= {"g1": RINGS_FOR_EVER, "g2": refuses(603, 500), "g3": RINGS_FOR_EVER}
    call = world.place()
    world.run(1_000)
    assert (call.status, world.cdr.end_reason) == (603, "GatewayRejected(603)")
    assert len(world.on_wire("us>g1 CANCEL")) == len(world.on_wire("us>g3 CANCEL")) == 1
    assert world.cdr.gateway == "g2"


def test_failure_route_runs_once_when_all_have_failed(world: World) -> None:
    seen: list[tuple[str, int]] = []

    def failed(call: Call, attempt: Any) -> Verdict:
        seen.append((attempt.target.name, attempt.status))
        return End(EndReason.UserBusy)

    world.routes.on_failure = failed
    world.behaviours |= {"g1": refuses(503), "g2": refuses(480, 200), "g3": refuses(404, 100)}
    call = world.place()
    world.run(1_000)
    assert seen == [("g3", 404)]
    assert call.status == 486


def test_failure_route_may_ring_others(world: World) -> None:
    routes = world.routes
    routes.on_invite = lambda call: routes.dial(routes.gateways[:2])
    routes.on_failure = lambda call, attempt: routes.dial(routes.gateways)
    world.behaviours |= {
        "g1": refuses(503), "g2": refuses(500), "g3": Behaviour(answer_after_ms=100),
    }
    call = world.place(hang_up_after_ms=500)
    world.run(300)
    assert call.status == 200
    assert in_use(world) == {"account:acme": 1, "gateway:g3": 1}
    world.run(1_000)
    assert reasons(world) == [
        ("g1", "NoAvailableRouter"), ("g2", "GatewayRejected(500)"), ("g3", "Normal"),
    ]


def test_hunting_after_all_have_failed_finds_nobody_left(world: World) -> None:
    world.routes.on_failure = lambda call, attempt: Next()
    world.behaviours |= {"g1": refuses(503), "g2": refuses(503), "g3": refuses(503)}
    call = world.place()
    world.run(1_000)
    assert call.status == 503
    assert world.cdr.decision[-1] == "hunting ends: no candidate is left"


def test_what_is_full_does_not_ring(make_world: Callable[..., World]) -> None:
    world = make_world([gateway("g1", 1, lines=0), gateway("g2", 2)])
    world.routes.ring_all = True
    world.behaviours["g2"] = refuses(486)
    world.place()
    world.run(100)
    assert world.cdr.decision[0] == "g1: full"
    assert reasons(world) == [("g2", "UserBusy")]


def test_a_protected_gateway_rings_when_all_others_have_failed(world: World) -> None:
    routes = world.routes

    def dial(call: Call) -> Dial:
        made = routes.dial()
        made.protected = {"gateway:g2": NEVER}
        return made

    routes.on_invite = dial
    world.behaviours |= {
        "g1": refuses(503), "g2": Behaviour(answer_after_ms=100), "g3": refuses(500, 200),
    }
    call = world.place(hang_up_after_ms=100)
    world.run(1_000)
    assert call.status == 200
    assert [attempt.gateway for attempt in world.cdr.attempts] == ["g1", "g3", "g2"]
    assert world.cdr.attempts[2].started >= world.cdr.attempts[1].ended


# -- the caller, and death ------------------------------------------------------------------------


def test_the_callers_cancel_cancels_all(world: World) -> None:
    world.behaviours |= dict.fromkeys(("g1", "g2", "g3"), RINGS_FOR_EVER)
    call = world.place()
    call.cancel_after(500)
    world.run(1_000)
    assert call.status == 487
    for name in ("g1", "g2", "g3"):
        (cancel,) = world.on_wire(f"us>{name} CANCEL")
        assert b"Reason" not in cancel
    assert [reason for _, reason in reasons(world)] == ["Cancelled"] * 3
    assert in_use(world) == {}


def test_a_successor_cancels_every_branch_that_rings(world: World) -> None:
    phones = [world.phone(name) for name in ("g1", "g2", "g3")]
    caller = world.phone()
    line = caller.call()
    world.run()
    for phone in phones:
        phone.reply(phone.one("INVITE"), 180)
    phones[0].reply(phones[0].one("INVITE"), 503)
    world.run()
    world.crash()
    world.run()
    line.ack_failure(caller.one(500))
    assert phones[1].one("CANCEL").vias == phones[1].one("INVITE").vias
    assert phones[2].one("CANCEL").vias == phones[2].one("INVITE").vias
    for phone in phones[1:]:
        phone.reply(phone.one("CANCEL"), 200)
        phone.reply(phone.one("INVITE"), 487)
    world.run()
    assert world.cdr.end_reason == "ServerFailure"
    assert len(world.cdr.attempts) == 3
    assert all(attempt.ended >= T0 for attempt in world.cdr.attempts)
    assert in_use(world) == {}


def test_a_route_that_raises_while_several_ring_ends_them_all(world: World) -> None:
    world.errors_expected = True

    def raises(call: Call, attempt: Any, response: Any) -> None:
        if response.status == 200:
            raise RuntimeError("a route went wrong")

    world.routes.on_reply = raises
    world.behaviours |= {
        "g1": RINGS_FOR_EVER, "g2": Behaviour(answer_after_ms=500), "g3": RINGS_FOR_EVER,
    }
    call = world.place()
    world.run(2_000)
    assert call.status == 500
    assert len(world.on_wire("us>g1 CANCEL")) == len(world.on_wire("us>g3 CANCEL")) == 1
    assert len(world.on_wire("us>g2 BYE")) == 1


