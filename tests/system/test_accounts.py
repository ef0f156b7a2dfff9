"""Money given by command to a running router, spent by real calls, and proven afterwards."""

from __future__ import annotations

import json

import pytest
from harness.routes import Routes
from harness.switch import Switch

RATES = "prefix,rate_per_min,connect_fee,first_s,cycle_s\n7,0.60,0.05,60,60\n"
ACCOUNTS = """
deck retail { file = "retail.csv" }
account poor { deck = retail  balance = 0.10  trunk t { ips = 127.0.0.31 } }
account carrier { deck = retail  balance = 10 }
"""
LATE = 'account late { deck = retail  balance = 3  trunk t { ips = 127.0.0.32 } }\n'


def make(run_switch) -> Switch:
    paid = {"deck": "retail", "clearing": "carrier"}
    switch = run_switch(Routes(pairs=4, accounts=ACCOUNTS, first=paid), workers=2, start=False)
    (switch.folder / "retail.csv").write_text(RATES)
    return switch.start()


def run(switch: Switch, *words: str, code: int = 0) -> str:
    """A command's output, with the options that name the router."""
    if words[0] == "accounts":
        words = (*words, "--config", str(switch.file))
    done = switch.command(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def balances(switch: Switch) -> dict[str, str]:
    lines = run(switch, "ledger", "balances", "--json", "--state", str(switch.state))
    return {one["account"]: one["balance"] for one in map(json.loads, lines.splitlines())}


def verified(switch: Switch) -> bool:
    told = run(switch, "ledger", "verify", "--json", "--state", str(switch.state))
    return bool(json.loads(told)["sound"])


def call(switch: Switch, sipp, call_id: str, ip: str) -> dict:
    """A call of half a second that is answered; its CDR."""
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, hold_ms=500)
    caller = sipp(
        "caller_hangs_up",
        target=switch.port, number=pair.number, call_id=call_id, ip=ip, hold_ms=500,
    )
    caller.succeeds()
    gateway.succeeds()
    return switch.cdr(call_id)


def refused(switch: Switch, sipp, call_id: str, ip: str, status: int) -> dict:
    caller = sipp(
        "caller_is_refused",
        target=switch.port, number=switch.routes.pair().number, call_id=call_id, ip=ip,
        changes={'response="404"': f'response="{status}"'},
    )
    caller.succeeds()
    return switch.cdr(call_id)


@pytest.mark.parametrize("die", [False, True], ids=["stopped", "killed"])
def test_a_payment_lets_calls_through_and_outlives_the_router(
    run_switch, sipp, die: bool
) -> None:
    switch = make(run_switch)
    assert refused(switch, sipp, "poor", "127.0.0.31", 402)["end_reason"] == "InsufficientBalance"
    told = run(switch, "accounts", "topup", "poor", "1", "--note", "cash")
    assert told == "poor: 1.00 given, the balance is 1.10\n"
    cdr = call(switch, sipp, "paid", "127.0.0.31")
    assert (cdr["charge"], cdr["cost"]) == ("0.650000", "0.650000")
    switch.metric_reaches(0, "cdr_backlog")
    assert balances(switch) == {"carrier": "9.350000", "poor": "0.450000"}
    assert switch.metrics().value("account_balance", account="poor") == 0.45
    assert refused(switch, sipp, "again", "127.0.0.31", 402)["end_reason"] == "InsufficientBalance"
    assert verified(switch)

    if die:
        switch.kill()
    else:
        assert switch.stop() == 0
    assert verified(switch)
    # Whether one runs or not, the command is the same.
    assert run(switch, "accounts", "topup", "poor", "5").endswith("balance is 5.45\n")
    switch.start()
    assert call(switch, sipp, "later", "127.0.0.31")["charge"] == "0.650000"
    switch.metric_reaches(0, "cdr_backlog")
    assert balances(switch) == {"carrier": "8.700000", "poor": "4.800000"}
    rows = run(switch, "ledger", "show", "poor", "--json", "--state", str(switch.state))
    assert [json.loads(row)["kind"] for row in rows.splitlines()] == [
        "retail", "topup", "retail", "topup", "opening",
    ]
    assert verified(switch)


def test_an_account_that_a_reload_brings_is_opened_once(run_switch, sipp) -> None:
    switch = make(run_switch)
    switch.file.write_text(switch.file.read_text() + LATE)
    for _ in range(2):
        run(switch, "reload", "--state", str(switch.state))
        switch.file.write_text(switch.file.read_text() + "# changed\n")
    assert call(switch, sipp, "late", "127.0.0.32")["charge"] == "0.650000"
    switch.metric_reaches(0, "cdr_backlog")
    assert balances(switch)["late"] == "2.350000"
    assert verified(switch)


def test_wrong_input_is_one_line_and_gives_nothing(run_switch) -> None:
    switch = make(run_switch)
    for words, said in (
        (("pooor", "1"), "there is no account `pooor`: did you mean `poor`?"),
        (("poor", "1,50"), '"1,50" is no amount: give one such as 12.50'),
        (("poor", "-1"), "adds nothing: give more than 0"),
        (("poor", "1" * 30), "is too much: the most is 1000000000"),
    ):
        told = run(switch, "accounts", "topup", *words, code=1)
        assert said in told
        assert told.count("\n") == 1
    switch.metric_reaches(0, "cdr_backlog")
    assert balances(switch) == {"carrier": "10.000000", "poor": "0.100000"}
