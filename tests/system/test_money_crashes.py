"""kill -9 at random moments while calls are charged: nothing is lost, or taken twice."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import defaultdict
from decimal import Decimal
from typing import Any

from harness.ports import wait_until
from harness.processes import alive
from harness.routes import Routes
from harness.switch import Switch
from harness.wire import ANSWER, Call

SECONDS = float(os.environ.get("CRASH_SECONDS", "8"))
SEED = int(os.environ.get("CRASH_SEED", random.randrange(2**32)))
CALLS_A_SECOND = 25
RATES = "prefix,rate_per_min,connect_fee,first_s,cycle_s\n7,0.60,0.001,1,1\n"
OPENING = {"top": 500, "rich": 500, "short": Decimal("0.2"), "carrier": 500}
ACCOUNTS = """
deck retail {{ file = "retail.csv" }}
account top     {{ deck = retail  balance = {top} }}
account rich    {{ agent = top  deck = retail  balance = {rich}  trunk t {{ ips = 127.0.0.1 }} }}
account short   {{
    agent = top  deck = retail  balance = {short}  reserve_minutes = 0
    trunk t {{ ips = 127.0.0.3 }}
}}
account carrier {{ deck = retail  balance = {carrier} }}
""".format(**OPENING)

VENDOR = """
deck vendor { file = "vendor.csv" }
account acme { trunk office { ips = 127.0.0.1 } }
"""


def kill_some(switch: Switch, dice: random.Random) -> None:
    """kill -9 of a worker or of the ledger, and a while in which the router gets over it."""
    victims = [pid for post, pid in switch.posts().items() if "worker" in post or "ledger" in post]
    if victims:
        victim = dice.choice(victims)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: not alive(victim), "it dies")
    time.sleep(dice.uniform(0.05, 1.2))


def test_money_is_right_to_the_last_unit_whatever_is_killed(run_switch, sipp) -> None:
    print(f"CRASH_SEED={SEED}")
    dice = random.Random(SEED)
    paid = {"deck": "retail", "clearing": "carrier"}
    routes = Routes(pairs=2, accounts=ACCOUNTS, first=paid, settings={"t1": "100ms"})
    switch = run_switch(routes, workers=2, start=False)
    (switch.folder / "retail.csv").write_text(RATES)
    switch.start()
    count = int(SECONDS * CALLS_A_SECOND)
    limit = {"messages": False, "limit_s": int(SECONDS) + 40}
    for number, (ip, scenario) in enumerate(
        (("127.0.0.1", "caller_hangs_up"), ("127.0.0.3", "caller_is_hung_up_on"))
    ):
        pair = switch.routes.pair()
        sipp("gateway_answers", port=pair.first, calls=10 * count, **limit)
        sipp(
            scenario,
            target=switch.port,
            number=pair.number,
            call_id=f"crash{number}",
            ip=ip,
            calls=count,
            rate=CALLS_A_SECOND,
            hold_ms=1500,
            **limit,
        )
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        kill_some(switch, dice)
    # Whoever lost its worker before the answer ends by itself, or by us when its credit is used up.
    switch.is_idle(seconds=60)
    switch.metric_reaches(0, "cdr_backlog", seconds=20)
    check_the_money(switch)


def check_the_money(switch: Switch) -> None:
    """Each balance is the opening less what the CDRs say, live and in the ledger."""
    cdrs = switch.all_cdrs()
    assert len({cdr["id"] for cdr in cdrs}) == len(cdrs)
    spent: defaultdict[str, Decimal] = defaultdict(Decimal)
    for cdr in cdrs:
        for charge in cdr["charges"]:
            spent[charge["account"]] += Decimal(charge["amount"])
    monies = switch.ask_live(lambda live: live.monies())
    for account, opening in OPENING.items():
        assert monies[account].reserved == 0, account
        assert Decimal(monies[account].balance).scaleb(-6) == opening - spent[account], account
    assert monies["short"].balance >= 0
    assert spent["rich"] and spent["carrier"], "calls were charged at all"
    assert spent["short"] > Decimal("0.18"), "the short account was used up"
    verified = switch.command("ledger", "verify", "--state", str(switch.state))
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_what_a_vendor_asks_is_by_the_prices_that_a_call_was_answered_at(run_switch, peer) -> None:
    """No clearing account: a reload, a dead worker and a power cut change nothing of a cost."""
    switch = run_switch(Routes(pairs=2, accounts=VENDOR, first={"deck": "vendor"}), start=False)
    rates = switch.folder / "vendor.csv"
    rates.write_text("prefix,rate_per_min\n7,0.60\n")
    switch.start()
    pair = switch.routes.pair()
    gateway = peer(pair.first)
    calls = []
    for _ in range(2):
        call = Call(peer(), switch.port, pair.number)
        call.invite()
        gateway.reply(gateway.expect("INVITE"), 200, tag="g", body=ANSWER)
        call.ack(call.peer.expect("200 INVITE"))
        gateway.expect("ACK")
        calls.append(call)
    rates.write_text("prefix,rate_per_min\n7,6.00\n")
    done = switch.command("reload", "--state", str(switch.state))
    assert done.returncode == 0, done.stdout + done.stderr
    os.kill(switch.worker_pids()[0], signal.SIGKILL)
    hung_up, cut_off = calls
    hung_up.bye()
    gateway.reply(gateway.expect("BYE", timeout=8), 200)
    costs_a_cent_a_second(switch.cdr(hung_up.call_id))
    time.sleep(2.5)  # until the ledger has heard of the other, and of a heartbeat
    switch.kill()
    shutil.rmtree(switch.state / "live.lmdb")  # as after a power cut: it belongs to another boot
    switch.start()
    cdr = switch.cdr(cut_off.call_id)
    assert cdr["end_reason"] == "SystemRestart"
    costs_a_cent_a_second(cdr)


def costs_a_cent_a_second(cdr: dict[str, Any]) -> None:
    (asked,) = cdr["cost_terms"]
    assert asked["rate"] == "0.600000"
    assert asked["billed_s"] == max(1, -(-(cdr["duration_ms"] - 49) // 1000))
    assert Decimal(cdr["cost"]) == asked["billed_s"] * Decimal("0.01")
