"""What the parts under a call cost: transactions and the timer wheel, without any network."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from router.core.flow import Flow
from router.core.parameters import TimerDefaults
from router.core.tally import Tally
from router.core.transactions.client_invite import InviteClient
from router.core.transactions.client_request import RequestClient, Silent
from router.core.transactions.layer import TransactionLayer
from router.core.transactions.server_invite import InviteServer
from router.core.transactions.server_request import RequestServer
from router.core.wheel import Wheel, cancel
from router.sip.message import Response, parse_message

T0 = 1_700_000_000_000
TRANSACTIONS = 1_000
FLOW = Flow("udp", "10.0.0.9", 5060, 0)
HEAD = (
    "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1\r\nMax-Forwards: 69\r\n"
    "From: <sip:100@10.0.0.1:5060>;tag=a\r\nCall-ID: c\r\n"
)
REQUEST = f"INVITE sip:1@10.0.0.9 SIP/2.0\r\n{HEAD}To: <sip:1@10.0.0.9>\r\n\r\n".encode()


def response(status: int, method: str) -> Response:
    message = parse_message(
        f"SIP/2.0 {status} X\r\n{HEAD}To: <sip:1@10.0.0.9>;tag=b\r\nCSeq: 1 {method}\r\n\r\n"
        .encode()
    )
    assert isinstance(message, Response)
    return message


RINGING, ANSWER, BYE_OK = response(180, "INVITE"), response(200, "INVITE"), response(200, "BYE")


def invite_client(layer: TransactionLayer, name: str) -> None:
    client = InviteClient(
        layer, Silent, name, FLOW, "sip:1@10.0.0.9", HEAD, "<sip:1@10.0.0.9>", 1, REQUEST
    )
    client.on_response(RINGING)
    client.on_response(ANSWER)


def invite_server(layer: TransactionLayer, name: str) -> None:
    server = InviteServer(layer, name, FLOW, HEAD)
    server.respond(100)
    server.respond(180)
    server.respond(200)
    server.acknowledged()


def bye_client(layer: TransactionLayer, name: str) -> None:
    RequestClient(layer, Silent, name, FLOW, "BYE", REQUEST).on_response(BYE_OK)


def bye_server(layer: TransactionLayer, name: str) -> None:
    RequestServer(layer, name, FLOW, HEAD, "BYE").respond(200)


@pytest.mark.parametrize("work", [invite_client, invite_server, bye_client, bye_server])
def test_transactions_from_their_beginning_to_their_last_timer(
    benchmark: Any, work: Callable[[TransactionLayer, str], None]
) -> None:
    """A thousand at a time, one a millisecond, until the wheel has let go of all."""
    names = [f"z9hG4bK{number:012x}" for number in range(TRANSACTIONS)]

    def begin() -> tuple[tuple[TransactionLayer], dict[str, Any]]:
        gc.collect()
        return (TransactionLayer(TimerDefaults(), Tally(), T0),), {}

    def run(layer: TransactionLayer) -> None:
        for name in names:
            layer.now += 1
            work(layer, name)
            layer.sends.clear()
        layer.now += 64_000
        for entry in layer.wheel.due(layer.now):
            if entry[0] is not None:
                entry[0](entry[1])
        assert not layer.clients and not layer.servers

    benchmark.pedantic(run, setup=begin, rounds=30)
    if benchmark.stats is not None:
        benchmark.extra_info["us_each"] = benchmark.stats.stats.median / TRANSACTIONS * 1e6


def test_the_wheel_with_the_timers_of_a_call(benchmark: Any) -> None:
    """Thirteen timers a call, eleven of them cancelled, 1,000 calls, one every 2 ms."""
    afters = (500, 32_000, 500, 32_000, 10_000, 20_000, 120_000, 7_200_000, 2_000, 500, 32_000)
    fired: list[int] = []

    def begin() -> tuple[tuple[Wheel], dict[str, Any]]:
        gc.collect()
        return (Wheel(T0),), {}

    def run(wheel: Wheel) -> None:
        now = T0
        at = wheel.at
        note = fired.append
        for _ in range(1_000):
            now += 2
            for entry in [at(now + after, note, 1) for after in afters]:
                cancel(entry)
            at(now + 5_000, note, 1)
            at(now + 32_000, note, 1)
            for entry in wheel.due(now):
                if entry[0] is not None:
                    entry[0](entry[1])

    benchmark.pedantic(run, setup=begin, rounds=30)
    if benchmark.stats is not None:
        benchmark.extra_info["us_each"] = benchmark.stats.stats.median / 1_000 * 1e6
