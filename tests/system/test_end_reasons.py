"""End reasons that no other test here produces, and what the caller is told of each.

Which test produces which reason stands in tests/test_end_reasons_produced.py.
"""

from __future__ import annotations

import re
import shutil
import signal
import time
from typing import NamedTuple

import pytest
from harness.handset import Handset
from harness.ports import LOOPBACK, wait_until
from harness.routes import ACME, STRANGER, Routes
from harness.switch import Switch
from harness.wire import ANSWER, OFFER, Call

STRICT = "127.0.0.6"
ACCOUNTS = f"""
account acme {{
    trunk office {{ ips = {ACME} }}
    phone 1002 {{ password = "secret"  ips = 10.0.0.0/8 }}
}}
account strict {{
    trunk door {{ ips = {STRICT}  number_length = 3-12  callee_deny = 70009  caller_deny = 666 }}
}}
"""
POLICY = """
request_route {
    switch ($rm) {
        case "OPTIONS": reply(200);
        case "INVITE":  route(CALL);
        default:        reply(405);
    }
}
route[CALL] {
    if ($rU == "777") reply(480, "Not Today");
    if (!identify()) end(IllegalCall);
    call(gateways($rU));
}
"""


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    settings = {"block_after": "3", "block_time": "1h", "reason_of": "410:CalledNumberRestricted"}
    return module_switch(Routes(pairs=18, accounts=ACCOUNTS, policy=POLICY, settings=settings))


class Refusal(NamedTuple):
    """A call that is refused: from where, what the gateway says (0: it hears nothing)."""

    reason: str
    status: int
    q850: int
    gateway_says: int = 0
    source: str = ACME
    caller: str = "1000"
    number: str = ""
    hops: int = 70


REFUSALS = [
    Refusal("UserBusy", 486, 17, 486),
    Refusal("UserBusy", 486, 17, 600),
    Refusal("NotFound", 404, 1, 404),
    Refusal("CalledNotOnline", 480, 20, 480),
    Refusal("CodecMismatch", 488, 88, 488),
    Refusal("CodecMismatch", 488, 88, 606),
    Refusal("GatewayRejected(403)", 403, 21, 403),
    Refusal("CalledNumberRestricted", 403, 21, 410),
    Refusal("ScriptRejected", 480, 21, number="777"),
    Refusal("IllegalCall", 403, 21, source=STRANGER),
    Refusal("CalledNumberRestricted", 403, 21, source=STRICT, number="7000999"),
    Refusal("CalledNumberRestricted", 484, 21, source=STRICT, number="70"),
    Refusal("CallerNumberRestricted", 403, 21, source=STRICT, caller="66612"),
    Refusal("ForwardingLoop", 483, 25, hops=0),
]


@pytest.mark.parametrize(
    "case", REFUSALS, ids=[f"{one.reason}-{one.gateway_says or one.status}" for one in REFUSALS]
)
def test_a_refused_call_has_its_code_cause_and_reason(switch: Switch, peer, case: Refusal) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(host=case.source), peer(pair.first)
    call = Call(caller, switch.port, case.number or pair.number, caller=case.caller)
    call.invite(max_forwards=case.hops)
    if case.gateway_says:
        gateway.reply(gateway.expect("INVITE"), case.gateway_says, tag="g")
        gateway.expect("ACK")
    answer = caller.expect(case.status)
    call.ack(answer)
    assert answer.get("Reason") == f"Q.850;cause={case.q850}"
    cdr = switch.cdr(call.call_id)
    assert (cdr["end_reason"], cdr["sip_code"], cdr["q850"]) == (
        case.reason, case.status, case.q850,
    )
    shown = switch.command("explain", call.call_id, "--state", str(switch.state))
    assert shown.returncode == 0, shown.stderr
    assert f"{case.reason}: " in shown.stdout and "What to do" in shown.stdout
    switch.is_idle()


def test_wrong_credentials_end_in_auth_failed_and_then_in_ip_blocked(switch: Switch, peer) -> None:
    number = switch.routes.pair().number
    guesser = peer(host="127.0.0.21")
    handset = Handset(guesser, switch.port, number="1002")
    reasons: list[tuple[int, str]] = []
    for attempt in range(5):
        call = Call(guesser, switch.port, number, call_id=f"guess-{attempt}@x", caller="1002")
        call.invite()
        answer = guesser.expect(401, 407, 403)
        call.ack(answer)
        if answer.status != 403:
            call.invite(extra=[handset.credentials(answer, method="INVITE", password="guess")])
            answer = guesser.expect(401, 407, 403)
            call.ack(answer)
        if answer.status == 403:
            assert answer.get("Reason") == "Q.850;cause=21"
            reasons.append((403, switch.cdr(call.call_id)["end_reason"]))
    assert reasons[0] == (403, "AuthFailed")
    assert reasons[-1] == (403, "IpBlocked")
    switch.is_idle()


def test_an_operator_who_stops_the_router_twice_ends_its_calls(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=1, settings={"shutdown_timeout": "60s"}))
    call, caller, gateway = talking(switch, peer)
    switch.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in switch.log(), "the router says that it stops")
    switch.process.send_signal(signal.SIGTERM)
    for each in (caller, gateway):
        bye = each.expect("BYE", timeout=5)
        each.reply(bye, 200)
        assert bye.get("Reason") == "Q.850;cause=31"
    switch.process.wait(12)
    cdr = switch.cdr(call.call_id)
    assert (cdr["end_reason"], cdr["end_side"]) == ("OperatorKill", "server")


def test_a_call_open_at_a_power_cut_is_closed_at_the_next_start(run_switch, peer) -> None:
    routes = Routes(pairs=1, settings={"cdr_file": '"cdrs/%Y%m%d-%H.csv"'})
    switch = run_switch(routes)
    call, _, _ = talking(switch, peer)
    time.sleep(3.5)  # until the ledger has heard that it was answered, and of a heartbeat
    switch.kill()
    shutil.rmtree(switch.state / "live.lmdb")  # as after a power cut: it belongs to another boot
    switch.start()
    cdr = switch.cdr(call.call_id)
    assert (cdr["end_reason"], cdr["end_side"], cdr["q850"]) == ("SystemRestart", "server", 41)
    assert 0 < cdr["duration_ms"] < 6_000
    wait_until(lambda: len(lines(switch)) == 2, "it has its line as well")
    switch.is_idle()


def talking(switch: Switch, peer) -> tuple[Call, object, object]:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite(body=OFFER)
    gateway.reply(gateway.expect("INVITE"), 200, tag="g", body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    return call, caller, gateway


def test_the_streaming_file_and_stats_agree_with_the_cdrs(run_switch, sipp) -> None:
    routes = Routes(pairs=1, settings={"cdr_file": '"cdrs/%Y%m%d-%H.csv"'})
    switch = run_switch(routes)
    pair = switch.routes.pair()
    sipp("gateway_answers", port=pair.first, calls=20)
    sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="filed", calls=20,
        rate=50, hold_ms=100,
    ).succeeds()
    assert len(switch.cdrs("filed", 20)) == 20
    wait_until(lambda: len(lines(switch)) == 21, "every call has its line")
    assert sum("filed" in line for line in lines(switch)) == 20
    shown = switch.command("cdr", "stats", "--by", "gateway", "--state", str(switch.state))
    assert re.search(rf"{pair.first_name} +20 +20 +100\.0%", shown.stdout), shown.stdout
    assert LOOPBACK in lines(switch)[1]


def lines(switch: Switch) -> list[str]:
    return [
        line
        for path in sorted((switch.folder / "cdrs").glob("*.csv"))
        for line in path.read_text().splitlines()
    ]
