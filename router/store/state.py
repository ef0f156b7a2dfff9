"""The state folder made ready before the workers start."""

from __future__ import annotations

from pathlib import Path

from router.store.boot import LEDGER_DIR, LIVE_DIR, check_writable, ensure_current_live
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive
from router.store.rates import RATES_DIR, prepare_rates

PREDECESSOR_WAIT_S = 5.0


def prepare_state(path: str | Path, *, wait_s: float = PREDECESSOR_WAIT_S) -> bool:
    """Make folders and environments, throw live state of an earlier boot away; whether it did.

    To be called in a short-lived process before the workers start, because an environment must
    not be inherited through fork. In-use is recounted from the leases. StoreError, one sentence,
    when the folder cannot be written, is damaged, or is in use by another Trunkline for longer
    than `wait_s` (one that was killed may need a moment to be gone).
    """
    folder = Path(path)
    check_writable(folder)
    ledger = LmdbLedger(folder / LEDGER_DIR, lock_wait_s=wait_s)
    try:
        stale = ensure_current_live(folder / LIVE_DIR)
        live = LmdbLive(folder / LIVE_DIR)
        try:
            live.recount()
        finally:
            live.close()
        prepare_rates(folder / RATES_DIR)
    finally:
        ledger.close()
    return stale
