"""The state folder made ready before the workers start."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from router.store.boot import LEDGER_DIR, LIVE_DIR, check_writable, ensure_current_live
from router.store.draining import Draining
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive
from router.store.objects import OBJECTS_DIR, LmdbObjects
from router.store.rates import RATES_DIR, prepare_rates
from router.store.records import Cdr
from router.store.restart import charge_nothing

PREDECESSOR_WAIT_S = 5.0


class Prepared(NamedTuple):
    """Whether live state was thrown away, and how many calls of it the ledger has closed.

    `corrected` says of each account whose live balance was not what the ledger and the outbox say
    what it was; there should be none.
    """

    threw_away: bool
    closed: int
    corrected: Sequence[str] = ()


def prepare_state(
    path: str | Path,
    *,
    wait_s: float = PREDECESSOR_WAIT_S,
    bill: Callable[[Cdr], None] = charge_nothing,
) -> Prepared:
    """Make folders and environments, and throw live state of an earlier boot away.

    To be called in a short-lived process before the workers start, because an environment must
    not be inherited through fork. In-use and reserves are recounted from the leases, and answers
    that were heard leave the records of calls. Calls of an
    earlier boot are billed, then live money is seeded from the ledger. StoreError, one sentence,
    when the folder cannot be written, is damaged, or is in use by another Trunkline for longer
    than `wait_s` (one that was killed may need a moment to be gone).
    """
    folder = Path(path)
    check_writable(folder)
    ledger = LmdbLedger(folder / LEDGER_DIR, lock_wait_s=wait_s, bill=bill)
    try:
        stale = ensure_current_live(folder / LIVE_DIR)
        live = LmdbLive(folder / LIVE_DIR)
        try:
            live.settle_answers()
            live.recount()
            draining = Draining(ledger, live)
            closed = draining.bind(time.time_ns() // 1_000_000)
            corrected = draining.correct()
        finally:
            live.close()
        prepare_rates(folder / RATES_DIR)
        LmdbObjects(folder / OBJECTS_DIR).close()
    finally:
        ledger.close()
    return Prepared(stale, closed, corrected)
