"""Our registration with a gateway: how it is asked for, kept up, lost and taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_world import Phone, World, gateway

from router.core.parameters import Login
from router.routing.objects import Gateway
from router.sip.digest import Challenge, digest_ha1, is_right, parse_credentials, render_challenge
from router.sip.message import Request
from router.store.ops import GatewayNews, GatewayState
from router.store.records import decode_gateway_state, encode_gateway_state

LOGIN = Login("trunk line", "s3cret")
OURS = "sip:trunk%20line@10.0.0.1:5060"
SOON_MS = 1_100


def registering(login: Login = LOGIN, number: int = 1) -> Gateway:
    return gateway("g1", number, login=login, registers=True)


@pytest.fixture
def one(make_world: Callable[..., World]) -> Iterator[World]:
    """A world of one gateway that wants us to register, played by hand."""
    world = make_world([registering()])
    world.engine.health.watch({})
    world.phone("g1")
    yield world
    world.routes.gateways = []
    world.engine.health.watch({})
    world.run(3_000)
    assert world.engine.farewells == 0


def state(world: World) -> GatewayState:
    found = world.store.gateway_state("gateway:g1")
    assert found is not None
    return found


def asked(world: World) -> Request:
    """The next REGISTER, however long it takes."""
    g1 = world.phone("g1")
    seen = len(g1.got("REGISTER"))
    last = g1.last("REGISTER").cseq if seen else 0
    for _ in range(40_000):
        if g1.got("REGISTER")[seen:] and g1.last("REGISTER").cseq > last:
            return g1.last("REGISTER")
        world.run(100)
    raise AssertionError("no REGISTER came")


def sent(world: World) -> int:
    """How many REGISTERs came, resends not counted."""
    return len({request.cseq for request in world.phone("g1").got("REGISTER")})


def grant(world: World, request: Request, seconds: int = 600, headers: str = "") -> None:
    world.phone("g1").reply(request, 200, headers or f"Contact: <{OURS}>;expires={seconds}\r\n")
    world.run()


def refuse(world: World, status: int, headers: str = "") -> None:
    world.phone("g1").reply(asked(world), status, headers)
    world.run()


def test_a_gateway_is_down_until_it_has_registered_us(one: World) -> None:
    one.flush()
    assert state(one).unregistered
    one.place()
    one.run(10)
    assert one.cdrs[-1].end_reason == "NoAvailableRouter"
    request = asked(one)
    assert request.uri == "sip:10.0.1.1:5060"
    assert request.get("to") == "<sip:trunk%20line@10.0.1.1>"
    assert request.get("from").startswith("<sip:trunk%20line@10.0.1.1>;tag=")
    assert request.contact_uri == OURS and request.get("expires") == "3600"
    assert not request.has("authorization")
    grant(one, request)
    assert not state(one).unregistered and state(one).out_until_ms == 0
    assert state(one).registered_until_ms == one.network.now - 9 + 600_000
    assert one.routes.events == []


def test_a_challenge_is_answered_and_the_nonce_used_again(one: World) -> None:
    what = Challenge("carrier", "n1", "SHA-256")
    first = asked(one)
    one.phone("g1").reply(first, 401, f"WWW-Authenticate: {render_challenge(what)}\r\n")
    one.run()
    second = one.phone("g1").last("REGISTER")
    assert (second.call_id, second.cseq) == (first.call_id, first.cseq + 1)
    grant(one, second, 100)
    third = asked(one)
    for count, request in ((1, second), (2, third)):
        credentials = parse_credentials(request.get("authorization"))
        assert credentials is not None and credentials.count == count
        ha1 = digest_ha1(LOGIN.username, "carrier", LOGIN.password, "SHA-256")
        assert is_right(ha1, "REGISTER", credentials)
    grant(one, third)


def test_it_is_refreshed_before_it_is_over(one: World) -> None:
    first = asked(one)
    grant(one, first, 100)
    one.run(74_000)
    assert sent(one) == 1
    one.run(2_000)
    second = one.phone("g1").last("REGISTER")
    assert (second.call_id, second.cseq) == (first.call_id, first.cseq + 1)
    grant(one, second, 100)
    assert state(one).registered_until_ms > one.network.now + 99_000


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (f"Contact: <sip:x@10.9.9.9>;expires=30, <{OURS}>;expires=120\r\n", 120),
        (f"Contact: <{OURS}>\r\nExpires: 90\r\n", 90),
        ("Expires: 80\r\n", 80),
        (f"Contact: <{OURS.upper().replace('SIP:', 'sip:')}>;Expires=70\r\n", 70),
        ("Contact: <sip:trunk@192.0.2.7:1024>;expires=60\r\n", 60),
        ("Contact: <sip:a@10.9.9.9>;expires=5, <sip:b@10.9.9.9>;expires=6\r\n", 3_600),
        ("Contact: nonsense\r\nExpires: soon\r\n", 3_600),
        ("", 3_600),
        (f"Contact: <{OURS}>;expires=4294967295\r\n", 3_600),
    ],
)
def test_the_gateway_says_for_how_long(one: World, headers: str, seconds: int) -> None:
    request = asked(one)
    before = one.network.now
    one.phone("g1").reply(request, 200, headers)
    one.run()
    assert state(one).registered_until_ms == before + 1 + seconds * 1_000


def test_423_raises_what_we_ask_for_once(one: World) -> None:
    refuse(one, 423, "Min-Expires: 7200\r\n")
    second = one.phone("g1").last("REGISTER")
    assert second.get("expires") == "7200"
    grant(one, second, 7_200)
    assert not state(one).unregistered


@pytest.mark.parametrize("headers", ["", "Min-Expires: 10\r\n", "Min-Expires: x\r\n"])
def test_a_423_that_does_not_help_is_a_failure(one: World, headers: str) -> None:
    refuse(one, 423, headers)
    assert state(one).trouble == "registration failed: 423 Interval Too Brief"
    assert sent(one) == 1


def test_a_refusal_shows_and_is_tried_again_later_and_later(one: World) -> None:
    times = []
    for _ in range(9):
        request = asked(one)
        times.append(one.now)
        one.phone("g1").reply(request, 403)
        one.run()
    assert state(one).unregistered
    assert state(one).trouble == "registration failed: 403 Forbidden"
    gaps = [round((b - a) / 1000) for a, b in pairwise(times)]
    assert gaps == [5, 10, 20, 40, 80, 160, 300, 300]
    assert one.routes.events == [("gateway:down", "g1")]
    grant(one, asked(one))
    assert state(one).trouble == ""
    assert one.routes.events == [("gateway:down", "g1"), ("gateway:up", "g1")]


def test_a_wrong_password_is_not_tried_in_a_circle(one: World) -> None:
    challenge = f"WWW-Authenticate: {render_challenge(Challenge('c', 'n1'))}\r\n"
    refuse(one, 401, challenge)
    one.phone("g1").reply(one.phone("g1").last("REGISTER"), 401, challenge)
    one.run(1_000)
    assert sent(one) == 2
    assert state(one).trouble == "registration failed: 401 Unauthorized"
    logged = [(event, fields.get("gateway")) for _, event, fields in one.engine.logs]
    assert ("credentials refused", "g1") in logged
    assert LOGIN.password not in repr(one.engine.logs)


def test_retry_after_is_honoured(one: World) -> None:
    refuse(one, 503, "Retry-After: 60\r\n")
    one.run(59_000)
    assert sent(one) == 1
    grant(one, asked(one))


def test_what_was_granted_holds_while_a_refresh_fails_and_no_longer(one: World) -> None:
    grant(one, asked(one), 100)
    refuse(one, 500)
    assert not state(one).unregistered
    assert state(one).trouble == "registration failed: 500 Server Internal Error"
    while one.network.now < state(one).registered_until_ms:
        one.run(1_000)
        if state(one).unregistered:
            break
    assert state(one).unregistered and state(one).registered_until_ms == 0
    assert one.routes.events == [("gateway:down", "g1")]


def test_silence_is_a_failure(one: World) -> None:
    asked(one)
    one.run(33_000)
    assert state(one).trouble == "registration failed: no answer to REGISTER"
    grant(one, asked(one))
    assert state(one).trouble == ""


def test_tries_are_counted_by_how_they_ended_and_challenges_are_no_end(one: World) -> None:
    refuse(one, 403)
    challenge = f"WWW-Authenticate: {render_challenge(Challenge('c', 'n1'))}\r\n"
    refuse(one, 401, challenge)
    grant(one, one.phone("g1").last("REGISTER"), 100)
    asked(one)
    one.run(33_000)
    assert one.engine.tally.registrations == {
        ("g1", "refused"): 1, ("g1", "registered"): 1, ("g1", "missed"): 1,
    }
    delay = one.engine.tally.registration_delay["g1"]
    assert sum(delay.counts) == 1
    assert delay.sum < 1


def test_it_is_taken_back_at_a_shutdown(one: World) -> None:
    grant(one, asked(one))
    one.engine.begin_shutdown(one.network.now)
    assert one.engine.farewells == 1
    one.run()
    request = one.phone("g1").last("REGISTER")
    assert request.get("expires") == "0" and request.contact_uri == OURS
    one.phone("g1").reply(request, 401, "WWW-Authenticate: Digest realm=r, nonce=n\r\n")
    one.run()
    one.phone("g1").reply(one.phone("g1").last("REGISTER"), 200)
    one.run()
    assert one.engine.farewells == 0
    assert state(one).unregistered


def test_a_reload_during_a_shutdown_registers_nobody_again(one: World) -> None:
    grant(one, asked(one))
    one.engine.begin_shutdown(one.network.now)
    one.engine.health.watch(one.store.gateway_states())
    one.run(40_000)
    assert one.phone("g1").last("REGISTER").get("expires") == "0"


def test_a_gateway_that_is_gone_does_not_hold_up_a_shutdown(one: World) -> None:
    grant(one, asked(one))
    one.engine.begin_shutdown(one.network.now)
    one.run(2_100)
    assert one.engine.farewells == 0


def test_a_successor_goes_on_with_what_was_granted(one: World) -> None:
    grant(one, asked(one), 600)
    until = state(one).registered_until_ms
    one.crash().health.watch(one.store.gateway_states())
    one.flush()
    assert state(one).registered_until_ms == until and not state(one).unregistered
    grant(one, asked(one), 600)
    assert state(one).registered_until_ms > until


def test_a_reload_keeps_it_or_takes_it_back(one: World) -> None:
    grant(one, asked(one))
    again = registering()
    one.routes.gateways = [again]
    one.engine.health.watch(one.store.gateway_states())
    one.run(5_000)
    g1 = one.phone("g1")
    assert sent(one) == 1
    one.routes.gateways = [gateway("g1", 1)]
    one.engine.health.watch(one.store.gateway_states())
    one.run()
    assert g1.last("REGISTER").get("expires") == "0"
    g1.reply(g1.last("REGISTER"), 200)
    one.run()
    assert state(one) == GatewayState("gateway:g1")


def test_a_gateway_that_is_no_more_to_be_registered_with_is_free(world: World) -> None:
    world.store.commit([GatewayNews("gateway:g1", unregistered=True)], world.network.now)
    world.engine.health.watch(world.store.gateway_states())
    world.flush()
    assert not state(world).unregistered


def test_other_credentials_register_anew(one: World) -> None:
    grant(one, asked(one))
    one.routes.gateways = [registering(Login("other", "x"))]
    one.engine.health.watch(one.store.gateway_states())
    one.run(SOON_MS)
    g1 = one.phone("g1")
    old, new = g1.got("REGISTER")[1:3]
    assert (old.get("expires"), new.get("expires")) == ("0", "3600")
    assert "trunk%20line" in old.get("to") and "other" in new.get("to")
    assert state(one).unregistered
    g1.reply(old, 200)
    g1.reply(new, 200)
    one.run()
    assert not state(one).unregistered


def test_a_late_answer_to_an_older_register_means_nothing(one: World) -> None:
    old = asked(one)
    g1: Phone = one.phone("g1")
    one.run(33_000)
    new = asked(one)
    g1.reply(old, 200)
    one.run()
    assert state(one).unregistered
    grant(one, new)
    assert not state(one).unregistered


def test_of_several_addresses_the_next_is_asked_after_silence(
    make_world: Callable[..., World],
) -> None:
    two = registering()
    two.stand_at([("udp", "10.0.1.1", 5060), ("udp", "10.0.1.2", 5060)])
    world = make_world([two, gateway("g2", 2)])
    world.engine.health.watch({})
    first, second = world.phone("g1"), world.phone("g2")
    world.run(39_000)
    assert first.got("REGISTER")
    request = second.last("REGISTER")
    assert request.uri == "sip:10.0.1.2:5060" and request.get("to").endswith("@10.0.1.2>")
    second.reply(request, 200)
    world.run()
    assert not state(world).unregistered
    world.routes.gateways = []
    world.engine.health.watch({})
    world.run(10)
    second.reply(second.last("REGISTER"), 200)
    world.run(10)


ODD = st.text(
    st.one_of(
        st.sampled_from('<>;:,="\\ @*0123456789abcdefnonce realm Digest sip expires'),
        st.characters(min_codepoint=32, max_codepoint=0x2FF),
        st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([200, 301, 401, 403, 407, 423, 500, 603]), min_size=1, max_size=6),
    ODD, ODD, ODD,
)
def test_whatever_the_gateway_says_it_is_a_failure_or_a_registration(
    statuses: list[int], reason: str, value: str, other: str
) -> None:
    world = World([registering()])
    world.engine.health.watch({})
    g1 = world.phone("g1")
    for status in statuses:
        request = asked(world)
        g1.reply(
            request, status,
            f"WWW-Authenticate: Digest {value}\r\nProxy-Authenticate: {other}\r\n"
            f'WWW-Authenticate: Digest realm="{value}", nonce="{other}"\r\n'
            f"Contact: {value}\r\nExpires: {other}\r\nMin-Expires: {value}\r\n"
            f"Retry-After: {other}\r\n",
            reason=reason,
        )
        world.run(10)
    assert world.errors() == []
    shown = world.store.gateway_state("gateway:g1")
    assert shown is not None and len(shown.trouble) < 200
    assert decode_gateway_state(encode_gateway_state(shown)) == shown
    assert shown.trouble.isprintable()
