"""Calls to phones with SIPp at both ends: contacts, CANCEL, forwarding of each kind, loops, TCP.

A phone is a SIPp that plays a gateway at the port from which it was registered by hand.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest
from harness.handset import Handset
from harness.ports import free_port, wait_until
from harness.routes import SMALL, Routes
from harness.switch import Switch
from harness.wire import Peer

# Routes numbers its pairs of gateways: the first three serve these.
ALWAYS, OFFLINE, NO_ANSWER = "7000555", "7001555", "7002555"
ACCOUNTS = f"""
account acme {{
    trunk office {{ ips = {SMALL} }}
    phone 1001 {{ password = "secret" }}
    phone 1002 {{ password = "secret"  lines = 1 }}
    phone 1003 {{ password = "secret"  forward_always = "{ALWAYS}" }}
    phone 1004 {{ password = "secret"  forward_offline = "{OFFLINE}" }}
    phone 1005 {{ password = "secret"  forward_busy = "1001" }}
    phone 1006 {{ password = "secret"  forward_after = 1s  forward_no_answer = "{NO_ANSWER}" }}
    phone 1007 {{ password = "secret"  forward_busy = "1008" }}
    phone 1008 {{ password = "secret"  forward_busy = "1007" }}
    phone 1009 {{ password = "secret" }}
}}
"""
POLICY = """
request_route {
    switch ($rm) {
        case "OPTIONS": reply(200);
        case "REGISTER": {
            if (!authenticate()) challenge();
            save();
        }
        case "INVITE": route(CALL);
        default: reply(405);
    }
}
route[CALL] {
    if (!identify()) end(IllegalCall);
    if (registered($rU)) call(phone($rU), ring = all);
    if (len($rU) == 4) end(CalledNotOnline);
    call(gateways($rU));
}
"""
Online = Callable[..., int]


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    switch = module_switch(Routes(pairs=3, accounts=ACCOUNTS, policy=POLICY), workers=2)
    for _ in range(3):
        switch.routes.pair()
    return switch


@pytest.fixture
def online(switch: Switch) -> Online:
    """Registers a phone from a port, which is free for SIPp afterwards."""
    registered: list[tuple[str, int]] = []

    def register(number: str, *lines: str) -> int:
        peer = Peer(free_port())
        assert Handset(peer, switch.port, number).register(*lines).status == 200
        registered.append((number, peer.port))
        peer.close()
        return peer.port

    yield register
    for number, port in registered:
        peer = Peer(port)
        Handset(peer, switch.port, number).register("Contact: *", "Expires: 0")
        peer.close()


def test_a_phone_calls_a_phone(switch: Switch, sipp, online: Online) -> None:
    online("1001")
    called = sipp("gateway_answers", port=online("1009"), hold_ms=200)
    sipp(
        "phone_calls", target=switch.port, number="1009", call_id="phones", hold_ms=300
    ).succeeds()
    called.succeeds()
    cdr = switch.cdr("phones")
    assert (cdr["end_reason"], cdr["phone"], cdr["gateway"]) == ("Normal", "1001", "phone 1009")
    assert cdr["caller_in"] == "1001" and cdr["callee_in"] == cdr["callee_out"] == "1009"
    assert cdr["decision"] == [
        "phone acme/1001: digest", "candidates: phone 1009", "phone 1009: taken",
    ]
    switch.is_idle()


def test_two_contacts_ring_and_one_answers(switch: Switch, sipp, online: Online) -> None:
    first, second = online("1009"), online("1009")
    rings = sipp("gateway_rings", port=first)
    answers = sipp("gateway_answers", port=second, hold_ms=500)
    sipp(
        "caller_hangs_up", ip=SMALL, target=switch.port, number="1009", call_id="both",
        hold_ms=500,
    ).succeeds()
    answers.succeeds()
    rings.succeeds()
    assert "Call completed elsewhere" in rings.evidence()
    cdr = switch.cdr("both")
    assert cdr["end_reason"] == "Normal" and len(cdr["attempts"]) == 2
    assert sorted(attempt["reason"] for attempt in cdr["attempts"]) == ["Cancelled", "Normal"]
    assert cdr["b_call_id"] == cdr["attempts"][cdr["attempt"] - 1]["b_call_id"]
    switch.is_idle()


def test_a_contact_of_a_lower_q_rings_later(switch: Switch, sipp, online: Online) -> None:
    port, later = free_port(), free_port()
    high = Peer(port)
    handset = Handset(high, switch.port, "1009")
    assert handset.register(f"Contact: {handset.contact};q=0.9").status == 200
    high.close()
    low = Peer(later)
    handset = Handset(low, switch.port, "1009")
    assert handset.register(f"Contact: {handset.contact};q=0.2").status == 200
    low.close()
    refuses = sipp("gateway_refuses", port=port)
    answers = sipp("gateway_answers", port=later)
    sipp(
        "caller_hangs_up", ip=SMALL, target=switch.port, number="1009", call_id="by-q",
        hold_ms=200,
    ).succeeds()
    refuses.succeeds()
    answers.succeeds()
    cdr = switch.cdr("by-q")
    assert [one["reason"] for one in cdr["attempts"]] == ["NoAvailableRouter", "Normal"]
    assert cdr["attempts"][1]["started"] >= cdr["attempts"][0]["ended"]
    low = Peer(later)
    Handset(low, switch.port, "1009").register("Contact: *", "Expires: 0")
    low.close()


def test_the_caller_cancels_all_contacts(switch: Switch, sipp, online: Online) -> None:
    phones = [sipp("gateway_rings", port=online("1009")) for _ in range(2)]
    sipp(
        "caller_cancels", ip=SMALL, target=switch.port, number="1009", call_id="all-cancel",
        hold_ms=300,
    ).succeeds()
    for phone in phones:
        phone.succeeds()
    cdr = switch.cdr("all-cancel")
    assert (cdr["end_reason"], cdr["end_side"]) == ("Cancelled", "caller")
    assert [one["reason"] for one in cdr["attempts"]] == ["Cancelled"] * 2
    switch.is_idle()


def test_a_phone_with_its_line_in_use_is_busy(switch: Switch, sipp, online: Online) -> None:
    phone = sipp("gateway_answers", port=online("1002"))
    first = sipp(
        "caller_hangs_up", ip=SMALL, target=switch.port, number="1002", call_id="line", hold_ms=1500
    )
    wait_until(lambda: switch.in_use().get("phone:1002") == 1, "the line is in use")
    sipp(
        "caller_is_refused", ip=SMALL, target=switch.port, number="1002", call_id="no-line",
        changes={'response="404"': 'response="486"'},
    ).succeeds()
    first.succeeds()
    phone.succeeds()
    assert switch.cdr("no-line")["end_reason"] == "UserBusy"
    switch.is_idle()


def test_who_is_not_registered_is_not_online(switch: Switch, sipp) -> None:
    sipp(
        "caller_is_refused", ip=SMALL, target=switch.port, number="1001", call_id="offline",
        changes={'response="404"': 'response="480"'},
    ).succeeds()
    cdr = switch.cdr("offline")
    assert (cdr["end_reason"], cdr["sip_code"]) == ("CalledNotOnline", 480)


@pytest.mark.parametrize(
    ("number", "pair", "hop", "diversion"),
    [
        ("1003", 0, f"phone 1003: forwards to {ALWAYS}, always", "unconditional"),
        ("1004", 1, f"phone 1004: forwards to {OFFLINE}, offline", "unavailable"),
    ],
)
def test_a_phone_forwards_to_a_gateway(
    switch: Switch, sipp, number: str, pair: int, hop: str, diversion: str
) -> None:
    gateway = sipp("gateway_answers", port=switch.routes._pairs[pair].first)
    sipp(
        "caller_hangs_up", ip=SMALL, target=switch.port, number=number, call_id=f"to-{number}",
        hold_ms=200,
    ).succeeds()
    gateway.succeeds()
    heard = gateway.evidence()
    assert f"Diversion: <sip:{number}@127.0.0.1:{switch.port}>;reason={diversion}" in heard
    assert "History-Info:" in heard
    cdr = switch.cdr(f"to-{number}")
    assert (cdr["end_reason"], cdr["callee_in"]) == ("Normal", number)
    assert cdr["callee_out"] == switch.routes._pairs[pair].number
    assert hop in cdr["decision"]
    switch.is_idle()


def test_a_busy_phone_forwards_to_another(switch: Switch, sipp, online: Online) -> None:
    busy = sipp(
        "gateway_refuses", port=online("1005"),
        changes={"503 Service Unavailable": "486 Busy Here"},
    )
    answers = sipp("gateway_answers", port=online("1001"))
    sipp(
        "caller_hangs_up", ip=SMALL, target=switch.port, number="1005", call_id="on-busy",
        hold_ms=200,
    ).succeeds()
    busy.succeeds()
    answers.succeeds()
    cdr = switch.cdr("on-busy")
    assert [one["gateway"] for one in cdr["attempts"]] == ["phone 1005", "phone 1001"]
    assert cdr["gateway"] == "phone 1001"
    assert "reason=user-busy" in answers.evidence()
    switch.is_idle()


def test_a_phone_that_nobody_answers_forwards(switch: Switch, sipp, online: Online) -> None:
    rings = sipp("gateway_rings", port=online("1006"))
    gateway = sipp("gateway_answers", port=switch.routes._pairs[2].first)
    sipp(
        "caller_hangs_up", ip=SMALL, target=switch.port, number="1006", call_id="no-answer",
        hold_ms=200,
    ).succeeds()
    rings.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("no-answer")
    assert [one["reason"] for one in cdr["attempts"]] == ["ResponseTimeout", "Normal"]
    assert cdr["attempts"][0]["ended"] - cdr["attempts"][0]["ringing"] >= 1000
    switch.is_idle()


def test_forwarding_in_a_circle_ends(switch: Switch, sipp, online: Online) -> None:
    busy = {"503 Service Unavailable": "486 Busy Here"}
    phones = [sipp("gateway_refuses", port=online(number), changes=busy)
              for number in ("1007", "1008")]
    sipp(
        "caller_is_refused", ip=SMALL, target=switch.port, number="1007", call_id="circle",
        changes={'response="404"': 'response="482"'},
    ).succeeds()
    for phone in phones:
        phone.succeeds()
    cdr = switch.cdr("circle")
    assert (cdr["end_reason"], cdr["sip_code"]) == ("ForwardingLoop", 482)
    assert len(cdr["attempts"]) == 2, "nobody rang twice"
    assert cdr["decision"][-1] == "refused: forwarding goes round: 1007 > 1008 > 1007"
    switch.is_idle()


def test_a_phone_on_tcp_is_called_over_its_own_connection(switch: Switch, sipp, peer) -> None:
    """Whichever worker holds it: Call-IDs of callers belong to both."""
    phone = peer(tcp=switch.port)
    handset = Handset(phone, switch.port, "1009")
    contact = "<sip:1009@192.0.2.77:5060;transport=tcp>"
    assert handset.register(f"Contact: {contact}").status == 200
    for attempt in range(6):
        caller = sipp(
            "caller_is_refused", ip=SMALL, target=switch.port, number="1009",
            call_id=f"tcp-{attempt}-{os.urandom(3).hex()}",
            changes={'response="404"': 'response="486"'},
        )
        invite = phone.expect("INVITE")
        assert invite.start.startswith("INVITE sip:1009@192.0.2.77:5060;transport=tcp ")
        phone.reply(invite, 486, tag="phone")
        phone.expect("ACK")
        caller.succeeds()
    handset.register("Contact: *", "Expires: 0")
    switch.is_idle()


def test_a_worker_that_dies_while_phones_ring_leaves_nothing(run_switch, sipp) -> None:
    """All that rang is cancelled by its successor, and every line comes back."""
    switch = run_switch(Routes(pairs=1, accounts=ACCOUNTS, policy=POLICY), workers=1)
    phones = []
    for _ in range(2):
        peer = Peer(free_port())
        assert Handset(peer, switch.port, "1009").register().status == 200
        peer.close()
        phones.append(sipp("gateway_rings", port=peer.port))
    caller = sipp(
        "caller_is_refused", ip=SMALL, target=switch.port, number="1009", call_id="killed",
        changes={'response="404"': 'response="500"'},
    )
    wait_until(lambda: switch.in_use().get("phone:1009") == 1, "both ring")
    (worker,) = switch.worker_pids()
    os.kill(worker, signal.SIGKILL)
    caller.succeeds()
    for phone in phones:  # their 487 finds nobody who knows the INVITE
        wait_until(lambda phone=phone: "CANCEL sip:1009@" in phone.evidence(), "it is cancelled")
        phone.stop()
    cdr = switch.cdr("killed")
    assert cdr["end_reason"] == "ServerFailure"
    assert len(cdr["attempts"]) == 2
    switch.is_idle()
    assert switch.ask_live(lambda live: live.verify()) == []


def test_workers_killed_while_phones_ring_leave_each_call_one_cdr(run_switch, sipp) -> None:
    switch = run_switch(Routes(pairs=1, accounts=ACCOUNTS, policy=POLICY), workers=2)
    phones = []
    for scenario in ("gateway_rings", "gateway_rings", "gateway_answers"):
        peer = Peer(free_port())
        assert Handset(peer, switch.port, "1009").register().status == 200
        peer.close()
        phones.append(sipp(scenario, port=peer.port, calls=10_000, hold_ms=300, limit_s=60,
                           messages=False))
    calls = 80
    caller = sipp(
        "caller_hangs_up", ip=SMALL, target=switch.port, number="1009", call_id="chaos",
        calls=calls, rate=10, hold_ms=400, limit_s=60, messages=False,
    )
    dice = random.Random(4)
    for _ in range(7):
        time.sleep(dice.uniform(0.7, 1.2))
        os.kill(dice.choice(switch.worker_pids()), signal.SIGKILL)
    caller.wait()
    switch.is_idle(seconds=40)
    cdrs = [cdr for cdr in switch.all_cdrs() if cdr["call_id"].startswith("chaos")]
    assert len(cdrs) == len({cdr["call_id"] for cdr in cdrs}) == calls
    reasons = Counter(cdr["end_reason"] for cdr in cdrs)
    assert reasons["Normal"] >= calls // 2, reasons
    for cdr in cdrs:
        assert all(attempt["ended"] for attempt in cdr["attempts"]), cdr
        if cdr["answered"]:
            assert cdr["attempts"][cdr["attempt"] - 1]["answered"] == cdr["answered"]
    assert switch.ask_live(lambda live: live.verify()) == []
    for phone in phones:
        phone.stop()


def test_nobody_gets_a_call_by_the_stream_of_a_phone_of_before(run_switch, sipp, peer) -> None:
    """The number of a connection begins again with its worker: another phone may have it by now."""
    switch = run_switch(Routes(pairs=1, accounts=ACCOUNTS, policy=POLICY), workers=1)
    phone = peer(tcp=switch.port)
    handset = Handset(phone, switch.port, "1009")
    assert handset.register("Contact: <sip:1009@192.0.2.77:5060;transport=tcp>").status == 200
    (worker,) = switch.worker_pids()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: switch.worker_pids() not in ([], [worker]), "there is a successor")
    stranger = peer(tcp=switch.port)
    other = Handset(stranger, switch.port, "1001")
    assert other.register("Contact: <sip:1001@192.0.2.78:5060;transport=tcp>").status == 200
    sipp(
        "caller_is_refused", ip=SMALL, target=switch.port, number="1009", call_id="stale",
        changes={'response="404"': 'response="504"'},
    ).succeeds()
    stranger.hears_nothing(0.2)
    assert switch.cdr("stale")["end_reason"] == "ConnectionTimeout"
