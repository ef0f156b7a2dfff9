"""The server transaction of other requests, row by row and at random against a model."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from machines import TIMEOUT, Bench

from router.core.transactions.server_request import (
    COMPLETED,
    PROCEEDING,
    TERMINATED,
    TRYING,
    RequestServer,
)
from router.core.wheel import TICK_MS

NAMES = {TRYING: "TRYING", PROCEEDING: "PROCEEDING", COMPLETED: "COMPLETED",
         TERMINATED: "TERMINATED"}


def asked(bench: Bench) -> RequestServer:
    return RequestServer(bench.layer, "key", bench.flow, "Via: x\r\n", "INFO")


def in_state(bench: Bench, state: int) -> RequestServer:
    server = asked(bench)
    for status in {PROCEEDING: (100,), COMPLETED: (200,)}.get(state, ()):
        server.respond(status)
    assert server.state == state
    bench.sent()
    return server


UDP, TCP = ("udp",), ("tcp",)
BOTH = UDP + TCP

# transports, state, event, what is sent, next state
ROWS = [
    (BOTH, TRYING, "request", [], TRYING),
    (BOTH, TRYING, 100, ["100"], PROCEEDING),
    (UDP, TRYING, 200, ["200"], COMPLETED),
    (UDP, TRYING, 699, ["699"], COMPLETED),
    (TCP, TRYING, 200, ["200"], TERMINATED),
    (BOTH, TRYING, "an hour", [], TRYING),
    (BOTH, PROCEEDING, "request", ["100"], PROCEEDING),
    (BOTH, PROCEEDING, 183, ["183"], PROCEEDING),
    (UDP, PROCEEDING, 404, ["404"], COMPLETED),
    (TCP, PROCEEDING, 404, ["404"], TERMINATED),
    (UDP, COMPLETED, "request", ["200"], COMPLETED),
    (UDP, COMPLETED, 100, [], COMPLETED),
    (UDP, COMPLETED, 500, [], COMPLETED),
    (UDP, COMPLETED, "Timer J", [], TERMINATED),
]
WAITS = {"Timer J": TIMEOUT, "an hour": 3_600_000}


@pytest.mark.parametrize(
    ("transport", "state", "event", "sent", "after"),
    [(transport, *row) for transports, *row in ROWS for transport in transports],
    ids=lambda value: NAMES.get(value, str(value)) if isinstance(value, int) else str(value),
)
def test_row(transport: str, state: int, event: int | str, sent: list[str], after: int) -> None:
    bench = Bench(transport)
    server = in_state(bench, state)
    if event == "request":
        server.on_retransmission()
    elif isinstance(event, str):
        bench.wait(WAITS[event] - 1)
        assert server.state == state, "the timer was early"
        bench.wait(1 + TICK_MS)
    else:
        server.respond(event)
    assert bench.sent() == sent
    assert server.state == after
    assert (bench.layer.servers.get("key") is server) is (after != TERMINATED)


def test_a_silent_transaction_swallows_repetitions_and_goes() -> None:
    bench = Bench("udp")
    server = asked(bench)
    server.keep_silent()
    server.on_retransmission()
    bench.wait(TIMEOUT - TICK_MS)
    server.on_retransmission()
    assert bench.layer.servers == {"key": server}
    bench.wait(2 * TICK_MS)
    assert bench.layer.servers == {}
    assert bench.sent() == []


class RequestServerMachine(RuleBasedStateMachine):
    """Random events; the model is the table."""

    @initialize(transport=st.sampled_from(BOTH))
    def begin(self, transport: str) -> None:
        self.bench = Bench(transport)
        self.udp = transport == "udp"
        self.server = asked(self.bench)
        self.state = TRYING
        self.last = ""
        self.end_at: int | None = None

    @rule(status=st.sampled_from([100, 180, 200, 302, 404, 481, 500, 600]))
    def respond(self, status: int) -> None:
        sent = []
        if self.state in (TRYING, PROCEEDING):
            self.last = str(status)
            sent = [self.last]
            if status < 200:
                self.state = PROCEEDING
            elif self.udp:
                self.state = COMPLETED
                self.end_at = self.bench.now + TIMEOUT
            else:
                self.state = TERMINATED
        self.server.respond(status)
        assert self.bench.sent() == sent

    @precondition(lambda self: self.state != TERMINATED)
    @rule()
    def request(self) -> None:
        self.server.on_retransmission()
        assert self.bench.sent() == ([self.last] if self.last else [])

    @rule(steps=st.integers(1, 4_000))
    def wait(self, steps: int) -> None:
        self.bench.wait(steps * TICK_MS)
        if self.end_at is not None and self.end_at <= self.bench.now:
            self.state = TERMINATED
        assert self.bench.sent() == []

    @invariant()
    def same_state(self) -> None:
        assert self.server.state == self.state, NAMES[self.server.state]
        assert (self.bench.layer.servers.get("key") is self.server) is (self.state != TERMINATED)


TestRequestServerMachine = RequestServerMachine.TestCase
TestRequestServerMachine.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None
)
