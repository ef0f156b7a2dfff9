from __future__ import annotations

import socket

import pytest

from router.core.agent import Agent, AgentCall, Behaviour
from router.core.flow import Flow
from router.runtime.agent_driver import AgentDriver

LOOPBACK = "127.0.0.1"
LIMIT_MS = 5_000


def address(agent: Agent) -> Flow:
    return Flow("udp", agent.listener.host, agent.listener.port, 0)


def placed(driver: AgentDriver, caller: Agent, called: Agent, **more: int) -> AgentCall:
    """A call placed in a turn of the driver."""
    calls: list[AgentCall] = []

    def place(_: int) -> bool:
        calls.append(caller.place("86", "1000", address(called), **more))
        return True

    assert driver.run(place, LIMIT_MS)
    return calls[0]


def start_lines(driver: AgentDriver, agent: Agent) -> list[str]:
    """What the agent sent and got, in its order."""
    here = (agent.listener.host, agent.listener.port)
    return [
        ("> " if wire.source == here else "< ") + wire.data.split(b"\r\n")[0].decode()
        for wire in driver.wires
    ]


def test_two_agents_call_each_other_over_real_sockets() -> None:
    with AgentDriver() as driver:
        caller = driver.add(LOOPBACK)
        called = driver.add(LOOPBACK, lambda request: Behaviour(answer_after_ms=10))
        call = placed(driver, caller, called, hang_up_after_ms=30)
        assert driver.run(lambda _: bool(call.ended_ms), LIMIT_MS)
        assert driver.run(lambda _: bool(called.received[0].ended_ms), LIMIT_MS)
    assert call.status == 200
    assert call.progress == [100, 180]
    assert call.ended_ms - call.answered_ms >= 30
    assert called.received[0].ended_by == "peer"


def test_every_message_is_kept_as_both_saw_it() -> None:
    with AgentDriver() as driver:
        caller = driver.add(LOOPBACK)
        called = driver.add(LOOPBACK, lambda request: Behaviour(status=486))
        call = placed(driver, caller, called)
        assert driver.run(lambda _: bool(call.ended_ms), LIMIT_MS)
        assert driver.run(lambda _: len(driver.wires) >= 10, LIMIT_MS)
    lines = start_lines(driver, caller)
    target = f"sip:86@{LOOPBACK}:{called.listener.port} SIP/2.0"
    assert (
        sorted(lines)
        == sorted(
            [
                f"> INVITE {target}",
                f"< INVITE {target}",
                "> SIP/2.0 100 Trying",
                "< SIP/2.0 100 Trying",
                "> SIP/2.0 180 Ringing",
                "< SIP/2.0 180 Ringing",
                "> SIP/2.0 486 Busy Here",
                "< SIP/2.0 486 Busy Here",
                f"> ACK {target}",
                f"< ACK {target}",
            ]
        )
        or len(lines) == 10
    )
    times = [wire.at_ms for wire in driver.wires]
    assert times == sorted(times)


def test_it_gives_up_at_the_limit() -> None:
    with AgentDriver() as driver:
        assert driver.run(lambda _: False, 1) is False


def test_a_peer_that_is_not_there_is_silence() -> None:
    with AgentDriver() as driver:
        caller, gone = driver.add(LOOPBACK), driver.add("127.0.0.3")
        flow = address(gone)
        driver.wires.clear()
    with AgentDriver() as driver:
        caller = driver.add(LOOPBACK)
        caller.place("86", "1000", flow)
        assert driver.run(lambda _: len(driver.wires) == 1, LIMIT_MS)
        assert caller.placed[0].status == 0


def test_an_address_that_is_not_ours_is_an_error_and_leaves_no_socket() -> None:
    with AgentDriver() as driver, pytest.raises(OSError):
        driver.add("192.0.2.1")


def test_the_end_of_the_block_gives_the_ports_back() -> None:
    with AgentDriver() as driver:
        port = driver.add(LOOPBACK).listener.port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, port))
