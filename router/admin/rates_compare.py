"""What differs between two versions of a deck, counted and with the prices that rise most."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from router.billing.amounts import amount
from router.store.rates import Rows

SHOWN: Final = 20
TELL_EVERY: Final = 5_000


class Rise(NamedTuple):
    """A price a minute that rises, in millionths; `percent` is -1 where it cost nothing."""

    prefix: str
    before: int
    after: int
    percent: float


class Changes:
    """Counts of prefixes, and the rises over the threshold, highest first."""

    def __init__(self) -> None:
        self.new = 0
        self.gone = 0
        self.changed = 0
        self.raised = 0
        self.lowered = 0
        self.over = 0
        """rises over the threshold"""
        self.rises: list[Rise] = []

    def summary(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "new": self.new,
            "gone": self.gone,
            "changed": self.changed,
            "dearer": self.raised,
            "cheaper": self.lowered,
            "rises_over_threshold": self.over,
            "highest_rises": [
                {
                    "prefix": one.prefix,
                    "before": amount(one.before),
                    "after": amount(one.after),
                    "percent": None if one.percent < 0 else round(one.percent, 2),
                }
                for one in self.rises
            ],
        }


def compare(
    changes: Iterable[tuple[str, Rows, Rows]], threshold: float, step: Callable[[int], None]
) -> Changes:
    """The changes of all prefixes; a rise counts where it is over so many percent."""
    found = Changes()
    highest: list[tuple[float, Rise]] = []
    for count, (prefix, before, after) in enumerate(changes):
        if count % TELL_EVERY == 0:
            step(count)
        if not before:
            found.new += 1
            continue
        if not after:
            found.gone += 1
            continue
        found.changed += 1
        # Of a prefix with several times the dearest one counts: that is the risk.
        old = max(row.rate_per_min for row in before)
        new = max(row.rate_per_min for row in after)
        if new <= old:
            found.lowered += new < old
            continue
        found.raised += 1
        # In integers: a rise of exactly the threshold is not over it.
        if (new - old) * 100 <= threshold * old and old:
            continue
        found.over += 1
        percent = (new - old) * 100 / old if old else -1.0
        key = percent if old else float("inf")
        entry = (key, Rise(prefix, old, new, percent))
        if len(highest) < SHOWN:
            heapq.heappush(highest, entry)
        else:
            heapq.heappushpop(highest, entry)
    found.rises = [one for _, one in sorted(highest, key=lambda entry: (-entry[0], entry[1]))]
    return found
