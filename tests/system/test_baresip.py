"""A real phone, baresip: it registers, answers our challenges with its own digest, and calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.baresip import Baresip
from harness.ports import wait_until
from harness.routes import Routes
from harness.switch import Switch

ACCOUNTS = """
account acme {
    phone 1001 { password = "secret" }
    phone 1002 { password = "other" }
}
"""
POLICY = """
request_route {
    switch ($rm) {
        case "OPTIONS": reply(200);
        case "REGISTER": {
            if (!authenticate()) challenge();
            save();
        }
        case "INVITE": {
            if (!identify()) end(IllegalCall);
            call(gateways($rU));
        }
        default: reply(405);
    }
}
"""


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    return module_switch(Routes(pairs=2, accounts=ACCOUNTS, policy=POLICY), workers=2)


@pytest.fixture
def baresip(tmp_path: Path, switch: Switch) -> Iterator[Callable[..., Baresip]]:
    phones: list[Baresip] = []

    def start(**more) -> Baresip:
        phones.append(Baresip(tmp_path / f"baresip{len(phones)}", switch.port, **more))
        return phones[-1]

    yield start
    for phone in phones:
        phone.stop()


def online(switch: Switch) -> dict[str, list[dict]]:
    done = switch.command("phones", "list", "--json", "--state", str(switch.state))
    return {one["number"]: one["contacts"] for one in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_it_registers_and_is_gone_when_it_ends(
    switch: Switch, baresip: Callable[..., Baresip], transport: str
) -> None:
    phone = baresip(seconds=3, transport=transport)
    wait_until(lambda: "1001" in online(switch), "the phone is online", 5, every=0.3)
    (contact,) = online(switch)["1001"]
    assert contact["source"].startswith(f"{transport}:127.0.0.1:")
    assert contact["user_agent"].startswith("baresip")
    assert "200 OK" in phone.wait()
    assert online(switch) == {}


def test_it_calls_through_to_a_gateway(
    switch: Switch, baresip: Callable[..., Baresip], sipp
) -> None:
    pair = switch.routes.pair()
    gateway = sipp(
        "gateway_hangs_up", port=pair.first, hold_ms=500, changes={"s=caller-sendrecv": "m=audio"}
    )
    phone = baresip(commands=(f"/dial {pair.number}",), seconds=5)
    gateway.succeeds()
    said = phone.wait()
    assert "Call established" in said, said
    (cdr,) = [cdr for cdr in switch.all_cdrs() if cdr["callee_in"] == pair.number]
    assert (cdr["end_reason"], cdr["end_side"], cdr["phone"]) == ("Normal", "callee", "1001")
    switch.is_idle()


def test_with_a_wrong_password_it_tries_until_it_is_blocked(
    switch: Switch, baresip: Callable[..., Baresip]
) -> None:
    phone = baresip(number="1002", password="guess", seconds=2)
    assert "403 Forbidden" in phone.wait()
    assert online(switch) == {}
    assert "127.0.0.1 " in switch.command(
        "blocks", "list", "--state", str(switch.state)
    ).stdout
