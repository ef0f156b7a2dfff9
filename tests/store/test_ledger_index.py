"""What is found by the index is what a look at every CDR finds, and no more is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import NOW_MS, call_id, sample_cdr

from router.store import cdr_search
from router.store.ledger import LmdbLedger
from router.store.query import CdrQuery
from router.store.records import Attempt, Cdr, encode_cdr

REASONS = ("Normal", "UserBusy", "GatewayRejected(403)", "GatewayRejected(503)")
NUMBERS = ("8613800", "8613900", "861", "49", "4930", "\x00\x00", "ünïcode", "")


def various(count: int) -> list[Cdr]:
    return [
        sample_cdr(
            number,
            account=("acme", "small", "")[number % 3],
            callee_in=NUMBERS[number % len(NUMBERS)],
            end_reason=REASONS[number % 4],
            attempts=[
                Attempt(f"g{number % 5}", f"b-{number}"), Attempt("backup", f"b2-{number}")
            ][: 1 + number % 2],
            gateway="",
        )
        for number in range(count)
    ]


def stored(ledger: LmdbLedger, cdrs: list[Cdr]) -> None:
    for at in range(0, len(cdrs), 100):
        ledger.store([(cdr.id.encode(), encode_cdr(cdr)) for cdr in cdrs[at : at + 100]])


QUERIES = st.builds(
    CdrQuery,
    since_ms=st.sampled_from((0, NOW_MS + 30, NOW_MS + 1_000)),
    until_ms=st.sampled_from((0, NOW_MS + 90)),
    gateway=st.sampled_from(("", "g1", "backup", "none")),
    account=st.sampled_from(("", "acme", "small", "none")),
    callee_prefix=st.sampled_from(("", "86", "861", "8613800", "4", "ü", "\x00", "9", "8" * 40)),
    end_reason=st.sampled_from(("", "Normal", "GatewayRejected", "GatewayRejected(503)")),
    limit=st.sampled_from((0, 1, 7)),
    call_id=st.sampled_from(("", "", "", "a-5@caller", "b-6", "b2-7", "nobody")),
)


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Any:
    ledger = LmdbLedger(tmp_path_factory.mktemp("ledger") / "ledger.lmdb")
    stored(ledger, various(120))
    yield ledger
    ledger.close()


@given(query=QUERIES)
@settings(max_examples=300, deadline=None)
def test_the_index_finds_what_a_look_at_all_finds(hundred: LmdbLedger, query: CdrQuery) -> None:
    wanted = [cdr.id for cdr in hundred.search.by_time(CdrQuery()) if query.matches(cdr)]
    assert [cdr.id for cdr in hundred.cdrs(query)] == wanted[: query.limit or None]


@pytest.mark.parametrize(
    "query",
    [
        CdrQuery(call_id="a-70@caller"),
        CdrQuery(call_id="b2-71"),
        CdrQuery(account="rare"),
        CdrQuery(gateway="g9"),
        CdrQuery(end_reason="NotFound"),
        CdrQuery(callee_prefix="4420"),
    ],
)
def test_a_rare_thing_is_found_without_a_look_at_the_rest(
    ledger: LmdbLedger, query: CdrQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = sample_cdr(
        5_000, account="rare", end_reason="NotFound", callee_in="442012",
        attempts=[Attempt("g9", "b-5000")],
    )
    stored(ledger, [*various(1_000), rare])
    decoded: list[int] = []
    decode = cdr_search.decode_cdr
    monkeypatch.setattr(
        cdr_search, "decode_cdr", lambda value: decoded.append(1) or decode(value)
    )
    assert len(list(ledger.cdrs(query))) == 1
    assert len(decoded) == 1, "of 1,001"


def test_a_number_that_very_many_have_is_looked_for_by_time(
    hundred: LmdbLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.store.ledger_index.FEW_IDS", 10)
    query = CdrQuery(callee_prefix="8", limit=5)
    wanted = [cdr.id for cdr in hundred.search.by_time(CdrQuery()) if query.matches(cdr)][:5]
    assert [cdr.id for cdr in hundred.cdrs(query)] == wanted


def without_index(path: Path) -> None:
    """Makes the ledger as a version without an index left it."""
    with lmdb.open(str(path), max_dbs=9, lib_version=0) as env, env.begin(write=True) as txn:
        for name in (b"index", b"feed"):
            txn.drop(env.open_db(name, txn=txn), delete=True)
        txn.delete(b"indexed", db=env.open_db(b"meta", txn=txn))


def test_a_ledger_without_an_index_is_read_and_then_gets_one(ledger_path: Path) -> None:
    ledger = LmdbLedger(ledger_path)
    stored(ledger, various(50))
    ledger.close()
    without_index(ledger_path)
    reader = LmdbLedger(ledger_path, readonly=True)
    assert len(list(reader.cdrs(CdrQuery(call_id="a-7@caller")))) == 1
    assert not reader.search.is_complete()
    reader.close()

    ledger = LmdbLedger(ledger_path)
    assert not ledger.search.is_complete()
    assert ledger.search.index_more(20) == 20
    stored(ledger, [sample_cdr(900), *various(3)])
    ledger.close()
    ledger = LmdbLedger(ledger_path)  # whoever was killed goes on where it was
    assert len(list(ledger.cdrs(CdrQuery(account="acme")))) == 18, "half done: all are looked at"
    while ledger.search.index_more(20):
        pass
    assert ledger.search.is_complete()
    for number in (0, 19, 20, 49, 900):
        found = list(ledger.cdrs(CdrQuery(call_id=f"a-{number}@caller")))
        assert [cdr.id for cdr in found] == [call_id(number)]
    ledger.close()


def test_calls_closed_by_a_restart_are_in_the_index(ledger: LmdbLedger) -> None:
    opening = sample_cdr(1, ended=0, end_reason="")
    ledger.store([(opening.id.encode() + b"+", encode_cdr(opening))])
    assert ledger.open_count() == 1
    ledger.close_open(NOW_MS + 60_000)
    assert [cdr.id for cdr in ledger.cdrs(CdrQuery(end_reason="SystemRestart"))] == [call_id(1)]
