"""What a look-up in loaded rates costs, with a hundred thousand prefixes."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

from router.routing.stored_decks import RatesView, StoredDeck
from router.store.rates import RATES_DIR, LmdbRates, RateRow, RatesLoad

PREFIXES = 100_000
SEED = 1


def test_the_longest_prefix_of_a_hundred_thousand(benchmark: Any, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    load = RatesLoad(tmp_path / RATES_DIR, "retail")
    for prefix in {str(rng.randrange(10 ** rng.randrange(3, 10))) for _ in range(PREFIXES)}:
        load.add(prefix, RateRow(rng.randrange(1_000_000), kind=4, name="somewhere"))
    load.finish()
    load.switch("made up", 1)
    load.close()
    view = RatesView()
    view.store = rates = LmdbRates(tmp_path / RATES_DIR)
    deck = StoredDeck("retail", view)
    numbers = itertools.cycle([str(rng.randrange(10**12)) for _ in range(10_000)])
    benchmark(lambda: deck.find(next(numbers), 1))
    rates.close()
