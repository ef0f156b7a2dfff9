"""Several workers: whoever receives a message, the call's owner gets it."""

from __future__ import annotations

import pytest
from harness.routes import Routes
from harness.switch import Switch
from harness.wire import ANSWER, Call, dialog_request

from router.core.steering import call_hash


def many_calls(switch: Switch, sipp, name: str, count: int = 200) -> None:
    """`count` calls from one socket to one socket, all of which succeed; both workers take part."""
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, calls=count, messages=False)
    caller = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id=name,
        calls=count,
        rate=150,
        hold_ms=300,
        messages=False,
    )
    caller.succeeds()
    gateway.succeeds()
    assert caller.count("Retransmissions") == 0
    cdrs = switch.cdrs(name, count)
    assert {cdr["end_reason"] for cdr in cdrs} == {"Normal"}
    assert {cdr["worker"] for cdr in cdrs} == set(range(switch.workers))
    assert all(cdr["worker"] == call_hash(cdr["call_id"]) % switch.workers for cdr in cdrs)
    switch.is_idle()


def test_the_kernel_gives_every_datagram_to_its_owner(run_switch, sipp) -> None:
    switch = run_switch(Routes(pairs=2), workers=2)
    before = switch.metrics().value("worker_strays_total")
    many_calls(switch, sipp, "steered")
    many_calls(switch, sipp, "flushed", count=20)  # and a second for the metrics to be flushed
    assert switch.metrics().value("worker_strays_total") == before


def test_without_the_kernels_help_workers_hand_strays_over_and_every_call_succeeds(
    run_switch, sipp
) -> None:
    switch = run_switch(Routes(pairs=2), workers=2, options=("--no-steering",))
    many_calls(switch, sipp, "unsteered")
    many_calls(switch, sipp, "flushing", count=20)
    strays = switch.metrics().value("worker_strays_total")
    # The kernel's own hash sends all that comes from one socket to one worker, and both own calls.
    assert strays > 0


@pytest.mark.parametrize("steering", [(), ("--no-steering",)], ids=["filter", "no filter"])
def test_three_workers_share_calls_over_udp_and_tcp(run_switch, sipp, steering) -> None:
    switch = run_switch(Routes(pairs=2), workers=3, options=steering)
    many_calls(switch, sipp, "three", count=90)
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, calls=30)
    caller = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="three-tcp",
        transport="t1",
        calls=30,
        rate=50,
        hold_ms=200,
    )
    caller.succeeds()
    gateway.succeeds()
    assert {cdr["worker"] for cdr in switch.cdrs("three-tcp", 30)} == {0, 1, 2}
    switch.is_idle()


def test_a_call_id_the_filter_cannot_read_still_reaches_its_owner(run_switch, peer) -> None:
    """Compact form, odd spelling, far down: the kernel gives these to any worker."""
    switch = run_switch(Routes(pairs=12), workers=2)
    spellings = {
        "compact": lambda text: text.replace("Call-ID: ", "i: "),
        "lower case": lambda text: text.replace("Call-ID: ", "call-id: "),
        "blanks": lambda text: text.replace("Call-ID: ", "Call-ID  :   "),
        "folded": lambda text: text.replace("Call-ID: ", "Call-ID:\r\n  "),
        "far down": lambda text: text.replace(
            "Max-Forwards", "".join(f"X-{n}: {'y' * 70}\r\n" for n in range(15)) + "Max-Forwards"
        ),
    }
    for name, change in spellings.items():
        pair = switch.routes.pair()
        caller, gateway = peer(), peer(pair.first)
        for slot in (0, 1):
            call = Call(caller, switch.port, pair.number)
            while call_hash(call.call_id) % 2 != slot:
                call = Call(caller, switch.port, pair.number)
            call.cseq = 1
            call.send(change(call.compose("INVITE", cseq=1, body="")))
            invite = gateway.expect("INVITE")
            gateway.reply(invite, 200, tag="g", body=ANSWER)
            answer = call.answered(caller.expect("200 INVITE"))
            call.send(change(call.compose("ACK", cseq=1)))
            gateway.expect("ACK")
            assert answer.get("Call-ID") == call.call_id, name
            dialog_request(gateway, invite, "BYE", tag="g")
            gateway.expect("200 BYE")
            caller.reply(caller.expect("BYE"), 200)
            assert switch.cdr(call.call_id)["worker"] == slot, name
    switch.is_idle()
