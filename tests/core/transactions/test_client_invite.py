"""The client INVITE transaction, row by row of its table, and at random against a model of it."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from machines import T1, T4, TIMEOUT, Bench, response

from router.core.transactions.client_invite import (
    ACCEPTED,
    CALLING,
    COMPLETED,
    PROCEEDING,
    TERMINATED,
    TIMER_D_MS,
    InviteClient,
)
from router.core.wheel import TICK_MS

NAMES = {
    CALLING: "CALLING", PROCEEDING: "PROCEEDING", ACCEPTED: "ACCEPTED", COMPLETED: "COMPLETED",
    TERMINATED: "TERMINATED",
}
BRANCH = "z9hG4bK1"
HEAD = "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=a\r\nCall-ID: c\r\n"


def invite(bench: Bench) -> InviteClient:
    client = InviteClient(
        bench.layer, bench.user, BRANCH, bench.flow, "sip:c@d", HEAD, "<sip:c@d>", 3,
        b"INVITE sip:c@d SIP/2.0\r\n\r\n",
    )
    assert bench.sent() == ["INVITE"]
    return client


def in_state(bench: Bench, state: int) -> InviteClient:
    """A transaction that has come to a state; its sends and events so far are forgotten."""
    client = invite(bench)
    for status in {PROCEEDING: (180,), ACCEPTED: (200,), COMPLETED: (486,)}.get(state, ()):
        client.on_response(response(status))
    assert client.state == state
    bench.sent()
    bench.heard()
    return client


UDP, TCP = ("udp",), ("tcp",)
BOTH = UDP + TCP

# transports, state, event, what is sent, what the user hears, next state
ROWS = [
    (BOTH, CALLING, 100, [], ["response 100"], PROCEEDING),
    (BOTH, CALLING, 183, [], ["response 183"], PROCEEDING),
    (BOTH, CALLING, 200, [], ["response 200"], ACCEPTED),
    (BOTH, CALLING, 299, [], ["response 299"], ACCEPTED),
    (UDP, CALLING, 302, ["ACK"], ["response 302"], COMPLETED),
    (UDP, CALLING, 486, ["ACK"], ["response 486"], COMPLETED),
    (UDP, CALLING, 699, ["ACK"], ["response 699"], COMPLETED),
    (TCP, CALLING, 486, ["ACK"], ["response 486"], TERMINATED),
    (BOTH, CALLING, "transport error", [], ["transport error"], TERMINATED),
    (UDP, CALLING, "Timer A", ["INVITE"], [], CALLING),
    (TCP, CALLING, "Timer A", [], [], CALLING),
    (BOTH, PROCEEDING, 100, [], ["response 100"], PROCEEDING),
    (BOTH, PROCEEDING, 180, [], ["response 180"], PROCEEDING),
    (BOTH, PROCEEDING, 200, [], ["response 200"], ACCEPTED),
    (UDP, PROCEEDING, 503, ["ACK"], ["response 503"], COMPLETED),
    (TCP, PROCEEDING, 503, ["ACK"], ["response 503"], TERMINATED),
    (BOTH, PROCEEDING, "transport error", [], ["transport error"], TERMINATED),
    (BOTH, PROCEEDING, "an hour", [], [], PROCEEDING),
    (BOTH, ACCEPTED, 100, [], [], ACCEPTED),
    (BOTH, ACCEPTED, 200, [], ["response 200"], ACCEPTED),
    (BOTH, ACCEPTED, 486, [], [], ACCEPTED),
    (BOTH, ACCEPTED, "transport error", [], [], ACCEPTED),
    (BOTH, ACCEPTED, "Timer M", [], [], TERMINATED),
    (UDP, COMPLETED, 180, [], [], COMPLETED),
    (UDP, COMPLETED, 200, [], [], COMPLETED),
    (UDP, COMPLETED, 486, ["ACK"], [], COMPLETED),
    (UDP, COMPLETED, 500, ["ACK"], [], COMPLETED),
    (UDP, COMPLETED, "transport error", [], [], COMPLETED),
    (UDP, COMPLETED, "Timer D", [], [], TERMINATED),
]
WAITS = {"Timer A": T1, "Timer M": TIMEOUT, "Timer D": TIMER_D_MS, "an hour": 3_600_000}


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
        if WAITS[event] != 3_600_000:
            assert (client.state, bench.sent()) == (state, []), "the timer was early"
        bench.wait(1 + TICK_MS)
    else:
        client.on_response(response(event))
    assert bench.sent() == sent
    assert bench.heard() == heard
    assert client.state == after
    assert (bench.layer.clients.get(BRANCH + "INVITE") is client) is (after != TERMINATED)


@pytest.mark.parametrize("transport", BOTH)
def test_timer_a_doubles_until_timer_b_gives_up(transport: str) -> None:
    bench = Bench(transport)
    client = invite(bench)
    times = []
    for _ in range(TIMEOUT // TICK_MS + 2):
        bench.wait(TICK_MS)
        if bench.sent():
            times.append(bench.now)
    assert times == ([500, 1_500, 3_500, 7_500, 15_500, 31_500] if transport == "udp" else [])
    assert client.state == TERMINATED
    assert bench.heard() == ["timeout"]
    assert bench.layer.clients == {}
    assert bench.layer.tally.retransmissions == len(times)


@pytest.mark.parametrize("transport", BOTH)
def test_the_ack_to_a_failure_is_of_the_transaction(transport: str) -> None:
    bench = Bench(transport)
    client = invite(bench)
    client.on_response(response(486, tag="callee"))
    ((ack, flow),) = bench.layer.sends
    assert flow == bench.flow
    assert ack == (
        b"ACK sip:c@d SIP/2.0\r\n" + HEAD.encode()
        + b"To: <sip:c@d>;tag=callee\r\nCSeq: 3 ACK\r\nContent-Length: 0\r\n\r\n"
    )


def test_the_same_ack_answers_every_repetition() -> None:
    bench = Bench("udp")
    client = invite(bench)
    client.on_response(response(486))
    client.on_response(response(486))
    client.on_response(response(503))
    assert len({data for data, _ in bench.layer.sends}) == 1
    assert len(bench.layer.sends) == 3


@pytest.mark.parametrize("transport", BOTH)
@pytest.mark.parametrize("provisional", [100, 180])
def test_a_cancel_before_a_provisional_waits_for_it(transport: str, provisional: int) -> None:
    bench = Bench(transport)
    client = invite(bench)
    client.cancel()
    bench.wait(3_000)
    assert bench.sent() == []
    client.on_response(response(provisional))
    assert bench.sent() == ["CANCEL"]
    assert bench.heard() == [f"response {provisional}"]
    client.on_response(response(180))
    client.cancel()
    assert bench.sent() == []
    client.on_response(response(487))
    assert bench.sent() == ["ACK"]


@pytest.mark.parametrize("transport", BOTH)
def test_a_cancel_after_a_provisional_goes_at_once(transport: str) -> None:
    bench = Bench(transport)
    client = in_state(bench, PROCEEDING)
    client.cancel()
    ((cancel, _),) = bench.layer.sends
    assert cancel == (
        b"CANCEL sip:c@d SIP/2.0\r\n" + HEAD.encode()
        + b"To: <sip:c@d>\r\nCSeq: 3 CANCEL\r\nContent-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize("transport", BOTH)
@pytest.mark.parametrize("state", [CALLING, PROCEEDING])
def test_a_cancelled_invite_gives_up_after_64_t1(transport: str, state: int) -> None:
    bench = Bench(transport)
    client = in_state(bench, state)
    client.cancel()
    bench.wait(TIMEOUT - 1)
    assert client.state == state
    assert bench.heard() == []
    bench.wait(1 + TICK_MS)
    assert client.state == TERMINATED
    assert bench.heard() == ["timeout"]
    bench.wait(T4 + TICK_MS)
    assert bench.layer.clients == {}


@pytest.mark.parametrize("state", [ACCEPTED, COMPLETED, TERMINATED])
def test_a_cancel_after_the_final_response_is_nothing(state: int) -> None:
    bench = Bench("udp")
    client = in_state(bench, ACCEPTED if state == TERMINATED else state)
    if state == TERMINATED:
        bench.wait(TIMEOUT + TICK_MS)
    client.cancel()
    assert bench.sent() == []
    assert client.state == state


class InviteClientMachine(RuleBasedStateMachine):
    """Random events; the model is the table: a state, when timers are due, what was seen."""

    @initialize(transport=st.sampled_from(BOTH))
    def begin(self, transport: str) -> None:
        self.bench = Bench(transport)
        self.udp = transport == "udp"
        self.client = invite(self.bench)
        self.state = CALLING
        self.cancelled = False
        self.interval = T1
        self.resend_at: int | None = T1 if self.udp else None
        self.end_at: int | None = TIMEOUT

    def finish(self, state: int, linger: int) -> None:
        self.resend_at = self.end_at = None
        self.state = state if linger else TERMINATED
        if linger:
            self.end_at = self.bench.now + linger

    @rule(status=st.sampled_from([100, 180, 183, 200, 202, 300, 404, 486, 487, 503, 600]))
    def respond(self, status: int) -> None:
        sent: list[str] = []
        heard: list[str] = []
        if self.state in (CALLING, PROCEEDING):
            heard = [f"response {status}"]
            if status < 200:
                if self.state == CALLING:
                    self.resend_at = self.end_at = None
                    if self.cancelled:
                        sent = ["CANCEL"]
                        self.end_at = self.bench.now + TIMEOUT
                self.state = PROCEEDING
            elif status < 300:
                self.finish(ACCEPTED, TIMEOUT)
            else:
                sent = ["ACK"]
                self.finish(COMPLETED, TIMER_D_MS if self.udp else 0)
        elif self.state == ACCEPTED and 200 <= status < 300:
            heard = [f"response {status}"]
        elif self.state == COMPLETED and status >= 300:
            sent = ["ACK"]
        self.client.on_response(response(status))
        self.answer_cancel()
        assert self.bench.sent() == sent
        assert self.bench.heard() == heard

    @rule()
    def cancel(self) -> None:
        sent = []
        if self.state in (CALLING, PROCEEDING) and not self.cancelled:
            self.cancelled = True
            self.resend_at = None
            if self.state == PROCEEDING:
                sent = ["CANCEL"]
                self.end_at = self.bench.now + TIMEOUT
        self.client.cancel()
        self.answer_cancel()
        assert self.bench.sent() == sent

    def answer_cancel(self) -> None:
        # The CANCEL is a transaction of its own, with a test of its own.
        cancel = self.bench.layer.clients.get(BRANCH + "CANCEL")
        if cancel is not None:
            cancel.on_response(response(200, "CANCEL"))

    @rule()
    def transport_error(self) -> None:
        heard = []
        if self.state in (CALLING, PROCEEDING):
            heard = ["transport error"]
            self.finish(TERMINATED, 0)
        self.client.on_transport_error()
        assert self.bench.heard() == heard
        assert self.bench.sent() == []

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
                if self.state in (CALLING, PROCEEDING):
                    heard.append("timeout")
                self.finish(TERMINATED, 0)
            else:
                assert self.resend_at is not None
                sent.append("INVITE")
                self.interval *= 2
                self.resend_at += self.interval
        self.bench.wait(steps * TICK_MS)
        assert self.bench.sent() == sent
        assert self.bench.heard() == heard

    @invariant()
    def same_state(self) -> None:
        assert self.client.state == self.state, NAMES[self.client.state]
        known = self.bench.layer.clients.get(BRANCH + "INVITE") is self.client
        assert known is (self.state != TERMINATED)


TestInviteClientMachine = InviteClientMachine.TestCase
TestInviteClientMachine.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None
)
