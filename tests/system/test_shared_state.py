"""What routes share between workers, their own metrics, and trunkline route beside a router."""

from __future__ import annotations

import json
import subprocess
import uuid

import pytest
from harness.ports import LOOPBACK, wait_until
from harness.routes import Routes
from harness.switch import PROGRAM, Switch
from harness.wire import Call, Peer, new_branch

ALLOWED = 25
REQUESTS = 200
AT_ONCE = 40
POLICY = f"""
event_route[config:loaded] {{ cache_set("loaded", "yes", 1h); }}

request_route {{
    switch ($rm) {{
        case "OPTIONS": reply(200);
        case "MESSAGE":
            count("messages", allowed = rate_limit("messages", {ALLOWED}, 60s));
            cache_set("seen:" + $rU, $ci, 60s);
            reply(202);
        case "NOTIFY":
            if (cache_get("seen:" + $rU) == "") reply(404);
            if (cache_get("loaded") != "yes") reply(503);
            reply(200);
        case "INVITE":
            if (!identify()) end(IllegalCall);
            call(gateways($rU));
        default: reply(405);
    }}
}}
"""


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    return module_switch(Routes(pairs=2, policy=POLICY, first={"lines": "1"}), workers=2)


def request(method: str, user: str, call_id: str, port: int) -> str:
    return (
        f"{method} sip:{user}@{LOOPBACK} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {LOOPBACK}:{port};branch={new_branch()};rport\r\nMax-Forwards: 70\r\n"
        f"From: <sip:a@{LOOPBACK}>;tag=1\r\nTo: <sip:{user}@{LOOPBACK}>\r\nCall-ID: {call_id}\r\n"
        f"CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )


def ask_all(phone: Peer, port: int, method: str, users: list[str], status: int) -> None:
    """A request for each user, so many at once that both workers are at it, all answered so."""
    for start in range(0, len(users), AT_ONCE):
        some = users[start : start + AT_ONCE]
        for user in some:
            phone.send(request(method, user, uuid.uuid4().hex, phone.port), port)
        for _ in some:
            phone.expect(status)


def test_a_rate_is_exact_and_a_value_seen_over_all_workers(switch: Switch, peer) -> None:
    phone = peer(0)
    users = [f"u{number}" for number in range(REQUESTS)]
    ask_all(phone, switch.port, "MESSAGE", users, 202)

    def counted() -> tuple[float, float]:
        metrics = switch.metrics()
        return (
            metrics.value("script_messages_total", allowed="true"),
            metrics.value("script_messages_total", allowed="false"),
        )

    wait_until(lambda: sum(counted()) == REQUESTS, "all messages are counted", 5)
    assert counted() == (ALLOWED, REQUESTS - ALLOWED)
    # Other Call-IDs now, so that half of them are asked of the worker that did not share them.
    ask_all(phone, switch.port, "NOTIFY", users, 200)
    phone.send(request("NOTIFY", "nobody", uuid.uuid4().hex, phone.port), switch.port)
    phone.expect(404)


def ask(switch: Switch, number: str, *options: str) -> dict:
    """What trunkline route says of a call to this number."""
    argv = [str(PROGRAM), "route", str(switch.file), "--source", LOOPBACK, "--caller", "1000"]
    argv += ["--callee", number, "--json", *options]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    return json.loads(done.stdout)


def test_trunkline_route_sees_the_lines_in_use_now_and_takes_none(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    gateway, caller = peer(pair.first), peer(0)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    gateway.expect("INVITE")
    state = ("--state", str(switch.state))
    busy, free = ask(switch, pair.number, *state), ask(switch, pair.number)
    assert busy["sent"]["gateway"] == pair.second_name
    assert free["sent"]["gateway"] == pair.first_name
    fates = {fate["name"]: fate for fate in busy["gateways"]}
    assert fates[pair.first_name]["why"] == "full"
    assert fates[pair.first_name]["lines_used"] == 1
    assert busy["decision"][-2:] == [f"{pair.first_name}: full", f"{pair.second_name}: taken"]
    call.cancel()
    caller.expect(487, skip=(100, 200))
    switch.is_idle()
    assert ask(switch, pair.number, *state)["sent"]["gateway"] == pair.first_name
