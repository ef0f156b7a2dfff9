"""What every ledger must do. A second backend subclasses this with a `ledger` fixture.

Batches are made by a live store, since only the stores know what is in an outbox entry.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from store_samples import NOW_MS, call_id, sample_admit, sample_cdr

from router.store.interface import OutboxEntry
from router.store.ops import Finish, Opened
from router.store.query import CdrQuery


def entries(live: Any, *ops: Any) -> list[OutboxEntry]:
    """What the operations put in the outbox, taken out of it."""
    live.commit(list(ops), NOW_MS)
    found: list[OutboxEntry] = live.outbox(10_000)
    live.outbox_delete([key for key, _ in found])
    return found


def finished(live: Any, *numbers: int, **fields: object) -> list[OutboxEntry]:
    """The entries of calls that ended."""
    return entries(live, *(Finish(call_id(n), sample_cdr(n, **fields)) for n in numbers))


def opened(live: Any, *numbers: int) -> list[OutboxEntry]:
    """The entries of answered calls that go on."""
    return entries(live, *(Opened(sample_admit(n).record) for n in numbers))


def ids(ledger: Any, query: CdrQuery | None = None) -> list[str]:
    """The ids of the CDRs, newest first."""
    return [cdr.id for cdr in ledger.cdrs(query)]


class LedgerSuite:
    def test_a_cdr_is_read_back_as_the_worker_wrote_it(self, ledger: Any, live: Any) -> None:
        assert ledger.store(finished(live, 1)) == 1
        assert ledger.cdr(call_id(1)) == sample_cdr(1)
        assert list(ledger.cdrs()) == [sample_cdr(1)]

    def test_an_unknown_id_is_none(self, ledger: Any) -> None:
        for unknown in ("", "nope", "x" * 10_000, "\udcff"):
            assert ledger.cdr(unknown) is None

    def test_a_batch_stored_again_changes_nothing(self, ledger: Any, live: Any) -> None:
        batch = finished(live, 1, 2)
        assert ledger.store(batch) == 2
        assert ledger.store(batch) == 0
        assert ledger.store(finished(live, 2, 3, end_reason="Cancelled")) == 1
        assert ids(ledger) == [call_id(3), call_id(2), call_id(1)]
        assert ledger.cdr(call_id(2)).end_reason == "Normal"

    def test_an_empty_batch_is_nothing(self, ledger: Any) -> None:
        assert ledger.store([]) == 0
        assert ids(ledger) == []

    def test_an_opening_is_open_until_its_cdr_comes(self, ledger: Any, live: Any) -> None:
        assert ledger.store(opened(live, 1, 2)) == 0
        assert [cdr.id for cdr in ledger.open_calls()] == [call_id(1), call_id(2)]
        assert ids(ledger) == []
        ledger.store(finished(live, 1))
        assert [cdr.id for cdr in ledger.open_calls()] == [call_id(2)]
        assert ids(ledger) == [call_id(1)]

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    @pytest.mark.parametrize("together", [False, True])
    def test_opening_and_cdr_may_come_in_any_order_and_twice(
        self, ledger: Any, live: Any, order: tuple[int, ...], together: bool
    ) -> None:
        (opening,) = opened(live, 1)
        (cdr,) = finished(live, 1)
        batch = [(opening, cdr, opening)[index] for index in order]
        for part in [batch] if together else [[entry] for entry in batch]:
            ledger.store(part)
        assert list(ledger.open_calls()) == []
        assert list(ledger.cdrs()) == [sample_cdr(1)]

    def test_cdrs_come_newest_first_across_pages(self, ledger: Any, live: Any) -> None:
        ledger.store(finished(live, *range(700)))
        assert ids(ledger) == [call_id(number) for number in reversed(range(700))]

    @pytest.mark.parametrize(
        ("query", "numbers"),
        [
            (CdrQuery(since_ms=NOW_MS + 3), [4, 3]),
            (CdrQuery(until_ms=NOW_MS + 2), [1, 0]),
            (CdrQuery(since_ms=NOW_MS + 1, until_ms=NOW_MS + 3), [2, 1]),
            (CdrQuery(since_ms=NOW_MS + 9), []),
            (CdrQuery(until_ms=NOW_MS), []),
            (CdrQuery(limit=2), [4, 3]),
            (CdrQuery(limit=2, until_ms=NOW_MS + 4), [3, 2]),
            (CdrQuery(account="other"), [2]),
            (CdrQuery(account="other", limit=5), [2]),
        ],
    )
    def test_a_query_gives_its_range_newest_first(
        self, ledger: Any, live: Any, query: CdrQuery, numbers: list[int]
    ) -> None:
        ledger.store(finished(live, 0, 1, 3, 4) + finished(live, 2, account="other"))
        assert ids(ledger, query) == [call_id(number) for number in numbers]

    def test_cdrs_may_be_stored_while_they_are_read(self, ledger: Any, live: Any) -> None:
        ledger.store(finished(live, *range(600)))
        reading = ledger.cdrs()
        next(reading)
        ledger.store(finished(live, *range(600, 700)))
        assert sum(1 for _ in reading) == 599

    def test_open_calls_are_closed_as_a_restart(self, ledger: Any, live: Any) -> None:
        ledger.store(opened(live, 1))
        assert ledger.close_open(NOW_MS + 5_000) == 1
        assert list(ledger.open_calls()) == []
        cdr = ledger.cdr(call_id(1))
        assert (cdr.end_reason, cdr.end_side, cdr.q850) == ("SystemRestart", "server", 41)
        assert cdr.ended == NOW_MS + 5_000
        assert cdr.duration_ms == NOW_MS + 5_000 - cdr.answered
        assert cdr.attempts[0].ended == cdr.ended
        assert cdr.attempts[0].reason == "SystemRestart"
        assert ledger.close_open(NOW_MS + 6_000) == 0

    def test_a_call_is_never_closed_before_its_answer(self, ledger: Any, live: Any) -> None:
        ledger.store(opened(live, 1))
        ledger.close_open(NOW_MS)
        cdr = ledger.cdr(call_id(1))
        assert (cdr.ended, cdr.duration_ms) == (cdr.answered, 0)

    def test_the_cdr_of_a_call_closed_by_restart_stays_that(self, ledger: Any, live: Any) -> None:
        ledger.store(opened(live, 1))
        ledger.close_open(NOW_MS + 5_000)
        assert ledger.store(finished(live, 1)) == 0
        assert ledger.store(opened(live, 1)) == 0
        assert list(ledger.open_calls()) == []
        assert ledger.cdr(call_id(1)).end_reason == "SystemRestart"
