"""Protected gateways: they join only after the others, or when a call has waited long enough.

`protect = true` keeps a gateway for when all others have failed, whatever their prefixes and
priorities. With a `protect_delay` it stands at its ordinary place again for calls that have been
hunting for that long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from router.store.ops import Candidate, Tiers, untried

NEVER = -1
"""In place of a delay: joins only after the others."""
NOBODY: Mapping[str, int] = {}


def still_protected(protected: Mapping[str, int], waited_ms: int) -> set[str]:
    """The keys of the gateways that may join only when all others have failed."""
    return {key for key, delay in protected.items() if delay == NEVER or waited_ms < delay}


def protected_last(
    tiers: Sequence[Sequence[Candidate]], protected: Mapping[str, int], waited_ms: int
) -> Tiers:
    """The tiers with those last that are still protected, in the same order among themselves.

    `protected` gives the delay of each protected gateway by key, ms or NEVER; `waited_ms` is how
    long the call has been hunting.
    """
    held = still_protected(protected, waited_ms)
    kept = (tuple(one for one in tier if one.key in held) for tier in tiers)
    return (*untried(tiers, held), *(tier for tier in kept if tier))
