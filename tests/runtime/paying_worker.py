"""A worker for test_money_races: callers of one account, beside other workers like it.

Arguments: state folder, slot, seed, callers, need, more, seconds. Every caller tries until it got
a line and the credit `need`, or until credit is refused. Then it renews its credit by `more`, by
what is left when that is not to be had, and ends; it is charged all it has reserved. With `seconds`
callers come again and again for that time, and payments with them.

It prints "ready", waits for a line, works, and prints one JSON object. A worker that was killed
leaves its calls: the next with its slot ends them.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from router.store.live import LmdbLive
from router.store.ops import Admit, Candidate, Credit, Finish, Funds, Hold, Renew
from router.store.records import CallRecord, Cdr, Charge

LINES = 10
FLOOR = -7
PAUSE_S = 0.002
"""So that one process is not through before the next has begun."""
HOLD = Hold("account:acme", LINES)
TIERS = ((Candidate("gateway:a", credits=(Credit("carrier", 1, -(1 << 60)),)),),)


class Worker:
    """The callers of one process and what was seen meanwhile."""

    def __init__(self, state: Path, slot: int, seed: int) -> None:
        self.slot = slot
        self.live = LmdbLive(state / "live.lmdb", slot=slot, map_bytes=64 << 20)
        self.dice = random.Random(seed)
        self.seed = seed
        self.talking = list(self.live.calls_of_slot(slot))
        self.number = 0
        self.told: dict[str, Any] = {
            "admitted": 0, "refused": 0, "lines": 0, "over": [], "renewed": 0, "partly": 0,
        }

    def try_to_call(self, need: int) -> str:
        """One try: "" when it talks now, else what was in the way."""
        self.number += 1
        record = CallRecord(f"{self.seed:08x}-{self.slot}-{self.number:06}", slot=self.slot)
        credit = Credit("acme", need, FLOOR)
        (answer,) = self.live.commit([Admit(record, (HOLD,), TIERS, (credit,))], 1)
        assert answer is not None
        if answer.gateway is None:
            self.told["refused"] += 1
            return answer.refused or "?"
        self.told["admitted"] += 1
        self.talking.append(record)
        return ""

    def renew(self, record: CallRecord, more: int) -> None:
        (answer,) = self.live.commit([Renew(record, (Credit("acme", more, FLOOR),), 2)], 1)
        assert answer is not None
        left = min(more, answer.free.get("acme", 0))
        if answer.granted:
            self.told["renewed"] += 1
        elif left:
            rest = Credit("acme", left, FLOOR)
            (answer,) = self.live.commit([Renew(record, (rest,), 2)], 1)
            self.told["partly"] += answer.granted

    def end(self, record: CallRecord) -> None:
        charges = [Charge(account, amount) for account, amount in record.reserved]
        charges += [Charge(account, amount, "vendor") for account, amount in
                    record.gateway_reserved]
        cdr = Cdr(record.id, account="acme", answered=1, ended=2, charges=charges)
        self.live.commit([Finish(record.id, cdr)], 1)

    def look(self) -> None:
        """What no moment may show."""
        usage = self.live.usage("account:acme").in_use
        money = self.live.money("acme")
        self.told["lines"] = max(self.told["lines"], usage)
        if usage > LINES or money.balance - money.reserved < FLOOR:
            self.told["over"].append((usage, *money))

    def work(self, callers: int, need: int, more: int, until: float) -> None:
        waiting = callers
        while waiting or self.talking:
            time.sleep(self.dice.random() * PAUSE_S)
            if waiting and (not self.talking or self.dice.random() < 0.6):
                obstacle = self.try_to_call(need)
                # Who meets a busy account tries again, who meets an empty one gives up.
                waiting -= not obstacle.startswith("account:")
            elif self.talking:
                record = self.talking.pop(self.dice.randrange(len(self.talking)))
                if more:
                    self.renew(record, self.dice.randint(1, more))
                self.end(record)
            self.look()
            if time.monotonic() < until:
                waiting = max(waiting, 1)
                if self.dice.random() < 0.1:
                    id = f"{self.seed:08x}-{self.slot}-{self.number:06}-paid"
                    self.live.commit([Funds(id, "acme", self.dice.randint(1, 40))], 1)


def main() -> None:
    """Work, then tell what was done."""
    state, slot, seed, callers, need, more = sys.argv[1], *map(int, sys.argv[2:7])
    seconds = float(sys.argv[7])
    worker = Worker(Path(state), slot, seed)
    print("ready", flush=True)
    sys.stdin.readline()
    worker.work(callers, need, more, time.monotonic() + seconds)
    print(json.dumps(worker.told), flush=True)
    worker.live.close()


main()
