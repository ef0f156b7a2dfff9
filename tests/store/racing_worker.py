"""A worker for test_races: admits and ends calls as fast as it can, beside others like it.

Arguments: folder of the live state, slot, seed, seconds. It prints "ready", waits for a line,
works until the time is over, ends what it still holds, and prints one JSON object. A worker that
was killed leaves its calls: the next with its slot adopts them.
"""

from __future__ import annotations

import json
import random
import sys
import time

from router.store.live import LmdbLive
from router.store.ops import Admit, Candidate, Finish, Hold, Leave, Op, Rehunt
from router.store.records import CallRecord, Cdr

HOLDS = (Hold("account:acme", 12), Hold("server:", 20))
TIERS = ((Candidate("gateway:a", 4), Candidate("gateway:b", 6)), (Candidate("gateway:c", 5),))
LIMITS = {"account:acme": 12, "server:": 20, "gateway:a": 4, "gateway:b": 6, "gateway:c": 5}


RINGING = (1, 1, 2, 3)


def leave(record: CallRecord, dice: random.Random) -> Leave:
    """One of the gateways of a call that rings several leaves; another one stays, if there is."""
    ringing = [key for key in (record.gateway, *record.holds) if key.startswith("gateway:")]
    gone = dice.choice(ringing) if ringing else "gateway:a"
    stay = [key for key in ringing if key != gone]
    return Leave(record, (Candidate(gone, LIMITS[gone]),), stay[0] if stay else "")


def main() -> None:
    """Work, then tell what was done."""
    path, slot, seed, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    dice = random.Random(seed)
    live = LmdbLive(path, slot=slot, map_bytes=64 << 20)
    held = list(live.calls_of_slot(slot))
    told = {"seed": seed, "adopted": len(held), "taken": 0, "refused": 0, "over": []}
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        ops: list[Op] = []
        admitted = []
        for _ in range(dice.randint(1, 3)):
            if held and dice.random() < 0.4:
                record = held.pop(dice.randrange(len(held)))
                ops.append(Finish(record.id, Cdr(id=record.id)))
            elif held and dice.random() < 0.3:
                ops.append(Rehunt(dice.choice(held), TIERS, dice.choice(RINGING)))
            elif held and dice.random() < 0.3:
                ops.append(leave(dice.choice(held), dice))
            else:
                number += 1
                record = CallRecord(id=f"{seed:08x}-{slot}-{number:08x}", slot=slot)
                ops.append(Admit(record, HOLDS, TIERS, branches=dice.choice(RINGING)))
                admitted.append(record)
        answers = live.commit(ops, 1)
        told["taken"] += sum(
            1 + len(answer.others) for answer in answers
            if answer is not None and answer.gateway is not None
        )
        told["refused"] += sum(answer is not None and answer.gateway is None for answer in answers)
        held += [record for record in admitted if record.gateway]
        told["over"] += [
            (key, live.usage(key).in_use)
            for key, limit in LIMITS.items()
            if live.usage(key).in_use > limit
        ]
        if number % 50 == 0:
            told["over"] += live.verify()
    live.commit([Finish(record.id, Cdr(id=record.id)) for record in held], 1)
    print(json.dumps(told), flush=True)
    live.close()


main()
