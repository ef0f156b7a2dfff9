"""Processes killed at random moments while calls run, and what has to be true afterwards.

Two kinds of calls go on all the time: some are answered, last, and are paid for; some are refused
by the gateway. Those that are answered were dialled to a phone that forwards: the caller's account,
the agent above it, the phone's account and the vendor all pay. Phones are registered before. Each
process in turn is killed with kill -9, the supervisor too, after which the router is started again.
In the end every call has one CDR, whoever died; every line is free and nothing reserved; every
charge is what its duration costs; and the books are in order.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from harness.handset import Handset
from harness.ports import wait_until
from harness.processes import alive
from harness.routes import Routes
from harness.sipp import Sipp
from harness.switch import Switch
from harness.wire import Peer

from router.billing.rate import Rate, rate_call

PRICE = 600_000
"""Millionths a minute: a second costs a hundredth, so that every wrong second shows."""
HOLD_MS = 2_500
DECK = "prefix,rate_per_min\n7,0.6\n3,0.6\n"
FORWARDS = "3999"
PAYERS = ["acme", "owner", "top", "vendor"]
PHONES = [str(number) for number in range(3001, 3006)]
ACCOUNTS = """
deck retail { file = "retail.csv" }
account top { balance = 1000  deck = retail }
account vendor { balance = 1000 }
account owner {
    balance = 1000
    deck    = retail
    phone 3999 { password = "secret"  forward_always = "7000555" }
}
account acme {
    agent   = top
    balance = 1000
    lines   = 5000
    deck    = retail
    trunk office { ips = 127.0.0.1 }
""" + "".join(f'    phone {number} {{ password = "secret" }}\n' for number in PHONES) + "}\n"
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
            if (registered($rU)) call(phone($rU));
            call(gateways($rU), on_failure = NEXT);
        }
        default: reply(405);
    }
}
failure_route[NEXT] { next(); }
"""
POSTS = ("worker 0", "worker 1", "ledger", "metrics", "supervisor")


def routes() -> Routes:
    """What the router runs."""
    paid = {"deck": "retail", "clearing": "vendor"}
    return Routes(pairs=2, accounts=ACCOUNTS, policy=POLICY, first=paid)


@dataclass(slots=True)
class Havoc:
    """One run: `seconds` of calls, a kill every second or so, by a seed that tells it again."""

    switch: Switch
    seed: int
    seconds: float
    rate: int
    kills: Counter[str] = field(default_factory=Counter)

    def run(self, sipp: Any, peer: Any) -> None:
        """Plays it and checks everything; AssertionError names the seed."""
        print(f"seed {self.seed}")
        rng = random.Random(self.seed)
        (self.switch.folder / "retail.csv").write_text(DECK)
        self.switch.start()
        phones = [self._register(peer(), number) for number in PHONES]
        talks, refusals, gateways = self._calls(sipp)
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            time.sleep(rng.uniform(0.4, 1.6))
            self._kill(rng.choice(POSTS), rng)
        for run in (talks, refusals):
            run.wait()
        for gateway in gateways:
            gateway.stop()
        self._check(talks, refusals, phones)

    def _register(self, peer: Peer, number: str) -> str:
        handset = Handset(peer, self.switch.port, number)
        answer = handset.register(f"Contact: {handset.contact};expires=3600")
        assert answer.status == 200, answer
        return number

    def _calls(self, sipp: Any) -> tuple[Sipp, Sipp, list[Sipp]]:
        limit_s = int(self.seconds) + 50
        more = {"messages": False, "limit_s": limit_s}
        answered, refused = self.switch.routes.pair(), self.switch.routes.pair()
        assert answered.number == "7000555"
        count = int(self.seconds * self.rate)
        gateways = [
            sipp("gateway_answers", port=answered.first, calls=10 * count, **more),
            sipp(
                "gateway_refuses", port=refused.first, calls=10 * count,
                changes={"503 Service Unavailable": "486 Busy Here"}, **more,
            ),
        ]
        talks = sipp(
            "caller_hangs_up", target=self.switch.port, number=FORWARDS, call_id="talk",
            calls=count, rate=self.rate, hold_ms=HOLD_MS, **more,
        )
        refusals = sipp(
            "caller_is_refused", target=self.switch.port, number=refused.number, call_id="busy",
            calls=count, rate=self.rate, changes={'response="404"': 'response="486"'}, **more,
        )
        return talks, refusals, gateways

    def _kill(self, post: str, rng: random.Random) -> None:
        switch = self.switch
        if post == "supervisor":
            switch.kill()
            time.sleep(rng.uniform(0.0, 0.5))
            switch.start()
        else:
            pid = next((one for name, one in switch.posts().items() if name == post), 0)
            if not pid:
                return  # it has not come back from the last time
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not alive(pid), f"{post} dies")
        self.kills[post] += 1

    def _check(self, talks: Sipp, refusals: Sipp, phones: list[str]) -> None:
        switch = self.switch
        switch.is_idle(45)  # 64*T1 for an answer that nobody acknowledged
        switch.metric_reaches(0, "cdr_backlog", 15)
        cdrs = switch.all_cdrs()
        told = f"seed {self.seed}, kills {dict(self.kills)}"
        for run, name in ((talks, "talk"), (refusals, "busy")):
            per_call = Counter(
                cdr["call_id"] for cdr in cdrs if cdr["call_id"].startswith(f"{name}-")
            )
            twice = {call: count for call, count in per_call.items() if count != 1}
            assert not twice, f"{told}: more than one CDR: {twice}"
            missing = run.calls - len(per_call)
            assert missing == 0, f"{told}: {missing} calls of {name} have no CDR"
        for cdr in cdrs:
            self._check_bill(cdr, told)
        done = switch.command("ledger", "verify", "--state", str(switch.state))
        assert done.returncode == 0, f"{told}: {done.stdout}{done.stderr}"
        reserved = switch.ask_live(
            lambda live: {
                name: money.reserved for name, money in live.monies().items() if money.reserved
            }
        )
        assert reserved == {}, f"{told}: {reserved} stays reserved"
        online = switch.ask_live(
            lambda live: [one for one in phones if live.registration(one, 0) is not None]
        )
        assert online == phones, f"{told}: registrations are lost"

    def _check_bill(self, cdr: dict[str, Any], told: str) -> None:
        expected = 0
        if cdr["answered"]:
            assert cdr["duration_ms"] == cdr["ended"] - cdr["answered"], f"{told}: {cdr}"
            expected = rate_call(Rate("7", PRICE), cdr["duration_ms"])[1]
            # What the caller hung up lasted as long as it meant to; what SIPp gave up on may not.
            assert cdr["end_reason"] in ("Normal", "ConnectionTimeout"), f"{told}: {cdr}"
        charge = int(cdr["charge"].replace(".", ""))
        assert charge == expected, f"{told}: charged {charge}, {expected} is right: {cdr}"
        paid = {one["account"]: int(one["amount"].replace(".", "")) for one in cdr["charges"]}
        who = PAYERS if cdr["answered"] else []
        assert paid == dict.fromkeys(who, expected), f"{told}: {who} pay {expected} each: {cdr}"
