"""One environment a folder for all threads: views of it, folders made anew, threads beside."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lmdb
import pytest

from router.store.environment import open_databases, open_environment, open_if_there
from router.store.errors import StoreError
from router.store.ledger import LmdbLedger
from router.store.records import Cdr, encode_cdr
from router.store.sharing import share_environments


@pytest.fixture(autouse=True)
def sharing() -> Iterator[None]:
    end = share_environments()
    yield
    end()


def opened(path: Path, *, readonly: bool = False) -> lmdb.Environment:
    path.mkdir(exist_ok=True)
    return open_environment(
        path, databases=2, map_bytes=1 << 20, durable=False, readonly=readonly
    )


def test_a_store_is_open_for_writing_and_for_reading_at_once(tmp_path: Path) -> None:
    writer = opened(tmp_path / "a")
    (database,) = open_databases(writer, ["things"])
    reader = opened(tmp_path / "a", readonly=True)
    (seen,) = open_databases(reader, ["things"])
    with writer.begin(write=True) as txn:
        txn.put(b"k", b"v", db=database)
    writer.close()
    with reader.begin() as txn:
        assert txn.get(b"k", db=seen) == b"v"
    with pytest.raises(lmdb.ReadonlyError):
        reader.begin(write=True)
    assert open_if_there(reader, "others") is None


def test_what_is_not_there_is_not_made_for_a_reader(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        opened(tmp_path / "a", readonly=True)
    assert list((tmp_path / "a").iterdir()) == []


def test_a_folder_that_was_made_anew_is_read_anew(tmp_path: Path) -> None:
    first = opened(tmp_path / "a")
    (database,) = open_databases(first, ["things"])
    with first.begin(write=True) as txn:
        txn.put(b"k", b"old", db=database)
    shutil.rmtree(tmp_path / "a")
    second = opened(tmp_path / "a")
    (other,) = open_databases(second, ["things"])
    with second.begin() as txn:
        assert txn.get(b"k", db=other) is None
    with first.begin() as txn:  # who had it open still has it
        assert txn.get(b"k", db=database) == b"old"


def test_a_failed_transaction_leaves_no_database_behind(tmp_path: Path) -> None:
    env = opened(tmp_path / "a")
    with pytest.raises(RuntimeError), env.begin(write=True) as txn:
        env.open_db(b"things", txn=txn)
        raise RuntimeError
    assert open_if_there(env, "things") is None
    (database,) = open_databases(env, ["things"])
    with env.begin(write=True) as txn:
        txn.put(b"k", b"v", db=database)


def test_threads_read_a_ledger_while_one_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.lmdb"
    LmdbLedger(path).close()

    def written(count: int) -> int:
        for number in range(count):
            ledger = LmdbLedger(path)
            cdr = Cdr(id=f"{number:012x}00aa")
            ledger.store([(cdr.id.encode(), encode_cdr(cdr))], number + 1)
            ledger.close()
        return count

    def read(_: int) -> int:
        ledger = LmdbLedger(path, readonly=True)
        try:
            return sum(1 for _ in ledger.cdrs())
        finally:
            ledger.close()

    with ThreadPoolExecutor(5) as threads:
        writing = threads.submit(written, 30)
        seen = list(threads.map(read, range(100)))
        assert writing.result() == 30
    assert max(seen) <= 30 and read(0) == 30
