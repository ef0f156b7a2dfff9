"""A ledger of an older version gets its index from the ledger process, which goes on storing."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import lmdb
import pytest

from router.runtime import ledger_process
from router.runtime.ledger_process import run_ledger
from router.store.boot import LEDGER_DIR, LIVE_DIR
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive
from router.store.ops import Finish
from router.store.query import CdrQuery
from router.store.records import Cdr, encode_cdr
from router.store.state import prepare_state

NOW_MS = 1_767_225_600_000


def cdr(number: int) -> Cdr:
    return Cdr(
        id=f"{NOW_MS + number:012x}00{number:08x}", call_id=f"c{number}", account="acme",
        started=NOW_MS + number, end_reason="UserBusy",
    )


def test_it_is_made_in_steps_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_process, "INDEX_ENTRIES", 20)
    state = tmp_path / "state"
    prepare_state(state)
    ledger = LmdbLedger(state / LEDGER_DIR)
    ledger.store([(cdr(number).id.encode(), encode_cdr(cdr(number))) for number in range(90)])
    ledger.close()
    path = str(state / LEDGER_DIR)
    with lmdb.open(path, max_dbs=9, lib_version=0) as env, env.begin(write=True) as txn:
        for name in (b"index", b"feed"):
            txn.drop(env.open_db(name, txn=txn), delete=True)
        txn.delete(b"indexed", db=env.open_db(b"meta", txn=txn))
    live = LmdbLive(state / LIVE_DIR, slot=0)
    live.commit([Finish(cdr(90).id, cdr(90))], NOW_MS)
    live.close()

    said: list[tuple[str, object]] = []
    stop = threading.Event()

    def log(level: str, event: str, /, **fields: object) -> None:
        said.append((event, fields.get("cdrs")))

    process = threading.Thread(
        target=run_ledger, args=(state,), kwargs={"log": log, "stop": stop, "interval_s": 0.01}
    )
    process.start()
    end = time.monotonic() + 10
    while len(said) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    stop.set()
    process.join()
    assert said == [
        ("CDRs of an older version are being indexed", 91),
        ("CDRs of an older version are indexed", 91),
    ]
    ledger = LmdbLedger(state / LEDGER_DIR, readonly=True)
    assert ledger.search.is_complete()
    assert len(list(ledger.cdrs(CdrQuery(account="acme")))) == 91
    for number in (0, 19, 20, 89, 90):
        assert [one.id for one in ledger.cdrs(CdrQuery(call_id=f"c{number}"))] == [cdr(number).id]
    ledger.close()
