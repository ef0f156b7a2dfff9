"""`by_quality`: gateways in the order of how well their last attempts went."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from router.routing.objects import Gateway
from router.routing.selection import ranked
from router.store.quality import Quality

ALIKE_PDD_MS = 100
"""Delays that differ by less are the same: then the load decides."""


def by_quality(
    candidates: Sequence[Gateway], quality: Callable[[str], Quality]
) -> list[Gateway]:
    """The candidates by ASR in whole percents, then by PDD; alike ones keep their order.

    A gateway without attempts comes first: it could not show otherwise what it is worth.
    """
    return ranked(candidates, {one.key: _rank(quality(one.key)) for one in candidates})


def _rank(quality: Quality) -> tuple[int, int]:
    if not quality.attempts:
        return (-101, 0)
    percent = 100 * quality.answered // quality.attempts
    return (-percent, quality.pdd_ms // ALIKE_PDD_MS if quality.pdd_ms >= 0 else 1 << 30)
