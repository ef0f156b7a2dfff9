"""Routes before the core: when each runs, how long it took, and what an empty one decides."""

from __future__ import annotations

from typing import Any

import pytest
from routed import T0, Routed

from dsl.program import Program
from router.core.agent import Behaviour
from router.core.end_reasons import EndReason
from router.core.engine import Engine
from router.core.flow import Flow
from router.core.parameters import TimerDefaults
from router.core.tally import Tally
from router.core.verdicts import Drop, End
from router.routing.config import build_config
from router.routing.switch import build_switch
from router.sip.message import Request, parse_message
from router.store.records import Cdr, decode_call, encode_call

GATEWAYS = """
gateway g1 { address = 10.0.1.1:5071  prefixes = 86 }
gateway g2 { address = 10.0.1.2:5072  prefixes = 86  priority = 2 }
account acme { trunk office { ips = 192.0.2.0/24 } }
"""
ENGINE: Any = None  # these routes do not ask it for anything
CALL = "request_route { if (!identify()) end(IllegalCall); call(gateways($rU)%s); }\n"


def routed(call: str = "", more: str = "") -> Routed:
    return Routed(GATEWAYS + more + CALL % call)


def options() -> Request:
    message = parse_message(
        b"OPTIONS sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\n"
        b"From: <sip:bob@x.example>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 4 OPTIONS\r\n\r\n"
    )
    assert isinstance(message, Request)
    return message


def by_hand(routes: dict[tuple[str, str], Any]) -> tuple[Any, Tally]:
    """A switch whose routes are Python functions."""
    world = routed()
    program: Program = world.program
    program.routes = routes
    tally = Tally()
    switch = build_switch(
        program, build_config(program), tally=tally, stopwatch=world.stopwatch, log=world.log
    )
    return switch, tally


def test_each_route_is_timed_under_its_name() -> None:
    world = routed(
        ", on_branch = B, on_reply = R, on_failure = F",
        'branch_route[B] { add_header("X-A", "1"); }\nreply_route[R] { log(info, "r"); }\n'
        'failure_route[F] { next(); }\nend_route { log(info, "e"); }\n',
    )
    world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
    world.place("8613800")
    durations = world.tally.route_duration
    assert {name: sum(one.counts) for name, one in durations.items()} == {
        "request_route": 1, "branch_route[B]": 2, "reply_route[R]": 3, "failure_route[F]": 1,
        "end_route": 1,
    }
    assert durations["branch_route[B]"].sum == pytest.approx(0.002)


def test_a_route_that_decides_nothing_is_a_server_failure_and_not_silence() -> None:
    switch, _ = by_hand({("request_route", ""): lambda c: None})
    verdict = switch.request(options(), Flow("udp", "192.0.2.10", 5060, 0), ENGINE)
    assert isinstance(verdict, End)
    assert verdict.reason is EndReason.ServerFailure
    switch, _ = by_hand({})
    assert isinstance(switch.request(options(), Flow("udp", "192.0.2.10", 5060, 0), ENGINE), End)


def test_a_request_outside_of_a_call_may_be_dropped() -> None:
    switch, tally = by_hand({("request_route", ""): lambda c: c.drop()})
    assert isinstance(switch.request(options(), Flow("udp", "192.0.2.10", 5060, 0), ENGINE), Drop)
    assert sum(tally.route_duration["request_route"].counts) == 1


def test_a_failure_route_that_decides_nothing_hunts_on() -> None:
    world = routed(", on_failure = F", 'failure_route[F] { log(info, "f"); }\n')
    world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
    call = world.place("8613800")
    assert (call.status, world.cdr.gateway) == (200, "g2")


def test_the_verdict_of_one_route_does_not_stay_for_the_next() -> None:
    """failure_route ends nothing at the second failure although it did dial at the first."""
    world = routed(
        ", on_failure = F",
        'failure_route[F] { if ($gateway.id == "g1") call(gateways($rU), on_failure = F);'
        ' log(info, "nothing"); }\n',
    )
    for name in ("g1", "g2"):
        world.behaviours[name] = Behaviour(status=503, ring_after_ms=None)
    call = world.place("8613800")
    assert call.status == 503
    assert [attempt.gateway for attempt in world.cdr.attempts] == ["g1", "g2"]


def test_variables_of_the_call_go_through_its_routes_to_the_cdr() -> None:
    world = Routed(
        GATEWAYS
        + 'branch_route[B] { $call.tried = $call.tried + $gateway.id; }\n'
        'end_route { $call.last = str($rs); $call.done = true; }\n'
        'request_route { if (!identify()) end(IllegalCall); $call.tried = "";'
        " $call.number = 7; $call.done = false; $call.last = \"\";"
        " call(gateways($rU), on_branch = B); }"
    )
    world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
    world.place("8613800")
    assert world.cdr.variables == {"tried": "g1g2", "number": "7", "done": "true", "last": "200"}


def test_an_exception_names_the_line_of_routes_cfg() -> None:
    world = Routed(
        GATEWAYS + "request_route {\n    if (1 / ($sp - 5060) > 1) reply(404);\n    reply(480);\n}"
    )
    call = world.place("8613800")
    assert call.status == 500
    assert world.cdr.end_reason == "ServerFailure"
    (trace,) = world.traces
    assert 'routes.cfg", line 7' in trace
    assert world.tally.route_errors == 1


def test_a_loop_that_the_checker_cannot_see_is_stopped_by_its_steps() -> None:
    world = Routed(
        GATEWAYS + 'request_route { while ($sp > 0) { log(debug, "again"); } reply(404); }'
    )
    call = world.place("8613800")
    assert call.status == 500
    assert "TooManySteps" in world.traces[0]


def test_a_call_keeps_the_program_it_began_with() -> None:
    """The engine's policy is replaced between the answer and the end."""
    world = routed(more='end_route { log(info, "old"); }\n')
    world.caller.place("8613800", "1000", Flow("udp", "10.0.0.1", 5060, 0), hang_up_after_ms=5_000)
    world.network.run_for(1_000)
    assert len(world.engine.calls) == 1
    other = routed(more='end_route { log(info, "new"); }\n')
    world.engine.policy = other.switch
    world.network.run_for(10_000)
    assert world.cdr.end_reason == "Normal"
    assert [text for _, text, _ in world.lines + other.lines] == ["old"]


def test_an_adopted_call_ends_without_a_context() -> None:
    world = routed(more='end_route { log(info, "ended"); }\n')
    world.caller.place("8613800", "1000", Flow("udp", "10.0.0.1", 5060, 0), hang_up_after_ms=5_000)
    world.network.run_for(1_000)
    records = [decode_call(encode_call(record)) for record in world.store.records.values()]
    world.store.records.update({record.id: record for record in records})
    successor = Engine(
        world.switch, listeners=world.config.listeners, slot=0, slots=1, generation=2,
        token=world.token, tally=Tally(), now_ms=T0, timers=TimerDefaults(),
    )
    successor.adopt(records, world.network.now)
    world.engine = world.network.engine = successor
    world.network.run_for(10_000)
    assert (world.cdr.end_reason, world.cdr.account) == ("Normal", "acme")
    assert world.store.verify() == []
    assert successor.logs == []


def test_the_target_of_a_gateway_is_known_by_its_key() -> None:
    switch = routed().switch
    target = switch.target("gateway:g2")
    assert target is not None and target.port == 5072
    assert switch.target("gateway:gone") is None
    assert switch.max_duration_ms(Cdr(gateway="gone")) == 7_200_000
