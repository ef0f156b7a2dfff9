"""Which headers pass between the legs, which do not, and where each leg's messages go."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from virtual_world import CALLER, T0, US, Phone, World, gateway

from router.core.agent import SDP
from router.core.engine import Engine
from router.core.flow import Flow
from router.core.headers import NOT_PASSED
from router.sip.message import Request, Response, parse_message

ODD = [
    "X-First: 1",
    "x-first:2",
    "P-Charging-Vector: icid-value=1;icid-generated-at=10.0.0.9",
    "Diversion: <sip:200@example.com>;reason=no-answer",
    "k: 100rel",
    "X-Empty:",
    "X-Latin: caf\udce9",
    "X-Unicode: 北京",
    'X-Quoted: "a;b,c" ; d',
    "Max-Breadth: 60",
    "Allow: INVITE, ACK",
    "User-Agent: Test/1.0",
    "X-First: 3",
]
OWN = [
    "Authorization: Digest username=x",
    "Proxy-Authorization: Digest username=y",
    "Route: <sip:10.0.0.1:5060;lr>",
    "Path: <sip:10.0.0.9;lr>",
    "Timestamp: 54",
    "Session-Expires: 600",
    "Min-SE: 120",
]


def passed(message: Request | Response) -> list[str]:
    return [
        line
        for line, key in zip(message.lines, message.keys, strict=True)
        if key not in NOT_PASSED and key not in ("content-type", "reason")
    ]


def lines(values: list[str]) -> str:
    return "".join(f"{value}\r\n" for value in values)


def test_unknown_headers_pass_unchanged_and_in_order_both_ways(world: World) -> None:
    caller, callee = world.phone(), world.phone("g1")
    line = caller.call(headers=lines(ODD))
    world.run()
    invite = callee.one("INVITE")
    assert passed(invite) == ODD
    assert invite.body == SDP
    for status in (183, 200):
        callee.reply(invite, status, lines(ODD), SDP)
        world.run()
        assert passed(caller.one(status)) == ODD
        assert caller.one(status).body == SDP
    line.learn(caller.one(200))
    line.send("ACK")
    line.send("BYE", lines(ODD))
    world.run()
    assert passed(callee.one("BYE")) == ODD
    callee.reply(callee.one("BYE"), 200)


def test_what_belongs_to_one_leg_stays_on_it(world: World) -> None:
    caller, callee = world.phone(), world.phone("g1")
    line = caller.call(headers=lines(OWN))
    world.run()
    invite = callee.one("INVITE")
    assert not {line.partition(":")[0].lower() for line in OWN} & set(
        invite.keys
    )
    assert len(invite.vias) == 1
    assert "10.0.0.2" not in "".join(invite.lines)
    assert invite.call_id != line.call_id
    assert invite.from_tag != "a-tag"
    callee.reply(invite, 200, "Record-Route: <sip:10.0.1.1;lr>\r\nX-Ok: 1\r\n", SDP)
    world.run()
    ok = caller.one(200)
    assert not ok.has("record-route")
    assert ok.get("contact") == "<sip:10.0.0.1:5060>"
    assert "10.0.1.1" not in "".join(ok.lines)
    assert ok.get("timestamp") == "54"  # RFC 3261 §8.2.6.1
    line.learn(ok)
    line.send("ACK")
    line.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)


def test_every_via_comes_back_in_its_order(world: World) -> None:
    caller = world.phone()
    caller.send(
        "INVITE sip:8613800@10.0.0.1 SIP/2.0\r\n"
        "Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK1;rport,"
        " SIP/2.0/UDP 10.8.0.1;branch=z9hG4bK2\r\n"
        "v: SIP/2.0/TCP far.example.com;branch=z9hG4bK3\r\n"
        "From: <sip:100@10.0.0.2>;tag=t\r\nTo: <sip:8613800@10.0.0.1>\r\n"
        "Call-ID: vias\r\nCSeq: 1 INVITE\r\nContact: <sip:10.0.0.2>\r\n",
        SDP,
    )
    world.run(40)
    vias = caller.one(200).vias
    assert [via.partition("branch=")[2][:8] for via in vias] == ["z9hG4bK1", "z9hG4bK2", "z9hG4bK3"]
    assert "received=10.0.0.2" in vias[0]
    assert "rport=5060" in vias[0]
    world.run(40_000)


@pytest.mark.parametrize(
    ("via", "port", "answered_at"),
    [
        ("10.0.0.2:5060;rport", 5060, 5060),
        ("10.0.0.2:5060", 5060, 5060),
        ("10.0.0.2:5060", 40_000, 5060),  # without rport: the port of the sent-by
        ("10.0.0.2:5060;rport", 40_000, 40_000),
        ("192.168.1.7:5060;rport", 40_000, 40_000),
        ("192.168.1.7:7000", 40_000, 7_000),  # received, and the port of the sent-by
        ("phone.example.com;rport", 40_000, 40_000),
        ("phone.example.com", 40_000, 5_060),
    ],
)
def test_responses_go_where_the_via_says(
    world: World, via: str, port: int, answered_at: int
) -> None:
    """RFC 3261 §18.2.2 and RFC 3581 §4."""
    phone = Phone("10.0.0.2", port)
    at = Phone("10.0.0.2", answered_at)
    world.network.agents[("10.0.0.2", port)] = phone  # type: ignore[assignment]
    if answered_at != port:
        world.network.agents[("10.0.0.2", answered_at)] = at  # type: ignore[assignment]
    else:
        at = phone
    phone.send(
        f"OPTIONS sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK1\r\n"
        "From: <sip:a@b>;tag=t\r\nTo: <sip:10.0.0.1>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n"
    )
    world.run()
    assert at.one(200)


@pytest.mark.parametrize("maddr", ["victim.example.com", "nonsense!", "", "10.0.0.300"])
def test_a_maddr_that_is_no_address_is_not_sent_to(world: World, maddr: str) -> None:
    """The driver can only send to addresses: a name would stop its loop for a look-up."""
    phone = world.phone()
    phone.send(
        f"OPTIONS sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1;maddr={maddr}"
        "\r\nFrom: <sip:a@b>;tag=t\r\nTo: <sip:10.0.0.1>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n"
    )
    world.run()
    assert phone.one(200)


def test_a_caller_behind_nat_is_reached_where_it_sends_from(world: World) -> None:
    caller, callee = world.phone(), world.phone("g1")
    private = "Contact: <sip:192.168.1.7:5060>\r\n"
    caller.address = "192.168.1.7:5060"
    line = caller.call(headers=private)
    world.run()
    callee.reply(callee.one("INVITE"), 200, body=SDP)
    world.run()
    line.learn(caller.one(200))
    line.send("ACK")
    callee.line_of(callee.one("INVITE")).send("BYE")
    world.run()
    bye = caller.one("BYE")
    assert bye.uri == "sip:192.168.1.7:5060"
    caller.reply(bye, 200)


# -- route sets -----------------------------------------------------------------------------------


def place_through_proxies(
    world: World, a_routes: list[str], b_routes: list[str]
) -> tuple:
    """An answered call with proxies on both sides; each proxy is where the phone is."""
    caller, callee = world.phone(), world.phone("g1")
    line = caller.call(headers=lines([f"Record-Route: {route}" for route in a_routes]))
    world.run()
    invite = callee.one("INVITE")
    callee.reply(invite, 200, lines([f"Record-Route: {route}" for route in b_routes]), SDP)
    world.run()
    line.learn(caller.one(200))
    line.send("ACK")
    world.run()
    return caller, callee, line, invite


A1, A2 = "<sip:10.0.0.2:5060;lr>", "<sip:10.7.0.2;lr>"
B1, B2 = "<sip:10.7.0.1;lr>", "<sip:10.0.1.1:5060;lr;x=1>"


def test_requests_to_the_caller_follow_the_record_route_of_its_invite_in_order(
    world: World,
) -> None:
    caller, callee, _, invite = place_through_proxies(world, [A1, A2], [])
    assert caller.one(200).record_routes == [A1, A2]
    callee.line_of(invite).send("BYE")
    world.run()
    bye = caller.one("BYE")
    assert bye.uri == "sip:10.0.0.2:5060"
    assert bye.routes == [A1, A2]
    caller.reply(bye, 200)


def test_requests_to_the_gateway_follow_the_record_route_of_its_answer_reversed(
    world: World,
) -> None:
    _, callee, line, _ = place_through_proxies(world, [], [B1, B2])
    ack = callee.one("ACK")
    assert ack.uri == "sip:10.0.1.1:5060"
    assert ack.routes == [B2, B1]
    line.send("BYE")
    world.run()
    assert callee.one("BYE").routes == [B2, B1]
    callee.reply(callee.one("BYE"), 200)


def test_a_strict_router_gets_the_request_line_and_the_target_goes_last(world: World) -> None:
    strict = "<sip:10.0.1.1:5060>"
    _, callee, line, _ = place_through_proxies(world, [], [B1, strict])
    ack = callee.one("ACK")
    assert ack.uri == "sip:10.0.1.1:5060"
    assert ack.routes == [B1, "<sip:10.0.1.1:5060>"]
    line.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)


def test_lr_is_known_in_any_case(world: World) -> None:
    loose = "<sip:10.0.1.1:5060;LR=on>"
    _, callee, line, _ = place_through_proxies(world, [], [loose])
    assert callee.one("ACK").routes == [loose]
    line.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)


def test_several_values_in_one_record_route_are_several_routes(world: World) -> None:
    _, callee, line, _ = place_through_proxies(world, [], [f'{B1}, "x,y" {B2};p="a,b"'])
    assert callee.one("ACK").routes == [f'"x,y" {B2};p="a,b"', B1]
    line.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)


# -- streams --------------------------------------------------------------------------------------


Sends = list[tuple[Request | Response, Flow]]


class Direct:
    """An engine without a network: for flows that the virtual one does not have."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.engine: Engine = world.engine

    def tell(self, text: str, flow: Flow, body: bytes = b"") -> Sends:
        data = f"{text}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self.engine.receive(data, flow, self.world.network.now)
        return self.sends()

    def sends(self) -> Sends:
        while ops := self.engine.take_ops():
            now = self.world.network.now
            self.engine.on_committed(self.world.store.commit(ops, now), now)
        return [(parse_message(data), flow) for data, flow in self.engine.take_sends()]


def test_a_call_between_a_stream_and_udp_speaks_each_ones_language(
    make_world: Callable[..., World],
) -> None:
    world = make_world([gateway("g1", 1)])
    direct = Direct(world)
    stream = Flow("tcp", CALLER[0], 33_333, 1, connection=7, slot=0)
    sends = direct.tell(
        "INVITE sip:8613800@10.0.0.1;transport=tcp SIP/2.0\r\n"
        "Via: SIP/2.0/TCP 10.0.0.2:5060;branch=z9hG4bK1\r\n"
        "From: <sip:100@10.0.0.2>;tag=t\r\nTo: <sip:8613800@10.0.0.1>\r\n"
        "Call-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:10.0.0.2;transport=tcp>\r\n",
        stream, SDP,
    )
    (trying, back), (invite, out) = sends
    assert isinstance(trying, Response) and isinstance(invite, Request)
    assert back == stream
    assert out[:3] == ("udp", "10.0.1.1", 5060)
    assert invite.top_via.transport == "UDP"
    assert invite.contact_uri == "sip:10.0.0.1:5060"
    head = "".join(
        f"{key}: {invite.get(key)}\r\n" for key in ("via", "from", "call-id", "cseq")
    )
    sends = direct.tell(
        f"SIP/2.0 200 OK\r\n{head}To: {invite.get('to')};tag=b\r\nContact: <sip:10.0.1.1>\r\n",
        out, SDP,
    )
    (ack, _), (ok, back) = sends
    assert isinstance(ack, Request) and isinstance(ok, Response)
    assert ack.method == "ACK"
    assert back == stream
    assert ok.contact_uri == "sip:10.0.0.1:5060;transport=tcp"
    world.network.now += 600
    world.engine.on_timers(world.network.now)
    resent = direct.sends()
    assert [message.get("cseq") for message, _ in resent] == ["1 INVITE"]  # also over streams
    direct.tell(
        "ACK sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.2;branch=z9hG4bK2\r\n"
        f"From: <sip:100@10.0.0.2>;tag=t\r\nTo: {ok.get('to')}\r\nCall-ID: c\r\nCSeq: 1 ACK\r\n",
        stream,
    )
    sends = direct.tell(
        "BYE sip:10.0.1.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.1.1;branch=z9hG4bK3\r\n"
        f"From: {invite.get('to')};tag=b\r\nTo: {invite.get('from')}\r\n"
        f"Call-ID: {invite.call_id}\r\nCSeq: 1 BYE\r\n",
        out,
    )
    (_, _), (bye, towards) = sends
    assert isinstance(bye, Request)
    assert towards == stream
    assert bye.top_via.transport == "TCP"
    world.engine.on_transport_error(stream, world.network.now)  # it broke before the answer
    assert world.engine.legs == {}


def test_a_gateway_over_tcp_is_called_over_tcp(make_world: Callable[..., World]) -> None:
    world = make_world([gateway("g1", 1, transport="tcp")])
    direct = Direct(world)
    world.network.now = T0
    sends = direct.tell(
        "INVITE sip:8613800@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK1\r\n"
        "From: <sip:100@10.0.0.2>;tag=t\r\nTo: <sip:8613800@10.0.0.1>\r\n"
        "Call-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:10.0.0.2>\r\n",
        Flow("udp", *CALLER, 0), SDP,
    )
    invite, out = sends[1]
    assert isinstance(invite, Request)
    assert out == Flow("tcp", "10.0.1.1", 5060, 1)
    assert invite.uri == "sip:8613800@10.0.1.1:5060;transport=tcp"
    assert invite.top_via.transport == "TCP"
    assert invite.contact_uri == f"sip:{US[0]}:{US[1]};transport=tcp"
    world.network.now += 5_000
    world.engine.on_timers(world.network.now)
    assert [m for m, _ in direct.sends() if isinstance(m, Request)] == []  # no Timer A on streams
    world.engine.on_transport_error(out, world.network.now)
    failed = direct.sends()
    assert [m.status for m, _ in failed if isinstance(m, Response)] == [504]


IDENTITY = ["P-Asserted-Identity: <sip:200@x>", "Remote-Party-ID: <sip:200@x>"]


def test_who_the_callee_is_passes_unless_he_wants_privacy(world: World) -> None:
    caller, callee = world.phone(), world.phone("g1")
    line = caller.call()
    world.run()
    invite = callee.one("INVITE")
    callee.reply(invite, 180, lines(IDENTITY))
    callee.reply(invite, 200, lines([*IDENTITY, "Privacy: id", "X-A: 1"]), SDP)
    world.run()
    assert passed(caller.one(180)) == IDENTITY
    assert passed(caller.one(200)) == ["X-A: 1"]
    line.learn(caller.one(200))
    line.send("ACK")
    line.send("INFO", lines(IDENTITY))
    world.run()
    assert passed(callee.one("INFO")) == IDENTITY
    callee.reply(callee.one("INFO"), 200, lines([*IDENTITY, "Privacy: id"]))
    line.send("BYE", lines([*IDENTITY, "Privacy: user"]))
    world.run()
    assert passed(caller.last(200)) == []
    assert passed(callee.one("BYE")) == []
    callee.reply(callee.one("BYE"), 200)


def test_what_a_caller_says_of_himself_is_no_word_of_ours(world: World) -> None:
    caller, callee = world.phone(), world.phone("g1")
    caller.call(headers=lines([*IDENTITY, "P-Preferred-Identity: <sip:3@x>", "X-A: 1"]))
    world.run()
    invite = callee.one("INVITE")
    assert passed(invite) == ["X-A: 1"]
    callee.reply(invite, 486)
    world.run()
    caller.inbox.clear()
