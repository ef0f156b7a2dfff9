"""The feed of the streaming file: every CDR once, in the order of storing."""

from __future__ import annotations

from pathlib import Path

from store_samples import NOW_MS, sample_cdr

from router.store.cdr_feed import Position
from router.store.ledger import LmdbLedger
from router.store.records import decode_cdr, encode_cdr


def store(ledger: LmdbLedger, *numbers: int) -> None:
    ledger.store([(cdr.id.encode(), encode_cdr(cdr)) for cdr in map(sample_cdr, numbers)])


def waiting(ledger: LmdbLedger) -> list[tuple[int, str]]:
    return [(fed.number, decode_cdr(fed.value).call_id) for fed in ledger.feed.waiting(100)]


def test_nothing_is_fed_unless_somebody_wants_it(ledger: LmdbLedger) -> None:
    store(ledger, 1)
    assert waiting(ledger) == []


def test_a_cdr_enters_once_and_leaves_with_the_position(ledger_path: Path) -> None:
    ledger = LmdbLedger(ledger_path)
    ledger.feed.switch(True)
    store(ledger, 5, 3)
    store(ledger, 3, 4)  # 3 comes again after a crash
    wanted = [(1, "a-5@caller"), (2, "a-3@caller"), (3, "a-4@caller")]
    assert waiting(ledger) == wanted
    ledger.feed.note(Position("f", 0, 100, 2))
    assert waiting(ledger) == wanted[2:]
    ledger.feed.note(Position("f", 0, 150, 3))
    assert waiting(ledger) == []
    ledger.close()

    ledger = LmdbLedger(ledger_path)
    assert ledger.feed.on, "whoever writes feeds it, also a command"
    assert ledger.feed.position() == Position("f", 0, 150, 3)
    store(ledger, 6)
    assert waiting(ledger) == [(4, "a-6@caller")], "numbers go on after an empty feed"
    ledger.feed.switch(False)
    store(ledger, 7)
    assert waiting(ledger) == [(4, "a-6@caller")]
    ledger.close()


def test_calls_closed_by_a_restart_are_fed(ledger: LmdbLedger) -> None:
    ledger.feed.switch(True)
    opening = sample_cdr(1, ended=0, end_reason="")
    ledger.store([(opening.id.encode() + b"+", encode_cdr(opening))])
    assert waiting(ledger) == []
    ledger.close_open(NOW_MS + 60_000)
    assert waiting(ledger) == [(1, "a-1@caller")]
