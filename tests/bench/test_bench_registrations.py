"""What a phone's refresh costs with a thousand and with a hundred thousand phones online.

The time is of one refresh; `bytes_a_phone` is what live state has grown by for each.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from router.store.live import LmdbLive
from router.store.ops import Bind
from router.store.records import Contact

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
BATCH = 1_000


def refresh(number: int, cseq: int) -> Bind:
    """The binding of a phone with this number."""
    contact = Contact(
        uri=f"sip:{number}@192.0.2.{number % 250}:5060", expires_ms=NOW_MS + HOUR_MS + cseq,
        call_id=f"{number:032x}", cseq=cseq, transport="udp", host=f"192.0.2.{number % 250}",
        port=5060, user_agent="Deskphone 1.2.3",
    )
    return Bind(str(number), "acme", (contact,), max_contacts=5)


@pytest.mark.parametrize("phones", [1_000, 100_000])
def test_a_refresh_costs_the_same_however_many_phones_there_are(
    benchmark: Any, tmp_path: Path, phones: int
) -> None:
    live = LmdbLive(tmp_path / "live.lmdb", slot=0)
    before = live.stat()["used_bytes"]
    for start in range(0, phones, BATCH):
        live.commit([refresh(number, 1) for number in range(start, start + BATCH)], NOW_MS)
    benchmark.extra_info["bytes_a_phone"] = (live.stat()["used_bytes"] - before) // phones
    # Far apart, as phones are: a page that was just written tells nothing.
    numbers = itertools.cycle(range(0, phones, 7))
    cseq = itertools.count(2)
    benchmark(lambda: live.commit([refresh(next(numbers), next(cseq))], NOW_MS))
    (bound,) = live.commit([refresh(0, next(cseq))], NOW_MS)
    assert bound is not None and not bound.refused
    assert live.registered_phones() == phones
    live.close()
