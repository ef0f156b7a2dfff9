"""Which gateway of the offered tiers takes the call: pure, so that every backend orders alike.

The caller reads usage, pace and health inside the transaction that will take the lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from router.store.money import Moneys, short_of
from router.store.ops import Candidate, Hold

DOWN = "down"
FULL = "full"
TOO_FAST = "calls per second used up"
PACE_MS = 1_000
"""The time that calls per second are counted in."""


def choose_gateway(
    tiers: Sequence[Sequence[Candidate]],
    usage: Mapping[str, Sequence[int]],
    down_until: Mapping[str, int],
    now_ms: int,
    dropped: list[tuple[str, str]],
    pace: Callable[[str], int] = lambda key: 0,
    moneys: Callable[[], Moneys] = dict,
) -> Candidate | None:
    """The gateway to use, or None; appends the unusable ones seen to `dropped`, with the reason.

    Tiers in order; inside a tier the smallest in_use/limit (0 when unlimited), then the fewest
    handed, then the smallest key. `usage[key]` begins with in_use, handed; `down_until[key]` is
    epoch ms; both know every key, also of the candidates' holds. `pace(key)` are the calls of the
    last second, asked only where a limit is set; `moneys()` for the candidates' credits.
    A tier is looked at only when the ones before it have nothing.
    """
    for tier in tiers:
        best: Candidate | None = None
        best_load = 0.0
        best_handed = 0
        for candidate in tier:
            key = candidate.key
            limit = candidate.limit
            if down_until[key] > now_ms:
                dropped.append((key, DOWN))
                continue
            used = usage[key]
            in_use = used[0]
            if in_use >= limit >= 0:
                dropped.append((key, FULL))
                continue
            if candidate.cps >= 0 or candidate.holds or candidate.credits:
                why = _obstacle(candidate, usage, pace, moneys)
                if why:
                    dropped.append((key, why))
                    continue
            # Equal ratios of integers divide to equal floats, so 1/3 and 2/6 do tie.
            load = in_use / limit if limit > 0 else 0.0
            handed = used[1]
            if best is None or (load, handed, key) < (best_load, best_handed, best.key):
                best, best_load, best_handed = candidate, load, handed
        if best is not None:
            return best
    return None


def _obstacle(
    candidate: Candidate,
    usage: Mapping[str, Sequence[int]],
    pace: Callable[[str], int],
    moneys: Callable[[], Moneys],
) -> str:
    if 0 <= candidate.cps <= pace(candidate.key):
        return TOO_FAST
    for hold in candidate.holds:
        kind, _, name = hold.key.partition(":")
        if usage[hold.key][0] >= hold.limit >= 0:
            if hold.reserved:
                return f"the last {hold.reserved} lines of {kind} {name} are reserved"
            return f"every line of {kind} {name} in use"
        if 0 <= hold.cps <= pace(hold.key):
            return f"calls per second of {kind} {name} used up"
    short = short_of(moneys(), candidate.credits) if candidate.credits else ""
    return f"credit of account {short} used up" if short else ""


def paced(holds: Sequence[Hold], candidate: Candidate | None) -> list[str]:
    """The keys whose calls per second a call that was let through counts for."""
    keys = [hold.key for hold in holds if hold.cps >= 0]
    if candidate is not None:
        if candidate.cps >= 0:
            keys.append(candidate.key)
        keys += [hold.key for hold in candidate.holds if hold.cps >= 0]
    return keys
