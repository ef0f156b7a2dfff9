"""A worker for test_hunting_races: hunts through random tables beside others like it.

Arguments: folder of the live state, slot, seed, seconds. The table follows from the seed and is
the same in all workers. It prints "ready", waits for a line, hunts until the time is over, ends
what it holds and prints one JSON object: when it took which gateway, and what it saw over a limit.
"""

from __future__ import annotations

import json
import random
import sys
import time
from itertools import count

from router.core.protect import NEVER, protected_last
from router.routing.objects import DEFAULT_SWITCH_ON, Gateway, Group
from router.routing.selection import PrefixTable, with_reserves
from router.store.live import LmdbLive
from router.store.ops import UNLIMITED, Admit, Finish, Rehunt, Tiers, untried
from router.store.records import CallRecord, Cdr


class Table:
    """Random gateways and groups."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        self.groups = {
            name: Group(name, dice.randint(3, 6), UNLIMITED, dice.randint(0, 2)) for name in "xy"
        }
        self.gateways = [
            Gateway(
                f"g{index}", "udp", "10.0.0.1", 5060,
                tuple(dice.sample(["", "1", "12", "2"], 2)), dice.randint(1, 2),
                dice.choice([2, 3, 5]), DEFAULT_SWITCH_ON, False, False, {},
                cps=dice.choice([UNLIMITED, 15, 40]),
                group=self.groups.get(dice.choice(["x", "y", ""])),
                protect_ms=dice.choice([None, None, NEVER]),
            )
            for index in range(8)
        ]
        self.by_key = {one.key: one for one in self.gateways}
        self.prefixes = PrefixTable(self.gateways)
        self.protected = {
            one.key: one.protect_ms for one in self.gateways if one.protect_ms is not None
        }

    def tiers(self, number: str, groups: frozenset[str]) -> Tiers:
        """What a call to a number is offered; `groups` are those that its trunk names."""
        tiers = self.prefixes.find(number).tiers
        if groups:
            outside = [
                key for key, one in self.by_key.items()
                if one.group is None or one.group.name not in groups
            ]
            tiers = with_reserves(untried(tiers, outside), groups, self.by_key)
        return protected_last(tiers, self.protected, 0)

    def over(self, live: LmdbLive) -> list[str]:
        """Limits that are passed now."""
        limits = {one.key: one.lines for one in self.gateways}
        limits |= {f"group:{one.name}": one.lines for one in self.groups.values()}
        return [
            f"{key}: {usage.in_use} of {limits[key]}"
            for key, usage in {**live.usages("gateway:"), **live.usages("group:")}.items()
            if usage.in_use > limits[key]
        ]


def main() -> None:
    """Hunt, then tell what was done."""
    path, slot, seed, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    table = Table(seed)
    dice = random.Random(seed * 31 + slot)
    live = LmdbLive(path, slot=slot, map_bytes=64 << 20)
    taken: list[tuple[str, int]] = []
    over: list[str] = []
    refused = 0
    held: list[tuple[CallRecord, Tiers, list[str]]] = []
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + seconds
    for number in count():
        if time.monotonic() > end:
            break
        now_ms = time.time_ns() // 1_000_000
        if held and (len(held) > 12 or dice.random() < 0.3):
            record, tiers, tried = held.pop(dice.randrange(len(held)))
            if dice.random() < 0.5:
                [answer] = live.commit([Rehunt(record, untried(tiers, tried))], now_ms)
                live_on = answer is not None and bool(record.gateway)
            else:
                live_on = False
            if not live_on:
                live.commit([Finish(record.id, Cdr(id=record.id))], now_ms)
                continue
        else:
            groups = dice.choice([frozenset[str](), frozenset("x"), frozenset("xy")])
            tiers, tried = table.tiers(dice.choice(["1234", "2", "12"]), groups), []
            record = CallRecord(id=f"{seed:08x}-{slot}-{number:08x}", slot=slot)
            live.commit([Admit(record, (), tiers)], now_ms)
            if not record.gateway:
                refused += 1
                continue
        tried.append(record.gateway)
        taken.append((record.gateway, now_ms))
        held.append((record, tiers, tried))
        over += table.over(live)
    over += live.verify()
    live.commit([Finish(record.id, Cdr(id=record.id)) for record, _, _ in held], 1)
    print(json.dumps({"taken": taken, "over": over[:20], "refused": refused}), flush=True)
    live.close()


if __name__ == "__main__":
    main()
