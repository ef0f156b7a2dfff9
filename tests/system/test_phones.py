"""Phones: they register, prove themselves, call, are blocked; their registrations survive."""

from __future__ import annotations

import json
import os
import signal
import socket
import time

import pytest
from harness.handset import Handset
from harness.ports import LOOPBACK, wait_until
from harness.routes import Routes
from harness.switch import Switch
from harness.wire import Call

ACCOUNTS = """
account acme {
    phone 1001 { password = "secret" }
    phone 1002 { password = "secret"  ips = 10.0.0.0/8 }
    phone 1003 { password = "secret" }
    phone 1004 { password = "secret" }
    phone 1005 { password = "secret"  must_register = true }
}
account locked { status = locked  phone 2001 { password = "secret" } }
"""
POLICY = """
request_route {
    switch ($rm) {
        case "OPTIONS": reply(200);
        case "REGISTER": {
            if (!authenticate()) challenge();
            save();
        }
        case "INVITE": {
            if (!identify()) end(IllegalCall);
            call(gateways($rU));
        }
        default: reply(405);
    }
}
"""
SETTINGS = {"min_expires": "2s", "block_after": "5", "block_time": "1h", "digest": "md5, sha256"}


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    routes = Routes(pairs=3, accounts=ACCOUNTS, policy=POLICY, settings=SETTINGS)
    return module_switch(routes, workers=2)


def online(switch: Switch, number: str) -> list[dict]:
    done = switch.command("phones", "list", "--json", "--state", str(switch.state))
    assert done.returncode == 0, done.stderr
    phones = {phone["number"]: phone for phone in map(json.loads, done.stdout.splitlines())}
    return phones[number]["contacts"] if number in phones else []


def test_sipp_registers_over_udp_and_tcp(switch: Switch, sipp) -> None:
    for transport in ("u1", "t1"):
        sipp(
            "phone_registers", target=switch.port, number="1003", transport=transport
        ).succeeds()
    sources = {contact["source"].partition(":")[0] for contact in online(switch, "1003")}
    assert sources == {"udp", "tcp"}
    assert {contact["user_agent"] for contact in online(switch, "1003")} == {"sipp"}


def test_sipp_with_a_wrong_password_is_challenged_again(switch: Switch, sipp) -> None:
    changes = {
        "username=1003 password=secret": "username=1004 password=guess",
        'response="200"': 'response="401"',
        'regexp="expires=(600|599)"': 'regexp="Digest"',
        'header="Contact:"': 'header="WWW-Authenticate:"',
    }
    sipp("phone_registers", target=switch.port, number="1004", changes=changes).succeeds()
    assert online(switch, "1004") == []


def test_the_life_of_a_registration(switch: Switch, peer) -> None:
    handset = Handset(peer(), switch.port)
    both = f"Contact: {handset.contact};q=0.7;expires=30, <sip:1001@192.0.2.1>;q=0.1"
    ok = handset.register(both)
    assert ok.status == 200
    lines = ok.all("Contact")
    assert lines[0].startswith(f"{handset.contact};q=0.7;expires=")
    assert lines[1].startswith("<sip:1001@192.0.2.1>;q=0.1;expires=")
    contacts = online(switch, "1001")
    source = f"udp:{LOOPBACK}:{handset.peer.port}"
    assert [contact["source"] for contact in contacts] == [source] * 2
    # Refresh with SHA-256, query, one less, all gone.
    ok = handset.register(f"Contact: {handset.contact};expires=60", algorithm="SHA-256")
    assert ok.status == 200 and len(ok.all("Contact")) == 2
    assert len(handset.register("Subject: who").all("Contact")) == 2
    assert len(handset.register(f"Contact: {handset.contact};expires=0").all("Contact")) == 1
    assert handset.register("Contact: *", "Expires: 0").all("Contact") == []
    assert online(switch, "1001") == []
    # Too short; then so short that it ends while we look.
    brief = handset.register(f"Contact: {handset.contact};expires=1")
    assert brief.status == 423 and brief.get("Min-Expires") == "2"
    assert handset.register(f"Contact: {handset.contact};expires=2").status == 200
    assert len(online(switch, "1001")) == 1
    wait_until(lambda: not online(switch, "1001"), "the registration ends", 4)
    wait_until(
        lambda: switch.ask_live(lambda live: live.registration("1001", 0)) is None,
        "what has ended is swept", 4,
    )


def test_a_nonce_of_one_worker_is_good_in_all_of_them_and_once(switch: Switch, peer) -> None:
    handset = Handset(peer(), switch.port)
    challenge = handset.ask(f"Contact: {handset.contact}")
    line = handset.credentials(challenge)
    statuses = []
    for _ in range(8):  # Call-IDs that belong to either worker
        handset.call_id = os.urandom(8).hex()
        answer = handset.ask(f"Contact: {handset.contact}", line)
        statuses.append(answer.status)
        if answer.status == 401:
            assert "stale=true" in answer.get("WWW-Authenticate")
    assert statuses == [200] + [401] * 7
    for nc in range(2, 8):
        handset.call_id = os.urandom(8).hex()
        line = handset.credentials(challenge, nc=nc)
        assert handset.ask(f"Contact: {handset.contact}", line).status == 200
    handset.register("Contact: *", "Expires: 0")


@pytest.mark.parametrize(("number", "reason"), [
    ("1002", "Address Not Allowed"), ("2001", "AccountLocked"),
])
def test_who_may_not_register(switch: Switch, peer, number: str, reason: str) -> None:
    answer = Handset(peer(), switch.port, number).register()
    assert answer.start == f"SIP/2.0 403 {reason}"
    assert online(switch, number) == []


def test_registrations_survive_the_death_of_all_workers(switch: Switch, peer) -> None:
    handsets = [Handset(peer(), switch.port, number) for number in ("1001", "1003", "1004")]
    for handset in handsets:
        assert handset.register().status == 200
    before = {number: online(switch, number) for number in ("1001", "1003", "1004")}
    assert all(before.values())
    old = switch.worker_pids()
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: len(switch.worker_pids()) == 2 and not set(old) & set(switch.worker_pids()),
        "both workers have successors", 10,
    )

    def addresses(contacts: list[dict]) -> set[str]:
        return {contact["contact"] for contact in contacts}

    for number, contacts in before.items():
        assert addresses(online(switch, number)) == addresses(contacts)
    # And a phone goes on with the nonce that it had.
    ok = handsets[0].register()
    assert ok.status == 200
    switch.metric_reaches(3, "registered_phones")


def test_a_phone_calls_through_to_a_gateway(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first)
    phone = sipp(
        "phone_calls", target=switch.port, number=pair.number, call_id="phone-call", hold_ms=300
    )
    phone.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("phone-call")
    assert (cdr["end_reason"], cdr["account"], cdr["phone"]) == ("Normal", "acme", "1001")
    assert cdr["decision"][0] == "phone acme/1001: digest"
    switch.is_idle()


def test_a_phone_that_has_to_be_registered_calls_only_while_it_is(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    phone, gateway = peer(), peer(pair.first)
    handset = Handset(phone, switch.port, "1005")

    def call(name: str) -> Call:
        call = Call(phone, switch.port, pair.number, call_id=name, caller="1005")
        call.invite()
        challenge = phone.expect(407)
        call.ack(challenge)
        call.invite(extra=[handset.credentials(challenge, method="INVITE")])
        return call

    refused = call("unregistered@x")
    answer = phone.expect(403)
    refused.ack(answer)
    assert answer.get("Reason") == "Q.850;cause=21"
    cdr = switch.cdr("unregistered@x")
    assert (cdr["end_reason"], cdr["account"], cdr["phone"]) == ("Unregistered", "acme", "1005")
    assert cdr["decision"][-1].endswith(
        "phone 1005 is not registered and may not call (must_register)"
    )
    shown = switch.command("explain", "unregistered@x", "--state", str(switch.state)).stdout
    assert "phone 1005 is not registered and may not call" in shown

    assert handset.register().status == 200
    allowed = call("registered@x")
    gateway.reply(gateway.expect("INVITE"), 486, tag="g")
    gateway.expect("ACK")
    allowed.ack(phone.expect(486))
    assert switch.cdr("registered@x")["end_reason"] == "UserBusy"

    assert handset.register("Contact: *", "Expires: 0").status == 200
    again = call("gone@x")
    again.ack(phone.expect(403))
    assert switch.cdr("gone@x")["end_reason"] == "Unregistered"
    switch.is_idle()


def test_a_guessing_address_is_blocked_everywhere_until_it_is_lifted(
    switch: Switch, peer
) -> None:
    guesser = Handset(peer(host="127.0.0.9"), switch.port)
    statuses = [guesser.register(password="guess").status for _ in range(5)]
    assert statuses == [401] * 4 + [403]
    time.sleep(1.2)  # until the other worker has heard of it
    for _ in range(6):
        guesser.call_id = os.urandom(8).hex()
        assert guesser.ask(f"Contact: {guesser.contact}").status == 403
    assert Handset(peer(), switch.port).register().status == 200
    shown = switch.command("blocks", "list", "--state", str(switch.state))
    assert "127.0.0.9 " in shown.stdout
    switch.metric_reaches(1, "blocked_addresses")
    lifted = switch.command("blocks", "lift", "127.0.0.9", "--state", str(switch.state))
    assert lifted.returncode == 0, lifted.stderr
    time.sleep(1.2)
    guesser.call_id = os.urandom(8).hex()
    assert guesser.register().status == 200


def test_a_flood_of_a_stranger_leaves_few_cdrs(switch: Switch) -> None:
    flood = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    flood.bind(("127.0.0.8", 0))
    for number in range(300):
        call_id = f"flood-{number}-{os.urandom(4).hex()}"
        flood.sendto(
            f"INVITE sip:8613@{LOOPBACK} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.8;branch=z9hG4bK"
            f"{call_id}\r\nMax-Forwards: 70\r\nFrom: <sip:x@a>;tag=1\r\nTo: <sip:y@a>\r\n"
            f"Call-ID: {call_id}\r\nCSeq: 1 INVITE\r\nContact: <sip:x@127.0.0.8>\r\n"
            "Content-Length: 0\r\n\r\n".encode(),
            (LOOPBACK, switch.port),
        )
        if number % 50 == 49:
            time.sleep(0.05)
    flood.close()
    switch.metric_reaches(300, "calls_total", gateway="none", reason="IllegalCall")
    recorded = [cdr for cdr in switch.all_cdrs() if cdr["call_id"].startswith("flood-")]
    # Thirty of an address in a minute of each worker; the minute may just have ended.
    assert 30 <= len(recorded) <= 120
    unrecorded = switch.metrics().value("unrecorded_calls_total", reason="IllegalCall")
    assert unrecorded == 300 - len(recorded)
