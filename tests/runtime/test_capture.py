"""What a worker keeps: matching, the first messages of a call, bounds, and what they leave out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from router.core.call import Call
from router.core.engine import Engine
from router.core.flow import Flow, Listener
from router.core.parameters import TimerDefaults
from router.core.states import ANSWERED, ENDED
from router.core.tally import Tally
from router.runtime import capture as capture_module
from router.runtime.capture import LINGER_US, Capture
from router.runtime.capture_match import NO, OPEN, YES, Wanted
from router.runtime.capture_writer import Kept
from router.store.capture_ring import Captured
from router.store.objects import ALL_SHARES, CaptureOrder
from router.store.records import Attempt, Cdr

US = Listener("udp", "192.0.2.1", 5060)
CALLER, GATEWAY = Flow("udp", "198.51.100.7", 5070, 0), Flow("udp", "203.0.113.9", 5080, 0)
NEVER_MS = 1 << 50
SECOND_US = 1_000_000


def text(start: str, call_id: str, tag: str = "a", size: int = 0) -> bytes:
    return (
        f"{start} SIP/2.0\r\nFrom: <sip:1@x>;tag={tag}\r\nCall-ID: {call_id}\r\n\r\n".encode()
        + bytes(size)
    )


def order(**given: Any) -> CaptureOrder:
    return CaptureOrder(1, **{"until_ms": NEVER_MS, **given})


class FakeWriter:
    """Keeps what it is handed."""

    def __init__(self, size: int, slots: int) -> None:
        self.size, self.slots = size, slots
        self.kept: list[Kept] = []

    def hand_over(self, batch: list[Kept]) -> None:
        self.kept += batch

    def take_lost(self) -> dict[str, tuple[int, str]]:
        return {}

    def close(self) -> None: ...


class Stage:
    """A capture over an engine that knows what the test says it knows."""

    def __init__(self, *orders: CaptureOrder, size: int = 64_000_000, slots: int = 1) -> None:
        self.orders = list(orders)
        self.now_us = 1_700_000_000 * SECOND_US
        self.tally = Tally()
        self.writer = FakeWriter(size, slots)
        self.real = Engine(
            SimpleNamespace(relays=(), wants_quality=False), listeners=[US], slot=0, slots=1,
            generation=1, token=lambda: "t", tally=self.tally, now_ms=0, timers=TimerDefaults(),
        )
        self.legs: dict[str, Any] = {}
        self.in_hand = SimpleNamespace(call=None)
        self.seen: list[bytes] = []
        self.capture = Capture(
            self, [US], self.tally, self.writer, lambda: self.orders, lambda: self.now_us,
            lambda *line, **fields: None,
        )
        self.on = self.capture.on_second(0)

    def receive(self, data: bytes, flow: Flow, now_ms: int) -> None:
        self.seen.append(data)

    def call(self, id: str, call_id: str, account: str = "acme", **facts: Any) -> Call:
        call = Call(self.real, id, None, CALLER, None)
        call.cdr = Cdr(id=id, call_id=call_id, account=account, source=CALLER.host, **facts)
        return call

    def comes(self, data: bytes, call: Call | None = None, flow: Flow = CALLER) -> None:
        self.in_hand.call = call
        self.now_us += 1
        self.capture.receive(data, flow, 0)

    def goes(self, data: bytes, flow: Flow = GATEWAY) -> None:
        self.now_us += 1
        self.capture.sent([(data, flow)])

    def second(self, seconds: float = 1) -> list[Captured]:
        """What is in the hands of the writer after so long."""
        self.now_us += int(seconds * SECOND_US)
        self.on = self.capture.on_second(0)
        return [kept.message for kept in self.writer.kept]

    def held(self) -> tuple[int, int, int]:
        inner = self.capture
        return len(inner._talks), len(inner._by_call), inner._held_bytes


def test_both_legs_are_kept_from_the_first_message_though_the_gateway_comes_last() -> None:
    stage = Stage(order(gateway="hk"))
    call = stage.call("1f", "a")
    stage.comes(text("INVITE sip:8613@x", "a"))  # challenged: no call yet
    stage.goes(text("SIP/2.0 407", "a"), CALLER)
    stage.comes(text("INVITE sip:8613@x", "a"), call)
    stage.goes(text("SIP/2.0 100", "a"), CALLER)
    assert stage.second() == []
    stage.legs["b1"] = SimpleNamespace(call=call)
    call.cdr.attempts.append(Attempt(gateway="other", started=0))
    stage.goes(text("INVITE sip:8613@gw1", "b", "b1"))
    stage.comes(text("SIP/2.0 503", "b", "b1"), call, GATEWAY)
    stage.second()
    call.cdr.attempts.append(Attempt(gateway="hk", started=0))
    stage.legs["b2"] = SimpleNamespace(call=call)
    stage.goes(text("INVITE sip:8613@gw2", "c", "b2"))
    found = stage.second()
    assert [one.data.split(b" SIP/2.0")[0] for one in found if b"INVITE" in one.data] == [
        b"INVITE sip:8613@x", b"INVITE sip:8613@x", b"INVITE sip:8613@gw1", b"INVITE sip:8613@gw2",
    ]
    assert len(found) == 7
    assert {(one.call, one.call_id) for one in found} == {("1f", b"a")}
    assert [one.at_us for one in found] == sorted(one.at_us for one in found)
    assert found[0].source == ("198.51.100.7", 5070) and found[0].target == ("192.0.2.1", 5060)
    assert found[4].source == ("192.0.2.1", 5060) and found[4].target == ("203.0.113.9", 5080)
    assert stage.tally.captured == 7 and stage.tally.capture_dropped == {}


def test_a_call_that_matches_nothing_leaves_nothing() -> None:
    stage = Stage(order(account="other"), order(number="49"))
    call = stage.call("1f", "a", callee_in="8613")
    stage.comes(text("INVITE sip:8613@x", "a"), call)
    stage.second()
    call.state = ENDED
    stage.goes(text("SIP/2.0 486", "a"), CALLER)
    assert stage.second() == []
    assert stage.second() == []
    assert stage.held() == (0, 0, 0)
    assert len(stage.seen) == 1, "the engine has had it"


def test_a_call_that_ran_before_is_kept_from_now_on() -> None:
    stage = Stage(order(account="acme"))
    call = stage.call("1f", "a")
    call.state = ANSWERED
    stage.comes(text("BYE sip:1@x", "b"), call, GATEWAY)
    assert [one.call_id for one in stage.second()] == [b"a"]


def test_after_its_end_a_call_is_listened_to_for_as_long_as_it_may_be_resent() -> None:
    stage = Stage(order())
    call = stage.call("1f", "a")
    stage.comes(text("INVITE sip:8613@x", "a"), call)
    call.state = ENDED
    assert len(stage.second()) == 1
    stage.comes(text("ACK sip:8613@x", "a"))
    assert len(stage.second(30)) == 2
    stage.second(LINGER_US / SECOND_US)
    assert stage.held() == (0, 0, 0)


def test_a_call_id_that_is_used_again_is_another_call() -> None:
    stage = Stage(order())
    for id in ("1f", "2f"):
        stage.comes(text("INVITE sip:8613@x", "a"), stage.call(id, "a"))
    assert [one.call for one in stage.second()] == ["1f", "2f"]


def test_without_an_order_nothing_is_listened_to_nor_remembered() -> None:
    stage = Stage()
    assert not stage.on
    stage.orders = [order(gateway="hk")]
    stage.second()
    assert stage.on
    stage.comes(text("INVITE sip:8613@x", "a"), stage.call("1f", "a"))
    stage.orders = []
    assert stage.second() == [] and not stage.on
    assert stage.held() == (0, 0, 0)
    stage.orders = [order(until_ms=1)]
    stage.capture.on_second(0)
    assert not stage.capture.on_second(1), "it has ended by itself"


def test_a_second_order_takes_the_rest_of_a_call_that_the_first_did_not_want() -> None:
    stage = Stage(order(account="other"))
    call = stage.call("1f", "a")
    stage.comes(text("INVITE sip:8613@x", "a"), call)
    assert stage.second() == []
    stage.orders.append(order(account="acme"))
    stage.second()
    stage.comes(text("BYE sip:8613@x", "a"), call)
    assert [one.data[:3] for one in stage.second()] == [b"BYE"]


def test_what_is_no_call_is_kept_only_where_no_call_is_asked_for() -> None:
    stage = Stage(order(source="198.51.100.0/24"))
    stage.comes(text("REGISTER sip:x", "r"))
    stage.goes(text("SIP/2.0 401", "r"), CALLER)
    stage.comes(text("OPTIONS sip:x", "o"), None, GATEWAY)
    stage.goes(text("OPTIONS sip:gw", "p"), GATEWAY)
    stage.comes(b"\r\n\r\n")
    stage.comes(b"nonsense")
    assert [one.data[:8] for one in stage.second()] == [b"REGISTER", b"SIP/2.0 ", b"nonsense"]
    calls_only = Stage(order(account="acme"))
    calls_only.comes(text("REGISTER sip:x", "r"))
    calls_only.goes(text("OPTIONS sip:gw", "p"), GATEWAY)
    assert calls_only.second() == [] and calls_only.held() == (0, 0, 0)


def test_a_flood_of_strangers_leaves_the_calls_their_room() -> None:
    stage = Stage(order(), size=20_000_000)  # a megabyte a second, five of them saved
    for n in range(200):
        stage.comes(text("INVITE sip:1@x", f"s{n}", size=60_000))
    call = stage.call("1f", "a")
    for _ in range(100):
        stage.comes(text("INFO sip:8613@x", "a", size=500), call)
    kept = stage.second()
    strangers = sum(len(one.data) for one in kept if not one.call)
    assert 300_000 < strangers <= 600_000
    assert sum(one.call == "1f" for one in kept) == 100
    assert stage.tally.capture_dropped["budget"] == 300 - len(kept)


def test_what_comes_faster_than_the_ring_takes_is_left_out_and_counted() -> None:
    stage = Stage(order(), size=20_000_000, slots=2)
    call = stage.call("1f", "a")
    for _ in range(10):
        for _ in range(100):
            stage.comes(text("INFO sip:8613@x", "a", size=20_000), call)
        stage.second()
    kept = sum(len(one.data) for one in stage.second())
    assert 6_000_000 < kept < 8_000_000, "half a megabyte a second, and what was saved"
    assert stage.tally.capture_dropped["budget"] == 1_000 - stage.tally.captured


def test_a_call_that_never_matches_holds_little(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(order(gateway="hk"))
    call = stage.call("1f", "a")
    for n in range(1_000):
        stage.comes(text(f"INFO sip:{n}@x", "a"), call)
    call.cdr.gateway = "hk"
    kept = stage.second()
    assert len(kept) == capture_module.MAX_HELD
    assert kept[0].data.startswith(b"INFO sip:0@x") and kept[-1].data.startswith(b"INFO sip:999@x")
    assert stage.tally.capture_dropped == {"memory": 1_000 - len(kept)}
    assert stage.held()[2] == 0


def test_the_memory_of_all_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "MAX_HELD_BYTES", 100_000)
    monkeypatch.setattr(capture_module, "MAX_TALKS", 50)
    stage = Stage(order(gateway="hk"))
    for n in range(100):
        stage.comes(text("INVITE sip:1@x", f"c{n}", size=3_000), stage.call(f"{n:x}", f"c{n}"))
        talks, _, held = stage.held()
        assert talks <= 50 and held <= 100_000
    assert stage.tally.capture_dropped == {"memory": 50}


def test_a_sample_takes_whole_calls_and_about_its_share() -> None:
    stage = Stage(order(share=ALL_SHARES // 4))
    for n in range(400):
        call = stage.call(f"{n:x}", f"call-{n}")
        stage.comes(text("INVITE sip:1@x", f"call-{n}"), call)
        stage.comes(text("BYE sip:1@x", f"call-{n}"), call)
    kept = stage.second()
    assert 60 <= len({one.call for one in kept}) <= 140
    assert len(kept) == 2 * len({one.call for one in kept})


def test_credentials_stay_only_where_an_order_says_so() -> None:
    stage = Stage(order(account="acme", credentials=True), order(account="small"))
    stage.comes(text("INVITE sip:1@x", "a"), stage.call("1f", "a"))
    stage.comes(text("INVITE sip:1@x", "b"), stage.call("2f", "b", "small"))
    stage.second()
    assert [(one.message.call, one.whole) for one in stage.writer.kept] == [
        ("1f", True), ("2f", False),
    ]


FACTS = {"callee_in": "8613", "caller_in": "+4930", "agent_path": "top/acme"}
MATCHES = [
    ({}, {}, YES),
    ({"account": "acme"}, {}, YES),
    ({"account": "top"}, {}, YES),
    ({"account": "other"}, {}, NO),
    ({"account": "acme"}, {"account": ""}, OPEN),
    ({"number": "86"}, {}, YES),
    ({"number": "4930"}, {}, YES),
    ({"number": "49"}, {"caller_in": ""}, OPEN),
    ({"gateway": "hk"}, {}, OPEN),
    ({"gateway": "hk"}, {"gateway": "hk"}, YES),
    ({"gateway": "hk"}, {"state": ENDED}, NO),
    ({"gateway": "hk", "account": "other"}, {"gateway": "hk"}, NO),
    ({"gateway": "hk", "number": "86"}, {"gateway": "hk"}, YES),
    ({"gateway": "hk", "number": "1"}, {"gateway": "hk"}, OPEN),
    ({"source": "198.51.100.7"}, {}, YES),
    ({"source": "198.51.100.8"}, {}, NO),
    ({"source": "198.51.100.7", "account": "other"}, {}, NO),
    ({"source": "2001:db8::/32"}, {}, NO),
]


@pytest.mark.parametrize(("asked", "facts", "answer"), MATCHES, ids=range(len(MATCHES)))
def test_a_call_matches_when_all_that_is_asked_is_true(asked, facts, answer) -> None:
    stage = Stage()
    facts = {**FACTS, **facts}
    state = facts.pop("state", ANSWERED)
    call = stage.call("1f", "a", **facts)
    call.state = state
    assert Wanted(order(**asked)).match(call, b"a", CALLER.host) == answer


@pytest.mark.parametrize(
    ("source", "host", "answer"),
    [
        ("2001:db8::/32", "2001:db8::7", YES),
        ("192.0.2.0/24", "::ffff:192.0.2.9", YES),
        ("192.0.2.0/24", "a.name", NO),
        ("fe80::1", "fe80::1%eth0", YES),
    ],
)
def test_an_address_is_found_in_a_network(source: str, host: str, answer: int) -> None:
    assert Wanted(order(source=source)).match(None, b"a", host) == answer
