"""SIGTERM: no new calls, the running ones go on until the limit; a second one ends them at once."""

from __future__ import annotations

import signal
import time

import pytest
from harness.ports import udp_bound, wait_until
from harness.processes import alive, children
from harness.routes import Routes
from harness.wire import ANSWER, Call


def answered(switch, peer) -> tuple:
    """One answered call by hand: call, caller, gateway."""
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    gateway.reply(gateway.expect("INVITE"), 200, tag="g", body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    return call, caller, gateway


def ends_with(switch, status: int, seconds: float) -> None:
    """The router exits with this status in time, and its children and its port are gone."""
    assert switch.process.wait(seconds) == status, switch.log()
    assert not udp_bound(switch.port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_calls_the_router_stops_at_once(run_switch, number) -> None:
    switch = run_switch(Routes(pairs=1), workers=2)
    family = children(switch.pid)
    began = time.monotonic()
    switch.process.send_signal(number)
    ends_with(switch, 0, 10)
    assert time.monotonic() - began < 5
    assert not any(map(alive, family))


def test_running_calls_go_on_and_new_ones_are_refused(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=2, settings={"shutdown_timeout": "20s"}), workers=2)
    call, caller, gateway = answered(switch, peer)
    switch.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in switch.log(), "the router says that it stops")
    time.sleep(0.3)
    stranger = peer()
    late = Call(stranger, switch.port, switch.routes.pair().number)
    late.invite()
    refusal = stranger.expect(503)
    assert refusal.get("Retry-After"), "RFC 3261 §21.5.4"
    late.ack(refusal)
    # The running call still takes requests, and ends when its caller says so.
    call.request("INFO")
    gateway.reply(gateway.expect("INFO"), 200)
    caller.expect("200 INFO")
    assert switch.process.poll() is None
    call.bye()
    gateway.reply(gateway.expect("BYE"), 200)
    caller.expect("200 BYE")
    ends_with(switch, 0, 10)
    assert switch.cdr(call.call_id)["end_reason"] == "Normal"
    assert switch.cdr(late.call_id)["end_reason"] == "Overloaded"
    switch.is_idle()


def test_after_the_limit_the_calls_left_get_bye_on_both_sides(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=1, settings={"shutdown_timeout": "1s"}))
    call, caller, gateway = answered(switch, peer)
    began = time.monotonic()
    switch.process.send_signal(signal.SIGTERM)
    for each in (caller, gateway):
        each.reply(each.expect("BYE", timeout=6), 200)
    assert 0.8 < time.monotonic() - began < 4
    ends_with(switch, 0, 10)
    cdr = switch.cdr(call.call_id)
    assert cdr["end_side"] == "server"
    assert cdr["answered"] > 0
    switch.is_idle()


def test_a_second_sigterm_ends_the_calls_at_once(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=2, settings={"shutdown_timeout": "60s"}), workers=2)
    call, caller, gateway = answered(switch, peer)
    # and one that rings
    pair = switch.routes.pair()
    waiting, callee = peer(), peer(pair.first)
    ringing = Call(waiting, switch.port, pair.number)
    ringing.invite()
    callee.reply(callee.expect("INVITE"), 180, tag="g")
    waiting.expect(180)
    switch.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in switch.log(), "the router says that it stops")
    switch.process.send_signal(signal.SIGTERM)
    for each in (caller, gateway):
        each.reply(each.expect("BYE", timeout=5), 200)
    refusal = waiting.expect(500, 503, 504, 480, 408, 487)
    ringing.ack(refusal)
    callee.reply(callee.expect("CANCEL"), 200)
    invite = callee.heard[0]
    callee.reply(invite, 487, tag="g")
    ends_with(switch, 0, 12)
    assert switch.cdr(call.call_id)["end_side"] == "server"
    assert switch.cdr(ringing.call_id)["answered"] == 0
    switch.is_idle()


def test_peers_that_do_not_answer_bye_do_not_hold_the_stop_up(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=1, settings={"shutdown_timeout": "1s"}))
    call, *_ = answered(switch, peer)
    switch.process.send_signal(signal.SIGTERM)
    ends_with(switch, 0, 14)
    assert switch.cdr(call.call_id)["end_side"] == "server"
    switch.is_idle()
