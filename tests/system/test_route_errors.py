"""A route that raises: 500 to that caller, counted, logged with its line, and life goes on."""

from __future__ import annotations

import pytest
from harness.routes import POLICY, Routes
from harness.switch import Switch
from harness.wire import ANSWER, Call

DIVISION = "let n = 100 / len($hdr(X-Divisor));"
FAULTY = POLICY.replace(
    "    if (!identify())", f"    {DIVISION}\n    if (n > 1000000) drop;\n    if (!identify())"
)


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    switch = module_switch(Routes(pairs=4, policy=FAULTY))
    switch.throws = True
    return switch


def test_an_exception_in_a_route_is_a_500_and_the_next_call_works(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    for _ in range(3):
        call = Call(caller, switch.port, pair.number)
        call.invite()
        call.ack(caller.expect(500))
    gateway.hears_nothing(0.2)
    switch.metric_reaches(3, "route_errors_total")
    text = switch.file.read_text()
    line = text[: text.index(DIVISION)].count("\n") + 1
    assert f"routes.cfg:{line}" in switch.log(100_000) or (
        f'routes.cfg\\", line {line}' in switch.log(100_000)
    ), f"the log names line {line}:\n{switch.log()}"
    cdr = switch.cdr(call.call_id)
    assert (cdr["end_reason"], cdr["sip_code"]) == ("ServerFailure", 500)
    good = Call(caller, switch.port, pair.number)
    good.invite(extra=["X-Divisor: ten chars."])
    gateway.reply(gateway.expect("INVITE"), 200, tag="g", body=ANSWER)
    good.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    good.bye()
    gateway.reply(gateway.expect("BYE"), 200)
    caller.expect("200 BYE")
    assert switch.cdr(good.call_id)["end_reason"] == "Normal"
    assert switch.metrics().value("route_errors_total") == 3
    switch.is_idle()
