"""Calls that are not answered: hunting, its limits, time-outs and end reasons."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from virtual_world import T0, World, gateway

from router.core.agent import Behaviour
from router.core.decision import passed_over, sentences
from router.core.flow import Flow
from router.core.parameters import CallTimers, TimerDefaults
from router.store.ops import Hold

SILENT = Behaviour(silent=True)
NEVER_RINGS = Behaviour(ring_after_ms=None, answer_after_ms=None)
RINGS_FOR_EVER = Behaviour(answer_after_ms=None)


def refuses(status: int, rings: bool = False, extra: str = "") -> Behaviour:
    return Behaviour(ring_after_ms=0 if rings else None, status=status, extra=extra)


def gateways_tried(world: World) -> list[str]:
    return [attempt.gateway for attempt in world.cdr.attempts]


def test_busy_ends_the_hunt(world: World) -> None:
    world.behaviours["g1"] = refuses(486, rings=True)
    call = world.place()
    world.run(1_000)
    assert call.status == 486
    cdr = world.cdr
    assert (cdr.end_reason, cdr.end_side, cdr.sip_code, cdr.q850) == ("UserBusy", "callee", 486, 17)
    assert gateways_tried(world) == ["g1"]
    assert b"Reason: Q.850;cause=17" in world.on_wire("us>caller 486 INVITE")[0]


@pytest.mark.parametrize(("status", "sent"), [(486, 486), (600, 486), (603, 603)])
def test_a_stop_code_ends_the_hunt_even_when_switch_on_names_it(
    make_world: Callable[..., World], status: int, sent: int
) -> None:
    world = make_world([gateway("g1", 1, switch_on=((300, 699),)), gateway("g2", 2)])
    world.behaviours["g1"] = refuses(status)
    call = world.place()
    world.run(1_000)
    assert call.status == sent
    assert gateways_tried(world) == ["g1"]


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 506, 580, 599])
def test_the_next_gateway_follows_after_a_code_of_switch_on(world: World, status: int) -> None:
    world.behaviours["g1"] = refuses(status)
    call = world.place()
    world.run(20_000)
    assert call.status == 200
    assert gateways_tried(world) == ["g1", "g2"]
    assert world.cdr.attempts[0].sip_code == status
    assert world.cdr.gateway == "g2"
    assert world.cdr.decision == ["g1: taken", f"g1: {status} after 10 ms", "g2: taken"]


@pytest.mark.parametrize(
    ("status", "reason", "sent"),
    [
        (400, "GatewayRejected(400)", 400),
        (401, "GatewayRejected(401)", 403),
        (403, "GatewayRejected(403)", 403),
        (404, "NotFound", 404),
        (407, "GatewayRejected(407)", 403),
        (480, "CalledNotOnline", 480),
        (484, "GatewayRejected(484)", 484),
        (487, "Cancelled", 487),
        (488, "CodecMismatch", 488),
        (302, "GatewayRejected(302)", 500),
        (501, "GatewayRejected(501)", 501),
        (505, "GatewayRejected(505)", 505),
        (604, "GatewayRejected(604)", 604),
        (606, "CodecMismatch", 488),
    ],
)
def test_a_code_that_does_not_switch_is_told_to_the_caller(
    world: World, status: int, reason: str, sent: int
) -> None:
    world.behaviours["g1"] = refuses(status)
    call = world.place()
    world.run(1_000)
    assert call.status == sent
    assert (world.cdr.end_reason, world.cdr.sip_code) == (reason, sent)
    assert world.cdr.end_side == "callee"
    assert gateways_tried(world) == ["g1"]


def test_codecs_that_a_gateway_does_not_take_stand_in_the_decision(world: World) -> None:
    world.behaviours["g1"] = refuses(488)
    world.place()
    world.run(1_000)
    entry = "codecs: PCMA, PCMU, telephone-event offered to g1"
    assert world.cdr.decision[-2] == entry
    assert sentences([entry]) == ["Codecs: PCMA, PCMU, telephone-event offered to g1."]
    assert passed_over(world.cdr.decision) == []


def test_the_last_gateway_decides_the_reason_when_all_have_failed(world: World) -> None:
    world.behaviours |= {"g1": refuses(500), "g2": SILENT, "g3": refuses(503)}
    call = world.place()
    world.run(60_000)
    assert call.status == 503
    assert world.cdr.end_reason == "NoAvailableRouter"
    assert [attempt.reason for attempt in world.cdr.attempts] == [
        "GatewayRejected(500)", "ConnectionTimeout", "NoAvailableRouter",
    ]


def test_no_gateway_twice_in_one_call(world: World) -> None:
    for name in ("g1", "g2", "g3"):
        world.behaviours[name] = refuses(503)
    world.place()
    world.run(1_000)
    assert gateways_tried(world) == ["g1", "g2", "g3"]


def test_no_more_attempts_than_max_attempts(world: World) -> None:
    world.routes.max_attempts = 2
    for name in ("g1", "g2", "g3"):
        world.behaviours[name] = refuses(503)
    call = world.place()
    world.run(1_000)
    assert call.status == 503
    assert gateways_tried(world) == ["g1", "g2"]


def test_a_silent_gateway_is_left_after_the_invite_timeout(world: World) -> None:
    world.behaviours["g1"] = SILENT
    call = world.place()
    world.run(30_000)
    assert call.status == 200
    assert gateways_tried(world) == ["g1", "g2"]
    first = world.cdr.attempts[0]
    assert first.reason == "ConnectionTimeout"
    assert 10_000 <= first.ended - first.started <= 10_010
    # Resent at 0.5, 1.5, 3.5 and 7.5 s.
    assert len(world.on_wire("us>g1 INVITE")) == 5


def test_nothing_is_sent_to_a_silent_gateway_once_it_was_left(world: World) -> None:
    world.behaviours["g1"] = SILENT
    world.place()
    world.run(60_000)
    left = [wire for wire in world.network.wires if wire.at_ms > T0 + 10_010]
    assert not [wire for wire in left if wire.target == ("10.0.1.1", 5060)]


@pytest.mark.parametrize(
    ("behaviour", "limit_ms", "reason", "status"),
    [
        (SILENT, 10_000, "ConnectionTimeout", 504),
        (NEVER_RINGS, 20_000, "ProceedingTimeout", 504),
        (RINGS_FOR_EVER, 120_000, "ResponseTimeout", 408),
        (Behaviour(early_media=True, answer_after_ms=None), 120_000, "ResponseTimeout", 408),
    ],
)
def test_each_phase_has_its_limit_and_its_reason(
    make_world: Callable[..., World], behaviour: Behaviour, limit_ms: int, reason: str, status: int
) -> None:
    world = make_world([gateway("g1", 1)])
    world.behaviours["g1"] = behaviour
    call = world.place()
    world.run(limit_ms + 2_000)
    assert call.status == status
    cdr = world.cdr
    assert (cdr.end_reason, cdr.end_side) == (reason, "server")
    assert limit_ms <= cdr.ended - cdr.started <= limit_ms + 30


def test_the_phases_follow_the_gateways_timers(make_world: Callable[..., World]) -> None:
    world = make_world([gateway("g1", 1)])
    world.routes.timers = CallTimers(
        invite_ms=1_000, trying_ms=2_000, progress_ms=3_000, media_progress_ms=4_000,
        ringing_ms=5_000,
    )
    phone = world.phone("g1")
    world.place()
    world.run(900)
    invite = phone.last("INVITE")
    phone.reply(invite, 100)
    world.run(1_900)
    phone.reply(invite, 183)
    world.run(2_900)
    phone.reply(invite, 183, body=b"v=0\r\n")
    world.run(3_900)
    phone.reply(invite, 180)
    world.run(4_900)
    assert world.cdrs == []
    phone.reply(invite, 180)  # said again it does not begin the phase again
    world.run(200)
    assert world.cdr.end_reason == "ResponseTimeout"
    phone.reply(phone.one("CANCEL"), 200)
    phone.reply(invite, 487)


def test_a_session_progress_without_sdp_that_never_rings_is_a_proceeding_timeout(
    make_world: Callable[..., World],
) -> None:
    world = make_world([gateway("g1", 1)])
    phone = world.phone("g1")
    world.place()
    world.run(10)
    phone.reply(phone.one("INVITE"), 183)
    world.run(19_900)
    assert world.cdrs == []
    world.run(200)
    assert (world.cdr.end_reason, world.cdr.sip_code) == ("ProceedingTimeout", 504)
    phone.reply(phone.one("INVITE"), 487)


def test_a_gateway_that_rang_is_the_last_one(world: World) -> None:
    world.behaviours["g1"] = refuses(503, rings=True)
    call = world.place()
    world.run(1_000)
    assert call.status == 503
    assert gateways_tried(world) == ["g1"]


def test_hunting_goes_on_after_ringing_where_the_gateway_allows_it(
    make_world: Callable[..., World],
) -> None:
    world = make_world([gateway("g1", 1, after_ring=True), gateway("g2", 2)])
    world.behaviours["g1"] = refuses(503, rings=True)
    call = world.place()
    world.run(20_000)
    assert call.status == 200
    assert gateways_tried(world) == ["g1", "g2"]


@pytest.mark.parametrize(("after_media", "tried"), [(False, ["g1"]), (True, ["g1", "g2"])])
def test_early_media_ends_the_hunt_unless_the_gateway_allows_it(
    make_world: Callable[..., World], after_media: bool, tried: list[str]
) -> None:
    world = make_world([gateway("g1", 1, after_media=after_media), gateway("g2", 2)])
    world.behaviours["g1"] = Behaviour(early_media=True, answer_after_ms=100, status=503)
    world.place()
    world.run(20_000)
    assert gateways_tried(world) == tried


def test_a_transport_error_leads_to_the_next_gateway_at_once(world: World) -> None:
    world.behaviours["g1"] = SILENT
    call = world.place()
    world.run(10)
    world.engine.on_transport_error(Flow("udp", "10.0.1.1", 5060), world.network.now)
    world.run(20_000)
    assert call.status == 200
    assert gateways_tried(world) == ["g1", "g2"]
    assert world.cdr.attempts[0].reason == "ConnectionTimeout"
    assert world.cdr.attempts[0].ended - world.cdr.attempts[0].started < 100


def test_a_transport_error_of_one_peer_is_none_of_another(world: World) -> None:
    world.behaviours["g1"] = SILENT
    world.place()
    world.run(10)
    for flow in (Flow("udp", "10.0.1.1", 5061), Flow("tcp", "10.0.1.1", 5060)):
        world.engine.on_transport_error(flow, world.network.now)
    world.run(5_000)
    assert world.cdrs == []


def test_a_refused_port_leads_to_the_next_gateway_at_once(world: World) -> None:
    """ICMP port unreachable, RFC 3261 §18.4."""
    world.behaviours["g1"] = SILENT
    call = world.place()
    world.run(10)
    world.engine.on_refused("10.0.1.1", 5060, world.network.now)
    world.run(20_000)
    assert call.status == 200
    assert gateways_tried(world) == ["g1", "g2"]
    assert world.cdr.decision[1].startswith("g1: unreachable after ")


def test_a_refusal_that_is_forged_ends_nothing_that_has_an_answer(world: World) -> None:
    world.behaviours["g1"] = Behaviour(answer_after_ms=100)
    call = world.place()
    for _ in range(20):
        world.run(20)
        for host, port in (("10.0.1.1", 5060), ("10.0.0.2", 5060)):
            world.engine.on_refused(host, port, world.network.now)
    world.run(10_000)
    assert (call.status, world.cdr.end_reason) == (200, "Normal")


def test_timer_b_ends_an_attempt_whose_own_limit_is_longer(
    make_world: Callable[..., World],
) -> None:
    world = make_world([gateway("g1", 1), gateway("g2", 2)], timers=TimerDefaults(t1_ms=50))
    world.behaviours["g1"] = SILENT
    call = world.place()
    world.run(20_000)
    assert call.status == 200
    first = world.cdr.attempts[0]
    assert 3_200 <= first.ended - first.started <= 3_210
    assert first.reason == "ConnectionTimeout"


def test_no_gateway_at_all_is_not_found(world: World) -> None:
    world.routes.on_invite = lambda call: world.routes.dial([])
    call = world.place()
    world.run(1_000)
    assert call.status == 404
    assert (world.cdr.end_reason, world.cdr.attempts) == ("NotFound", [])


def test_five_silent_invites_in_a_row_take_a_gateway_down(world: World) -> None:
    world.behaviours["g1"] = SILENT
    for _ in range(5):
        world.place()
        world.run(11_000)
    assert [line[:2] for line in world.engine.logs] == [("warning", "gateway is down")]
    world.place()
    world.run(100)
    newest = max(world.cdrs or [None], key=lambda cdr: cdr.id if cdr else "")
    assert newest is not None
    world.run(10_000)
    assert sorted(world.cdrs, key=lambda cdr: cdr.id)[-1].decision == ["g1: down", "g2: taken"]
    world.run(30_000)  # and after a while it is tried again
    world.place()
    world.run(20_000)
    again = sorted(world.cdrs, key=lambda cdr: cdr.id)[-1].decision
    assert (again[0], again[-1]) == ("g1: taken", "g2: taken")


def test_an_answer_between_silences_keeps_a_gateway_up(world: World) -> None:
    for round_ in range(8):
        world.behaviours["g1"] = refuses(503) if round_ == 4 else SILENT
        world.place(hang_up_after_ms=100)
        world.run(11_000)
    assert world.engine.logs == []


def test_a_gateway_that_says_trying_is_not_silent(world: World) -> None:
    world.behaviours["g1"] = NEVER_RINGS
    for _ in range(6):
        world.place(hang_up_after_ms=100)
        world.run(21_000)
    assert world.engine.logs == []


def test_a_503_with_retry_after_puts_the_gateway_aside_for_that_long(world: World) -> None:
    world.behaviours["g1"] = refuses(503, extra="Retry-After: 30 (busy)\r\n")
    world.place(hang_up_after_ms=100)
    world.run(5_000)
    world.behaviours["g1"] = Behaviour()
    world.place(hang_up_after_ms=100)
    world.run(5_000)
    assert sorted(world.cdrs, key=lambda cdr: cdr.id)[-1].decision == ["g1: down", "g2: taken"]
    world.run(21_000)
    world.place(hang_up_after_ms=100)
    world.run(5_000)
    assert sorted(world.cdrs, key=lambda cdr: cdr.id)[-1].decision == ["g1: taken"]


@pytest.mark.parametrize(
    "value", ["", "0", "-1", "soon", "²", "٣", "1" * 400, "99999999999", "5;duration=²"]
)
def test_an_odd_retry_after_harms_nobody(world: World, value: str) -> None:
    world.behaviours["g1"] = refuses(503, extra=f"Retry-After: {value}\r\n")
    call = world.place(hang_up_after_ms=100)
    world.run(5_000)
    assert call.status == 200
    assert world.engine.tally.route_errors == 0


@pytest.mark.parametrize("status", [500, 404])
def test_retry_after_counts_with_503_alone(world: World, status: int) -> None:
    world.behaviours["g1"] = refuses(status, extra="Retry-After: 30\r\n")
    world.place(hang_up_after_ms=100)
    world.run(5_000)
    assert world.store.gateway_states() == {}


def test_a_full_gateway_is_passed_over(make_world: Callable[..., World]) -> None:
    world = make_world([gateway("g1", 1, lines=1), gateway("g2", 2, lines=1)])
    calls = [world.place(hang_up_after_ms=5_000) for _ in range(3)]
    world.run(10_000)
    assert sorted(call.status for call in calls) == [200, 200, 503]
    refused = next(cdr for cdr in world.cdrs if not cdr.answered)
    assert refused.end_reason == "NoAvailableRouter"
    assert refused.decision == ["g1: full", "g2: full"]
    again = world.place()
    world.run(10_000)
    assert again.status == 200


def test_a_gateway_that_refused_has_its_line_back_while_the_next_one_rings(
    make_world: Callable[..., World],
) -> None:
    world = make_world([gateway("g1", 1, lines=1), gateway("g2", 2)])
    world.behaviours |= {"g1": refuses(503), "g2": RINGS_FOR_EVER}
    world.place()
    world.run(1_000)
    assert world.store.usage("gateway:g1").in_use == 0
    assert world.store.usage("gateway:g2").in_use == 1


def test_a_line_limit_of_account_or_trunk_is_named(world: World) -> None:
    world.routes.holds = (Hold("account:acme", 2), Hold("trunk:acme/office", 1))
    calls = [world.place(hang_up_after_ms=5_000) for _ in range(2)]
    world.run(10_000)
    assert sorted(call.status for call in calls) == [200, 503]
    refused = next(cdr for cdr in world.cdrs if not cdr.answered)
    assert refused.end_reason == "ConnectionLimitExceeded"
    assert refused.decision == ["trunk:acme/office: every line in use"]
    assert refused.end_side == "server"
    again = world.place()
    world.run(10_000)
    assert again.status == 200


def test_a_failure_route_may_dial_others(world: World) -> None:
    world.behaviours["g1"] = refuses(403)
    world.routes.on_invite = lambda call: world.routes.dial(world.routes.gateways[:1])
    world.routes.on_failure = lambda call, attempt: world.routes.dial()
    call = world.place()
    world.run(20_000)
    assert call.status == 200
    assert gateways_tried(world) == ["g1", "g2"]


def test_failed_attempts_are_counted_by_gateway(world: World) -> None:
    world.behaviours["g1"] = refuses(503)
    world.place()
    world.run(20_000)
    assert dict(world.engine.tally.attempts) == {"g1": 1, "g2": 1}
    assert dict(world.engine.tally.failures) == {("g1", "503"): 1}
    assert dict(world.engine.tally.calls) == {("g2", "Normal"): 1}


def test_an_attempt_that_was_never_answered_is_counted_by_what_ran_out(world: World) -> None:
    world.behaviours["g1"] = SILENT
    world.place()
    world.run(20_000)
    assert dict(world.engine.tally.failures) == {("g1", "ConnectionTimeout"): 1}
    (delay,) = world.engine.tally.failed_delay.values()
    assert sum(delay.counts) == 1
    assert delay.sum == pytest.approx(10, abs=0.1), "invite_timeout"


def test_what_the_caller_gives_up_is_no_failure_of_the_gateway(world: World) -> None:
    world.behaviours["g1"] = RINGS_FOR_EVER
    world.place().cancel_after(2_000)
    world.run(20_000)
    assert world.cdr.end_reason == "Cancelled"
    assert dict(world.engine.tally.failures) == {}
