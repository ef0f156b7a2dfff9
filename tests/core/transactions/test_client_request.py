"""The client transaction of other requests, row by row and at random against a model."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from machines import T1, T2, T4, TIMEOUT, Bench, response

from router.core.transactions.client_request import (
    COMPLETED,
    PROCEEDING,
    TERMINATED,
    TRYING,
    RequestClient,
    Silent,
)
from router.core.wheel import TICK_MS

NAMES = {TRYING: "TRYING", PROCEEDING: "PROCEEDING", COMPLETED: "COMPLETED",
         TERMINATED: "TERMINATED"}
BRANCH = "z9hG4bK1"


def request(bench: Bench) -> RequestClient:
    client = RequestClient(
        bench.layer, bench.user, BRANCH, bench.flow, "INFO", b"INFO sip:c@d SIP/2.0\r\n\r\n"
    )
    assert bench.sent() == ["INFO"]
    return client


def in_state(bench: Bench, state: int) -> RequestClient:
    client = request(bench)
    for status in {PROCEEDING: (100,), COMPLETED: (200,)}.get(state, ()):
        client.on_response(response(status, "INFO"))
    assert client.state == state
    bench.sent()
    bench.heard()
    return client


UDP, TCP = ("udp",), ("tcp",)
BOTH = UDP + TCP

# transports, state, event, what is sent, what the user hears, next state
ROWS = [
    (BOTH, TRYING, 100, [], ["response 100"], PROCEEDING),
    (UDP, TRYING, 200, [], ["response 200"], COMPLETED),
    (UDP, TRYING, 404, [], ["response 404"], COMPLETED),
    (UDP, TRYING, 699, [], ["response 699"], COMPLETED),
    (TCP, TRYING, 200, [], ["response 200"], TERMINATED),
    (UDP, TRYING, "Timer E", ["INFO"], [], TRYING),
    (TCP, TRYING, "Timer E", [], [], TRYING),
    (BOTH, TRYING, "transport error", [], ["transport error"], TERMINATED),
    (BOTH, PROCEEDING, 100, [], ["response 100"], PROCEEDING),
    (UDP, PROCEEDING, 200, [], ["response 200"], COMPLETED),
    (UDP, PROCEEDING, 500, [], ["response 500"], COMPLETED),
    (TCP, PROCEEDING, 500, [], ["response 500"], TERMINATED),
    (UDP, PROCEEDING, "Timer E", ["INFO"], [], PROCEEDING),
    (TCP, PROCEEDING, "Timer E", [], [], PROCEEDING),
    (BOTH, PROCEEDING, "transport error", [], ["transport error"], TERMINATED),
    (UDP, COMPLETED, 100, [], [], COMPLETED),
    (UDP, COMPLETED, 200, [], [], COMPLETED),
    (UDP, COMPLETED, 500, [], [], COMPLETED),
    (UDP, COMPLETED, "transport error", [], [], COMPLETED),
    (UDP, COMPLETED, "Timer K", [], [], TERMINATED),
]
WAITS = {"Timer E": T1, "Timer K": T4}


@pytest.mark.parametrize(
    ("transport", "state", "event", "sent", "heard", "after"),
    [(transport, *row) for transports, *row in ROWS for transport in transports],
    ids=lambda value: NAMES.get(value, str(value)) if isinstance(value, int) else str(value),
)
def test_row(
    transport: str, state: int, event: int | str, sent: list[str], heard: list[str], after: int
) -> None:
    bench = Bench(transport)
    client = in_state(bench, state)
    if event == "transport error":
        client.on_transport_error()
    elif isinstance(event, str):
        bench.wait(WAITS[event] - 1)
        assert (client.state, bench.sent()) == (state, []), "the timer was early"
        bench.wait(1 + TICK_MS)
    else:
        client.on_response(response(event, "INFO"))
    assert bench.sent() == sent
    assert bench.heard() == heard
    assert client.state == after
    assert (bench.layer.clients.get(BRANCH + "INFO") is client) is (after != TERMINATED)


@pytest.mark.parametrize("transport", BOTH)
@pytest.mark.parametrize("state", [TRYING, PROCEEDING])
def test_timer_f_gives_up(transport: str, state: int) -> None:
    bench = Bench(transport)
    client = in_state(bench, state)
    times = []
    for _ in range(TIMEOUT // TICK_MS + 1):
        bench.wait(TICK_MS)
        if bench.sent():
            times.append(bench.now)
    expected = {
        TRYING: [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500],
        PROCEEDING: [500, 4_500, 8_500, 12_500, 16_500, 20_500, 24_500, 28_500],
    }
    assert times == (expected[state] if transport == "udp" else [])
    assert client.state == TERMINATED
    assert bench.heard() == ["timeout"]
    assert bench.layer.clients == {}


def test_the_time_from_bye_to_its_end_is_observed_answered_or_not() -> None:
    bench = Bench("udp")
    for number, wait_ms in enumerate((40, TIMEOUT + T2)):
        client = RequestClient(
            bench.layer, bench.user, f"z9hG4bK-bye{number}", bench.flow, "BYE", b"BYE\r\n\r\n"
        )
        bench.wait(wait_ms)
        if wait_ms < T1:
            client.on_response(response(200, "BYE"))
    delay = bench.layer.tally.disconnect_delay
    assert sum(delay.counts) == 2
    assert delay.counts[-1] == 1, "unanswered: above every bound"
    assert delay.sum == pytest.approx((TIMEOUT + 40) / 1000, abs=0.1)


def test_a_request_that_nobody_waits_for_ends_like_any_other() -> None:
    bench = Bench("udp")
    for branch, event in (("1", 200), ("2", 100), ("3", None)):
        client = RequestClient(bench.layer, Silent, branch, bench.flow, "BYE", b"BYE x SIP/2.0")
        if event:
            client.on_response(response(event, "BYE"))
    RequestClient(bench.layer, Silent, "4", bench.flow, "BYE", b"BYE x").on_transport_error()
    bench.wait(TIMEOUT + TICK_MS)
    assert bench.layer.clients == {}


class RequestClientMachine(RuleBasedStateMachine):
    """Random events; the model is the table."""

    @initialize(transport=st.sampled_from(BOTH))
    def begin(self, transport: str) -> None:
        self.bench = Bench(transport)
        self.udp = transport == "udp"
        self.client = request(self.bench)
        self.state = TRYING
        self.interval = T1
        self.resend_at: int | None = T1 if self.udp else None
        self.end_at: int | None = TIMEOUT

    def finish(self, linger: int) -> None:
        self.resend_at = None
        self.state = COMPLETED if linger else TERMINATED
        self.end_at = self.bench.now + linger if linger else None

    @rule(status=st.sampled_from([100, 183, 200, 302, 404, 481, 500, 600]))
    def respond(self, status: int) -> None:
        heard = []
        if self.state in (TRYING, PROCEEDING):
            heard = [f"response {status}"]
            if status < 200:
                self.state = PROCEEDING
            else:
                self.finish(T4 if self.udp else 0)
        self.client.on_response(response(status, "INFO"))
        assert self.bench.sent() == []
        assert self.bench.heard() == heard

    @rule()
    def transport_error(self) -> None:
        heard = []
        if self.state in (TRYING, PROCEEDING):
            heard = ["transport error"]
            self.finish(0)
        self.client.on_transport_error()
        assert self.bench.heard() == heard

    @precondition(lambda self: self.state != TERMINATED)
    @rule(steps=st.integers(1, 4_000))
    def wait(self, steps: int) -> None:
        end = self.bench.now + steps * TICK_MS
        sent: list[str] = []
        heard: list[str] = []
        while self.state != TERMINATED:
            due = [at for at in (self.resend_at, self.end_at) if at is not None and at <= end]
            if not due:
                break
            if self.end_at == min(due):
                if self.state != COMPLETED:
                    heard.append("timeout")
                self.finish(0)
            else:
                assert self.resend_at is not None
                sent.append("INFO")
                self.interval = T2 if self.state == PROCEEDING else min(2 * self.interval, T2)
                self.resend_at += self.interval
        self.bench.wait(steps * TICK_MS)
        assert self.bench.sent() == sent
        assert self.bench.heard() == heard

    @invariant()
    def same_state(self) -> None:
        assert self.client.state == self.state, NAMES[self.client.state]
        known = self.bench.layer.clients.get(BRANCH + "INFO") is self.client
        assert known is (self.state != TERMINATED)


TestRequestClientMachine = RequestClientMachine.TestCase
TestRequestClientMachine.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None
)
