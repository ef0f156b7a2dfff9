"""The server INVITE transaction, row by row of its table, and at random against a model of it."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from machines import T1, T2, T4, TIMEOUT, Bench

from router.core.transactions.server_invite import (
    ACCEPTED,
    COMPLETED,
    CONFIRMED,
    PROCEEDING,
    TERMINATED,
    InviteServer,
)
from router.core.wheel import TICK_MS

NAMES = {
    PROCEEDING: "PROCEEDING", ACCEPTED: "ACCEPTED", COMPLETED: "COMPLETED",
    CONFIRMED: "CONFIRMED", TERMINATED: "TERMINATED",
}
HEAD = "Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1\r\n"


def invited(bench: Bench) -> InviteServer:
    server = InviteServer(bench.layer, "key", bench.flow, HEAD)
    server.user = bench.user
    return server


def in_state(bench: Bench, state: int) -> InviteServer:
    server = invited(bench)
    if state == PROCEEDING:
        server.respond(180)
    elif state == ACCEPTED:
        server.respond(200)
    else:
        server.respond(486)
        if state == CONFIRMED:
            server.on_ack()
    assert server.state == state
    bench.sent()
    bench.heard()
    return server


UDP, TCP = ("udp",), ("tcp",)
BOTH = UDP + TCP

# transports, state, event, what is sent, what the user hears, next state
ROWS = [
    (BOTH, PROCEEDING, "INVITE", ["180"], [], PROCEEDING),
    (BOTH, PROCEEDING, 100, ["100"], [], PROCEEDING),
    (BOTH, PROCEEDING, 183, ["183"], [], PROCEEDING),
    (BOTH, PROCEEDING, 200, ["200"], [], ACCEPTED),
    (BOTH, PROCEEDING, 202, ["202"], [], ACCEPTED),
    (BOTH, PROCEEDING, 300, ["300"], [], COMPLETED),
    (BOTH, PROCEEDING, 486, ["486"], [], COMPLETED),
    (BOTH, PROCEEDING, 600, ["600"], [], COMPLETED),
    (BOTH, PROCEEDING, "ACK", [], [], PROCEEDING),
    (BOTH, PROCEEDING, "an hour", [], [], PROCEEDING),
    (BOTH, COMPLETED, "INVITE", ["486"], [], COMPLETED),
    (BOTH, COMPLETED, 180, [], [], COMPLETED),
    (BOTH, COMPLETED, 200, [], [], COMPLETED),
    (BOTH, COMPLETED, 500, [], [], COMPLETED),
    (UDP, COMPLETED, "Timer G", ["486"], [], COMPLETED),
    (TCP, COMPLETED, "Timer G", [], [], COMPLETED),
    (UDP, COMPLETED, "ACK", [], [], CONFIRMED),
    (TCP, COMPLETED, "ACK", [], [], TERMINATED),
    (UDP, CONFIRMED, "INVITE", [], [], CONFIRMED),
    (UDP, CONFIRMED, "ACK", [], [], CONFIRMED),
    (UDP, CONFIRMED, 500, [], [], CONFIRMED),
    (UDP, CONFIRMED, "Timer I", [], [], TERMINATED),
    (BOTH, ACCEPTED, "INVITE", [], [], ACCEPTED),
    (BOTH, ACCEPTED, "ACK", [], [], ACCEPTED),
    (BOTH, ACCEPTED, 180, [], [], ACCEPTED),
    (BOTH, ACCEPTED, 500, [], [], ACCEPTED),
    (BOTH, ACCEPTED, "resend", ["200"], [], ACCEPTED),
    (BOTH, ACCEPTED, "acknowledged", [], [], ACCEPTED),
]
WAITS = {"Timer G": T1, "Timer I": T4, "resend": T1, "an hour": 3_600_000}


@pytest.mark.parametrize(
    ("transport", "state", "event", "sent", "heard", "after"),
    [(transport, *row) for transports, *row in ROWS for transport in transports],
    ids=lambda value: NAMES.get(value, str(value)) if isinstance(value, int) else str(value),
)
def test_row(
    transport: str, state: int, event: int | str, sent: list[str], heard: list[str], after: int
) -> None:
    bench = Bench(transport)
    server = in_state(bench, state)
    if event == "INVITE":
        server.on_retransmission()
    elif event == "ACK":
        server.on_ack()
    elif event == "acknowledged":
        server.acknowledged()
    elif isinstance(event, str):
        bench.wait(WAITS[event] - 1)
        if event != "an hour":
            assert (server.state, bench.sent()) == (state, []), "the timer was early"
        bench.wait(1 + TICK_MS)
    else:
        server.respond(event)
    assert bench.sent() == sent
    assert bench.heard() == heard
    assert server.state == after
    assert (bench.layer.servers.get("key") is server) is (after != TERMINATED)


def times_of_resends(bench: Bench) -> list[int]:
    times = []
    for _ in range(TIMEOUT // TICK_MS + 1):
        bench.wait(TICK_MS)
        if bench.sent():
            times.append(bench.now)
    return times


DOUBLING = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]


@pytest.mark.parametrize("transport", BOTH)
def test_timer_h_ends_a_failure_that_is_never_acknowledged(transport: str) -> None:
    bench = Bench(transport)
    server = in_state(bench, COMPLETED)
    assert times_of_resends(bench) == (DOUBLING if transport == "udp" else [])
    assert server.state == TERMINATED
    assert bench.heard() == []
    assert bench.layer.servers == {}


@pytest.mark.parametrize("transport", BOTH)
def test_timer_l_tells_of_a_200_that_is_never_acknowledged(transport: str) -> None:
    """A 2xx is resent over streams too: it is acknowledged end to end (RFC 3261 §13.3.1.4)."""
    bench = Bench(transport)
    server = in_state(bench, ACCEPTED)
    assert times_of_resends(bench) == DOUBLING
    assert server.state == TERMINATED
    assert bench.heard() == ["no ack"]
    assert bench.layer.servers == {}


@pytest.mark.parametrize("transport", BOTH)
def test_timer_l_keeps_an_acknowledged_transaction_to_swallow_what_is_late(transport: str) -> None:
    bench = Bench(transport)
    server = in_state(bench, ACCEPTED)
    bench.wait(600)
    assert bench.sent() == ["200"]
    server.acknowledged()
    server.on_retransmission()
    assert times_of_resends(bench) == []
    assert bench.heard() == []
    assert bench.layer.servers == {}


@pytest.mark.parametrize("trying", [False, True])
def test_a_failure_told_once_is_resent_only_after_a_100(trying: bool) -> None:
    """A peer that has heard a 1xx resends its INVITE no more (RFC 3261 §17.1.1.2)."""
    bench = Bench("udp")
    server = invited(bench)
    if trying:
        server.trying()
    server.respond(403, resend=False)
    bench.sent()
    server.on_retransmission()
    assert bench.sent() == ["403"]
    assert times_of_resends(bench) == (DOUBLING if trying else [])
    assert server.state == TERMINATED
    assert bench.layer.servers == {}


def test_before_any_response_a_repeated_invite_gets_none() -> None:
    bench = Bench("udp")
    server = invited(bench)
    server.on_retransmission()
    assert bench.sent() == []


def test_a_silent_transaction_swallows_repetitions_and_goes() -> None:
    bench = Bench("udp")
    server = invited(bench)
    server.keep_silent()
    for _ in range(6):
        server.on_retransmission()
        bench.wait(5_000)
    assert bench.sent() == []
    assert bench.layer.servers == {"key": server}
    bench.wait(TIMEOUT)
    assert bench.layer.servers == {}
    assert bench.heard() == []


def test_a_response_is_the_head_with_its_status_extra_and_body() -> None:
    bench = Bench("udp")
    invited(bench).respond(183, "", "X-Odd: 1\r\n", b"v=0\r\n")
    assert bench.layer.sends[0][0] == (
        b"SIP/2.0 183 Session Progress\r\n" + HEAD.encode()
        + b"X-Odd: 1\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    )


class InviteServerMachine(RuleBasedStateMachine):
    """Random events; the model is the table."""

    @initialize(transport=st.sampled_from(BOTH))
    def begin(self, transport: str) -> None:
        self.bench = Bench(transport)
        self.udp = transport == "udp"
        self.server = invited(self.bench)
        self.state = PROCEEDING
        self.last = ""
        self.acked = False
        self.interval = T1
        self.resend_at: int | None = None
        self.end_at: int | None = None

    def end(self) -> None:
        self.state = TERMINATED
        self.resend_at = self.end_at = None

    @rule(status=st.sampled_from([100, 180, 183, 200, 202, 302, 404, 486, 500, 603]))
    def respond(self, status: int) -> None:
        sent = []
        if self.state == PROCEEDING:
            sent = [str(status)]
            self.last = str(status)
            if status >= 200:
                self.state = ACCEPTED if status < 300 else COMPLETED
                self.end_at = self.bench.now + TIMEOUT
                if status < 300 or self.udp:
                    self.resend_at = self.bench.now + T1
        self.server.respond(status)
        assert self.bench.sent() == sent

    @rule()
    def invite(self) -> None:
        again = bool(self.last) and self.state in (PROCEEDING, COMPLETED)
        self.server.on_retransmission()
        assert self.bench.sent() == ([self.last] if again else [])

    @rule()
    def ack(self) -> None:
        if self.state == COMPLETED:
            self.state = CONFIRMED
            self.resend_at = None
            self.end_at = self.bench.now + T4
            if not self.udp:
                self.end()
        self.server.on_ack()
        assert self.bench.sent() == []

    @precondition(lambda self: self.state == ACCEPTED)
    @rule()
    def acknowledged(self) -> None:
        self.acked = True
        self.resend_at = None
        self.server.acknowledged()

    @precondition(lambda self: self.state != TERMINATED)
    @rule(steps=st.integers(1, 4_000))
    def wait(self, steps: int) -> None:
        until = self.bench.now + steps * TICK_MS
        sent: list[str] = []
        heard: list[str] = []
        while self.state != TERMINATED:
            due = [at for at in (self.resend_at, self.end_at) if at is not None and at <= until]
            if not due:
                break
            if self.end_at == min(due):
                if self.state == ACCEPTED and not self.acked:
                    heard.append("no ack")
                self.end()
            else:
                assert self.resend_at is not None
                sent.append(self.last)
                self.interval = min(2 * self.interval, T2)
                self.resend_at += self.interval
        self.bench.wait(steps * TICK_MS)
        assert self.bench.sent() == sent
        assert self.bench.heard() == heard

    @invariant()
    def same_state(self) -> None:
        assert self.server.state == self.state, NAMES[self.server.state]
        assert (self.bench.layer.servers.get("key") is self.server) is (self.state != TERMINATED)


TestInviteServerMachine = InviteServerMachine.TestCase
TestInviteServerMachine.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None
)
