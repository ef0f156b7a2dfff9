"""Loaded rates: the longest prefix, versions that count at once and whole, loads that die."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.store.errors import StoreError
from router.store.rates import RATES_DIR, LmdbRates, RateRow, RatesLoad, prepare_rates

NOW = 1_000_000
NUMBERS = st.text("0123456789", max_size=9)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / RATES_DIR


def load(path: Path, rows: dict[str, int], deck: str = "retail", source: str = "file") -> None:
    loading = RatesLoad(path, deck)
    for prefix, price in rows.items():
        assert loading.add(prefix, RateRow(price))
    loading.finish()
    loading.switch(source, NOW)
    list(loading.sweep())
    loading.close()


@pytest.fixture
def opened(path: Path) -> Iterator[list[LmdbRates]]:
    made: list[LmdbRates] = []
    yield made
    for one in made:
        one.close()


def find(path: Path, number: str, deck: str = "retail", now_ms: int = NOW) -> str | None:
    rates = LmdbRates(path)
    try:
        found = rates.longest(deck, number, now_ms)
        return None if found is None else f"{found[0]}={found[1].rate_per_min}"
    finally:
        rates.close()


def test_nothing_is_found_where_nothing_was_loaded(path: Path) -> None:
    prepare_rates(path)
    assert find(path, "8613") is None


def test_the_longest_prefix_counts(path: Path) -> None:
    load(path, {"86": 1, "8613": 2, "8613800": 3, "861399": 4, "9": 5})
    assert find(path, "8613800138000") == "8613800=3"
    assert find(path, "86138") == "8613=2"
    assert find(path, "8614") == "86=1"
    assert find(path, "86") == "86=1"
    assert find(path, "8") is None
    assert find(path, "") is None


def test_the_empty_prefix_is_every_number(path: Path) -> None:
    load(path, {"": 7, "44": 1})
    assert find(path, "") == "=7"
    assert find(path, "4") == "=7"
    assert find(path, "441") == "44=1"


def test_a_rate_that_is_not_valid_leaves_the_number_to_a_shorter_prefix(path: Path) -> None:
    loading = RatesLoad(path, "retail")
    assert loading.add("86", RateRow(1))
    assert loading.add("8613", RateRow(2, valid_from=NOW + 1))
    assert loading.add("8613", RateRow(3, valid_to=NOW - 5))
    loading.finish()
    loading.switch("file", NOW)
    loading.close()
    assert find(path, "8613") == "86=1"
    assert find(path, "8613", now_ms=NOW + 1) == "8613=2"
    assert find(path, "8613", now_ms=NOW - 6) == "8613=3"


def test_two_rates_of_a_prefix_for_the_same_time_are_refused(path: Path) -> None:
    loading = RatesLoad(path, "retail")
    assert loading.add("86", RateRow(1, valid_to=10))
    assert not loading.add("86", RateRow(2, valid_from=9))
    assert loading.add("86", RateRow(2, valid_from=10))
    for number in range(12_000):  # the batch with 86 in it has been written by now
        assert loading.add(f"1{number}", RateRow(1))
    assert not loading.add("86", RateRow(3, valid_from=20, valid_to=30))
    assert loading.count == 12_002
    loading.close()


def test_a_version_counts_only_after_the_switch(path: Path, opened: list[LmdbRates]) -> None:
    load(path, {"86": 1})
    loading = RatesLoad(path, "retail")
    loading.add("86", RateRow(2))
    loading.finish()
    assert loading.current is not None and loading.current.rows == 1
    loading.close()
    assert find(path, "86") == "86=1"


def test_decks_do_not_see_each_other(path: Path) -> None:
    load(path, {"86": 1}, deck="retail")
    load(path, {"86": 2}, deck="vendor")
    load(path, {"44": 3}, deck="retail")
    assert find(path, "86", deck="vendor") == "86=2"
    assert find(path, "86", deck="retail") is None
    rates = LmdbRates(path)
    assert {name: one.rows for name, one in rates.decks().items()} == {"retail": 1, "vendor": 1}
    assert list(rates.rows("vendor")) == [("86", RateRow(2))]
    rates.close()


def test_changes_name_new_gone_and_changed_prefixes_in_order(path: Path) -> None:
    load(path, {"1": 1, "2": 2, "3": 3, "7": 7})
    loading = RatesLoad(path, "retail")
    for prefix, price in {"0": 0, "2": 2, "3": 4, "8": 8}.items():
        loading.add(prefix, RateRow(price))
    loading.finish()
    assert list(loading.changes()) == [
        ("0", (), (RateRow(0),)),
        ("1", (RateRow(1),), ()),
        ("3", (RateRow(3),), (RateRow(4),)),
        ("7", (RateRow(7),), ()),
        ("8", (), (RateRow(8),)),
    ]
    loading.close()


def test_sweeping_leaves_only_what_decks_name(path: Path) -> None:
    for price in range(3):
        load(path, {str(number): price for number in range(50)}, deck="a")
        load(path, {str(number): price for number in range(50)}, deck="b")
    dead = RatesLoad(path, "a")
    dead.add("5", RateRow(9))
    dead.finish()
    dead.close()
    loading = RatesLoad(path, "c")
    assert list(loading.sweep()) == [1]
    loading.close()
    assert find(path, "5", deck="a") == "5=2"


def test_one_process_loads_at_a_time(path: Path) -> None:
    first = RatesLoad(path, "a")
    first.close()
    script = (
        "import sys; from pathlib import Path; from router.store.rates import RatesLoad;"
        "RatesLoad(Path(sys.argv[1]), 'a'); print('loading', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"loading\n"
        with pytest.raises(StoreError, match="are being loaded by another command"):
            RatesLoad(path, "a")
        other.communicate()


def test_a_load_that_is_killed_leaves_the_old_version_and_is_swept(path: Path) -> None:
    load(path, {"86": 1})
    script = (
        "import sys; from pathlib import Path; from router.store.rates import *\n"
        "load = RatesLoad(Path(sys.argv[1]), 'retail')\n"
        "for n in range(10**7):\n"
        "    load.add(str(n), RateRow(2))\n"
        "    if n == 25_000: print('half', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"half\n"
        os.kill(other.pid, signal.SIGKILL)
    assert find(path, "86") == "86=1"
    loading = RatesLoad(path, "retail")
    assert list(loading.sweep())[-1] >= 20_000
    loading.close()
    assert find(path, "86") == "86=1"


def test_readers_see_one_version_or_the_other_and_never_a_mixture(path: Path) -> None:
    """Another process switches all the time; both prefixes always have one version's price."""
    load(path, {"1": 0, "2": 0})
    script = (
        "import sys; from pathlib import Path; from router.store.rates import *\n"
        "for price in range(1, 40):\n"
        "    load = RatesLoad(Path(sys.argv[1]), 'retail')\n"
        "    load.add('1', RateRow(price)); load.add('2', RateRow(price))\n"
        "    load.finish(); load.switch('x', 1); list(load.sweep()); load.close()\n"
    )
    rates = LmdbRates(path)
    seen = set()
    with subprocess.Popen([sys.executable, "-c", script, str(path)]) as other:
        deadline = time.monotonic() + 60
        while other.poll() is None and time.monotonic() < deadline:
            found = rates.longest("retail", "15", NOW)
            assert found is not None
            try:
                rows = list(rates.rows("retail"))
            except StoreError as error:
                assert "read it again" in str(error)
            else:
                assert len(rows) == 2
                assert rows[0][1] == rows[1][1]
            seen.add(found[1].rate_per_min)
        assert other.returncode == 0
    assert len(seen) > 1
    rates.close()


@settings(max_examples=60, deadline=None)
@given(
    prefixes=st.dictionaries(NUMBERS, st.integers(0, 9), max_size=30),
    numbers=st.lists(NUMBERS, min_size=1, max_size=20),
)
def test_any_deck_is_searched_as_a_list_would_be(
    tmp_path_factory: pytest.TempPathFactory, prefixes: dict[str, int], numbers: list[str]
) -> None:
    path = tmp_path_factory.mktemp("rates") / RATES_DIR
    load(path, {"0": 99}, deck="before")
    load(path, prefixes)
    load(path, {"9": 99}, deck="zz")
    rates = LmdbRates(path)
    try:
        for number in numbers:
            best = max((one for one in prefixes if number.startswith(one)), key=len, default=None)
            expected = None if best is None else (best, RateRow(prefixes[best]))
            assert rates.longest("retail", number, NOW) == expected
    finally:
        rates.close()


def test_a_big_deck_in_any_order_is_searched_right(path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    prefixes = {str(rng.randrange(10 ** rng.randrange(1, 8))) for _ in range(25_000)}
    rows = {prefix: rng.randrange(100) for prefix in prefixes}
    load(path, rows)
    rates = LmdbRates(path)
    for _ in range(2_000):
        number = str(rng.randrange(10**9))
        best = next((number[:n] for n in range(len(number), 0, -1) if number[:n] in rows), None)
        found = rates.longest("retail", number, NOW)
        assert (found[0] if found else None) == best
    rates.close()
