"""The rates that were loaded by command, for the commands that decide calls or show rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from router.routing.config import DEFAULT_STATE
from router.store.rates import RATES_DIR, LmdbRates


def state_of(path: str | Path, settings: Mapping[str, Any]) -> Path:
    """The state folder that a configuration names."""
    state: str = settings.get("state", DEFAULT_STATE)
    return Path(path).parent / state


@contextmanager
def loaded_rates(state: Path) -> Iterator[LmdbRates | None]:
    """The rates in a state folder, None where nothing was ever loaded; StoreError."""
    path = state / RATES_DIR
    if not (path / "data.mdb").exists():
        yield None
        return
    rates = LmdbRates(path)
    try:
        yield rates
    finally:
        rates.close()
