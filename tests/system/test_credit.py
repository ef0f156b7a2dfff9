"""Accounts, agents and money with real peers: who is refused and why, and credit that runs out."""

from __future__ import annotations

import os
import signal
from decimal import Decimal
from typing import Any

import pytest
from harness.ports import wait_until
from harness.routes import Routes
from harness.switch import Switch

RATES = """\
prefix,rate_per_min,first_s,cycle_s,kind
7,0.60,1,1,national
"""
NARROW = "prefix,rate_per_min\n9,0.60\n"
ACCOUNTS = """
deck retail { file = "retail.csv" }
deck narrow { file = "narrow.csv" }
account locked   { status = locked  trunk t { ips = 127.0.0.11 } }
account closed   { status = locked }
account below    { agent = closed  trunk t { ips = 127.0.0.12 } }
account expired  { expires = 2020-01-01  trunk t { ips = 127.0.0.13 } }
account poor     { deck = retail  balance = 0.59  trunk t { ips = 127.0.0.14 } }
account unpriced { deck = narrow  trunk t { ips = 127.0.0.15 } }
account local    { deck = retail  permit = net, local  trunk t { ips = 127.0.0.16 } }
account single   { lines = 1 }
account branch   { agent = single  trunk t { ips = 127.0.0.17 } }
account slow     { cps = 1  trunk t { ips = 127.0.0.18 } }
account seconds {
    deck = retail  balance = 0.03  reserve_minutes = 0
    trunk t { ips = 127.0.0.19 }
}
account shared {
    deck = retail  balance = 0.06  reserve_minutes = 0
    trunk t { ips = 127.0.0.20 }
}
account tough {
    deck = retail  balance = 0.05  reserve_minutes = 0
    trunk t { ips = 127.0.0.21 }
}
account top      { deck = retail  balance = 0.04  reserve_minutes = 0 }
account payer    { agent = top  deck = retail  balance = 5  trunk t { ips = 127.0.0.22 } }
"""


def start(run: Any, workers: int, pairs: int = 12) -> Switch:
    switch = run(Routes(pairs=pairs, accounts=ACCOUNTS), workers=workers, start=False)
    (switch.folder / "retail.csv").write_text(RATES)
    (switch.folder / "narrow.csv").write_text(NARROW)
    return switch.start()


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    return start(module_switch, 2)


def money(switch: Switch, account: str) -> tuple[int, int]:
    """Balance and reserve, in millionths."""
    found = switch.ask_live(lambda live: live.money(account))
    return found.balance, found.reserved


@pytest.mark.parametrize(
    ("ip", "status", "reason", "why"),
    [
        ("127.0.0.11", 403, "AccountLocked", "account locked is locked"),
        ("127.0.0.12", 403, "AccountLocked", "agent closed of account below is locked"),
        ("127.0.0.13", 403, "AccountExpired", "account expired was valid until 2020-01-01"),
        ("127.0.0.14", 402, "InsufficientBalance", "0.6 needed, balance 0.59, reserved 0"),
        ("127.0.0.15", 403, "RateNotFound", "in deck narrow"),
        ("127.0.0.16", 403, "CallNotPermitted", "is national, account local permits local, net"),
    ],
)
def test_a_call_that_its_account_may_not_make(
    switch: Switch, sipp, peer, ip: str, status: int, reason: str, why: str
) -> None:
    pair = switch.routes.pair()
    gateway = peer(pair.first)
    sipp(
        "caller_is_refused",
        target=switch.port,
        number=pair.number,
        call_id=reason + ip,
        ip=ip,
        changes={'response="404"': f'response="{status}"'},
    ).succeeds()
    gateway.hears_nothing(0.2)
    cdr = switch.cdr(reason + ip)
    assert (cdr["end_reason"], cdr["sip_code"], cdr["charge"]) == (reason, status, "0.000000")
    assert why in cdr["decision"][-1]
    switch.is_idle()


def test_an_agents_lines_are_those_of_the_accounts_below_it(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first)
    talking = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="branch-talk",
        ip="127.0.0.17",
        hold_ms=2000,
    )
    wait_until(lambda: switch.ask_live(lambda live: live.active_calls()) == 1, "a call is up", 5)
    sipp(
        "caller_is_refused",
        target=switch.port,
        number=pair.number,
        call_id="branch-no",
        ip="127.0.0.17",
        changes={'response="404"': 'response="503"'},
    ).succeeds()
    cdr = switch.cdr("branch-no")
    assert (cdr["end_reason"], cdr["agent_path"]) == ("ConnectionLimitExceeded", "single/branch")
    assert cdr["decision"][-1] == "account:single: every line in use"
    talking.succeeds()
    gateway.succeeds()
    switch.is_idle()


def test_calls_per_second_of_an_account_are_kept(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    sipp("gateway_answers", port=pair.first, calls=1)
    callers = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="slow",
        ip="127.0.0.18",
        calls=3,
        rate=100,
        hold_ms=100,
    )
    assert callers.wait() == 1, "two of the three are refused"
    refused = [one for one in switch.cdrs("slow", 3) if one["end_reason"] != "Normal"]
    assert [one["end_reason"] for one in refused] == ["ConnectionLimitExceeded"] * 2
    assert refused[0]["decision"][-1] == "account:slow: calls per second used up"
    switch.is_idle()


def runs_out(
    switch: Switch, sipp, ip: str, name: str, calls: int = 1
) -> tuple[Any, Any]:
    """Calls that nobody hangs up; whoever gets no BYE fails."""
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, calls=calls)
    caller = sipp(
        "caller_is_hung_up_on",
        target=switch.port,
        number=pair.number,
        call_id=name,
        ip=ip,
        calls=calls,
        rate=100,
    )
    return gateway, caller


def test_credit_runs_out_and_both_sides_hear_bye(switch: Switch, sipp) -> None:
    gateway, caller = runs_out(switch, sipp, "127.0.0.19", "seconds")
    caller.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("seconds")
    assert (cdr["end_reason"], cdr["end_side"]) == ("InsufficientBalance", "server")
    assert (cdr["charge"], cdr["billed_s"]) == ("0.030000", 3)
    assert 3000 <= cdr["duration_ms"] <= 4000, "within a second of the exact moment"
    assert "used up" in cdr["decision"][-1]
    assert money(switch, "seconds") == (0, 0)
    switch.is_idle()


def test_two_calls_use_the_last_credit_together_and_not_more(switch: Switch, sipp) -> None:
    gateway, caller = runs_out(switch, sipp, "127.0.0.20", "shared", calls=2)
    caller.succeeds()
    gateway.succeeds()
    cdrs = switch.cdrs("shared", 2)
    assert {cdr["end_reason"] for cdr in cdrs} == {"InsufficientBalance"}
    assert sum(Decimal(cdr["charge"]) for cdr in cdrs) == Decimal("0.06")
    assert money(switch, "shared") == (0, 0)
    switch.is_idle()


def test_an_agents_credit_ends_the_call_and_each_level_pays(switch: Switch, sipp) -> None:
    gateway, caller = runs_out(switch, sipp, "127.0.0.22", "levels")
    caller.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("levels")
    assert (cdr["end_reason"], cdr["agent_path"]) == ("InsufficientBalance", "top/payer")
    assert [(one["account"], one["kind"], one["amount"]) for one in cdr["charges"]] == [
        ("payer", "retail", "0.040000"), ("top", "agent", "0.040000"),
    ]
    assert (money(switch, "payer"), money(switch, "top")) == ((4_960_000, 0), (0, 0))
    shown = switch.command("cdr", "show", cdr["id"], "--state", str(switch.state))
    assert "top" in shown.stdout and "agent" in shown.stdout, shown.stdout


def test_credit_ends_in_time_although_the_worker_died(run_switch, sipp) -> None:
    switch = start(run_switch, 1, pairs=1)
    gateway, caller = runs_out(switch, sipp, "127.0.0.21", "tough")
    wait_until(
        lambda: any(call.answered for call in switch.ask_live(lambda live: list(live.calls()))),
        "the call is answered",
    )
    (worker,) = switch.worker_pids()
    os.kill(worker, signal.SIGKILL)
    caller.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("tough")
    assert (cdr["end_reason"], cdr["charge"]) == ("InsufficientBalance", "0.050000")
    assert 5000 <= cdr["duration_ms"] <= 6500
    assert money(switch, "tough") == (0, 0)
    switch.is_idle()


RACE = """
deck retail { file = "retail.csv" }
account crowd {
    deck        = retail
    lines       = 10
    balance     = 30.00
    balance_low = 15.00
    trunk t { ips = 127.0.0.1 }
}
event_route[balance:low] { log(warning, "low: " + $account.id); }
"""
MINUTES = "prefix,rate_per_min,first_s,cycle_s\n7,0.60,60,60\n"


def test_four_workers_give_200_callers_ten_lines_and_credit_for_50_calls(run_switch, sipp) -> None:
    switch = run_switch(Routes(pairs=1, accounts=RACE), workers=4, start=False)
    (switch.folder / "retail.csv").write_text(MINUTES)
    switch.start()
    pair = switch.routes.pair()
    sipp("gateway_answers", port=pair.first, calls=50, limit_s=40)
    callers = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="crowd",
        calls=200,
        rate=80,
        hold_ms=200,
        limit_s=40,
    )
    used: list[int] = []
    left: list[int] = []

    def over() -> bool:
        used.append(switch.in_use().get("account:crowd", 0))
        balance, reserved = money(switch, "crowd")
        left.append(balance - reserved)
        return callers.process.poll() is not None

    wait_until(over, "all have called", 40, every=0.02)
    cdrs = switch.cdrs("crowd", 200, seconds=15)
    answered = [cdr for cdr in cdrs if cdr["end_reason"] == "Normal"]
    refused = {cdr["end_reason"] for cdr in cdrs} - {"Normal"}
    assert refused == {"InsufficientBalance", "ConnectionLimitExceeded"}
    assert (len(answered), sum(Decimal(cdr["charge"]) for cdr in answered)) == (50, 30)
    assert max(used) <= 10, "never more lines than there are"
    assert min(left) >= 0, "never below the floor"
    assert money(switch, "crowd") == (0, 0)
    assert switch.log(1 << 30).count("low: crowd") == 1
    switch.is_idle()
    verified = switch.command("ledger", "verify", "--state", str(switch.state))
    assert verified.returncode == 0, verified.stdout + verified.stderr
