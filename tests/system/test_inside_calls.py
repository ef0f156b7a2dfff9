"""A dialog_route, and a gateway with a dead address, in a running router with real peers."""

from __future__ import annotations

from harness.ports import free_ports
from harness.routes import POLICY, Routes
from harness.wire import ANSWER, Call, dialog_request

INSIDE = """
dialog_route {
    $call.inside = $rm;
    if ($rm == "INFO") reply(415, "Not here");
    if ($rm == "REFER") end(CallNotPermitted);
}
"""
TIMES = {"invite_timeout": "1s", "trying_timeout": "2s", "progress_timeout": "2s"}


def talking(switch, peer):
    """An answered call: the caller's side of it, the caller, the gateway and its INVITE."""
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    invite = gateway.expect("INVITE")
    gateway.reply(invite, 200, tag="g", body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    return call, caller, gateway, invite


def test_a_dialog_route_answers_lets_pass_and_ends(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=2, more=INSIDE))
    call, caller, gateway, invite = talking(switch, peer)
    call.request("INFO")
    assert caller.expect("415 INFO").start.endswith("Not here")
    dialog_request(gateway, invite, "MESSAGE", tag="g", cseq=1)
    caller.reply(caller.expect("MESSAGE"), 200)
    gateway.expect("200 MESSAGE")
    call.request("REFER", extra=["Refer-To: <sip:1@192.0.2.9>"])
    caller.expect("403 REFER")
    caller.reply(caller.expect("BYE"), 200)
    gateway.reply(gateway.expect("BYE"), 200)
    cdr = switch.cdr(call.call_id)
    assert (cdr["end_reason"], cdr["variables"]) == ("CallNotPermitted", {"inside": "REFER"})
    switch.is_idle()


def test_a_dead_address_of_a_gateway_costs_the_first_call_a_second_only(run_switch, peer) -> None:
    dead, alive = free_ports(2)
    more = f"gateway twice {{ address = 127.0.0.1:{dead}, 127.0.0.1:{alive}  prefixes = 99 }}"
    switch = run_switch(Routes(pairs=1, policy=POLICY, more=more, settings=TIMES))
    caller, silent, gateway = peer(), peer(dead), peer(alive)
    for attempts in (2, 1):
        call = Call(caller, switch.port, "99123")
        call.invite()
        invite = gateway.expect("INVITE")
        gateway.reply(invite, 200, tag="g", body=ANSWER)
        call.ack(caller.expect("200 INVITE"))
        gateway.expect("ACK")
        call.bye()
        caller.expect("200 BYE")
        gateway.reply(gateway.expect("BYE"), 200)
        cdr = switch.cdr(call.call_id)
        assert (cdr["end_reason"], cdr["gateway"]) == ("Normal", "twice")
        assert len(cdr["attempts"]) == attempts
    assert silent.expect("INVITE").get("Call-ID")
    switch.is_idle()
