"""Stores in temporary folders. LMDB opens an environment once per process, so tests close them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Test modules import the suites and samples from beside them; there are no packages in tests/.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive

SMALL_MAP_BYTES = 8 << 20


@pytest.fixture
def live_path(tmp_path: Path) -> Path:
    return tmp_path / "live.lmdb"


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.lmdb"


@pytest.fixture
def live(live_path: Path) -> Iterator[LmdbLive]:
    store = LmdbLive(live_path, slot=0, map_bytes=SMALL_MAP_BYTES)
    yield store
    store.close()


@pytest.fixture
def ledger(ledger_path: Path) -> Iterator[LmdbLedger]:
    store = LmdbLedger(ledger_path)
    yield store
    store.close()
