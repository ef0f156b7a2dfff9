"""The streaming file holds each CDR once: after any death, a full disk, and over all its parts."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from router.runtime import cdr_file
from router.runtime.cdr_file import CdrFile, FilePlan
from router.runtime.ledger_process import run_ledger
from router.store.boot import LEDGER_DIR, LIVE_DIR
from router.store.errors import StoreError
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive
from router.store.ops import Admit, Candidate, Finish
from router.store.records import CallRecord, Cdr, encode_cdr
from router.store.state import prepare_state

NOON_MS = int(time.mktime((2026, 5, 1, 12, 0, 0, 0, 0, -1))) * 1000
HOUR_MS = 3_600_000
SECOND_MS = 1_000


def cdr(number: int) -> Cdr:
    return Cdr(
        id=f"{NOON_MS:012x}00{number:08x}", call_id=f"c{number}", callee_in="+8613800",
        started=NOON_MS, ended=NOON_MS + 1, end_reason="UserBusy",
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LmdbLedger]:
    store = LmdbLedger(tmp_path / "ledger.lmdb")
    store.feed.switch(True)
    yield store
    store.close()


class Said:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, level: str, event: str, /, **fields: object) -> None:
        self.lines.append((level, event))


def store(ledger: LmdbLedger, *numbers: int) -> None:
    ledger.store([(one.id.encode(), encode_cdr(one)) for one in map(cdr, numbers)])


def ids_in(folder: Path) -> list[str]:
    """The call ids of all lines of all files, in the files' order."""
    found = []
    for path in sorted(folder.rglob("*.csv"), key=lambda path: (path.stat().st_mtime_ns, path)):
        if not path.stat().st_size:
            continue  # killed before its first line
        rows = list(csv.DictReader(path.open(newline="")))
        assert path.read_bytes().endswith(b"\n")
        assert path.read_text().count("id,call_id,") == 1, "one header"
        found += [row["call_id"] for row in rows]
    return found


def test_each_cdr_becomes_a_line_of_csv(ledger: LmdbLedger, tmp_path: Path) -> None:
    file = CdrFile(ledger, FilePlan(tmp_path, "cdrs/%Y%m%d-%H.csv"), Said())
    store(ledger, 1, 2)
    assert file.write(NOON_MS) == 2
    assert file.write(NOON_MS) == 0
    store(ledger, 2, 3)
    assert file.write(NOON_MS) == 1
    rows = list(csv.DictReader((tmp_path / "cdrs/20260501-12.csv").open()))
    assert [row["call_id"] for row in rows] == ["c1", "c2", "c3"]
    assert rows[0]["callee_in"] == "+8613800"
    assert tuple(rows[0]) == Cdr.__struct_fields__


def test_json_lines(ledger: LmdbLedger, tmp_path: Path) -> None:
    file = CdrFile(ledger, FilePlan(tmp_path, "all.jsonl"), Said())
    store(ledger, 1, 2)
    file.write(NOON_MS)
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    assert [json.loads(line)["call_id"] for line in lines] == ["c1", "c2"]


def test_the_next_hour_and_a_full_part_have_files_of_their_own(
    ledger: LmdbLedger, tmp_path: Path
) -> None:
    file = CdrFile(ledger, FilePlan(tmp_path, "%Y%m%d-%H.csv", max_bytes=600), Said())
    for number in range(6):
        store(ledger, number)
        file.write(NOON_MS + (HOUR_MS if number == 5 else 0))
    names = sorted(path.name for path in tmp_path.glob("*.csv"))
    assert names == [
        "20260501-12.1.csv", "20260501-12.2.csv", "20260501-12.csv", "20260501-13.csv"
    ]
    assert ids_in(tmp_path) == [f"c{number}" for number in range(6)]


def test_a_file_that_is_there_already_is_added_to(ledger: LmdbLedger, tmp_path: Path) -> None:
    store(ledger, 1)
    CdrFile(ledger, FilePlan(tmp_path, "a.csv"), Said()).write(NOON_MS)
    CdrFile(ledger, FilePlan(tmp_path, "b.csv"), Said())
    store(ledger, 2)
    CdrFile(ledger, FilePlan(tmp_path, "b.csv"), Said()).write(NOON_MS)
    store(ledger, 3)
    CdrFile(ledger, FilePlan(tmp_path, "a.csv"), Said()).write(NOON_MS)
    assert sorted(ids_in(tmp_path)) == ["c1", "c2", "c3"]


def test_lines_that_nobody_noted_are_cut_off_and_written_again(
    ledger: LmdbLedger, tmp_path: Path
) -> None:
    plan = FilePlan(tmp_path, "a.csv")
    store(ledger, 1)
    CdrFile(ledger, plan, Said()).write(NOON_MS)
    with (tmp_path / "a.csv").open("a") as torn:
        torn.write("018f,c2,half a li")
    store(ledger, 2)
    CdrFile(ledger, plan, Said()).write(NOON_MS)
    assert ids_in(tmp_path) == ["c1", "c2"]


def test_a_file_that_was_taken_away_is_begun_anew(ledger: LmdbLedger, tmp_path: Path) -> None:
    said = Said()
    file = CdrFile(ledger, FilePlan(tmp_path, "a.csv"), said)
    store(ledger, 1)
    file.write(NOON_MS)
    (tmp_path / "a.csv").rename(tmp_path / "taken.csv")
    store(ledger, 2)
    file.write(NOON_MS)
    assert ids_in(tmp_path) == ["c1", "c2"]
    assert said.lines == [("warning", "the file of CDRs became shorter")]


def test_a_full_disk_stops_the_file_only_and_it_catches_up(
    ledger: LmdbLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Said()
    file = CdrFile(ledger, FilePlan(tmp_path, "a.csv"), said)
    store(ledger, 1)
    file.write(NOON_MS)
    write = os.write
    monkeypatch.setattr(cdr_file.os, "write", full_after(70, write))
    store(ledger, 2, 3)
    assert file.write(NOON_MS) == 0
    assert file.is_stuck
    assert file.write(NOON_MS + SECOND_MS) == 0, "not tried again at once"
    assert file.write(NOON_MS + 5 * SECOND_MS) == 0
    monkeypatch.setattr(cdr_file.os, "write", write)
    store(ledger, 4)
    assert file.write(NOON_MS + 10 * SECOND_MS) == 3
    assert ids_in(tmp_path) == ["c1", "c2", "c3", "c4"]
    assert [level for level, _ in said.lines] == ["error", "info"], "told once, and when it is over"


def test_a_damaged_cdr_holds_up_no_other(ledger: LmdbLedger, tmp_path: Path) -> None:
    said = Said()
    file = CdrFile(ledger, FilePlan(tmp_path, "a.csv"), said)
    ledger.store([(b"0123456789ab00damaged", b"\x01no msgpack")])
    store(ledger, 1)
    assert file.write(NOON_MS) == 2
    assert ids_in(tmp_path) == ["c1"]
    assert said.lines == [("error", "a damaged CDR has no line in the file")]
    assert file.write(NOON_MS) == 0


def full_after(room: int, write: Callable[[int, bytes], int]) -> Callable[[int, bytes], int]:
    """An os.write on a disk that takes so many bytes more."""
    left = [room]

    def write_some(file: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        taken = write(file, data[: left[0]])
        left[0] -= taken
        return taken

    return write_some


class Killed(BaseException):
    """kill -9, as far as one process can play it."""


STEPS = ("open", "ftruncate", "lseek", "write", "fsync", "close", "note before", "note after")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("at", range(1, 7))
def test_a_death_at_any_step_loses_no_line_and_doubles_none(
    ledger: LmdbLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, at: int
) -> None:
    plan = FilePlan(tmp_path, "%Y%m%d-%H.csv", max_bytes=500)
    count = [0]

    def dies_at(real: Callable[..., Any], after: bool = False) -> Callable[..., Any]:
        def run(*arguments: Any, **more: Any) -> Any:
            count[0] += 1
            if count[0] == at and not after:
                if step == "write":
                    real(arguments[0], arguments[1][:50])
                raise Killed
            result = real(*arguments, **more)
            if count[0] == at:
                raise Killed
            return result

        return run

    with monkeypatch.context() as patch:
        if step.startswith("note"):
            patch.setattr(ledger.feed, "note", dies_at(ledger.feed.note, step == "note after"))
        else:
            patch.setattr(cdr_file.os, step, dies_at(getattr(os, step)))
        file = CdrFile(ledger, plan, Said())
        try:
            for number in range(5):
                store(ledger, number)
                file.write(NOON_MS + number * HOUR_MS // 2)
        except Killed:
            pass
    store(ledger, *range(8))
    CdrFile(ledger, plan, Said()).write(NOON_MS + 9 * HOUR_MS)
    assert ids_in(tmp_path) == [f"c{number}" for number in range(8)]


def test_a_ledger_that_cannot_note_the_file_doubles_nothing(
    ledger: LmdbLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = CdrFile(ledger, FilePlan(tmp_path, "a.csv"), Said())
    store(ledger, 1)
    file.write(NOON_MS)
    store(ledger, 2)
    with monkeypatch.context() as patch:

        def full(_: object) -> None:
            raise StoreError("the disk is full")

        patch.setattr(ledger.feed, "note", full)
        for _ in range(2):
            with pytest.raises(StoreError):
                file.write(NOON_MS)
    file.write(NOON_MS)
    assert ids_in(tmp_path) == ["c1", "c2"]


def run_child(state: Path, plan: FilePlan) -> int:
    """A ledger process of its own; its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os._exit(run_ledger(state, log=Said(), interval_s=0.002, file=plan))
    finally:
        os._exit(99)


def test_kill_9_of_the_ledger_process_loses_no_line_and_doubles_none(tmp_path: Path) -> None:
    state = tmp_path / "state"
    prepare_state(state)
    plan = FilePlan(tmp_path, "cdrs/%Y%m%d-%H%M.csv", max_bytes=20_000)
    rng = random.Random(7)
    wanted: list[str] = []
    writer = os.fork()
    if not writer:
        feed(state)
        os._exit(0)
    try:
        for _ in range(25):
            child = run_child(state, plan)
            time.sleep(rng.uniform(0.005, 0.06))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    finally:
        _, status = os.waitpid(writer, 0)
    assert status == 0
    child = run_child(state, plan)
    time.sleep(0.2)
    os.kill(child, signal.SIGTERM)
    assert os.waitpid(child, 0)[1] == 0
    ledger = LmdbLedger(state / LEDGER_DIR, readonly=True)
    wanted = sorted(one.call_id for one in ledger.cdrs())
    ledger.close()
    assert len(wanted) == CALLS
    assert sorted(ids_in(tmp_path / "cdrs")) == wanted
    assert len(list((tmp_path / "cdrs").iterdir())) > 1, "several parts"


CALLS = 600


def feed(state: Path) -> None:
    """Ends calls, one each 2 ms, as a worker does."""
    live = LmdbLive(state / LIVE_DIR, slot=0)
    for number in range(CALLS):
        record = CallRecord(id=cdr(number).id, slot=0, call_id=f"c{number}")
        live.commit([Admit(record, (), ((Candidate("gateway:g", 9),),))], NOON_MS)
        live.commit([Finish(record.id, cdr(number))], NOON_MS)
        time.sleep(0.002)
    live.close()


def test_on_a_full_disk_the_ledger_goes_on_and_the_file_catches_up(tmp_path: Path) -> None:
    state = tmp_path / "state"
    prepare_state(state)
    (tmp_path / "a.csv").symlink_to("/dev/full")  # every write: no space left on device
    plan = FilePlan(tmp_path, "a.csv")
    end_calls(state, range(5))
    assert run_for_a_while(state, plan) == 0
    ledger = LmdbLedger(state / LEDGER_DIR, readonly=True)
    assert (ledger.count(), ledger.feed_count()) == (5, 5)
    ledger.close()
    (tmp_path / "a.csv").unlink()
    end_calls(state, range(5, 6))
    assert run_for_a_while(state, plan) == 0
    assert sorted(ids_in(tmp_path)) == [f"c{number}" for number in range(6)]


def end_calls(state: Path, numbers: range) -> None:
    """Ends calls; closed before the fork, as LMDB has to be."""
    live = LmdbLive(state / LIVE_DIR, slot=0)
    live.commit([Finish(cdr(number).id, cdr(number)) for number in numbers], NOON_MS)
    live.close()


def run_for_a_while(state: Path, plan: FilePlan) -> int:
    child = run_child(state, plan)
    time.sleep(0.3)
    os.kill(child, signal.SIGTERM)
    return os.waitpid(child, 0)[1]
