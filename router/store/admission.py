"""Which gateway of the offered tiers takes the call: pure, so that every backend orders alike.

The caller reads usage and health inside the transaction that will take the lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from router.store.ops import Candidate


def choose_gateway(
    tiers: Sequence[Sequence[Candidate]],
    usage: Mapping[str, Sequence[int]],
    down_until: Mapping[str, int],
    now_ms: int,
    dropped: list[tuple[str, str]],
) -> str | None:
    """The key of the gateway to use, or None; appends the unusable ones seen to `dropped`.

    Tiers in order; inside a tier the smallest in_use/limit (0 when unlimited), then the fewest
    handed, then the smallest key. `usage[key]` begins with in_use, handed; `down_until[key]` is
    epoch ms; both know every key. A tier is looked at only when the ones before it have nothing.
    """
    for tier in tiers:
        best: str | None = None
        best_load = 0.0
        best_handed = 0
        for candidate in tier:
            key = candidate.key
            limit = candidate.limit
            if down_until[key] > now_ms:
                dropped.append((key, "down"))
                continue
            used = usage[key]
            in_use = used[0]
            if in_use >= limit >= 0:
                dropped.append((key, "full"))
                continue
            # Equal ratios of integers divide to equal floats, so 1/3 and 2/6 do tie.
            load = in_use / limit if limit > 0 else 0.0
            handed = used[1]
            if best is None or (load, handed, key) < (best_load, best_handed, best):
                best, best_load, best_handed = key, load, handed
        if best is not None:
            return best
    return None
