"""Spoilt, repeated and forged messages: never an exception, never a log of one, no call harmed."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import Mutator
from simulated_traffic import Simulation
from virtual_world import CALLER, US, World, gateway

from router.core import engine as engine_module
from router.core.agent import Behaviour
from router.core.end_reasons import EndReason
from router.core.flow import Flow
from router.core.parameters import CallTimers
from router.core.verdicts import End, Respond

STRANGER = ("10.9.9.9", 5060)
GATEWAY = ("10.0.1.1", 5060)


@cache
def traffic() -> tuple[bytes, ...]:
    """Messages of every kind, as they went to the router in a simulation of its own."""
    simulation = Simulation(3, calls=60)
    simulation.world.network._record = True
    simulation.run()
    return tuple(
        wire.data for wire in simulation.world.network.wires if wire.target == US
    )


def pester(
    world: World, rng: random.Random, corpus: list[bytes], sources: list[tuple[str, int]],
    count: int,
) -> None:
    """Sends spoilt messages, all at once, from some address."""
    mutator = Mutator(rng)
    for _ in range(count):
        data = rng.choice(corpus)
        if rng.random() < 0.9:
            data = mutator.spoil(data)
        source = rng.choice(sources)
        world.engine.receive(data, Flow("udp", *source, 0), world.network.now)
    world.flush()


def run_pestered(
    world: World, rng: random.Random, corpus: Callable[[], list[bytes]],
    sources: list[tuple[str, int]], rounds: int = 40,
) -> None:
    for _ in range(rounds):
        world.run(rng.choice((0, 1, 5, 100)))
        pester(world, rng, corpus(), sources, 5)


def assert_unharmed(world: World) -> None:
    """What a test looks at before the fixture sees that nothing is left."""
    assert world.errors() == [], world.errors()[0][2].get("trace")
    assert len(world.engine.calls) <= len(world.store.records) + 1


@pytest.mark.parametrize("seed", range(15))
def test_strangers_cannot_harm_a_call(make_world: Callable[..., World], seed: int) -> None:
    """The good call lasts as long as its caller wants, whatever others send meanwhile."""
    rng = random.Random(seed)
    world = make_world([gateway("g1", 1)])
    world.causes_expected = False  # a spoilt method is no INVITE, whatever its CSeq says
    world.routes.timers = CallTimers(invite_ms=2_000, ringing_ms=5_000, max_duration_ms=20_000)
    world.behaviours["g1"] = Behaviour(ring_after_ms=20, answer_after_ms=60)
    good = world.place(hang_up_after_ms=10_000)
    run_pestered(world, rng, lambda: list(traffic()), [STRANGER, CALLER, GATEWAY])
    world.run(12_000)
    assert (good.status, good.ended_by) == (200, "us"), f"seed {seed}"
    (cdr,) = [cdr for cdr in world.cdrs if cdr.call_id == good.leg.call_id]
    assert (cdr.end_reason, cdr.end_side) == ("Normal", "caller"), f"seed {seed}"
    assert 9_900 <= cdr.duration_ms <= 10_100
    assert_unharmed(world)


@pytest.mark.parametrize("seed", range(15))
def test_spoilt_messages_of_a_call_leave_it_whole_or_ended(
    make_world: Callable[..., World], seed: int
) -> None:
    """They know every tag and branch: they may end the call, but nothing else."""
    rng = random.Random(seed)
    world = make_world()
    world.causes_expected = False
    world.routes.timers = CallTimers(invite_ms=2_000, ringing_ms=5_000, max_duration_ms=20_000)
    world.behaviours["g1"] = Behaviour(ring_after_ms=20, answer_after_ms=60)
    world.place(hang_up_after_ms=3_000)

    def own() -> list[bytes]:
        return [wire.data for wire in world.network.wires] or [b"\r\n"]

    run_pestered(world, rng, own, [STRANGER, CALLER, GATEWAY])
    world.run(60_000)
    assert_unharmed(world)
    assert len(world.cdrs) == world.routes.invites, f"seed {seed}"


def test_repeated_messages_change_nothing(world: World) -> None:
    """Everything that ever went to us comes again, in every state of the call."""
    world.behaviours["g1"] = Behaviour(ring_after_ms=100, answer_after_ms=300)
    call = world.place(hang_up_after_ms=1_000)
    for _ in range(60):
        world.run(50)
        for wire in list(world.network.wires):
            if wire.target == US:
                world.engine.receive(wire.data, Flow("udp", *wire.source, 0), world.network.now)
        world.flush()
    assert (call.status, call.ended_by) == (200, "us")
    assert world.cdr.end_reason == "Normal"
    assert world.routes.invites == 1


@pytest.mark.parametrize("method", ["BYE", "CANCEL", "ACK", "INFO", "INVITE", "PRACK", "UPDATE"])
@pytest.mark.parametrize("wrong", ["from", "to", "call-id", "branch"])
def test_a_forged_request_ends_nothing(world: World, method: str, wrong: str) -> None:
    """One part of the dialog is guessed wrongly; CANCEL is matched by its branch alone."""
    world.behaviours["g1"] = Behaviour(ring_after_ms=0, answer_after_ms=200)
    call = world.place(hang_up_after_ms=5_000)
    for at_ms in (100, 500):
        world.run(at_ms)
        leg = call.leg
        assert call.client is not None
        tags = {"from": leg.local_tag, "to": leg.remote_tag or "x", "call-id": leg.call_id}
        if wrong in tags:
            tags[wrong] = "wrong"
        branch = "z9hG4bKwrong" if wrong == "branch" or method == "CANCEL" else "z9hG4bKfresh"
        if wrong == "branch" and method != "CANCEL":
            tags["to"] = "wrong"
        world.engine.receive(
            f"{method} sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9;branch={branch}\r\n"
            f"From: <sip:a@b>;tag={tags['from']}\r\nTo: <sip:c@d>;tag={tags['to']}\r\n"
            f"Call-ID: {tags['call-id']}\r\nCSeq: 99 {method}\r\nRAck: 1 1 INVITE\r\n\r\n".encode(),
            Flow("udp", *STRANGER, 0), world.network.now,
        )
        world.flush()
    world.run(20_000)
    assert (call.status, call.ended_by) == (200, "us")
    assert world.cdr.end_reason == "Normal"


@settings(
    max_examples=150, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.binary(max_size=300), head=st.sampled_from([b"", b"INVITE sip:a SIP/2.0\r\n",
                                                            b"SIP/2.0 200 OK\r\nVia: "]))
def test_any_bytes_at_all_are_taken(data: bytes, head: bytes) -> None:
    world = World([gateway("g1", 1)])
    world.engine.receive(head + data, Flow("udp", *STRANGER, 0), world.network.now)
    world.engine.on_timers(world.network.now + 10)
    assert world.errors() == []
    assert world.engine.calls == {}


def test_methods_that_peers_invent_do_not_grow_the_counts(world: World) -> None:
    for number in range(300):
        world.engine.receive(
            f"M{number} sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK{number}\r\n"
            f"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: {number}\r\n"
            f"CSeq: 1 M{number}\r\n\r\n".encode(),
            Flow("udp", *STRANGER, 0), world.network.now,
        )
        world.engine.receive(
            f"SIP/2.0 {200 + number} X\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK{number}\r\n"
            f"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: {number}\r\n"
            f"CSeq: 1 M{number}\r\n\r\n".encode(),
            Flow("udp", *STRANGER, 0), world.network.now,
        )
    methods = {key[0] for key in world.engine.tally.requests}
    methods |= {key[0] for key in world.engine.tally.responses}
    assert methods == {"other"}
    world.run(0)


def request_text(method: str, *, to_tag: str = "", branch: str = "1", via: str = "") -> bytes:
    tag = f";tag={to_tag}" if to_tag else ""
    return (
        f"{method} sip:8613800@10.0.0.1 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK{branch}{via}\r\nFrom: <sip:a@b>;tag=t\r\n"
        f"To: <sip:8613800@10.0.0.1>{tag}\r\nCall-ID: c{branch}\r\nCSeq: 1 {method}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("method", ["BYE", "INFO", "INVITE", "CANCEL"])
def test_nothing_is_kept_of_requests_inside_dialogs_that_are_not(
    world: World, method: str
) -> None:
    engine, flow = world.engine, Flow("udp", *STRANGER, 0)
    to_tag = "" if method == "CANCEL" else "guessed"
    for number in range(50):
        data = request_text(method, to_tag=to_tag, branch=str(number))
        for _ in range(2):
            engine.receive(data, flow, world.network.now)
    sends = engine.take_sends()
    assert len(sends) == 100
    assert all(data.startswith(b"SIP/2.0 481 ") for data, _ in sends)
    assert engine.layer.servers == {}
    assert engine.next_timer_ms() is None
    assert engine.tally.responses[(method, 481, "out")] == 100


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "BYE"])
@pytest.mark.parametrize(
    "via", [";maddr=10.7.7.7", ";received=10.7.7.7", ";rport=7;received=10.7.7.7;maddr=224.0.0.1"]
)
def test_nothing_is_sent_to_an_address_that_did_not_ask(
    world: World, method: str, via: str
) -> None:
    world.routes.on_invite = lambda call: Respond(403)
    engine, now = world.engine, world.network.now
    engine.receive(request_text(method, via=via), Flow("udp", *STRANGER, 0), now)
    sends = engine.take_sends()
    engine.on_timers(now + 1_000)
    sends += engine.take_sends()
    assert sends
    assert {flow.host for _, flow in sends} == {STRANGER[0]}
    world.flush()


def test_statuses_that_strangers_invent_do_not_grow_the_counts(world: World) -> None:
    for status in range(100, 700):
        data = (
            f"SIP/2.0 {status} x\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\n"
            "From: <sip:a@b>;tag=t\r\nTo: <sip:b@c>;tag=u\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()
        world.engine.receive(data, Flow("udp", *STRANGER, 0), world.network.now)
    assert world.engine.tally.responses == {("INVITE", 0, "in"): 600}


def test_what_waits_for_a_store_that_takes_nothing_does_not_grow_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "MAX_UNWRITTEN", 10)
    world.routes.on_invite = lambda call: Respond(403)
    engine, now = world.engine, world.network.now
    flow = Flow("udp", *STRANGER, 0)
    for number in range(30):
        engine.receive(request_text("INVITE", branch=str(number)), flow, now)
        engine.take_ops()
        engine.on_commit_failed(now)
    statuses = [int(data[8:11]) for data, _ in engine.take_sends()]
    assert statuses == [403] * 10 + [503] * 20
    world.run(40_000)
    assert len(world.cdrs) == 10
    engine.receive(request_text("INVITE", branch="later"), flow, world.network.now)
    assert engine.take_sends()[0][0].startswith(b"SIP/2.0 403 ")
    world.run(40_000)


@pytest.mark.parametrize("host", ["224.0.0.1", "255.255.255.255", "0.0.0.0", "[ff02::1]", "[::]"])
def test_a_contact_that_is_everybody_is_not_sent_to(world: World, host: str) -> None:
    """Who says so is answered where it sends from: BYE and its resends do not go to a group."""
    current = Flow("udp", *STRANGER, 0)
    assert world.engine.flow_to(f"sip:x@{host}:5060", current) is current
    assert world.engine.flow_to("sip:x@[2001:db8::1]:5070", current).host == "2001:db8::1"


@pytest.mark.parametrize("reason", [EndReason.IllegalCall, EndReason.Overloaded])
def test_a_forged_source_is_not_sent_more_than_one_answer_to_an_invite(
    world: World, reason: EndReason
) -> None:
    world.routes.on_invite = lambda call: End(reason)
    engine, now = world.engine, world.network.now
    data = request_text("INVITE")
    engine.receive(data, Flow("udp", *STRANGER, 0), now)
    for wait in range(10, 40_000, 10):
        engine.on_timers(now + wait)
        if wait in (500, 1_500):  # the INVITE of a real peer that has not heard the answer
            engine.receive(data, Flow("udp", *STRANGER, 0), now + wait)
    sends = [message for message, _ in engine.take_sends()]
    assert len(sends) == 3
    assert len(set(sends)) == 1
    assert engine.layer.servers == {}
    world.flush()
    assert len(world.cdrs) == 1


def test_no_gateway_can_tell_the_identity_of_the_next_attempt(
    make_world: Callable[..., World],
) -> None:
    """Responses are known by their branch alone: who knows it may answer in another's name."""
    world = make_world([gateway("g1", 1), gateway("g2", 2)])
    first, second = world.phone("g1"), world.phone("g2")
    call = world.place()
    world.run()
    heard = first.one("INVITE")
    first.reply(heard, 503)
    world.run()
    hidden = second.one("INVITE")
    second.reply(hidden, 486)
    world.run()
    assert call.status == 486
    for message in (heard, hidden):
        assert world.cdr.id not in "".join(message.lines)
    for known, wanted in (
        (heard.top_via.branch, hidden.top_via.branch), (heard.from_tag, hidden.from_tag)
    ):
        token = known.removeprefix("z9hG4bK")[:8]
        assert token not in wanted
