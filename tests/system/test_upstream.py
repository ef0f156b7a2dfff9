"""Gateways that are asked by OPTIONS, that ask for credentials, and that want us to register.

The carrier with digest and registrar is a real Kamailio.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.kamailio import PASSWORD, Kamailio
from harness.ports import free_ports, wait_until
from harness.routes import Routes
from harness.switch import Switch
from harness.wire import Call, Peer

EVENTS = """
event_route[gateway:down] { count("down", gateway = $gateway.id); }
event_route[gateway:up] { count("up", gateway = $gateway.id); }
"""


def gateways(switch: Switch) -> dict[str, dict[str, Any]]:
    """What `trunkline status` says of each gateway."""
    done = switch.command("status", "--state", str(switch.state), "--json")
    assert done.returncode == 0, done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["gateways"]}


def until(switch: Switch, name: str, seconds: float = 12, **wanted: Any) -> dict[str, Any]:
    """Waits until status says this of a gateway."""
    return wait_until(
        lambda: next(
            (
                one for key, one in gateways(switch).items()
                if key == name and all(one[field] == value for field, value in wanted.items())
            ),
            None,
        ),
        f"gateway {name} is {wanted}, it is {gateways(switch).get(name)}", seconds, every=0.3,
    )


@pytest.fixture
def carrier(tmp_path: Path) -> Iterator[Callable[..., Kamailio]]:
    """Starts Kamailios; they end with the test."""
    own: list[Kamailio] = []

    def start(port: int, phone: int, **more: Any) -> Kamailio:
        own.append(Kamailio(tmp_path / f"kamailio{len(own)}", port, phone, **more))
        return own[-1]

    yield start
    for one in own:
        one.stop()


def answer_pings(peer: Peer, seconds: float, status: int = 200) -> int:
    """Plays a gateway that answers OPTIONS for a time; how many there were."""
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        message = peer.next(0.2)
        if message is not None and message.method == "OPTIONS":
            peer.reply(message, status)
            count += 1
    return count


def test_a_gateway_that_stops_answering_goes_down_and_comes_back(run_switch, peer) -> None:
    routes = Routes(pairs=1, first={"ping": "1s"}, more=EVENTS)
    pair = routes.pair()
    gateway = peer(pair.first)
    switch = run_switch(routes, workers=2)
    assert 3 <= answer_pings(gateway, 4.5) <= 5
    assert gateways(switch)[pair.first_name]["up"]
    down = until(switch, pair.first_name, up=False)
    assert "pings" in down["why"]
    switch.metric_reaches(0, "gateway_up", gateway=pair.first_name)
    switch.metric_reaches(1, "script_down_total", gateway=pair.first_name)
    # A call does not even try it.
    caller = peer()
    call = Call(caller, switch.port, pair.number, call_id="while-down")
    call.invite()
    caller.expect(100, skip=())
    call.cancel()
    caller.listen(0.5)
    decision = switch.cdr("while-down")["decision"]
    assert f"{pair.first_name}: down" in decision
    gateway.listen(0)
    answer_pings(gateway, 4)
    until(switch, pair.first_name, up=True, why="")
    switch.metric_reaches(1, "script_up_total", gateway=pair.first_name)
    assert switch.metrics().value("gateway_pings_total", result="missed") >= 3


def test_a_successor_goes_on_asking(run_switch, peer) -> None:
    routes = Routes(pairs=1, first={"ping": "1s"})
    gateway = peer(routes.pair().first)
    switch = run_switch(routes, workers=2)
    assert answer_pings(gateway, 2.5)
    for pid in switch.worker_pids():
        os.kill(pid, signal.SIGKILL)
    switch.metric_reaches(2, "worker_up", seconds=10)
    assert answer_pings(gateway, 5) >= 2


def carrier_routes(carrier_port: int, **settings: str) -> Routes:
    """A carrier for numbers that begin with 9, and a gateway of our own for its calls to us."""
    lines = {
        "address": f"127.0.0.1:{carrier_port}", "prefixes": "9", "ping": "1s",
        "username": '"8001"', "password": f'"{PASSWORD}"', **settings,
    }
    inside = "\n".join(f"    {key} = {value}" for key, value in lines.items())
    routes = Routes(pairs=1, more=f"gateway carrier {{\n{inside}\n}}\n" + EVENTS)
    pair = routes.pair()
    address = f"127.0.0.1:{pair.second}"
    routes.more += f"gateway inside {{ address = {address} prefixes = 8 ping = 0s }}\n"
    return routes


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_calls_through_a_carrier_with_digest(run_switch, sipp, carrier, algorithm: str) -> None:
    port, phone = free_ports(2)
    carrier(port, phone, algorithm=algorithm)
    switch = run_switch(carrier_routes(port), workers=2)
    answering = sipp("gateway_answers", port=phone, calls=6)
    caller = sipp(
        "caller_hangs_up", target=switch.port, number="9123", call_id="digest", calls=6,
        hold_ms=200,
    )
    caller.succeeds()
    answering.succeeds()  # its BYE came through, and Kamailio challenges that too
    for cdr in switch.cdrs("digest", 6):
        assert (cdr["end_reason"], len(cdr["attempts"])) == ("Normal", 1)
    metrics = switch.metrics()
    asked = metrics.value("sip_responses_total", method="INVITE", code="407", direction="in")
    assert 1 <= asked <= 2, "each worker is challenged once, then the nonce is used again"
    switch.is_idle()


def test_a_wrong_password_shows_in_status_and_log(run_switch, peer, carrier) -> None:
    port, phone = free_ports(2)
    carrier(port, phone)
    switch = run_switch(carrier_routes(port, password='"not-the-one"'), workers=1)
    caller = peer()
    call = Call(caller, switch.port, "9123", call_id="wrong-password")
    call.invite()
    call.ack(caller.expect(403))
    assert switch.cdr("wrong-password")["attempts"][0]["sip_code"] == 407
    why = until(switch, "carrier", up=True)["why"]
    assert why.startswith("credentials refused: 407")
    assert '"credentials refused"' in switch.log(1 << 30)
    assert "not-the-one" not in switch.log(1 << 30)


def test_we_register_get_calls_refresh_and_take_leave(run_switch, sipp, peer, carrier) -> None:
    port, phone = free_ports(2)
    carrier(port, phone, expires=4)
    routes = carrier_routes(port, register="true")
    inside = routes._pairs[0].second
    switch = run_switch(routes, workers=2)
    first = until(switch, "carrier", up=True)["registered_until_ms"]
    assert first > time.time() * 1_000
    shown = switch.command("status", "--state", str(switch.state)).stdout
    assert "registered until" in " ".join(shown.split())
    # Longer than the first registration: it was refreshed.
    time.sleep(5)
    assert until(switch, "carrier", up=True)["registered_until_ms"] > first + 2_000
    answering = sipp("gateway_answers", port=inside)
    far = sipp("caller_hangs_up", target=port, number="8001", call_id="far", hold_ms=200)
    far.succeeds()
    answering.succeeds()
    cdr = switch.cdr("far")
    assert (cdr["callee_in"], cdr["gateway"], cdr["end_reason"]) == ("8001", "inside", "Normal")
    assert cdr["trunk"] == "office"
    started = time.monotonic()
    assert switch.stop() == 0
    assert time.monotonic() - started < 5
    stranger = peer()
    call = Call(stranger, port, "8001", call_id="nobody")
    call.invite()
    call.ack(stranger.expect(404))


def test_423_is_taken_and_a_refusal_shows(run_switch, carrier) -> None:
    port, phone = free_ports(2)
    carrier(port, phone, expires=100_000, min_expires=5_000)
    switch = run_switch(carrier_routes(port, register="true"), workers=1)
    until_ms = until(switch, "carrier", up=True)["registered_until_ms"]
    assert until_ms > time.time() * 1_000 + 4_900_000
    other, phone = free_ports(2)
    carrier(other, phone)
    wrong = run_switch(carrier_routes(other, register="true", password='"not-the-one"'), workers=1)
    found = until(wrong, "carrier", up=False, registered_until_ms=0)
    found = until(wrong, "carrier", why="registration failed: 401 Unauthorized")
    assert not found["up"]
    wrong.metric_reaches(0, "gateway_up", gateway="carrier")


def test_a_killed_worker_stays_registered(run_switch, carrier) -> None:
    port, phone = free_ports(2)
    carrier(port, phone, expires=6)
    switch = run_switch(carrier_routes(port, register="true"), workers=2)
    until(switch, "carrier", up=True)
    for pid in switch.worker_pids():
        os.kill(pid, signal.SIGKILL)
    switch.metric_reaches(2, "worker_up", seconds=10)
    for _ in range(8):
        assert gateways(switch)["carrier"]["up"]
        time.sleep(1)
