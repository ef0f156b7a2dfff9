"""A gateway that asks for credentials: its 401 and 407 are answered, and never in a circle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from virtual_world import Line, Phone, World, gateway

from router.core.agent import SDP
from router.core.parameters import Login
from router.sip.digest import Challenge, digest_ha1, is_right, parse_credentials, render_challenge
from router.sip.message import Request

LOGIN = Login("trunkline", "s3cret")
MD5 = Challenge("carrier", "nonce-1", "MD5")


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world of a gateway with credentials and one without."""
    return make_world([gateway("g1", 1, login=LOGIN), gateway("g2", 2)])


def challenge(phone: Phone, request: Request, what: Challenge = MD5, status: int = 401) -> None:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    phone.reply(request, status, f"{name}: {render_challenge(what)}\r\n")


def check(
    request: Request, what: Challenge = MD5, count: int = 1, header: str = "authorization",
    password: str = "s3cret",
) -> None:
    """The request carries the right answer to a challenge."""
    assert len(request.get_all(header)) == 1
    credentials = parse_credentials(request.get(header))
    assert credentials is not None
    assert (credentials.username, credentials.realm) == ("trunkline", what.realm)
    assert (credentials.nonce, credentials.count) == (what.nonce, count if what.qop else 0)
    assert credentials.uri == request.uri and credentials.opaque == what.opaque
    ha1 = digest_ha1("trunkline", what.realm, password, what.algorithm)
    assert is_right(ha1, request.method, credentials, request.body)


def connect(world: World, what: Challenge = MD5, status: int = 401) -> tuple[Line, Line]:
    """A call to g1 that is challenged once and answered: the caller's line, and the gateway's."""
    g1, caller = world.phone("g1"), world.phone()
    line = caller.call()
    world.run()
    challenge(g1, g1.last("INVITE"), what, status)
    world.run()
    invite = g1.last("INVITE")
    g1.reply(invite, 200, body=SDP)
    world.run()
    line.learn(caller.one(200))
    line.send("ACK")
    world.run()
    return line, g1.line_of(invite)


def hang_up(world: World, line: Line) -> None:
    g1 = world.phone("g1")
    line.send("BYE")
    world.run()
    g1.reply(g1.last("BYE"), 200)
    world.run()


@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize(
    "what",
    [
        MD5,
        Challenge("carrier", "n/1==", "SHA-256", opaque="op"),
        Challenge("carrier", "n", ""),
        Challenge("c", "n", "MD5", ()),
        Challenge("c", "n", "MD5", ("auth-int",)),
        Challenge("c", "n", "MD5-sess"),
    ],
)
def test_a_challenged_invite_is_sent_again_in_the_same_attempt(
    world: World, what: Challenge, status: int
) -> None:
    line, _ = connect(world, what, status)
    g1 = world.phone("g1")
    first, second = g1.got("INVITE")
    header = "authorization" if status == 401 else "proxy-authorization"
    assert not first.has(header)
    check(second, what, 1, header)
    assert second.cseq == first.cseq + 1
    assert (second.call_id, second.from_tag, second.uri) == (
        first.call_id, first.from_tag, first.uri,
    )
    assert second.top_branch != first.top_branch and second.body == first.body
    assert not second.to_tag
    answered, acknowledged = g1.got("ACK")
    assert answered.cseq == first.cseq and not answered.has(header)
    assert acknowledged.cseq == second.cseq
    assert acknowledged.get(header) == second.get(header)
    hang_up(world, line)
    cdr = world.cdr
    assert (cdr.end_reason, len(cdr.attempts), cdr.attempts[0].sip_code) == ("Normal", 1, 200)
    assert world.store.gateway_states() == {}


def test_the_caller_hears_nothing_of_a_challenge(world: World) -> None:
    line, _ = connect(world)
    assert world.phone().told() == ["100 INVITE", "200 INVITE"]
    hang_up(world, line)


def test_a_nonce_is_used_again_and_counted(world: World) -> None:
    line, _ = connect(world)
    g1 = world.phone("g1")
    hang_up(world, line)
    check(g1.last("BYE"), count=2)
    other = world.phone().call()
    world.run()
    invite = g1.last("INVITE")
    check(invite, count=3)
    g1.reply(invite, 486)
    world.run()
    assert other.call_id


def test_every_request_in_the_dialog_answers_a_challenge(world: World) -> None:
    line, _ = connect(world)
    g1, caller = world.phone("g1"), world.phone()
    for number, method in enumerate(("INVITE", "UPDATE", "INFO", "BYE"), 2):
        fresh = Challenge("carrier", f"nonce-{number}", "MD5")
        line.send(method, body=SDP if method == "INVITE" else b"")
        world.run()
        challenge(g1, g1.last(method), fresh)
        world.run()
        first, second = g1.got(method)[-2:]
        check(second, fresh)
        assert second.cseq == first.cseq + 1 and second.to_tag == first.to_tag
        g1.reply(second, 200)
        world.run()
        if method == "INVITE":
            assert caller.last(200).cseq_method == "INVITE"
            line.send("ACK")
            world.run()
            assert g1.last("ACK").get("authorization") == second.get("authorization")
    assert world.cdr.end_reason == "Normal"
    assert caller.got(401) == []


def refuse(world: World, *challenges: Challenge) -> Phone:
    """A call to g1 that is challenged so often."""
    g1 = world.phone("g1")
    world.phone().call()
    world.run()
    for what in challenges:
        challenge(g1, g1.last("INVITE"), what)
        world.run()
    return g1


def trouble(world: World) -> str:
    state = world.store.gateway_state("gateway:g1")
    return state.trouble if state is not None else ""


def refusals(world: World) -> list[dict[str, Any]]:
    return [fields for _, event, fields in world.engine.logs if event == "credentials refused"]


@pytest.fixture
def alone(make_world: Callable[..., World]) -> World:
    """A world of one gateway, with credentials."""
    return make_world([gateway("g1", 1, login=LOGIN)])


def test_a_stale_nonce_is_answered_once_more_and_not_twice(alone: World) -> None:
    second = Challenge("carrier", "nonce-2", "MD5", stale=True)
    third = Challenge("carrier", "nonce-3", "MD5", stale=True)
    g1 = refuse(alone, MD5, second)
    check(g1.last("INVITE"), second)
    challenge(g1, g1.last("INVITE"), third)
    alone.run()
    assert len(g1.got("INVITE")) == 3 and len(g1.got("ACK")) == 3
    assert alone.phone().last(403).cseq_method == "INVITE"
    assert alone.cdr.attempts[0].sip_code == 401


def test_a_wrong_password_is_tried_once_and_shows(alone: World) -> None:
    other = Challenge("carrier", "nonce-2", "MD5")
    g1 = refuse(alone, MD5, other)
    assert len(g1.got("INVITE")) == 2
    assert trouble(alone) == "credentials refused: 401 Unauthorized"
    assert refusals(alone) == [{"gateway": "g1", "status": 401, "username": "trunkline"}]
    refuse(alone, MD5, other)
    assert len(g1.got("INVITE")) == 4
    assert len(refusals(alone)) == 1  # not with every call


def test_where_credentials_are_refused_the_next_gateway_is_tried(world: World) -> None:
    refuse(world, MD5, MD5)
    world.run()
    assert world.phone().last(200).cseq_method == "INVITE"
    assert [one.sip_code for one in next(iter(world.engine.calls.values())).cdr.attempts] == [
        401, 200,
    ]
    world.engine.end_all(world.network.now)
    world.run()


def test_what_was_refused_is_forgotten_when_it_is_accepted(alone: World) -> None:
    refuse(alone, MD5, MD5)
    assert trouble(alone)
    line, _ = connect(alone)
    assert not trouble(alone)
    hang_up(alone, line)


@pytest.mark.parametrize(
    "headers",
    [
        "",
        "WWW-Authenticate: Basic realm=x\r\n",
        'WWW-Authenticate: Digest realm="x"\r\n',
        'WWW-Authenticate: Digest realm="x", nonce="n", algorithm=TIGER\r\n',
        'WWW-Authenticate: Digest realm="x", nonce="n", qop="odd"\r\n',
        "WWW-Authenticate: \x01\r\n",
        'Proxy-Authenticate: Digest realm="x", nonce="n"\r\n',
    ],
)
def test_a_challenge_that_cannot_be_answered_is_a_refusal(alone: World, headers: str) -> None:
    g1 = refuse(alone)
    g1.reply(g1.last("INVITE"), 401, headers)
    alone.run()
    assert len(g1.got("INVITE")) == 1
    assert alone.phone().last(403)


def test_the_strongest_of_several_is_not_needed_the_first_that_we_know_is(alone: World) -> None:
    g1 = refuse(alone)
    known = Challenge("carrier", "n2", "SHA-256")
    g1.reply(
        g1.last("INVITE"), 401,
        'WWW-Authenticate: Digest realm="carrier", nonce="n1", algorithm=TIGER, qop="auth"\r\n'
        f"WWW-Authenticate: {render_challenge(known)}\r\n",
    )
    alone.run()
    check(g1.last("INVITE"), known)
    g1.reply(g1.last("INVITE"), 486)
    alone.run()


def test_a_gateway_without_credentials_is_answered_nothing(world: World) -> None:
    g1, g2, caller = world.phone("g1"), world.phone("g2"), world.phone()
    caller.call()
    world.run()
    g1.reply(g1.last("INVITE"), 503)
    world.run()
    challenge(g2, g2.last("INVITE"))
    world.run()
    assert len(g2.got("INVITE")) == 1 and caller.last(403)


def test_a_caller_that_gives_up_while_it_is_challenged(alone: World) -> None:
    g1, caller = alone.phone("g1"), alone.phone()
    line = caller.call()
    alone.run()
    line.send("CANCEL")
    alone.run()
    challenge(g1, g1.last("INVITE"))
    alone.run()
    assert len(g1.got("INVITE")) == 1 and caller.last(487)


def test_a_cancel_goes_to_the_invite_that_carries_credentials(alone: World) -> None:
    g1, caller = alone.phone("g1"), alone.phone()
    line = caller.call()
    alone.run()
    challenge(g1, g1.last("INVITE"))
    alone.run()
    g1.reply(g1.last("INVITE"), 180)
    alone.run()
    line.send("CANCEL")
    alone.run()
    cancel = g1.one("CANCEL")
    assert cancel.top_branch == g1.last("INVITE").top_branch
    assert cancel.cseq == g1.last("INVITE").cseq
    g1.reply(cancel, 200)
    g1.reply(g1.last("INVITE"), 487)
    alone.run()


def test_silence_after_a_challenge_has_a_time_of_its_own(alone: World) -> None:
    g1, caller = alone.phone("g1"), alone.phone()
    caller.call()
    alone.run(9_000)
    challenge(g1, g1.last("INVITE"))
    alone.run(9_000)
    assert caller.told() == ["100 INVITE"]
    alone.run(2_000)
    assert caller.last(504) and alone.cdr.end_reason == "ConnectionTimeout"


def test_a_successor_hangs_up_with_credentials(alone: World) -> None:
    line, _ = connect(alone)
    alone.crash()
    line.send("BYE")
    alone.run()
    g1 = alone.phone("g1")
    challenge(g1, g1.last("BYE"))
    alone.run()
    check(g1.last("BYE"))
    g1.reply(g1.last("BYE"), 200)
    alone.run()
    assert len(g1.got("BYE")) == 2


def test_a_successor_cancels_an_invite_that_was_challenged(alone: World) -> None:
    g1, caller = alone.phone("g1"), alone.phone()
    caller.call()
    alone.run()
    challenge(g1, g1.last("INVITE"))
    alone.run()
    g1.reply(g1.last("INVITE"), 180)
    alone.run()
    alone.crash()
    alone.run()
    assert g1.last("INVITE").top_branch in [one.top_branch for one in g1.got("CANCEL")]
    for cancel in g1.got("CANCEL"):
        g1.reply(cancel, 200)
    alone.run()


def test_the_password_is_in_no_log_and_no_state(alone: World) -> None:
    refuse(alone, MD5, MD5)
    assert LOGIN.password not in repr(alone.engine.logs) + repr(alone.store.gateway_states())
    assert LOGIN.password not in repr(alone.cdr)


def test_a_reason_of_any_bytes_is_stored_and_shown_as_text(alone: World) -> None:
    g1 = refuse(alone)
    g1.reply(g1.last("INVITE"), 401, reason="No\udcff\x1b[31m" + "x" * 5_000)
    alone.run()
    assert trouble(alone) == "credentials refused: 401 No??[31m" + "x" * 92
