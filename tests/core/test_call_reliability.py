"""What is lost, doubled, late or forked: retransmissions of everything (RFC 3261 §13, §17)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from virtual_world import T0, World, gateway

from router.core.agent import SDP, Behaviour
from router.core.parameters import TimerDefaults


def answered(world: World) -> tuple:
    """A call answered by g1 played by hand; its caller has not sent the ACK yet."""
    caller, callee = world.phone(), world.phone("g1")
    line = caller.call()
    world.run()
    callee.reply(callee.one("INVITE"), 200, body=SDP)
    world.run()
    line.learn(caller.one(200))
    return caller, callee, line


def test_the_200_is_resent_until_its_ack_comes(world: World) -> None:
    caller, callee, line = answered(world)
    world.run(4_000)
    # 0.5, 1.5 and 3.5 s after the first.
    assert len(caller.got(200)) == 4
    assert len({message.get("cseq") for message in caller.got(200)}) == 1
    line.send("ACK")
    world.run(20_000)
    assert len(caller.got(200)) == 4
    assert len(callee.got("ACK")) == 1
    line.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)


def test_without_any_ack_both_sides_get_bye_after_64_t1(world: World) -> None:
    caller, callee, _ = answered(world)
    world.run(31_900)
    assert caller.got("BYE") == [] == callee.got("BYE")
    # Resent at T1, doubling to T2: 0.5, 1.5, 3.5, then every 4 s.
    assert len(caller.got(200)) == 11
    world.run(200)
    caller.reply(caller.one("BYE"), 200)
    callee.reply(callee.one("BYE"), 200)
    cdr = world.cdr
    assert (cdr.end_reason, cdr.end_side) == ("ConnectionTimeout", "server")
    assert 32_000 <= cdr.duration_ms <= 32_020
    assert caller.one("BYE").get("reason") == "Q.850;cause=102"


def test_a_repeated_ack_is_swallowed(world: World) -> None:
    _caller, callee, line = answered(world)
    for _ in range(3):
        line.send("ACK")
        world.run()
    assert len(callee.got("ACK")) == 1
    line.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)
    world.run()
    line.send("ACK")
    world.run()


def test_the_gateways_repeated_200_is_acknowledged_again_with_the_same_ack(world: World) -> None:
    caller, callee, line = answered(world)
    line.send("ACK")
    world.run()
    for _ in range(3):
        callee.reply(callee.one("INVITE"), 200, body=SDP)
        world.run(500)
    acks = [data for data in callee.raw if data.startswith(b"ACK ")]
    assert len(acks) == 4
    assert len(set(acks)) == 1
    assert len(caller.got(200)) == 1
    line.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)


def test_a_200_that_comes_again_after_timer_m_is_still_acknowledged(world: World) -> None:
    _caller, callee, line = answered(world)
    line.send("ACK")
    world.run(33_000)
    callee.reply(callee.one("INVITE"), 200, body=SDP)
    world.run()
    assert len(callee.got("ACK")) == 2
    line.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)


def test_a_second_forks_200_is_acknowledged_and_ended(world: World) -> None:
    """RFC 3261 §13.2.2.4: a proxy behind the gateway rang two phones and both answered."""
    _caller, callee, line = answered(world)
    line.send("ACK")
    callee.reply(callee.one("INVITE"), 200, body=SDP, tag="second")
    world.run()
    acks = callee.got("ACK")
    assert [ack.to_tag for ack in acks] == ["b-tag", "second"]
    bye = callee.one("BYE")
    assert (bye.to_tag, bye.cseq) == ("second", acks[1].cseq + 1)
    callee.reply(callee.one("INVITE"), 200, body=SDP, tag="second")  # again, before our ACK came
    world.run()
    assert len(callee.got("BYE")) == 1
    assert len(callee.got("ACK")) == 3
    callee.reply(bye, 200)
    world.run(100)
    assert len(world.engine.calls) == 1
    line.send("BYE")
    world.run()
    callee.reply(callee.got("BYE")[1], 200)
    assert callee.got("BYE")[1].to_tag == "b-tag"
    assert world.cdr.end_reason == "Normal"


def test_forks_that_ring_are_all_heard_and_the_one_that_answers_is_the_call(world: World) -> None:
    caller, callee = world.phone(), world.phone("g1")
    line = caller.call()
    world.run()
    invite = callee.one("INVITE")
    for tag in ("one", "two"):
        callee.reply(invite, 180, tag=tag)
    world.run()
    assert len(caller.got(180)) == 2
    assert len({message.to_tag for message in caller.got(180)}) == 1
    callee.reply(invite, 200, body=SDP, tag="one")
    world.run()
    line.learn(caller.one(200))
    line.send("ACK")
    line.send("BYE")
    world.run()
    assert callee.one("BYE").to_tag == "one"
    callee.reply(callee.one("BYE"), 200)


def test_a_failure_is_resent_until_its_ack_comes(world: World) -> None:
    caller, callee = world.phone(), world.phone("g1")
    line = caller.call()
    world.run()
    callee.reply(callee.one("INVITE"), 486)
    world.run(1_600)
    assert len(caller.got(486)) == 3
    line.ack_failure(caller.got(486)[0])
    world.run(20_000)
    assert len(caller.got(486)) == 3


def test_a_failure_that_is_never_acknowledged_is_given_up_after_64_t1(world: World) -> None:
    caller, callee = world.phone(), world.phone("g1")
    caller.call()
    world.run()
    callee.reply(callee.one("INVITE"), 486)
    world.run(40_000)
    assert len(caller.got(486)) == 11
    assert world.engine.layer.servers == {}
    assert world.cdr.end_reason == "UserBusy"


def test_the_gateways_repeated_failure_is_acknowledged_again(world: World) -> None:
    callee = world.phone("g1")
    world.place()
    world.run()
    for _ in range(3):
        callee.reply(callee.one("INVITE"), 486)
        world.run(100)
    assert len(callee.got("ACK")) == 3
    assert len(world.cdrs) == 1


def test_the_invite_is_resent_until_a_provisional_comes(world: World) -> None:
    callee = world.phone("g1")
    world.place()
    world.run(3_600)
    assert len(callee.got("INVITE")) == 4
    assert len(set(callee.raw)) == 1
    callee.reply(callee.got("INVITE")[0], 100)
    world.run(10_000)
    assert len(callee.got("INVITE")) == 4
    assert world.engine.tally.retransmissions == 3
    callee.reply(callee.got("INVITE")[0], 404)


def test_a_late_provisional_after_the_answer_is_nothing(world: World) -> None:
    caller, callee, line = answered(world)
    line.send("ACK")
    callee.reply(callee.one("INVITE"), 180)
    world.run()
    assert caller.got(180) == []
    line.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)


def test_a_failure_after_the_answer_is_nothing(world: World) -> None:
    _caller, callee, line = answered(world)
    line.send("ACK")
    callee.reply(callee.one("INVITE"), 500)
    world.run()
    assert len(world.engine.calls) == 1
    line.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)


@pytest.mark.parametrize("lost", range(14))
def test_a_call_survives_the_loss_of_any_one_of_its_messages(
    make_world: Callable[..., World], lost: int
) -> None:
    sent: list[bytes] = []

    def fate(data: bytes) -> list[int]:
        if data in sent or len(sent) > 14:
            return [1]
        sent.append(data)
        return [] if len(sent) == lost + 1 else [1]

    world = make_world([gateway("g1", 1)], fate=fate)
    world.behaviours["g1"] = Behaviour(ring_after_ms=100, answer_after_ms=200)
    call = world.place(hang_up_after_ms=3_000)
    world.run(60_000)
    assert (call.status, call.ended_by) == (200, "us")
    assert world.gateways["g1"].received[0].ended_by == "peer"
    assert world.cdr.end_reason == "Normal"


@pytest.mark.parametrize("behaviour", [
    Behaviour(), Behaviour(status=486), Behaviour(hang_up_after_ms=2_000),
])
def test_a_call_whose_every_message_comes_twice_is_one_call(
    make_world: Callable[..., World], behaviour: Behaviour
) -> None:
    world = make_world([gateway("g1", 1)], fate=lambda data: [1, 3])
    world.behaviours["g1"] = behaviour
    world.place(hang_up_after_ms=None if behaviour.hang_up_after_ms else 2_000)
    world.run(60_000)
    assert world.routes.invites == 1
    assert len(world.cdrs) == 1
    assert len(world.gateways["g1"].received) == 1


def test_the_timers_of_routes_cfg_are_used(make_world: Callable[..., World]) -> None:
    world = make_world([gateway("g1", 1)], timers=TimerDefaults(t1_ms=100, t2_ms=400))
    callee = world.phone("g1")
    world.place()
    world.run(1_000)
    assert [
        wire.at_ms - T0 for wire in world.network.wires if wire.target == ("10.0.1.1", 5060)
    ] == [1, 110, 310, 710]
    callee.reply(callee.got("INVITE")[0], 404)


def test_post_dial_delay_and_duration_are_observed(world: World) -> None:
    world.behaviours["g1"] = Behaviour(ring_after_ms=300, answer_after_ms=400)
    world.place(hang_up_after_ms=4_000)
    world.run(10_000)
    tally = world.engine.tally
    assert sum(tally.pdd["g1"].counts) == 1
    assert 0.3 <= tally.pdd["g1"].sum < 0.35
    assert sum(tally.call_duration.counts) == 1
    assert 4.0 <= tally.call_duration.sum < 4.1
    assert tally.talked_ms == {"g1": round(tally.call_duration.sum * 1000)}
    assert sum(tally.disconnect_delay.counts) == 1, "the BYE to the gateway"
    assert tally.disconnect_delay.sum < 0.1


def test_messages_are_counted_once_and_their_repetitions_apart(world: World) -> None:
    world.place(hang_up_after_ms=100)
    world.run(1_000)
    tally = world.engine.tally
    assert tally.requests == {
        ("INVITE", "in"): 1, ("INVITE", "out"): 1, ("ACK", "in"): 1, ("ACK", "out"): 1,
        ("BYE", "in"): 1, ("BYE", "out"): 1,
    }
    assert tally.responses == {
        ("INVITE", 100, "out"): 1, ("INVITE", 100, "in"): 1, ("INVITE", 180, "in"): 1,
        ("INVITE", 200, "in"): 1, ("INVITE", 180, "out"): 1, ("INVITE", 200, "out"): 1,
        ("BYE", 200, "out"): 1, ("BYE", 200, "in"): 1,
    }
    assert tally.retransmissions == 0
