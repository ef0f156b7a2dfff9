"""Calls to a phone's contacts: where they are sent, in which order, and by a successor too."""

from __future__ import annotations

import pytest
from virtual_world import World

from router.core.agent import SDP
from router.core.call import Call
from router.core.flow import Flow
from router.core.fork import MAX_BRANCHES
from router.core.verdicts import Dial, Next, Reroute
from router.routing.objects import NO_ACCOUNT, Phone
from router.routing.phones import candidate_of, target_of
from router.store.ops import GatewayState
from router.store.records import Contact, Registration

BEHIND_NAT = "sip:1001@192.168.0.5:5060"


def contact(number: int, *, q: int = 1000, uri: str = BEHIND_NAT, transport: str = "udp",
            connection: int = 0, slot: int = -1) -> Contact:
    """A contact that was registered from the address of gateway `number`."""
    return Contact(
        uri, q, 1 << 50, transport=transport, host=f"10.0.1.{number}", port=5060, listener=0,
        connection=connection, slot=slot,
    )


def calls_phone(world: World, *contacts: Contact, together: bool = False, **settings: str) -> None:
    """Every call goes to phone 1001 with these contacts."""
    phone = Phone(NO_ACCOUNT, "1001", "secret", **settings)
    routes = world.routes

    def dial(call: Call) -> Dial:
        target = target_of(phone, Registration("1001", "acme", list(contacts)), False)
        return Dial(
            ((candidate_of(phone),),), (), {phone.key: target}, {phone.key: routes.timers}, 5,
            "", "", "f" if routes.on_failure else "", (),
            branches=MAX_BRANCHES if together else 1, diverts=routes.on_diverted is not None,
        )

    routes.on_invite = dial


@pytest.mark.parametrize("crash", [False, True], ids=["", "after a crash"])
def test_all_of_the_call_goes_to_where_the_register_came_from(world: World, crash: bool) -> None:
    calls_phone(world, contact(1))
    phone, caller = world.phone("g1"), world.phone()
    line = caller.call("1001")
    world.run()
    invite = phone.one("INVITE")
    assert invite.uri == BEHIND_NAT
    assert invite.get("to") == "<sip:1001@10.0.0.1:5060>"
    phone.contact = "Contact: <sip:1001@192.168.0.5>\r\n"
    phone.reply(invite, 180)
    phone.reply(invite, 200, body=SDP)
    world.run()
    assert phone.one("ACK").uri == "sip:1001@192.168.0.5"
    line.learn(caller.one(200))
    line.send("ACK")
    world.run(100)
    if crash:
        world.crash()
    line.send("BYE")
    world.run()
    bye = phone.one("BYE")
    assert bye.uri == "sip:1001@192.168.0.5"
    phone.reply(bye, 200)
    world.run()
    assert (world.cdr.gateway, world.cdr.end_reason) == ("phone 1001", "Normal")
    assert world.store.usage("phone:1001").in_use == 0


def test_a_stream_is_called_by_its_own_connection(world: World) -> None:
    calls_phone(world, contact(1, transport="tcp", connection=7, slot=3))
    world.phone().call("1001")
    world.engine.receive(world.phone().sends.pop()[0], Flow("udp", "10.0.0.2", 5060, 0), 0)
    while ops := world.engine.take_ops():
        world.engine.on_committed(world.store.commit(ops, 0), 0)
    sent = [flow for data, flow in world.engine.take_sends() if data.startswith(b"INVITE")]
    assert sent == [Flow("tcp", "10.0.1.1", 5060, 1, 7, 3)], "of our listener for TCP"
    world.engine.end_all(0)
    world.flush()
    world.engine.on_transport_error(sent[0], 0)


def test_contacts_are_hunted_by_their_q(world: World) -> None:
    calls_phone(
        world, contact(1, q=200, uri="sip:a@a"), contact(2, q=900, uri="sip:b@b"),
        contact(3, q=500, uri="sip:c@c"),
    )
    phones = [world.phone(name) for name in ("g1", "g2", "g3")]
    world.place()
    world.run()
    phones[1].reply(phones[1].one("INVITE"), 480)
    world.run()
    # Whoever cannot be reached is passed over at once.
    world.engine.on_transport_error(Flow("udp", "10.0.1.3", 5060), world.network.now)
    world.run()
    phones[0].reply(phones[0].one("INVITE"), 486)
    world.run()
    assert [attempt.reason for attempt in world.cdr.attempts] == [
        "CalledNotOnline", "ConnectionTimeout", "UserBusy",
    ]
    assert world.cdr.end_reason == "UserBusy"
    assert world.cdr.sip_code == 486


def test_waves_ring_one_after_the_other(world: World) -> None:
    calls_phone(
        world, contact(1, q=500, uri="sip:a@a"), contact(2, uri="sip:b@b"),
        contact(3, uri="sip:c@c"), together=True,
    )
    first, second, third = (world.phone(name) for name in ("g1", "g2", "g3"))
    call = world.place()
    world.run()
    assert not first.got("INVITE")
    second.reply(second.one("INVITE"), 404)
    third.reply(third.one("INVITE"), 480)
    world.run()
    first.reply(first.one("INVITE"), 200, body=SDP)
    world.run()
    assert call.status == 200
    (live,) = world.engine.calls.values()
    assert live.cdr.attempt == 3
    call.hang_up()
    world.run()
    first.reply(first.one("BYE"), 200)
    world.run()


def test_a_phones_contacts_do_not_use_up_max_attempts(world: World) -> None:
    calls_phone(world, *(contact(1, uri=f"sip:{at}@a") for at in range(7)), together=True)
    routes = world.routes
    routes.on_failure = lambda call, attempt: routes.dial(routes.gateways[1:])
    phone = world.phone("g1")
    call = world.place(hang_up_after_ms=100)
    world.run()
    for invite in phone.got("INVITE"):
        phone.reply(invite, 480)
    world.run(1_000)
    assert call.status == 200
    assert len(world.cdr.attempts) == 8


def test_nobody_is_told_to_be_down_for_a_phones_silence(world: World) -> None:
    calls_phone(world, contact(9))
    for _ in range(6):
        world.place()
    world.run(60_000)
    assert not any(isinstance(op, GatewayState) for op in world.store.ops)
    assert world.engine.tally.attempts == {"(phones)": 6}
    assert {cdr.end_reason for cdr in world.cdrs} == {"ConnectionTimeout"}


def test_what_a_phone_forwards_to_is_routed_again(world: World) -> None:
    calls_phone(world, contact(1))
    routes = world.routes
    routes.on_diverted = lambda call, last: Reroute("8613900") if last is not None else None
    first = routes.on_invite
    assert first is not None
    routes.on_invite = lambda call: (
        first(call) if call.callee == "1001" else routes.dial(routes.gateways[1:])
    )
    failed: list[str] = []
    routes.on_failure = lambda call, attempt: failed.append(attempt.target.name) or Next()
    phone = world.phone("g1")
    line = world.phone().call("1001")
    world.run()
    phone.reply(phone.one("INVITE"), 486)
    world.run(50)
    caller = world.phone()
    line.learn(caller.one(200))
    line.send("ACK")
    line.send("BYE")
    world.run()
    assert failed == [], "a phone that forwards has not failed"
    cdr = world.cdr
    assert (cdr.callee_in, cdr.callee_out, cdr.gateway) == ("1001", "8613900", "g2")
    assert [attempt.gateway for attempt in cdr.attempts] == ["phone 1001", "g2"]


def test_what_a_phone_registered_cannot_change_our_request_line(world: World) -> None:
    calls_phone(world, contact(1, uri="sip:a b\tc@10.0.1.1?Replaces=x%40y&Subject=z"))
    phone = world.phone("g1")
    call = world.place()
    world.run()
    invite = phone.one("INVITE")
    assert invite.uri == "sip:a%20b%09c@10.0.1.1"
    phone.reply(invite, 486)
    world.run()
    assert call.status == 486
