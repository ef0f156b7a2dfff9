"""Objects changed by command while a router runs: what the next call meets, and calls that end."""

from __future__ import annotations

import json

import pytest
from harness.ports import LOOPBACK, free_ports, wait_until
from harness.routes import Routes
from harness.switch import Switch
from harness.wire import ANSWER, Call


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    return module_switch(Routes(pairs=8), workers=2)


def run(switch: Switch, *words: str, code: int = 0) -> str:
    done = switch.command(*words, "--config", str(switch.file))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def refused(switch: Switch, sipp, number: str, call_id: str, status: int) -> dict:
    changes = {'response="404"': f'response="{status}"'} if status != 404 else {}
    caller = sipp(
        "caller_is_refused", target=switch.port, number=number, call_id=call_id, changes=changes
    )
    caller.succeeds()
    return switch.cdr(call_id)


def test_a_gateway_that_is_added_takes_calls_until_it_is_removed(switch: Switch, sipp) -> None:
    (port,) = free_ports(1)
    assert refused(switch, sipp, "8521", "too-early", 404)["end_reason"] == "NotFound"
    told = run(switch, "gateways", "add", "hk", f"address={LOOPBACK}:{port}", "prefixes=852")
    assert told.startswith("2 workers have it after ")
    gateway = sipp("gateway_answers", port=port, hold_ms=100)
    caller = sipp(
        "caller_hangs_up", target=switch.port, number="8521", call_id="added", hold_ms=100
    )
    caller.succeeds()
    gateway.succeeds()
    assert switch.cdr("added")["gateway"] == "hk"
    run(switch, "gateways", "remove", "hk")
    assert refused(switch, sipp, "8521", "removed", 404)["end_reason"] == "NotFound"
    rows = [json.loads(line) for line in run(switch, "audit", "--json").splitlines()]
    assert [(row["command"], row["result"]) for row in rows[:2]] == [
        ("remove", "done"), ("add", "done"),
    ]


def test_changes_of_the_file_are_not_loaded_by_the_way(switch: Switch) -> None:
    text = switch.file.read_text()
    switch.file.write_text(text.replace("account small {", "account smaller {"))
    try:
        told = run(switch, "gateways", "add", "x", "address=127.0.0.1", "prefixes=1", code=1)
        assert "has changes that the router has not loaded (account smaller" in told
        assert "run trunkline reload first" in told
        assert '"x"' not in run(switch, "gateways", "list", "--json")
    finally:
        switch.file.write_text(text)


def test_a_locked_gateway_is_passed_over_and_a_locked_account_refused(
    switch: Switch, sipp
) -> None:
    pair = switch.routes.pair()
    run(switch, "gateways", "lock", pair.first_name)
    wait_until(lambda: all_have_looked(switch), "each worker has looked", 5)
    second = sipp("gateway_answers", port=pair.second, hold_ms=100)
    caller = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="past", hold_ms=100
    )
    caller.succeeds()
    second.succeeds()
    cdr = switch.cdr("past")
    assert cdr["gateway"] == pair.second_name
    assert f"{pair.first_name}: it is locked" in cdr["decision"]
    run(switch, "accounts", "lock", "acme")
    wait_until(lambda: all_have_looked(switch), "each worker has looked", 5)
    cdr = refused(switch, sipp, pair.number, "locked", 403)
    assert cdr["end_reason"] == "AccountLocked"
    run(switch, "accounts", "unlock", "acme")
    run(switch, "gateways", "unlock", pair.first_name)
    wait_until(lambda: all_have_looked(switch), "each worker has looked", 5)
    first = sipp("gateway_answers", port=pair.first, hold_ms=100)
    caller = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="free", hold_ms=100
    )
    caller.succeeds()
    first.succeeds()
    assert switch.cdr("free")["gateway"] == pair.first_name
    switch.is_idle()


def test_a_call_is_ended_by_command_on_both_sides(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, hold_ms=100)
    caller = sipp(
        "caller_is_hung_up_on", target=switch.port, number=pair.number, call_id="kill-me"
    )
    wait_until(lambda: "talking" in run(switch, "calls", "list"), "the call is answered", 8)
    call = json.loads(run(switch, "calls", "list", "--json").splitlines()[0])
    assert (call["callee"], call["gateway"]) == (pair.number, pair.first_name)
    assert run(switch, "calls", "show", call["id"][-8:]).startswith("id ")
    told = run(switch, "calls", "kill", call["id"], "--note", "fraud")
    assert told.startswith(f"call {call['id']} is over")
    caller.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("kill-me")
    assert (cdr["end_reason"], cdr["end_side"]) == ("OperatorKill", "server")
    assert any(line.startswith("ended by ") for line in cdr["decision"])
    assert run(switch, "calls", "list").startswith("No call is in progress.")
    assert "no call in progress has the Call-ID" in run(switch, "calls", "kill", call["id"], code=1)
    row = json.loads(run(switch, "audit", "--json").splitlines()[0])
    assert (row["command"], row["what"], row["why"]) == ("kill", f"call {call['id']}", "fraud")
    switch.is_idle()


def test_an_account_that_is_removed_while_it_talks_pays_by_what_the_call_began_with(
    run_switch, peer
) -> None:
    """Added, given rates, called with, removed, its deck loaded anew, and the call ended."""
    switch = run_switch(Routes(pairs=1, more="deck loaded {}\n"), workers=2)
    pair = switch.routes.pair()
    rates = switch.folder / "rates.csv"
    rates.write_text(f"prefix,rate_per_min\n{pair.prefix},0.60\n")
    run(switch, "load", "rates", str(rates), "--deck", "loaded")
    run(switch, "accounts", "add", "top", "balance=5.00", "deck=loaded")
    run(switch, "accounts", "add", "sub", "agent=top", "balance=2.00", "deck=loaded")
    run(switch, "trunks", "add", "sub/far", "ips=127.0.0.9")

    caller, gateway = peer(host="127.0.0.9"), peer(pair.first)
    call = Call(caller, switch.port, pair.number, call_id="removed@x")
    call.invite()
    gateway.reply(gateway.expect("INVITE"), 200, tag="g", body=ANSWER)
    call.ack(caller.expect(200))
    gateway.expect("ACK")
    held = switch.ask_live(lambda live: [live.money(name).reserved for name in ("sub", "top")])
    assert held == [600_000, 600_000]

    assert "has trunk sub/far: remove it before" in run(switch, "accounts", "remove", "sub", code=1)
    run(switch, "trunks", "remove", "sub/far")
    run(switch, "accounts", "remove", "sub")
    rates.write_text(f"prefix,rate_per_min\n{pair.prefix},60.00\n")
    run(switch, "load", "rates", str(rates), "--deck", "loaded")
    run(switch, "calls", "kill", "removed@x")
    for side in (caller, gateway):
        side.reply(side.expect("BYE"), 200)

    cdr = switch.cdr("removed@x")
    assert (cdr["end_reason"], cdr["account"], cdr["agent_path"]) == (
        "OperatorKill", "sub", "top/sub",
    )
    cents = -(-(cdr["duration_ms"] - 49) // 1000)  # 0.60 a minute is a cent a second
    amounts = {one["account"]: float(one["amount"]) for one in cdr["charges"]}
    assert amounts == {"sub": cents / 100, "top": cents / 100}
    switch.is_idle()
    left = switch.ask_live(lambda live: [tuple(live.money(name)) for name in ("sub", "top")])
    assert left == [(2_000_000 - cents * 10_000, 0), (5_000_000 - cents * 10_000, 0)]
    assert "every balance is the sum" in run_on_state(switch, "ledger", "verify")
    told = run(switch, "accounts", "add", "sub", "agent=top", "balance=9.00", "deck=loaded")
    assert f"its balance stays {2 - cents / 100:.2f}" in told


def run_on_state(switch: Switch, *words: str) -> str:
    done = switch.command(*words, "--state", str(switch.state))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def all_have_looked(switch: Switch) -> bool:
    """Whether every worker has had its turn of the second since the last order."""
    version_at = (switch.state / "objects.lmdb" / "data.mdb").stat().st_mtime_ns // 1_000_000
    beats = switch.ask_live(lambda live: live.heartbeats())
    return all(beat > version_at + 50 for beat in beats.values())
