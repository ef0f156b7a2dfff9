"""What the store costs a call: admission, save and finish in live state, then the ledger.

A thousand other calls are in progress, three holds are checked, and three gateways are offered in
two tiers. Each round works on calls of its own; the times are for one call (or one batch).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive
from router.store.ops import Admit, Candidate, Credit, Finish, Funds, Hold, Op, Save
from router.store.records import Attempt, CallRecord, Cdr, Charge, decode_call, encode_call

NOW_MS = 1_700_000_000_000
HOLDS = (Hold("account:acme", 5_000), Hold("trunk:acme/office", 5_000), Hold("server:"))
TIERS = (
    (Candidate("gateway:cn_mobile", 5_000), Candidate("gateway:cn_second", 5_000)),
    (Candidate("gateway:backup", 50),),
)
TURN_CALLS = 8
BATCH_CDRS = 250
ROUNDS = 400
numbers = itertools.count()


def new_call() -> CallRecord:
    """A call of about 600 bytes when stored, with a CDR of about 360."""
    number = next(numbers)
    started = NOW_MS + number
    id = f"{started:012x}00{number:016x}"
    attempt = Attempt("cn_mobile", "b" * 30, "008613800138000", "1000", started, started)
    return CallRecord(
        id=id,
        slot=0,
        generation=1,
        call_id="a" * 30,
        b_call_id="b" * 30,
        cdr=Cdr(
            id=id,
            call_id="a" * 30,
            b_call_id="b" * 30,
            account="acme",
            trunk="office",
            source="127.0.0.1",
            caller_in="1000",
            callee_in="8613800138000",
            caller_out="1000",
            callee_out="008613800138000",
            gateway="cn_mobile",
            attempt=1,
            attempts=[attempt],
            started=started,
            ringing=started,
            answered=started,
            ended=started,
            end_reason="Normal",
            end_side="caller",
            sip_code=200,
            config="0123abcd",
            decision=["cn_mobile: taken"],
        ),
        dialog=b"x" * 150,
    )


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LmdbLive]:
    store = LmdbLive(tmp_path / "live.lmdb", slot=0)
    store.commit([Admit(new_call(), HOLDS, TIERS) for _ in range(1_000)], NOW_MS)
    yield store
    assert store.verify() == []
    store.close()


def drained(live: LmdbLive) -> None:
    """Empty the outbox, as the ledger process does."""
    live.outbox_delete([key for key, _ in live.outbox(10_000)])


def test_admit_save_finish_in_three_transactions(benchmark: Any, live: LmdbLive) -> None:
    def fresh() -> tuple[tuple[CallRecord], dict[str, Any]]:
        if live.backlog() > BATCH_CDRS:
            drained(live)
        return (new_call(),), {}

    def call(record: CallRecord) -> None:
        live.commit([Admit(record, HOLDS, TIERS)], NOW_MS)
        live.commit([Save(record)], NOW_MS)
        live.commit([Finish(record.id, record.cdr)], NOW_MS)

    benchmark.pedantic(call, setup=fresh, rounds=ROUNDS * 5)


CREDITS = (Credit("acme", 100), Credit("reseller", 80))
PAID_TIERS = tuple(
    tuple(msgspec.structs.replace(one, credits=(Credit("carrier", 60),)) for one in tier)
    for tier in TIERS
)
CHARGES = (Charge("acme", 50), Charge("reseller", 40, "agent"), Charge("carrier", 30, "vendor"))


def test_admit_save_finish_with_credit_of_account_agent_and_vendor(
    benchmark: Any, live: LmdbLive
) -> None:
    """Less what it costs without: what money costs a worker, its routes not counted."""
    names = ("acme", "reseller", "carrier")
    live.commit([Funds(name, name, 1 << 50) for name in names], NOW_MS)

    def fresh() -> tuple[tuple[CallRecord], dict[str, Any]]:
        if live.backlog() > BATCH_CDRS:
            drained(live)
        record = new_call()
        record.cdr.charges = list(CHARGES)
        return (record,), {}

    def call(record: CallRecord) -> None:
        live.commit([Admit(record, HOLDS, PAID_TIERS, CREDITS)], NOW_MS)
        live.commit([Save(record)], NOW_MS)
        live.commit([Finish(record.id, record.cdr)], NOW_MS)

    benchmark.pedantic(call, setup=fresh, rounds=ROUNDS * 5)


def test_admission_in_a_transaction_of_its_own(benchmark: Any, live: LmdbLive) -> None:
    def fresh() -> tuple[tuple[CallRecord], dict[str, Any]]:
        return (new_call(),), {}

    def admit(record: CallRecord) -> None:
        live.commit([Admit(record, HOLDS, TIERS)], NOW_MS)

    benchmark.pedantic(admit, setup=fresh, rounds=ROUNDS * 5)


def test_a_turn_of_eight_calls_admitted_saved_and_finished(benchmark: Any, live: LmdbLive) -> None:
    """In three transactions for all eight."""

    def fresh() -> tuple[tuple[list[Op], list[Op], list[Op]], dict[str, Any]]:
        if live.backlog() > BATCH_CDRS:
            drained(live)
        records = [new_call() for _ in range(TURN_CALLS)]
        return (
            [Admit(record, HOLDS, TIERS) for record in records],
            [Save(record) for record in records],
            [Finish(record.id, record.cdr) for record in records],
        ), {}

    def turn(admits: list[Op], saves: list[Op], finishes: list[Op]) -> None:
        live.commit(admits, NOW_MS)
        live.commit(saves, NOW_MS)
        live.commit(finishes, NOW_MS)

    benchmark.pedantic(turn, setup=fresh, rounds=ROUNDS)


def test_250_cdrs_from_outbox_to_ledger(benchmark: Any, live: LmdbLive, tmp_path: Path) -> None:
    """A quarter of a second at 1,000 calls/s: read, stored with one fsync, deleted."""
    ledger = LmdbLedger(tmp_path / "ledger.lmdb")

    def fresh() -> None:
        records = [new_call() for _ in range(BATCH_CDRS)]
        live.commit([Finish(record.id, record.cdr) for record in records], NOW_MS)

    def drain() -> None:
        entries = live.outbox(2_000)
        ledger.store(entries, NOW_MS)
        live.outbox_delete([key for key, _ in entries])

    benchmark.pedantic(drain, setup=fresh, rounds=60)
    assert ledger.count() == 60 * BATCH_CDRS
    ledger.close()


def test_a_call_record_is_encoded(benchmark: Any) -> None:
    record = new_call()
    assert 550 < len(benchmark(encode_call, record)) < 700


def test_a_call_record_is_decoded(benchmark: Any) -> None:
    record = new_call()
    assert benchmark(decode_call, encode_call(record)) == record
