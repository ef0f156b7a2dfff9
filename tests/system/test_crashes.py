"""kill -9 of every process: no answered call is lost, no line leaks, every CDR is there once."""

from __future__ import annotations

import csv
import os
import signal
import time
from collections import Counter

import pytest
from harness.ports import wait_until
from harness.processes import alive
from harness.routes import Routes
from harness.switch import Switch
from harness.wire import ANSWER, Call, dialog_request


def kill(pid: int) -> None:
    """kill -9, and waits until it is dead."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), f"process {pid} dies")


def talking(switch: Switch, sipp, name: str, count: int, hold_ms: int):
    """`count` answered calls that will last `hold_ms`: the caller's and the gateway's SIPp."""
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, calls=count, limit_s=40)
    caller = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id=name,
        calls=count,
        rate=200,
        hold_ms=hold_ms,
        limit_s=40,
    )
    wait_until(
        lambda: sum(call.answered for call in open_calls(switch)) == count,
        f"{count} calls are answered",
    )
    return caller, gateway


def open_calls(switch: Switch) -> list:
    """The records of the calls in progress."""
    return switch.ask_live(lambda live: list(live.calls()))


def all_ended_well(switch: Switch, name: str, count: int, hold_ms: int) -> None:
    """One Normal CDR for each call, with the whole duration, and every line free."""
    cdrs = switch.cdrs(name, count)
    assert {cdr["end_reason"] for cdr in cdrs} == {"Normal"}
    assert len({cdr["call_id"] for cdr in cdrs}) == count
    assert all(cdr["duration_ms"] >= hold_ms - 100 for cdr in cdrs), "the clock went on"
    switch.is_idle()


def test_answered_calls_survive_the_death_of_their_worker(run_switch, sipp) -> None:
    switch = run_switch(Routes(pairs=2), workers=2)
    caller, gateway = talking(switch, sipp, "survive", 20, hold_ms=3000)
    before = switch.worker_pids()
    kill(before[0])
    wait_until(lambda: len(switch.worker_pids()) == 2, "the worker is replaced")
    assert before[1] in switch.worker_pids(), "the other one is left alone"
    caller.succeeds()
    gateway.succeeds()
    all_ended_well(switch, "survive", 20, 3000)
    switch.metric_reaches(2, "worker_up")


def test_a_callee_can_hang_up_and_hold_after_the_worker_died(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=2))
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    invite = gateway.expect("INVITE")
    gateway.reply(invite, 200, tag="g", body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    kill(switch.worker_pids()[0])
    # The successor: a re-INVITE of the caller, then the callee hangs up.
    call.invite()
    held = gateway.expect("INVITE", timeout=8)
    assert held.from_tag == invite.from_tag
    assert held.cseq[0] > invite.cseq[0], "RFC 3261 §12.2.1.1: strictly rising"
    gateway.reply(held, 200, tag="g", body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    dialog_request(gateway, invite, "BYE", tag="g")
    gateway.expect("200 BYE")
    bye = caller.expect("BYE")
    assert bye.to_tag == call.from_tag
    assert bye.from_tag == call.to_tag
    caller.reply(bye, 200)
    cdr = switch.cdr(call.call_id)
    assert (cdr["end_reason"], cdr["end_side"]) == ("Normal", "callee")
    switch.is_idle()


VARIABLES = """
request_route {
    if ($rm == "OPTIONS") reply(200);
    $call.tier = "gold";
    $call.left = 90s;
    if (!identify()) end(IllegalCall);
    call(gateways($rU), on_reply = HEARD);
}
reply_route[HEARD] { $call.code = $rs; }
end_route { $call.left = $call.left - 60s; }
"""


def test_variables_of_a_call_survive_its_worker(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=2, policy=VARIABLES))
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    answered = Call(caller, switch.port, pair.number)
    answered.invite()
    talking = gateway.expect("INVITE")
    gateway.reply(talking, 200, tag="g", body=ANSWER)
    answered.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    ringing = Call(caller, switch.port, pair.number)
    ringing.invite()
    invite = gateway.expect("INVITE")
    gateway.reply(invite, 180, tag="h")
    caller.expect(180)
    kill(switch.worker_pids()[0])
    ringing.ack(caller.expect(500, timeout=8))
    gateway.reply(gateway.expect("CANCEL"), 200)
    gateway.reply(invite, 487, tag="h")
    assert switch.cdr(ringing.call_id)["variables"] == {"tier": "gold", "left": "30000"}
    dialog_request(gateway, talking, "BYE", tag="g")
    gateway.expect("200 BYE")
    caller.reply(caller.expect("BYE"), 200)
    cdr = switch.cdr(answered.call_id)
    assert cdr["end_reason"] == "Normal"
    assert cdr["variables"] == {"tier": "gold", "left": "30000", "code": "200"}
    switch.is_idle()


DEADLY = """
import python "deadly.py" as deadly
request_route {
    if ($rm == "OPTIONS") reply(200);
    if (!identify()) end(IllegalCall);
    call(gateways($rU));
}
end_route { $call.seen = true; deadly.kill(); }
"""
KILLS = """
import os
import signal

from router.routing.hooks import route_function


@route_function
def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_end_route_that_kills_its_worker_is_not_run_for_that_call_again(
    run_switch, peer
) -> None:
    switch = run_switch(Routes(pairs=2, policy=DEADLY), start=False)
    (switch.folder / "deadly.py").write_text(KILLS)
    switch.start()
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    gateway.reply(gateway.expect("INVITE"), 180, tag="g")
    caller.expect(180)
    kill(switch.worker_pids()[0])
    call.ack(caller.expect(500, timeout=8))
    cdr = switch.cdr(call.call_id)
    assert (cdr["end_reason"], cdr["variables"]) == ("ServerFailure", {})
    wait_until(lambda: switch.log(1 << 30).count('"event": "died"') == 2, "both have died")
    switch.is_idle()


def test_a_call_that_was_ringing_when_its_worker_died_is_closed(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=2))
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    invite = gateway.expect("INVITE")
    gateway.reply(invite, 180, tag="g")
    caller.expect(180)
    kill(switch.worker_pids()[0])
    call.ack(caller.expect(500, timeout=8))
    cancel = gateway.expect("CANCEL")
    assert cancel.get("Via").partition(";rport")[0] == invite.get("Via").partition(";rport")[0]
    assert cancel.cseq[0] == invite.cseq[0], "RFC 3261 §9.1"
    gateway.reply(cancel, 200)
    gateway.reply(invite, 487, tag="g")
    cdr = switch.cdr(call.call_id)
    assert cdr["gateway"] == pair.first_name
    assert (cdr["end_reason"], cdr["end_side"]) == ("ServerFailure", "server")
    assert [attempt["gateway"] for attempt in cdr["attempts"]] == [pair.first_name]
    switch.is_idle()


def test_the_ledger_killed_under_load_misses_nothing_and_stores_nothing_twice(
    run_switch, sipp
) -> None:
    settings = {"cdr_file": '"cdrs/%d-%H%M.csv"'}
    switch = run_switch(Routes(pairs=2, settings=settings), workers=2)
    pair = switch.routes.pair()
    count = 500
    gateway = sipp("gateway_answers", port=pair.first, calls=count, messages=False, limit_s=40)
    caller = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="ledger",
        calls=count,
        rate=100,
        hold_ms=300,
        messages=False,
        limit_s=40,
    )
    for _ in range(6):
        time.sleep(0.7)
        kill(wait_until(switch.ledger_pid, "the ledger process is back", 12))
    caller.succeeds()
    gateway.succeeds()
    cdrs = switch.cdrs("ledger", count, seconds=15)
    assert Counter(cdr["call_id"] for cdr in cdrs).most_common(1)[0][1] == 1
    assert len({cdr["id"] for cdr in cdrs}) == count
    assert {cdr["end_reason"] for cdr in cdrs} == {"Normal"}
    switch.metric_reaches(0, "cdr_backlog")
    switch.is_idle()
    # The same of the file that is written all the time.
    wait_until(lambda: len(filed(switch)) >= count, "every call has its line", 10)
    assert sorted(filed(switch)) == sorted(cdr["call_id"] for cdr in cdrs)


def filed(switch: Switch) -> list[str]:
    """The Call-IDs of all lines in the streaming files."""
    return [
        row["call_id"]
        for path in (switch.folder / "cdrs").glob("*.csv")
        for row in csv.DictReader(path.open(newline=""))
    ]


def test_workers_killed_under_load_leak_no_line_and_write_no_cdr_twice(run_switch, sipp) -> None:
    switch = run_switch(Routes(pairs=2), workers=2)
    pair = switch.routes.pair()
    count = 300
    sipp("gateway_answers", port=pair.first, calls=count, messages=False, limit_s=30)
    caller = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="chaos",
        calls=count,
        rate=75,
        hold_ms=800,
        messages=False,
        limit_s=30,
        extra=("-recv_timeout", "8000"),
    )
    for turn in range(3):
        time.sleep(1.0)
        kill(wait_until(switch.worker_pids, "a worker is there")[turn % 2 - 1])
    caller.wait()
    succeeded = caller.count("SuccessfulCall")
    assert succeeded >= count * 0.97, "only calls in the middle of their set-up may be lost"
    switch.is_idle(15)
    cdrs = [cdr for cdr in switch.all_cdrs() if cdr["call_id"].startswith("chaos")]
    assert len({cdr["id"] for cdr in cdrs}) == len(cdrs)
    normal = Counter(cdr["call_id"] for cdr in cdrs if cdr["end_reason"] == "Normal")
    assert max(normal.values()) == 1, "an answered call has one CDR"
    assert len(normal) >= succeeded
    others = Counter(cdr["end_reason"] for cdr in cdrs if cdr["end_reason"] != "Normal")
    assert set(others) <= {"ServerFailure", "Cancelled", "ConnectionTimeout"}, others


@pytest.mark.parametrize("workers_after", [2, 3, 1])
def test_after_the_supervisors_death_the_next_start_adopts_the_calls(
    run_switch, sipp, workers_after: int
) -> None:
    switch = run_switch(Routes(pairs=2), workers=2)
    caller, gateway = talking(switch, sipp, "adopt", 20, hold_ms=4000)
    switch.kill()
    assert len(open_calls(switch)) == 20, "live state survives the death of every process"
    switch.workers = workers_after
    switch.start()
    caller.succeeds()
    gateway.succeeds()
    all_ended_well(switch, "adopt", 20, 4000)


def test_a_call_whose_worker_dies_without_end_is_ended_by_its_longest_duration(
    run_switch, peer
) -> None:
    """Nobody ever hangs up: the limit of the call, set before the crash, holds after it."""
    switch = run_switch(Routes(pairs=2, settings={"max_duration": "4s"}))
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    invite = gateway.expect("INVITE")
    gateway.reply(invite, 200, tag="g", body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    kill(switch.worker_pids()[0])
    for each in (caller, gateway):
        each.reply(each.expect("BYE", timeout=9), 200)
    cdr = switch.cdr(call.call_id)
    assert cdr["end_reason"] == "SessionTimeout"
    assert 3800 <= cdr["duration_ms"] <= 7000
    switch.is_idle()
