"""Phones register, prove themselves and call: real routes on the real engine, in virtual time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from handset import Handset
from routed import T0, US, Routed

from router.sip.digest import answer_challenge, choose_challenge
from router.store.ops import BlockAddress

ROUTES = """
gateway gw { address = 10.0.1.1  prefixes = 86 }
account acme {
    trunk office { ips = 198.51.100.0/24 }
    phone 1001 { password = "secret" }
    phone 1002 { password = "other"  ips = 10.0.0.0/8 }
}
account locked { status = locked  phone 2001 { password = "secret" } }
account over { expires = 2020-01-01  phone 2002 { password = "secret" } }
request_route {
    switch ($rm) {
        case "REGISTER": {
            if (!authenticate()) challenge();
            save();
        }
        case "OPTIONS": { if (registered($rU)) reply(200); reply(404); }
        default: {
            if (!identify()) end(IllegalCall);
            set_header("X-Who", $account.id + "/" + $trunk.id + "/" + $phone.id);
            call(gateways($rU));
        }
    }
}
"""


@pytest.fixture
def routed() -> Routed:
    return Routed(ROUTES)


@pytest.fixture
def phone(routed: Routed) -> Handset:
    return Handset(routed)


def contacts(routed: Routed, number: str = "1001") -> list[str]:
    found = routed.store.registration(number, routed.network.now)
    return [contact.uri for contact in found.contacts] if found is not None else []


# -- the life of a registration -------------------------------------------------------------------


def test_a_phone_is_challenged_and_then_registered(routed: Routed, phone: Handset) -> None:
    challenge = phone.request("REGISTER", phone.contact())
    assert challenge.status == 401
    offered = challenge.get_all("www-authenticate")
    assert len(offered) == 1
    assert offered[0].startswith('Digest realm="trunkline", nonce="')
    assert offered[0].endswith(', algorithm=MD5, qop="auth"')
    line = phone.answer(challenge, "REGISTER")
    ok = phone.request("REGISTER", phone.contact(), line)
    assert ok.status == 200
    assert ok.get("contact") == "<sip:1001@192.0.2.77:5070>;expires=3600"
    assert ok.get("date") == "Tue, 14 Nov 2023 22:13:20 GMT"
    registration = routed.store.registration("1001", routed.network.now)
    assert registration is not None and registration.account == "acme"
    (contact,) = registration.contacts
    assert (contact.host, contact.port, contact.transport) == ("192.0.2.77", 5070, "udp")
    assert (contact.listener, contact.user_agent, contact.cseq) == (0, "handset/1.0", 2)
    assert routed.tally.registers == {200: 1}


@pytest.mark.parametrize("at", [0, 1])
def test_either_algorithm_is_good(at: int) -> None:
    phone = Handset(Routed("digest = md5, sha256\n" + ROUTES))
    challenge = phone.request("REGISTER", phone.contact())
    offered = [one.partition("algorithm=")[2] for one in challenge.get_all("www-authenticate")]
    assert offered == ['MD5, qop="auth"', 'SHA-256, qop="auth"']
    line = phone.answer(challenge, "REGISTER", at=at)
    assert ("SHA-256" in line) == bool(at)
    assert phone.request("REGISTER", phone.contact(), line).status == 200


@pytest.mark.parametrize(("offered", "answered", "status"), [
    ("md5", "SHA-256", 200), ("sha256", "MD5", 401), ("sha256", "SHA-256", 200),
    ("md5", "SHA-512-256", 401),
])
def test_what_is_weaker_than_what_is_offered_is_not_good(
    offered: str, answered: str, status: int
) -> None:
    phone = Handset(Routed(f"digest = {offered}\n{ROUTES}"))
    challenge = phone.request("REGISTER", phone.contact())
    chosen = choose_challenge(challenge.get_all("www-authenticate"))
    assert chosen is not None
    line = answer_challenge(
        replace(chosen, algorithm=answered), "REGISTER", f"sip:{US[0]}", "1001", "secret",
        cnonce="c",
    )
    answer = phone.request("REGISTER", phone.contact(), f"Authorization: {line}")
    assert answer.status == status


def test_a_phone_behind_nat_is_known_by_where_its_register_came_from(
    routed: Routed, phone: Handset
) -> None:
    assert phone.register("Contact: <sip:1001@192.168.1.5:5060>").status == 200
    registration = routed.store.registration("1001", routed.network.now)
    assert registration is not None
    (contact,) = registration.contacts
    assert contact.uri == "sip:1001@192.168.1.5:5060"
    assert (contact.host, contact.port) == ("192.0.2.77", 5070)


def test_several_contacts_a_query_and_one_less(routed: Routed, phone: Handset) -> None:
    ok = phone.register(
        "Contact: <sip:1001@192.0.2.77:5070>;q=0.5, <sip:1001@192.0.2.78>;expires=120",
        "Expires: 600",
    )
    assert ok.get_all("contact") == [
        "<sip:1001@192.0.2.77:5070>;q=0.5;expires=600", "<sip:1001@192.0.2.78>;expires=120",
    ]
    routed.network.run_for(10_000)
    query = phone.register("Subject: who")
    assert query.status == 200
    assert [one.rpartition("=")[2] for one in query.get_all("contact")] == ["589", "109"]
    less = phone.register(phone.contact(";expires=0"))
    assert len(less.get_all("contact")) == 1
    assert contacts(routed) == ["sip:1001@192.0.2.78"]
    assert phone.register("Contact: *", "Expires: 0").get_all("contact") == []
    assert contacts(routed) == []


def test_a_registration_ends_and_is_refreshed(routed: Routed, phone: Handset) -> None:
    phone.register(phone.contact(";expires=100"))
    routed.network.run_for(90_000)
    assert phone.request("OPTIONS", uri=f"sip:1001@{US[0]}").status == 200
    phone.register(phone.contact(";expires=100"))
    routed.network.run_for(90_000)
    assert contacts(routed) == ["sip:1001@192.0.2.77:5070"]
    routed.network.run_for(20_000)
    assert contacts(routed) == []
    assert phone.request("OPTIONS", uri=f"sip:1001@{US[0]}").status == 404
    assert phone.request("OPTIONS", uri=f"sip:9999@{US[0]}").status == 404


@pytest.mark.parametrize(("lines", "status", "extra"), [
    (("Contact: <sip:1001@192.0.2.77>;expires=59",), 423, "60"),
    (("Contact: <sip:1001@192.0.2.77>", "Expires: 1"), 423, "60"),
    (("Contact: <sip:1001@192.0.2.77>", "Expires: 60"), 200, ""),
    (("Contact: <sip:1001@192.0.2.77>", "Expires: soon"), 200, ""),
    (("Contact: <sip:1001@192.0.2.77>", "Expires: 99999999999999999999"), 200, ""),
    (("Contact: *",), 400, ""),
    (("Contact: *", "Expires: 60"), 400, ""),
    (("Contact: *, <sip:1001@192.0.2.77>", "Expires: 0"), 400, ""),
    (("Contact: <tel:+86138>",), 400, ""),
    (("Contact: <mailto:a@b>",), 400, ""),
    (("Contact: <sip:1001@a b>",), 400, ""),
    (("Contact: <sip:1001@[::>",), 400, ""),
    (("Contact: 1001",), 400, ""),
    ((f"Contact: <sip:{'1' * 600}@192.0.2.77>",), 400, ""),
    (tuple(f"Contact: <sip:1001@192.0.2.{n}>" for n in range(11)), 403, ""),
    (("Contact: <sip:1001@192.0.2.77>", "Require: path, gruu"), 420, ""),
])
def test_what_a_register_may_not_say(
    routed: Routed, phone: Handset, lines: tuple[str, ...], status: int, extra: str
) -> None:
    response = phone.register(*lines)
    assert response.status == status
    assert response.get("min-expires") == extra
    assert bool(contacts(routed)) == (status == 200)
    if status == 420:
        assert response.get("unsupported") == "path, gruu"
    if status == 200:
        assert response.get("contact").rpartition("=")[2] == (
            "60" if "60" in lines[1] else "3600"
        )


def test_an_older_register_of_the_same_call_is_refused(routed: Routed, phone: Handset) -> None:
    phone.register()
    late = phone.request("REGISTER", phone.contact(), cseq=1)
    assert late.status == 401
    line = phone.answer(late, "REGISTER")
    assert phone.request("REGISTER", phone.contact(";expires=0"), line, cseq=2).status == 500
    assert contacts(routed) == ["sip:1001@192.0.2.77:5070"]


@pytest.mark.parametrize(("number", "host", "reason"), [
    ("1002", "192.0.2.77", "Address Not Allowed"),
    ("2001", "192.0.2.77", "AccountLocked"),
    ("2002", "192.0.2.77", "AccountExpired"),
])
def test_who_may_not_register(routed: Routed, number: str, host: str, reason: str) -> None:
    password = "other" if number == "1002" else "secret"
    response = Handset(routed, number, password, host).register()
    assert (response.status, response.reason) == (403, reason)
    assert contacts(routed, number) == []


def test_a_phone_registers_from_its_own_network_and_under_its_own_number(routed: Routed) -> None:
    phone = Handset(routed, "1002", "other", "10.1.2.3")
    assert phone.register().status == 200
    challenge = phone.request("REGISTER", phone.contact(), to="1001")
    line = phone.answer(challenge, "REGISTER")
    response = phone.request("REGISTER", phone.contact(), line, to="1001")
    assert (response.status, response.reason) == (403, "Not Your Number")


def test_save_without_authenticate_is_refused_and_logged() -> None:
    routed = Routed(
        'account a { phone 1001 { password = "x" } }\nrequest_route { save(); }'
    )
    response = Handset(routed).request("REGISTER", "Contact: <sip:1001@192.0.2.77>")
    assert (response.status, response.reason) == (403, "Not Authenticated")
    assert "authenticate() before" in routed.lines[0][1]
    assert Handset(routed, port=5071).request("OPTIONS").status == 405


# -- proofs ---------------------------------------------------------------------------------------


def test_credentials_are_good_once_and_their_nonce_with_a_higher_count_again(
    phone: Handset,
) -> None:
    challenge = phone.request("REGISTER", phone.contact())
    line = phone.answer(challenge, "REGISTER")
    assert phone.request("REGISTER", phone.contact(), line).status == 200
    replayed = phone.request("REGISTER", phone.contact(), line)
    assert replayed.status == 401
    assert "stale=true" in replayed.get("www-authenticate")
    higher = phone.answer(challenge, "REGISTER", nc=2)
    assert phone.request("REGISTER", phone.contact(), higher).status == 200


def test_credentials_without_a_count_are_good_once(phone: Handset) -> None:
    challenge = phone.request("REGISTER", phone.contact())
    chosen = choose_challenge(challenge.get_all("www-authenticate"))
    assert chosen is not None
    line = "Authorization: " + answer_challenge(
        replace(chosen, qop=()), "REGISTER", f"sip:{US[0]}", "1001", "secret", cnonce=""
    )
    assert "qop" not in line
    assert phone.request("REGISTER", phone.contact(), line).status == 200
    again = phone.request("REGISTER", phone.contact(), line)
    assert again.status == 401 and "stale=true" in again.get("www-authenticate")


@pytest.mark.parametrize(("q", "told"), [
    ("1", ""), ("1.0", ""), ("0.5", ";q=0.5"), ("0.123", ";q=0.123"), ("0", ";q=0"), ("0.", ";q=0"),
    ("0.12345", ";q=0.123"), ("7", ""), ("-1", ""), ("0.x", ""), ("", ""), ("0.٣", ""),
])
def test_what_a_q_says(phone: Handset, q: str, told: str) -> None:
    response = phone.register(f"Contact: <sip:1001@192.0.2.77>;q={q}")
    assert response.get("contact") == f"<sip:1001@192.0.2.77>{told};expires=3600"


def test_an_old_nonce_is_stale(routed: Routed, phone: Handset) -> None:
    challenge = phone.request("REGISTER", phone.contact())
    line = phone.answer(challenge, "REGISTER")
    routed.network.run_for(301_000)
    stale = phone.request("REGISTER", phone.contact(), line)
    assert stale.status == 401 and "stale=true" in stale.get("www-authenticate")
    line = phone.answer(stale, "REGISTER")
    assert phone.request("REGISTER", phone.contact(), line).status == 200


def test_a_nonce_of_somebody_else_is_stale_and_no_failure(routed: Routed, phone: Handset) -> None:
    other = Handset(routed, host="192.0.2.99")
    line = phone.answer(other.request("REGISTER", phone.contact()), "REGISTER")
    stale = phone.request("REGISTER", phone.contact(), line)
    assert "stale=true" in stale.get("www-authenticate")
    wrong = phone.answer(other.request("REGISTER"), "REGISTER", password="guess")
    answer = phone.request("REGISTER", phone.contact(), wrong)
    assert answer.status == 401 and "stale" not in answer.get("www-authenticate")
    assert not routed.tally.auth_failures


@pytest.mark.parametrize("line", [
    "Authorization: Digest nonsense", "Authorization: Basic dTpw", "Authorization:",
    'Authorization: Digest username="1001", realm="other", nonce="n", uri="sip:a", response="x"',
])
def test_what_is_no_credential_of_ours_is_challenged(
    routed: Routed, phone: Handset, line: str
) -> None:
    answer = phone.request("REGISTER", phone.contact(), line)
    assert answer.status == 401 and "stale" not in answer.get("www-authenticate")
    assert not routed.tally.auth_failures


def guess(phone: Handset, **more: Any) -> int:
    challenge = phone.request("REGISTER", phone.contact())
    if challenge.status != 401:
        return challenge.status
    more.setdefault("password", "guess")
    line = phone.answer(challenge, "REGISTER", **more)
    return phone.request("REGISTER", phone.contact(), line).status


def test_an_address_that_fails_too_often_is_blocked_for_a_time(
    routed: Routed, phone: Handset
) -> None:
    assert [guess(phone) for _ in range(9)] == [401] * 9
    assert guess(phone) == 403
    assert routed.tally.auth_failures == {"password": 10}
    until_ms = routed.engine.guard.blocked["192.0.2.77"]
    assert list(routed.store.blocks(routed.network.now)) == ["192.0.2.77"]
    assert guess(phone, password="secret") == 403
    assert phone.request("OPTIONS").status == 403
    assert Handset(routed, host="192.0.2.78").register().status == 200
    refused = phone.request("INVITE", uri=f"sip:86138@{US[0]}")
    assert refused.status == 403
    assert routed.cdr.end_reason == "IpBlocked"
    assert routed.cdr.decision == ["refused: 192.0.2.77 is blocked"]
    routed.network.run_until(until_ms)
    assert phone.register().status == 200
    assert guess(phone) == 401


def test_failures_in_more_than_a_minute_block_nobody(routed: Routed, phone: Handset) -> None:
    for _ in range(3):
        assert [guess(phone) for _ in range(9)] == [401] * 9
        routed.network.run_for(61_000)


def test_an_unknown_user_fails_like_any(routed: Routed, phone: Handset) -> None:
    assert [guess(phone, username="nobody") for _ in range(10)] == [401] * 9 + [403]
    assert routed.tally.auth_failures == {"unknown_user": 10}


def test_the_address_of_a_trunk_is_never_blocked(routed: Routed) -> None:
    phone = Handset(routed, host="198.51.100.7")
    assert [guess(phone) for _ in range(12)] == [401] * 12


def test_nobody_is_blocked_where_the_configuration_says_so() -> None:
    phone = Handset(Routed("block_after = 0\n" + ROUTES))
    assert [guess(phone) for _ in range(12)] == [401] * 12


# -- calls ----------------------------------------------------------------------------------------


def invite(phone: Handset, *lines: str, **more: Any) -> Any:
    return phone.request("INVITE", phone.contact(), *lines, uri=f"sip:86138@{US[0]}", **more)


def prove_and_call(phone: Handset, **more: Any) -> Any:
    challenge = invite(phone, **more)
    assert challenge.status == 407
    return invite(phone, phone.answer(challenge, "INVITE", f"sip:86138@{US[0]}"), **more)


def test_a_call_of_a_phone_is_proved_and_goes_to_a_gateway(
    routed: Routed, phone: Handset
) -> None:
    assert prove_and_call(phone).status == 200
    sent = routed.sent_to("gw")
    assert sent.get("x-who") == "acme//1001"
    assert not sent.has("proxy-authorization")
    routed.engine.end_all(routed.network.now)
    routed.network.run_for(1_000)
    cdr = routed.cdr
    assert (cdr.account, cdr.phone, cdr.trunk, cdr.caller_in) == ("acme", "1001", "", "1001")
    assert cdr.decision[0] == "phone acme/1001: digest"


def test_a_challenge_leaves_no_cdr_and_no_call(routed: Routed, phone: Handset) -> None:
    challenge = invite(phone)
    assert challenge.status == 407
    assert challenge.get("proxy-authenticate").startswith("Digest ")
    routed.network.run_for(60_000)
    assert routed.store.cdrs == {}
    assert routed.engine.active_calls == 0
    assert not routed.tally.calls


def test_credentials_of_a_call_are_good_once(routed: Routed, phone: Handset) -> None:
    challenge = invite(phone)
    line = phone.answer(challenge, "INVITE", f"sip:86138@{US[0]}")
    assert invite(phone, line).status == 200
    again = invite(phone, line, call_id="another")
    assert again.status == 407 and "stale=true" in again.get("proxy-authenticate")


def test_a_stranger_is_refused_and_a_phone_of_a_locked_account_too(routed: Routed) -> None:
    assert invite(Handset(routed, "7777")).status == 403
    assert routed.cdr.end_reason == "IllegalCall"
    routed.store.cdrs.clear()
    assert prove_and_call(Handset(routed, "2001")).status == 403
    assert routed.cdr.end_reason == "AccountLocked"
    routed.store.cdrs.clear()
    assert prove_and_call(Handset(routed, "1002", "other", "192.0.2.80")).status == 403
    assert (routed.cdr.end_reason, routed.cdr.phone) == ("IpBlocked", "1002")


def test_a_phone_calls_under_its_own_number(routed: Routed, phone: Handset) -> None:
    challenge = invite(phone, user="1002")
    line = phone.answer(challenge, "INVITE", f"sip:86138@{US[0]}")
    assert invite(phone, line, user="1002").status == 200
    assert "<sip:1001@" in routed.sent_to("gw").get("from")
    assert routed.sent_to("gw").get("x-who") == "acme//1001"


def test_a_phone_that_guesses_its_password_in_calls_ends_with_auth_failed(
    routed: Routed, phone: Handset
) -> None:
    statuses = []
    for _ in range(10):
        line = phone.answer(invite(phone), "INVITE", f"sip:86138@{US[0]}", password="guess")
        statuses.append(invite(phone, line).status)
    assert statuses == [407] * 9 + [403]
    assert routed.cdr.end_reason == "AuthFailed"
    assert routed.cdr.decision == ["credentials of user 1001 are wrong"]


def test_a_trunk_is_identified_before_any_phone(routed: Routed) -> None:
    phone = Handset(routed, host="198.51.100.7")
    assert invite(phone).status == 200
    assert routed.sent_to("gw").get("x-who") == "acme/office/"


# -- trunks with a password -----------------------------------------------------------------------

TRUNKS = ROUTES.replace(
    "trunk office { ips = 198.51.100.0/24 }",
    """trunk office { ips = 198.51.100.0/24 }
    trunk pbx    { ips = 203.0.113.0/24  username = "acme-pbx"  password = "pbx-secret" }
    trunk remote { password = "far-secret"  caller_prefix = 7 }""",
)


@pytest.mark.parametrize(("host", "username", "password", "caller", "status", "who"), [
    ("203.0.113.7", "acme-pbx", "pbx-secret", "5000", 200, "acme/pbx/"),
    ("203.0.113.7", "acme-pbx", "guess", "5000", 407, ""),
    ("203.0.113.7", "1001", "secret", "1001", 200, "acme//1001"),
    ("192.0.2.77", "acme-pbx", "pbx-secret", "5000", 403, ""),
    ("192.0.2.77", "remote", "far-secret", "7000", 200, "acme/remote/"),
    ("192.0.2.77", "remote@voice.example", "far-secret", "7000", 200, "acme/remote/"),
    ("192.0.2.77", "remote", "far-secret", "5000", 403, ""),
    ("192.0.2.77", "nobody", "far-secret", "7000", 407, ""),
])
def test_a_trunk_with_a_password_has_to_prove_itself(
    host: str, username: str, password: str, caller: str, status: int, who: str
) -> None:
    routed = Routed(TRUNKS)
    peer = Handset(routed, caller, password, host)
    challenge = invite(peer)
    assert challenge.status == 407
    line = peer.answer(challenge, "INVITE", f"sip:86138@{US[0]}", username=username)
    assert invite(peer, line).status == status
    if who:
        assert routed.sent_to("gw").get("x-who") == who
    if status == 403:
        assert routed.cdr.end_reason == "IllegalCall"
        assert "may not call from" in routed.cdr.decision[0]


def test_a_trunk_cannot_register() -> None:
    peer = Handset(Routed(TRUNKS), "acme-pbx", "pbx-secret", "203.0.113.7")
    response = peer.register()
    assert (response.status, response.reason) == (403, "Not Authenticated")


# -- strangers ------------------------------------------------------------------------------------


def test_a_flood_of_a_stranger_leaves_few_cdrs_and_is_counted(routed: Routed) -> None:
    stranger = Handset(routed, "7777")
    assert {invite(stranger, call_id=f"c{n}").status for n in range(40)} == {403}
    assert len(routed.store.cdrs) == 30
    assert routed.tally.unrecorded == {"IllegalCall": 10}
    assert routed.tally.calls == {("", "IllegalCall"): 40}
    routed.network.run_for(60_000)
    invite(stranger, call_id="later")
    assert len(routed.store.cdrs) == 31


def test_a_blocked_stranger_costs_no_state_and_few_cdrs(routed: Routed) -> None:
    routed.store.commit([BlockAddress("192.0.2.77", T0 + 60_000)], T0)
    routed.engine.guard.block("192.0.2.77", T0 + 60_000)
    stranger = Handset(routed, "7777")
    assert {invite(stranger, call_id=f"c{n}").status for n in range(40)} == {403}
    assert len(routed.store.cdrs) == 30
    assert (routed.tally.blocked, routed.tally.unrecorded) == (40, {"IpBlocked": 10})
    assert len(routed.engine.layer.servers) == 30


def test_what_a_stranger_sends_is_cut_in_its_cdr(routed: Routed) -> None:
    stranger = Handset(routed, "7" * 1_000)
    stranger.request("INVITE", uri=f"sip:{'8' * 1_000}@{US[0]}", call_id="c" * 2_000)
    cdr = routed.cdr
    assert (len(cdr.caller_in), len(cdr.callee_in), len(cdr.call_id)) == (200, 200, 200)
    assert all(len(entry) <= 400 for entry in cdr.decision)


# -- routes that wait -----------------------------------------------------------------------------

WAITS = """
import asyncio
from router.routing.hooks import route_function

@route_function
async def look() -> bool:
    return True
"""


def test_a_route_that_waits_ends_where_it_asks_for_credentials() -> None:
    text = 'import python "hooks.py" as hooks\n' + ROUTES.replace(
        "if (!identify())", "if (hooks.look() && !identify())"
    )
    routed = Routed(text, files={"hooks.py": WAITS})
    phone = Handset(routed)
    assert prove_and_call(phone).status == 200
    assert routed.sent_to("gw").get("x-who") == "acme//1001"
    routed.engine.end_all(routed.network.now)
    routed.network.run_for(1_000)
    assert routed.cdr.end_reason == "OperatorKill"
    assert routed.store.records == {}


def test_a_challenge_keeps_nothing(routed: Routed, phone: Handset) -> None:
    assert phone.request("REGISTER", phone.contact()).status == 401
    assert routed.engine.layer.servers == {}
