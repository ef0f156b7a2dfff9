"""Signalling capture on a running router: orders, both legs, the first byte, crashes, Wireshark."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
from collections import Counter

import pytest
from harness.ports import wait_until
from harness.routes import SMALL, Pair, Routes
from harness.switch import Switch
from harness.wire import Call

from router.runtime.strays import find_call_id
from router.store.capture_ring import CAPTURE_DIR, Captured, read_ring, ring_bytes, segments


@pytest.fixture
def switch(run_switch) -> Switch:
    return run_switch(Routes(pairs=6), workers=2)


def run(switch: Switch, *words: str, code: int = 0) -> str:
    done = switch.command(*words, "--config", str(switch.file))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def capture(switch: Switch, *words: str) -> None:
    """Order, and wait until every worker has looked."""
    run(switch, "capture", *words)
    ordered_ms = (switch.state / "objects.lmdb" / "data.mdb").stat().st_mtime_ns // 1_000_000

    def obeyed() -> bool:
        beats = switch.ask_live(lambda live: live.heartbeats())
        return len(beats) == switch.workers and min(beats.values()) > ordered_ms + 50

    wait_until(obeyed, "each worker has looked", 5)


def place(switch: Switch, sipp, pair: Pair, call_id: str, calls: int = 1, **more) -> None:
    gateway = sipp("gateway_answers", port=pair.first, hold_ms=100, calls=calls)
    caller = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id=call_id, hold_ms=100,
        calls=calls, **more,
    )
    caller.succeeds()
    gateway.succeeds()


def captured(switch: Switch, id: str = "", least: int = 1, seconds: float = 5) -> list[Captured]:
    """What is in the ring of a call, or of all; workers write once a second."""
    found: list[Captured] = []

    def enough() -> bool:
        found[:] = [one for one in read_ring(switch.state / CAPTURE_DIR) if id in ("", one.call)]
        return len(found) >= least

    wait_until(enough, f"{least} messages are in the ring", seconds)
    return sorted(found, key=lambda message: message.at_us)


def starts(messages: list[Captured]) -> list[str]:
    found = []
    for one in messages:
        words = one.data.split(b" ", 2)
        word = words[1] if words[0] == b"SIP/2.0" else words[0]
        found.append(("out " if one.outward else "in ") + word.decode())
    return found


def test_a_filter_by_account_has_both_legs_from_the_first_invite(switch: Switch, sipp) -> None:
    pair, other = switch.routes.pair(), switch.routes.pair()
    assert "Nothing is being captured" in run(switch, "capture", "status")
    assert "no message at all was captured" in run(switch, "capture", "export", "x", code=1)
    assert "account" in run(switch, "capture", "start", "--account", "nobody", code=1)
    capture(switch, "start", "--account", "acme", "--for", "5m")
    place(switch, sipp, pair, "kept")
    place(switch, sipp, other, "not-kept", ip=SMALL)
    cdr = switch.cdr("kept")
    # Two legs: INVITE, 100, 180, 200, ACK, BYE, 200 on each.
    messages = captured(switch, cdr["id"], 13)
    names = starts(messages)
    assert names[0] == "in INVITE", "the first byte, though the account was known after it"
    assert {name: Counter(names)[name] for name in ("out INVITE", "in BYE", "out BYE")} == {
        "out INVITE": 1, "in BYE": 1, "out BYE": 1,
    }
    legs = {find_call_id(one.data).decode() for one in messages}
    assert legs == {cdr["call_id"], cdr["b_call_id"]}
    assert {one.here for one in messages} == {("127.0.0.1", switch.port)}
    assert any(one.there == ("127.0.0.1", pair.first) for one in messages)
    ids = {one.call for one in captured(switch)}
    assert ids == {cdr["id"]}, "the other account's call is not there"
    for path in segments(switch.state / CAPTURE_DIR):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    switch.metric_reaches(len(captured(switch)), "captured_messages_total")
    status = json.loads(run(switch, "capture", "status", "--json"))
    assert [(one["id"], one["account"]) for one in status["captures"]] == [(1, "acme")]
    assert status["bytes"] == ring_bytes(switch.state / CAPTURE_DIR)
    shown = switch.command("status", "--state", str(switch.state)).stdout
    assert "Capturing" in shown and "account acme" in shown
    rows = [json.loads(line) for line in run(switch, "audit", "--json").splitlines()]
    assert (rows[0]["command"], rows[0]["what"], rows[0]["result"]) == (
        "start", "capture 1", "done"
    )

    told = switch.command("explain", cdr["id"], "--sip", "--state", str(switch.state)).stdout
    lines = told.partition("SIP messages")[2].splitlines()
    assert sum("INVITE sip:" in line for line in lines) == 2
    assert f"127.0.0.1:{pair.first} is gateway {pair.first_name}" in told
    whole = switch.command("explain", cdr["id"], "--sip", "--full", "--state", str(switch.state))
    assert f"Call-ID: {cdr['b_call_id']}" in whole.stdout
    quiet = switch.cdr("not-kept")["id"]
    none = switch.command("explain", quiet, "--sip", "--state", str(switch.state)).stdout
    assert "trunkline capture start" in none
    listed = [json.loads(line) for line in run(switch, "capture", "list", "--json").splitlines()]
    assert [(one["call"], one["first"], one["last"]) for one in listed] == [
        (cdr["id"], f"INVITE {pair.number}", "200 OK")
    ]

    capture(switch, "stop")
    before = len(captured(switch))
    place(switch, sipp, pair, "after")
    capture(switch, "stop")
    assert len(captured(switch)) == before
    run(switch, "capture", "clear")
    assert not segments(switch.state / CAPTURE_DIR)


def test_gateway_number_source_and_sample(switch: Switch, sipp) -> None:
    first, second = switch.routes.pair(), switch.routes.pair()
    capture(switch, "start", "--gateway", first.first_name, "--account", "acme")
    capture(switch, "start", "--number", second.prefix, "--source", "127.0.0.0/31")
    place(switch, sipp, first, "this-gateway")
    place(switch, sipp, second, "other-source", ip=SMALL)
    place(switch, sipp, second, "this-number")
    third = switch.routes.pair()
    place(switch, sipp, third, "other-number")
    captured(switch, switch.cdr("this-gateway")["id"], 13)
    captured(switch, switch.cdr("this-number")["id"], 13)
    ids = {one.call for one in captured(switch)}
    assert ids == {switch.cdr("this-gateway")["id"], switch.cdr("this-number")["id"]}
    capture(switch, "stop", "2")
    status = json.loads(run(switch, "capture", "status", "--json"))
    assert [one["id"] for one in status["captures"]] == [1]
    capture(switch, "stop")
    capture(switch, "start", "--sample", "1/2")
    place(switch, sipp, third, "sampled", calls=40, rate=40)
    capture(switch, "stop")
    sampled = {one.call for one in captured(switch)} - ids
    assert 8 <= len(sampled) <= 32


def test_what_is_no_call_and_what_is_none_of_ours(switch: Switch, peer) -> None:
    capture(switch, "start", "--source", SMALL)
    stranger, small = Call(peer(), switch.port, "1"), Call(peer(host=SMALL), switch.port, "2")
    for call in (stranger, small):
        call.send(call.compose("OPTIONS", cseq=1))
        assert call.peer.expect(200)
    found = captured(switch, least=2)
    assert starts(found) == ["in OPTIONS", "out 200"]
    assert {one.there[0] for one in found} == {SMALL}
    assert {one.call for one in found} == {""}


def test_a_capture_ends_by_itself(switch: Switch, sipp) -> None:
    capture(switch, "start", "--for", "2s")
    assert "Capture 1: all calls" in run(switch, "capture", "status")
    wait_until(
        lambda: "Nothing is being captured" in run(switch, "capture", "status"), "it ends", 5
    )
    capture(switch, "stop")
    before = len(captured(switch, least=0))
    place(switch, sipp, switch.routes.pair(), "late")
    capture(switch, "stop")
    assert len(captured(switch, least=0)) == before


def test_tshark_opens_the_export_as_sip(run_switch, sipp, tmp_path) -> None:
    tshark = shutil.which("tshark")
    assert tshark, "tshark is not installed: .ci/setup packages installs it"
    switch = run_switch(Routes(pairs=2, transport="tcp"), workers=2)
    pair = switch.routes.pair()
    capture(switch, "start")
    gateway = sipp("gateway_answers", port=pair.first, hold_ms=100, transport="t1")
    caller = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="shark", hold_ms=100
    )
    caller.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("shark")
    count = len(captured(switch, cdr["id"], 13))
    file = tmp_path / "calls.pcap"
    told = run(switch, "capture", "export", str(file), cdr["b_call_id"])
    assert told.startswith(f"{count} messages of 1 call are in")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    fields = ("sip.Call-ID", "tcp.port", "tcp.analysis.flags", "ip.checksum.status")
    done = subprocess.run(
        [
            tshark, "-r", str(file), "-Y", "sip || tcp.analysis.flags", "-T", "fields",
            "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
            "-o", "tcp.check_checksum:TRUE", *(word for one in fields for word in ("-e", one)),
            "-e", "udp.checksum.status", "-e", "tcp.checksum.status",
        ],
        capture_output=True, text=True, timeout=60, check=True,
    )
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == count
    assert {row[0] for row in rows} == {cdr["call_id"], cdr["b_call_id"]}
    assert {row[2] for row in rows} == {""}, "no lost, doubled or disordered segment"
    assert {row[3] for row in rows} == {"1"}
    assert {row[4] or row[5] for row in rows} == {"1"}, "checksums are right"


def test_a_flood_is_left_out_in_part_and_workers_may_be_killed(run_switch, sipp, peer) -> None:
    routes = Routes(pairs=2, settings={"capture_mb": "1"})
    switch = run_switch(routes, workers=2)
    pair = switch.routes.pair()
    capture(switch, "start")
    gateway = sipp(
        "gateway_answers", port=pair.first, hold_ms=100, calls=200, limit_s=40, messages=False
    )
    caller = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="load", hold_ms=100,
        calls=200, rate=100, limit_s=40, messages=False,
    )
    caller.succeeds()
    gateway.succeeds()

    def noted() -> bool:
        figures = switch.metrics()
        kept = figures.value("captured_messages_total")
        left_out = figures.value("capture_dropped_messages_total", reason="budget")
        return kept > 400 and left_out > 400 and kept + left_out == 200 * 14

    wait_until(noted, "each message is kept or counted as left out", 5, every=0.2)
    assert 300_000 < ring_bytes(switch.state / CAPTURE_DIR) <= 1_000_000
    alone = peer()
    ringing = Call(alone, switch.port, pair.number)
    ringing.invite()
    for pid in switch.worker_pids():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(switch.worker_pids()) == 2, "both are back", 10)
    assert len(captured(switch)) > 400
    # The successors go on by the same order, in segments of their own.
    newest = max(one.at_us for one in captured(switch))
    place(switch, sipp, switch.routes.pair(), "later")
    later = switch.cdr("later")["id"]
    assert min(one.at_us for one in captured(switch, later, 13)) > newest
    assert ring_bytes(switch.state / CAPTURE_DIR) <= 1_000_000
