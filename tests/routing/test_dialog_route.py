"""dialog_route: requests inside a call are looked at, answered, or passed on."""

from __future__ import annotations

import pytest
from routed import Routed
from test_variables import dies

from router.core.agent import Behaviour
from router.core.end_reasons import EndReason
from router.core.flow import Flow
from router.sip.message import Response, parse_message

CALLER, GATEWAY = ("192.0.2.10", 5060), ("10.0.0.2", 5060)
US = ("10.0.0.1", 5060)
BLOCKS = """
gateway g1 { address = 10.0.0.2  prefixes = 86 }
account acme { trunk office { ips = 192.0.2.0/24 } }
request_route {
    if (!identify()) end(IllegalCall);
    $call.seen = 0;
    $call.last = "";
    call(gateways($rU));
}
"""


def talking(dialog_route: str, more: str = "") -> Routed:
    """A call that has been answered; its caller hangs up after 5 s."""
    world = Routed(BLOCKS + f"dialog_route {{ {dialog_route} }}\n" + more)
    world.caller.place("8613800", "1000", Flow("udp", *US, 0), hang_up_after_ms=5_000)
    world.network.run_for(1_000)
    assert len(world.engine.calls) == 1
    return world


def send(world: Routed, method: str, side: str = "caller", body: str = "", more: str = "") -> int:
    """A request from one side of the call, by hand; the status it gets, 0 for none in a second."""
    (call,) = world.engine.calls.values()
    leg = call.a if side == "caller" else call.b
    assert leg is not None
    host, port = CALLER if side == "caller" else GATEWAY
    own = (world.caller if side == "caller" else world.gateways["g1"]).legs[leg.remote_tag]
    number = own.cseq = own.cseq + 1
    data = (
        f"{method} sip:x@{US[0]} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{number}"
        f"{side}{method};rport\r\nMax-Forwards: 70\r\nFrom: {leg.remote}\r\nTo: {leg.local}\r\n"
        f"Call-ID: {leg.call_id}\r\nCSeq: {number} {method}\r\nContact: <sip:{host}:{port}>\r\n"
        f"{more}Content-Length: {len(body)}\r\n\r\n{body}"
    )
    world.network._record = True
    before = len(world.network.wires)
    world.engine.receive(data.encode(), Flow("udp", host, port, 0), world.network.now)
    world.network.run_for(1_000)
    for wire in world.network.wires[before:]:
        message = parse_message(wire.data)
        if (
            isinstance(message, Response)
            and wire.target == (host, port)
            and (message.cseq, message.cseq_method) == (number, method)
            and message.status >= 200
        ):
            return message.status
    return 0


def passed(world: Routed, side: str = "gateway") -> list[str]:
    """The methods of the requests inside the dialog that a side got."""
    agent = world.gateways["g1"] if side == "gateway" else world.caller
    return [one.method for one in agent.requests if one.to_tag and one.method != "ACK"]


@pytest.mark.parametrize(("side", "other"), [("caller", "gateway"), ("gateway", "caller")])
def test_it_sees_each_request_and_lets_it_pass(side: str, other: str) -> None:
    world = talking('log(info, $rm + " " + str($si) + " " + $hdr(X-A) + " " + $rU + " " + $fU);')
    send(world, "INFO", side, more="X-A: 1\r\n")
    send(world, "OPTIONS", side)
    host = CALLER[0] if side == "caller" else GATEWAY[0]
    assert [text for _, text, _ in world.lines] == [
        f"INFO {host} 1 8613800 1000", f"OPTIONS {host}  8613800 1000",
    ]  # fmt: skip
    assert passed(world, other) == ["INFO", "OPTIONS"]
    world.network.run_for(10_000)
    assert (world.cdr.end_reason, world.lines[-1][1][:3]) == ("Normal", "BYE")


def test_it_answers_by_itself() -> None:
    world = talking('if ($rm == "INFO") reply(415, "No"); if ($rm == "MESSAGE") reply(200);')
    assert send(world, "INFO") == 415
    assert send(world, "MESSAGE", "gateway") == 200
    assert passed(world) == passed(world, "caller") == []
    world.network.run_for(10_000)
    assert world.cdr.end_reason == "Normal"


def test_a_reinvite_is_refused_and_never_accepted_by_it() -> None:
    world = talking('if ($rm == "INVITE") { if ($hdr(X-A) == "1") reply(603); reply(200); }')
    assert send(world, "INVITE", more="X-A: 1\r\n") == 603
    assert send(world, "INVITE") == 488
    world.network.run_for(10_000)
    assert (world.cdr.end_reason, passed(world)) == ("Normal", ["BYE"])


def test_it_ends_the_call_for_a_reason() -> None:
    world = talking('if ($rm == "REFER") end(CallNotPermitted);')
    assert send(world, "REFER", more="Refer-To: <sip:9@10.0.0.9>\r\n") == 403
    assert world.cdr.end_reason == "CallNotPermitted"
    assert passed(world) == passed(world, "caller") == ["BYE"]


def test_a_bye_passes_whatever_it_says() -> None:
    world = talking("$call.seen = 1 / ($call.seen - 0); reply(403);")
    world.network.run_for(10_000)
    assert world.cdr.end_reason == "Normal"
    assert passed(world) == ["BYE"]
    assert "ZeroDivisionError" in world.traces[0]
    world = talking("reply(403);")
    world.network.run_for(10_000)
    assert (world.cdr.end_reason, world.traces) == ("Normal", [])


def test_a_fault_in_it_costs_the_request_and_not_the_call() -> None:
    world = talking('if ($rm == "INFO") $call.seen = 1 / $call.seen;')
    assert send(world, "INFO") == 500
    assert world.tally.route_errors == 1
    assert len(world.engine.calls) == 1
    assert "routes.cfg" in world.traces[0]
    world.network.run_for(10_000)
    assert world.cdr.end_reason == "Normal"


def test_its_steps_are_counted_for_each_request() -> None:
    world = talking('for i in 1..6000 { $call.seen = i; } if ($rm == "BYE") return;')
    for _ in range(3):
        send(world, "OPTIONS")
    assert world.traces == []


def test_variables_that_it_sets_survive_the_worker() -> None:
    world = talking("$call.seen = $call.seen + 1; $call.last = $rm;")
    send(world, "OPTIONS")
    send(world, "INFO")
    dies(world)
    assert world.cdr.end_reason == "Normal"
    assert world.cdr.variables == {"seen": "3", "last": "BYE"}


def test_end_route_sees_the_request_that_began_the_call() -> None:
    world = talking("log(debug, $rm);", "end_route { log(info, $rm + str($si)); }")
    send(world, "INFO", "gateway")
    world.network.run_for(10_000)
    assert world.lines[-1][1] == "INVITE192.0.2.10"


def test_an_early_request_is_seen_too() -> None:
    world = Routed(BLOCKS + "dialog_route { $call.last = $rm; reply(405); }")
    world.behaviours["g1"] = Behaviour(answer_after_ms=None)
    world.caller.place("8613800", "1000", Flow("udp", *US, 0), hang_up_after_ms=None)
    world.network.run_for(500)
    assert send(world, "UPDATE") == 405
    assert [one.method for one in world.gateways["g1"].requests] == ["INVITE"]


def test_a_call_is_not_held_up_where_there_is_none() -> None:
    world = Routed(BLOCKS)
    assert world.switch.inside is None


def test_a_gateway_that_speaks_after_the_caller_has_cancelled_disturbs_nothing() -> None:
    world = Routed(BLOCKS + "dialog_route { $call.last = $rm; }")
    world.behaviours["g1"] = Behaviour(answer_after_ms=None)
    world.caller.place("8613800", "1000", Flow("udp", *US, 0), hang_up_after_ms=None)
    world.network.run_for(500)
    (call,) = world.engine.calls.values()
    assert call.attempt is not None and call.attempt.leg is not None
    leg = call.attempt.leg
    data = (
        f"UPDATE sip:x@{US[0]} SIP/2.0\r\nVia: SIP/2.0/UDP {GATEWAY[0]}:5060;branch=z9hG4bKu\r\n"
        f"From: {leg.remote}\r\nTo: {leg.local}\r\nCall-ID: {leg.call_id}\r\n"
        "CSeq: 9 UPDATE\r\nContent-Length: 0\r\n\r\n"
    )
    call.reject(EndReason.Cancelled)
    world.engine.receive(data.encode(), Flow("udp", *GATEWAY, 0), world.network.now)
    world.network.run_for(60_000)
    assert world.traces == []
    assert (world.cdr.end_reason, world.cdr.variables["last"]) == ("Cancelled", "")
