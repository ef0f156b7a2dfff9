"""Rates loaded by command into a running router: the next call has the new price."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from harness.ports import wait_until
from harness.routes import Routes
from harness.switch import PROGRAM, Switch

ACCOUNTS = """
deck retail { }
account acme {
    deck = retail
    trunk office { ips = 127.0.0.1 }
}
"""


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    return module_switch(Routes(pairs=4, accounts=ACCOUNTS), workers=2)


def load(switch: Switch, price: str) -> None:
    rates = Path(switch.folder) / f"{price}.csv"
    rates.write_text(f"prefix,rate_per_min,first_s\n7,{price},60\n")
    command = [PROGRAM, "load", "rates", str(rates), "--deck", "retail"]
    subprocess.run([*command, "--config", str(switch.file)], check=True, timeout=60)


def test_a_load_counts_for_the_next_call_and_not_for_one_in_progress(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    caller = sipp(
        "caller_is_refused",
        target=switch.port,
        number=pair.number,
        call_id="before",
        changes={'response="404"': 'response="403"'},
    )
    caller.succeeds()
    assert switch.cdr("before")["end_reason"] == "RateNotFound"

    load(switch, "0.12")
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, hold_ms=100)
    during = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="during", hold_ms=2500
    )
    wait_until(lambda: switch.ask_live(lambda live: live.active_calls()) == 1, "a call is up", 5)
    load(switch, "0.30")
    during.succeeds()
    gateway.succeeds()
    assert switch.cdr("during")["charge"] == "0.120000"

    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, hold_ms=100)
    after = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="after", hold_ms=200
    )
    after.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("after")
    assert (cdr["end_reason"], cdr["rate_prefix"], cdr["charge"]) == ("Normal", "7", "0.300000")
    switch.is_idle()
