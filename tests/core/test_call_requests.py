"""What strangers and the malformed get, and which INVITEs never become calls."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from virtual_world import US, Phone, World, gateway

from router.core import dispatch
from router.core.agent import SDP
from router.core.call import Call
from router.core.verdicts import Respond, Verdict
from router.sip.name_addr import parse_name_addr

INVITE = (
    "INVITE sip:8613800@10.0.0.1:5060 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK-raw;rport\r\n"
    "Max-Forwards: 70\r\n"
    "From: <sip:100@10.0.0.2:5060>;tag=raw\r\n"
    "To: <sip:8613800@10.0.0.1>\r\n"
    "Call-ID: raw-call\r\n"
    "CSeq: 1 INVITE\r\n"
    "Contact: <sip:10.0.0.2:5060>\r\n"
)


def send(phone: Phone, text: str) -> None:
    body = SDP if text.startswith("INVITE") else b""
    phone.send_raw(
        text.encode("utf-8", "surrogateescape") + b"Content-Length: %d\r\n\r\n" % len(body) + body
    )


def finals(phone: Phone) -> list[int]:
    """The statuses of the final responses, also to what no parser takes."""
    statuses = [int(data.split(b" ", 2)[1]) for data in phone.raw if data.startswith(b"SIP/")]
    return [status for status in statuses if status >= 200]


def test_a_retransmitted_invite_is_answered_without_running_the_route_again(
    make_world: Callable[..., World],
) -> None:
    world = make_world([gateway("g1", 1)])
    target = world.phone("g1")
    phone = world.phone()
    line = phone.call()
    for _ in range(3):
        world.run(100)
        line.send("INVITE", phone.contact, SDP, cseq=1, branch=line.branch)
    world.run()
    assert world.routes.invites == 1
    assert phone.told() == ["100 INVITE"] * 4
    target.reply(target.one("INVITE"), 180)
    world.run()
    line.send("INVITE", phone.contact, SDP, cseq=1, branch=line.branch)
    world.run()
    assert phone.told()[4:] == ["180 INVITE"] * 2
    target.reply(target.one("INVITE"), 404)
    world.run()
    line.send("INVITE", phone.contact, SDP, cseq=1, branch=line.branch)
    world.run()
    assert phone.told()[6:] == ["404 INVITE"] * 2
    line.ack_failure(phone.got(404)[0])
    world.run(1_000)
    line.send("INVITE", phone.contact, SDP, cseq=1, branch=line.branch)
    world.run()
    assert phone.told()[8:] == []
    assert len(target.got("INVITE")) == 1
    assert len(world.cdrs) == 1


def test_the_same_invite_over_two_paths_is_merged(world: World) -> None:
    phone = world.phone()
    line = phone.call(tag="same")
    world.run()
    line.send("INVITE", phone.contact, SDP, cseq=1, branch="z9hG4bK-second-path")
    world.run(30)
    assert phone.one(482).top_via.branch == "z9hG4bK-second-path"
    assert world.routes.invites == 1
    line.branch = "z9hG4bK-second-path"
    line.ack_failure(phone.one(482))
    line.learn(phone.one(200))
    line.send("ACK")
    line.send("BYE")
    world.run()
    assert len(world.cdrs) == 1


def test_the_same_call_id_from_two_callers_is_two_calls(world: World) -> None:
    phone = world.phone()
    lines = [phone.call(call_id="shared", tag=tag) for tag in ("one", "two")]
    world.run(30)
    for line, answer in zip(lines, phone.got(200), strict=True):
        line.learn(answer)
        line.send("ACK")
        line.send("BYE")
    world.run(30)
    assert len(world.cdrs) == 2


def test_a_second_invite_of_the_same_dialog_id_is_found_after_the_first_has_ended(
    world: World,
) -> None:
    """A caller that tries again with the next CSeq before our final response reached it."""
    target = world.phone("g1")
    phone = world.phone()
    first = phone.call(call_id="shared", tag="same", cseq=1)
    world.run()
    second = phone.call(call_id="shared", tag="same", cseq=2)
    world.run()
    target.reply(target.got("INVITE")[0], 404, tag="b1")
    world.run()
    first.ack_failure(phone.one(404))
    second.send("INVITE", phone.contact, SDP, cseq=2, branch="z9hG4bK-second-path")
    world.run()
    assert len(phone.got(482)) == 1
    target.reply(target.got("INVITE")[1], 403, tag="b2")
    world.run()
    assert len(world.cdrs) == 2


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ("INVITE sip:8613800@10.0.0.1:5060 SIP", "INVITE http://example.com SIP", 416),
        ("INVITE sip:8613800@10.0.0.1:5060 SIP", "INVITE im:you@example.com SIP", 416),
        ("Contact:", "Proxy-Require: privacy, x-odd\r\nContact:", 420),
        ("Max-Forwards: 70", "Max-Forwards: 0", 483),
        ("CSeq: 1 INVITE", "CSeq: one INVITE", 400),
        ("CSeq: 1 INVITE", "CSeq: 1 BYE", 400),
        ("CSeq: 1 INVITE", "CSeq: 2147483648 INVITE", 400),
        ("SIP/2.0\r\nVia", "SIP/3.0\r\nVia", 505),
        ("Contact:", "Content-Length: 10\r\nContact:", 400),
        ("Contact:", "no colon here\r\nContact:", 400),
        ("Contact:", "Call-ID: again\r\nContact:", 400),
    ],
)
def test_an_invite_that_cannot_be_a_call_is_refused(
    world: World, old: str, new: str, status: int
) -> None:
    phone = world.phone()
    assert old in INVITE
    send(phone, INVITE.replace(old, new, 1))
    world.run(40)
    assert finals(phone) == [status]
    assert world.on_wire("us>g1 INVITE") == []
    assert world.errors() == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\r\n\r\n",
        "\0",
        "hello",
        "SIP/2.0 200 OK\r\n\r\n",
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1\r\nFrom: a\r\nTo: b\r\nCall-ID: c\r\n"
        "CSeq: 1 INVITE\r\n\r\n",
        "SIP/2.0 999 Odd\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\nFrom: a\r\nTo: b\r\n"
        "Call-ID: c\r\nCSeq: 1 INVITE\r\n\r\n",
        INVITE.replace("Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK-raw;rport\r\n", ""),
        INVITE.replace("SIP/2.0/UDP 10.0.0.2:5060", "SIP/2.0/UDP"),
        INVITE.replace("SIP/2.0/UDP 10.0.0.2:5060", "SIP/2.0/UDP 10.0.0.2:99999"),
        INVITE.replace("Call-ID: raw-call\r\n", ""),
        INVITE.replace("INVITE", "ACK"),
        INVITE.replace("INVITE", "ACK").replace("CSeq: 1", "CSeq: x"),
    ],
)
def test_what_cannot_be_answered_gets_silence(world: World, text: str) -> None:
    phone = world.phone()
    phone.send_raw(text.encode() + (b"\r\n" if text.startswith(("INVITE", "ACK")) else b""))
    world.run(100)
    assert phone.inbox == []
    assert world.routes.invites == 0


def test_keep_alives_are_no_parse_errors(world: World) -> None:
    phone = world.phone()
    for data in (b"", b"\r\n", b"\r\n\r\n", b"\0\0\0\0"):
        phone.send_raw(data)
    world.run()
    assert world.engine.tally.parse_errors == 0
    phone.send_raw(b"x")
    world.run()
    assert world.engine.tally.parse_errors == 1


@pytest.mark.parametrize(
    "line",
    [
        "Record-Route: <sip:proxy.example.com",
        "Record-Route: ,,,",
        "Record-Route: nonsense",
        "Record-Route: <>;lr",
        "Contact: <sip:10.0.0.2:99999>",
        "Contact: *",
        "Contact: <",
        "Contact: nobody",
        "Max-Forwards: many",
        "X-Bytes: \udcff\udc80",
        "Route: <sip:",
    ],
)
def test_a_header_that_cannot_be_read_harms_nobody(world: World, line: str) -> None:
    """The call may succeed or be refused, but it ends and leaves nothing."""
    phone = world.phone()
    text = INVITE.replace("Max-Forwards: 70\r\n", "") if line.startswith("Max") else INVITE
    if line.startswith("Contact"):
        text = text.replace("Contact: <sip:10.0.0.2:5060>\r\n", "")
    send(phone, text + line + "\r\n")
    world.run(40)
    (status,) = finals(phone)
    if status < 300:
        world.run(40_000)  # it is not acknowledged
        assert world.cdr.end_reason == "ConnectionTimeout"


@pytest.mark.parametrize(
    "line",
    [
        "Record-Route: <sip:proxy.example.com",
        "Record-Route: nonsense",
        "Record-Route: <>;lr",
        "Contact: <",
        "Contact: *",
        "Contact: <sip:host with spaces>",
        "Retry-After: now",
        "To: <sip:unfinished",
    ],
)
@pytest.mark.parametrize("status", [180, 200])
def test_a_header_of_a_gateway_that_cannot_be_read_leaves_no_call_behind(
    make_world: Callable[..., World], line: str, status: int
) -> None:
    world = make_world([gateway("g1", 1)])
    target = world.phone("g1")
    call = world.place(hang_up_after_ms=1_000)
    world.run()
    invite = target.one("INVITE")
    if line.startswith("To:"):
        head = "".join(
            f"{key.title()}: {invite.get(key)}\r\n" for key in ("via", "from", "call-id", "cseq")
        )
        target.send(f"SIP/2.0 {status} OK\r\n{head}{line}\r\n")
    else:
        target.reply(invite, status, line + "\r\n", SDP, contact=not line.startswith("Contact"))
    world.run(1_000)
    for bye in target.got("BYE"):
        target.reply(bye, 200)
    world.run(200_000)
    assert call.ended_ms
    assert len(world.cdrs) == 1


def test_a_part_that_the_route_finds_malformed_gets_its_status(world: World) -> None:
    """A route reads $from_user of a From that has no URI: the caller earns a 400."""

    def on_invite(call: Call) -> Verdict:
        assert call.request is not None
        parse_name_addr(call.request.get("from"))
        return world.routes.dial()

    world.routes.on_invite = on_invite
    phone = world.phone()
    send(phone, INVITE.replace("<sip:100@10.0.0.2:5060>", "nobody"))
    world.run()
    assert finals(phone) == [400]
    assert world.cdr.sip_code == 400
    assert world.engine.calls == {}
    assert world.engine.tally.route_errors == 0
    assert world.engine.tally.parse_errors == 1


def test_options_outside_of_a_dialog_is_the_routes_affair(world: World) -> None:
    phone = world.phone()
    send(phone, INVITE.replace("INVITE", "OPTIONS"))
    world.run()
    answer = phone.one(200)
    assert "INVITE" in answer.get("allow")
    assert answer.to_tag
    world.routes.on_request = lambda request, flow: Respond(405)
    send(phone, INVITE.replace("INVITE", "FROB").replace("-raw", "-other"))
    world.run()
    assert phone.one(405).has("allow")


def test_an_invented_method_is_counted_as_other(world: World) -> None:
    phone = world.phone()
    send(phone, INVITE.replace("INVITE", "FROB"))
    world.run()
    assert world.engine.tally.requests[("other", "in")] == 1
    assert ("FROB", "in") not in world.engine.tally.requests


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "PRACK", "NOTIFY", "INVITE"])
def test_a_request_in_an_unknown_dialog_gets_481(world: World, method: str) -> None:
    phone = world.phone()
    text = INVITE.replace("INVITE", method).replace(
        "To: <sip:8613800@10.0.0.1>", "To: <sip:8613800@10.0.0.1>;tag=unknown"
    )
    send(phone, text)
    world.run()
    assert finals(phone) == [481]
    assert world.routes.invites == 0
    assert world.cdrs == []


def test_an_ack_for_nothing_is_ignored(world: World) -> None:
    phone = world.phone()
    for tag in ("", ";tag=unknown"):
        send(phone, INVITE.replace("INVITE", "ACK").replace("10.0.0.1>\r\n", f"10.0.0.1>{tag}\r\n"))
    world.run()
    assert phone.inbox == []
    assert world.engine.tally.parse_errors == 0


def test_an_ack_with_wrong_tags_acknowledges_nothing(world: World) -> None:
    phone = world.phone()
    line = phone.call()
    world.run(30)
    ok = phone.one(200)
    line.learn(ok)
    good_local, good_id = line.local, line.call_id
    line.local = line.local.replace("a-tag", "other")
    line.send("ACK")
    line.local, line.call_id = good_local, "other"
    line.send("ACK")
    line.call_id = good_id
    line.send("ACK", cseq=99)
    world.run(600)
    assert len(phone.got(200)) == 2, "the 200 was not resent: a wrong ACK was taken for ours"
    line.send("ACK")
    world.run(5_000)
    assert len(phone.got(200)) == 2
    line.send("BYE")


def test_a_bye_with_a_wrong_tag_or_call_id_ends_nothing(world: World) -> None:
    phone = world.phone()
    line = phone.call()
    world.run(30)
    line.learn(phone.one(200))
    line.send("ACK")
    good_local, good_id = line.local, line.call_id
    line.local = line.local.replace("a-tag", "other")
    line.send("BYE")
    line.local, line.call_id = good_local, "other"
    line.send("BYE")
    world.run()
    assert len(phone.got(481)) == 2
    assert len(world.engine.calls) == 1
    line.call_id = good_id
    line.send("BYE")
    world.run()
    assert world.cdr.end_reason == "Normal"


def test_max_forwards_is_one_less_on_the_other_leg(world: World) -> None:
    phone = world.phone()
    send(phone, INVITE.replace("Max-Forwards: 70", "Max-Forwards: 12"))
    world.run(40)
    assert world.gateways["g1"].requests[0].get("max-forwards") == "11"
    world.run(40_000)


@pytest.mark.parametrize(("given", "sent"), [("", 69), ("255", 254), ("4000000000", 254), ("1", 0)])
def test_max_forwards_is_kept_within_bounds(world: World, given: str, sent: int) -> None:
    phone = world.phone()
    line = f"Max-Forwards: {given}\r\n" if given else ""
    send(phone, INVITE.replace("Max-Forwards: 70\r\n", line))
    world.run(40)
    assert world.gateways["g1"].requests[0].max_forwards == sent
    world.run(40_000)


def test_a_loop_through_a_gateway_that_is_ourselves_ends_by_max_forwards(
    make_world: Callable[..., World],
) -> None:
    loop = gateway("loop", 1)
    loop.host, loop.port = US
    world = make_world([loop])
    call = world.place(extra="", hang_up_after_ms=None)
    world.run(3_000)
    assert call.status == 483
    assert len(world.cdrs) == 71
    assert sum(cdr.end_reason == "ForwardingLoop" for cdr in world.cdrs) == 1


@pytest.mark.parametrize("cseq", [0, 1, 2**30, 2**31 - 2])
def test_any_cseq_of_a_caller_leaves_room_for_ours(world: World, cseq: int) -> None:
    phone = world.phone()
    line = phone.call(cseq=cseq)
    world.run(30)
    line.learn(phone.one(200))
    line.send("ACK")
    world.crash()  # a successor counts on from a thousand more
    line.send("BYE")
    world.run(30)
    assert world.cdr.end_reason == "Normal"
    assert world.gateways["g1"].received[0].ended_by == "peer"


def test_a_call_to_a_uri_without_user_makes_a_valid_invite(world: World) -> None:
    phone = world.phone()
    send(phone, INVITE.replace("sip:8613800@10.0.0.1:5060", "sip:10.0.0.1:5060"))
    world.run(40)
    assert world.gateways["g1"].requests[0].uri == "sip:10.0.1.1:5060"
    world.run(40_000)


def test_a_telephone_uri_is_a_number(world: World) -> None:
    phone = world.phone()
    send(phone, INVITE.replace("sip:8613800@10.0.0.1:5060", "tel:+8613800;ext=1"))
    world.run(40)
    assert world.gateways["g1"].requests[0].uri == "sip:+8613800@10.0.1.1:5060"
    world.run(40_000)
    assert world.cdr.callee_in == "+8613800"


def test_a_branch_of_an_old_peer_is_matched_by_everything_else(world: World) -> None:
    """RFC 2543 peers send no magic cookie (RFC 3261 §17.2.3)."""
    phone = world.phone()
    old = INVITE.replace("branch=z9hG4bK-raw", "branch=1")
    send(phone, old)
    world.run()
    send(phone, old)
    world.run(30)
    assert world.routes.invites == 1
    assert len(phone.got(200)) == 1
    other = old.replace("Call-ID: raw-call", "Call-ID: raw-call-2")
    send(phone, other)
    world.run(30)
    assert world.routes.invites == 2
    world.run(40_000)


def test_a_flood_of_requests_is_shed_without_state_and_calls_can_still_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = world.phone()
    line = phone.call()
    world.run(30)
    line.learn(phone.one(200))
    line.send("ACK")
    world.run()
    monkeypatch.setattr(dispatch, "MAX_SERVERS", 10)
    for number in range(30):
        send(phone, INVITE.replace("INVITE", "OPTIONS").replace("-raw", f"-{number}"))
    world.run()
    assert len(world.engine.layer.servers) == 10
    send(phone, INVITE)
    world.run()
    assert world.routes.invites == 1
    assert {message.get("retry-after") for message in phone.got(503)} == {"5"}
    line.send("BYE")
    world.run()
    assert world.cdr.end_reason == "Normal"
    monkeypatch.undo()
