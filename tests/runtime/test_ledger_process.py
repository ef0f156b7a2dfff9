from __future__ import annotations

import contextlib
import itertools
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from router.billing.charges import settle, terms
from router.billing.rate import Rate
from router.runtime import ledger_process
from router.runtime.child import EXIT_CANNOT_BOOT, EXIT_FAILED, EXIT_OK
from router.runtime.ledger_process import StopSignal, run_ledger
from router.store import boot
from router.store.boot import ensure_current_live
from router.store.errors import StoreError
from router.store.funds import Funds
from router.store.interface import OutboxEntry
from router.store.ledger import LmdbLedger
from router.store.ledger_check import check_ledger, check_live
from router.store.live import LmdbLive
from router.store.money import Money
from router.store.ops import Admit, Candidate, Credit, Finish, Op, Opened
from router.store.records import CallRecord, Cdr
from router.store.state import Prepared, prepare_state

NOW_MS = 1_700_000_000_000
TIERS = ((Candidate("gateway:a"),),)


class Lines:
    """A log that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def __call__(self, level: str, event: str, /, **fields: object) -> None:
        self.lines.append((level, event, fields))


class StopAfter:
    """A stop that is set after so many waits, and never sleeps."""

    def __init__(self, waits: int, during: Callable[[int], None] = lambda _: None) -> None:
        self.waited: list[float] = []
        self._waits = waits
        self._during = during

    def is_set(self) -> bool:
        return len(self.waited) >= self._waits

    def wait(self, timeout: float) -> None:
        self.waited.append(timeout)
        self._during(len(self.waited))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    prepare_state(tmp_path / "state")
    return tmp_path / "state"


@contextlib.contextmanager
def open_live(state: Path) -> Iterator[LmdbLive]:
    live = LmdbLive(state / "live.lmdb")
    try:
        yield live
    finally:
        live.close()


@contextlib.contextmanager
def open_ledger(state: Path) -> Iterator[LmdbLedger]:
    ledger = LmdbLedger(state / "ledger.lmdb", readonly=True)
    try:
        yield ledger
    finally:
        ledger.close()


def cdr(number: int) -> Cdr:
    return Cdr(id=f"{NOW_MS + number:012x}00{number:08x}", call_id=f"call-{number}")


def commit(state: Path, ops: Sequence[Op]) -> None:
    with open_live(state) as live:
        live.commit(ops, NOW_MS)


def finish(state: Path, numbers: Sequence[int]) -> None:
    commit(state, [Finish(cdr(number).id, cdr(number)) for number in numbers])


def stored(state: Path) -> list[str]:
    """Call-IDs in the ledger, oldest first."""
    with open_ledger(state) as ledger:
        return [found.call_id for found in ledger.cdrs()][::-1]


def calls(numbers: Sequence[int]) -> list[str]:
    return [f"call-{number}" for number in numbers]


def test_what_waits_when_told_to_stop_is_stored_first(state: Path) -> None:
    finish(state, range(10))
    log = Lines()
    assert run_ledger(state, log=log, stop=StopAfter(0)) == EXIT_OK
    assert stored(state) == calls(range(10))
    with open_live(state) as live:
        assert live.backlog() == 0
    assert log.lines == []


def test_an_idle_process_waits_its_interval_and_beats(state: Path) -> None:
    stop = StopAfter(4)
    beats: list[None] = []
    assert run_ledger(state, log=Lines(), stop=stop, beat=lambda: beats.append(None)) == EXIT_OK
    assert stop.waited == [0.25] * 4
    assert len(beats) == 5


def test_a_full_batch_is_followed_by_the_next_without_waiting(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_process, "BATCH_ENTRIES", 10)
    monkeypatch.setattr("router.store.draining.BATCH_ENTRIES", 10)
    finish(state, range(35))
    stop = StopAfter(1)
    assert run_ledger(state, log=Lines(), stop=stop) == EXIT_OK
    assert stored(state) == calls(range(35))
    assert len(stop.waited) == 1


def test_a_batch_costs_one_transaction_however_large(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    store = LmdbLedger.store

    def count(self: LmdbLedger, batch: Sequence[OutboxEntry], heartbeat_ms: int = 0) -> int:
        sizes.append(len(batch))
        return store(self, batch, heartbeat_ms)

    monkeypatch.setattr(LmdbLedger, "store", count)
    finish(state, range(1_500))
    assert run_ledger(state, log=Lines(), stop=StopAfter(0)) == EXIT_OK
    assert sizes == [1_500]


class Killed(BaseException):
    """Stands for a kill -9 at this very line."""


@pytest.mark.parametrize("delete_chunk", [3, 256])
@pytest.mark.parametrize("after", range(6))
def test_death_between_any_two_steps_loses_and_repeats_nothing(
    state: Path, monkeypatch: pytest.MonkeyPatch, after: int, delete_chunk: int
) -> None:
    """Dies before step number `after` of: read, store, delete; read, store, delete."""
    monkeypatch.setattr(ledger_process, "BATCH_ENTRIES", 10)
    monkeypatch.setattr("router.store.draining.BATCH_ENTRIES", 10)
    monkeypatch.setattr("router.store.live.DELETE_CHUNK", delete_chunk)
    finish(state, range(20))
    with monkeypatch.context() as mortal:
        steps = iter(range(100))

        def mortal_step(whole: Callable[..., Any]) -> Callable[..., Any]:
            def step(*args: Any) -> Any:
                if next(steps) == after:
                    raise Killed
                return whole(*args)

            return step

        mortal.setattr(LmdbLive, "outbox", mortal_step(LmdbLive.outbox))
        mortal.setattr(LmdbLedger, "store", mortal_step(LmdbLedger.store))
        mortal.setattr(LmdbLive, "outbox_delete", mortal_step(LmdbLive.outbox_delete))
        with pytest.raises(Killed):
            run_ledger(state, log=Lines(), stop=StopAfter(0))
    assert run_ledger(state, log=Lines(), stop=StopAfter(0)) == EXIT_OK
    assert stored(state) == calls(range(20))
    with open_live(state) as live:
        assert live.backlog() == 0


def test_an_opening_is_kept_open_and_ended_by_its_cdr(state: Path) -> None:
    record = CallRecord(id=cdr(1).id, cdr=cdr(1))
    commit(state, [Admit(record, (), TIERS), Opened(record)])
    assert run_ledger(state, log=Lines(), stop=StopAfter(0)) == EXIT_OK
    with open_ledger(state) as ledger:
        assert [opening.id for opening in ledger.open_calls()] == [record.id]
    commit(state, [Finish(record.id, record.cdr)])
    assert run_ledger(state, log=Lines(), stop=StopAfter(0)) == EXIT_OK
    with open_ledger(state) as ledger:
        assert list(ledger.open_calls()) == []
    assert stored(state) == ["call-1"]


def test_the_heartbeat_is_stored_once_a_second_while_calls_are_open(state: Path) -> None:
    record = CallRecord(id=cdr(1).id, cdr=cdr(1))
    commit(state, [Admit(record, (), TIERS), Opened(record)])
    clock = iter(range(NOW_MS, NOW_MS + 1_000_000, 250))
    written: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LmdbLedger, "heartbeat", lambda _, now_ms: written.append(now_ms))
        run_ledger(state, log=Lines(), stop=StopAfter(12), now_ms=lambda: next(clock))
    # Twelve turns and the last one, 250 ms apart; the first stored the opening with its own.
    assert len(written) == 3
    assert {later - earlier for earlier, later in itertools.pairwise(written)} == {1_000}


def test_an_idle_router_writes_nothing_to_its_ledger(state: Path) -> None:
    run_ledger(state, log=Lines(), stop=StopAfter(0))
    before = (state / "ledger.lmdb" / "data.mdb").stat().st_mtime_ns
    clock = iter(range(NOW_MS, NOW_MS + 1_000_000, 1_000))
    assert run_ledger(state, log=Lines(), stop=StopAfter(50), now_ms=lambda: next(clock)) == 0
    assert (state / "ledger.lmdb" / "data.mdb").stat().st_mtime_ns == before


def test_after_a_restart_of_the_machine_open_calls_end_at_the_last_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("boot-1\n")
    monkeypatch.setattr(boot, "BOOT_ID_PATH", boot_id)
    state = tmp_path / "state"
    prepare_state(state)
    record = CallRecord(id=cdr(1).id, cdr=cdr(1))
    record.cdr.account, record.cdr.answered = "acme", NOW_MS + 1_000
    commit(state, [Admit(record, (), TIERS), Opened(record)])
    run_ledger(state, log=Lines(), stop=StopAfter(0), now_ms=lambda: NOW_MS + 60_000)

    boot_id.write_text("boot-2\n")
    ensure_current_live(state / "live.lmdb")
    log = Lines()
    for hour in (1, 2):
        later_ms = NOW_MS + hour * 3_600_000
        run_ledger(state, log=log, stop=StopAfter(0), now_ms=lambda late=later_ms: late)
    with open_ledger(state) as ledger:
        (ended,) = ledger.cdrs()
        assert list(ledger.open_calls()) == []
    assert ended.end_reason == "SystemRestart"
    assert (ended.ended, ended.duration_ms) == (NOW_MS + 60_000, 59_000)
    assert log.lines == [
        ("warning", "calls open at a restart of the machine were closed", {"calls": 1})
    ]


def test_the_preparation_of_a_start_closes_them_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("boot-1\n")
    monkeypatch.setattr(boot, "BOOT_ID_PATH", boot_id)
    state = tmp_path / "state"
    prepare_state(state)
    record = CallRecord(id=cdr(1).id, cdr=cdr(1))
    record.cdr.account, record.cdr.answered = "acme", NOW_MS + 1_000
    commit(state, [Admit(record, (), TIERS), Opened(record)])
    run_ledger(state, log=Lines(), stop=StopAfter(0), now_ms=lambda: NOW_MS + 60_000)

    boot_id.write_text("boot-2\n")
    assert prepare_state(state) == Prepared(True, 1, [])
    assert prepare_state(state) == Prepared(False, 0, [])
    with open_ledger(state) as ledger:
        (ended,) = ledger.cdrs()
    assert (ended.ended, ended.duration_ms) == (NOW_MS + 60_000, 59_000)


def test_a_call_that_a_power_cut_ended_is_charged_by_the_terms_of_its_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("boot-1\n")
    monkeypatch.setattr(boot, "BOOT_ID_PATH", boot_id)
    state = tmp_path / "state"
    prepare_state(state)
    record = CallRecord(id=cdr(1).id, cdr=cdr(1))
    record.cdr.account, record.cdr.answered = "acme", NOW_MS + 1_000
    rate = Rate("86", 600_000, first_s=30, cycle_s=30)
    record.cdr.charges = [terms("acme", "retail", rate), terms("carrier", "vendor", rate)]
    opening = Funds("opening:acme", "acme", 5_000_000, "opening")
    credit = (Credit("acme", 600_000),)
    commit(state, [opening, Admit(record, (), TIERS, credit), Opened(record)])
    run_ledger(state, log=Lines(), stop=StopAfter(0), now_ms=lambda: NOW_MS + 62_000)

    boot_id.write_text("boot-2\n")
    assert prepare_state(state, bill=settle) == Prepared(True, 1, [])
    with open_ledger(state) as ledger, open_live(state) as live:
        (ended,) = ledger.cdrs()
        assert (ended.duration_ms, ended.billed_s, ended.charge) == (61_000, 90, 900_000)
        assert ledger.balances() == {"acme": 4_100_000, "carrier": -900_000}
        assert live.monies() == {"acme": Money(4_100_000, 0), "carrier": Money(-900_000, 0)}
        assert check_ledger(ledger).problems == []
        assert check_live(ledger, live) == []


def test_a_ledger_that_refuses_is_tried_again_ever_more_slowly_and_said_once(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(state, range(3))
    store = LmdbLedger.store
    tries: list[int] = []

    def refuse(self: LmdbLedger, batch: Sequence[OutboxEntry], heartbeat_ms: int = 0) -> int:
        tries.append(len(batch))
        if len(tries) <= 8:
            raise StoreError("ledger.lmdb cannot be written: the disk is full")
        return store(self, batch, heartbeat_ms)

    monkeypatch.setattr(LmdbLedger, "store", refuse)
    stop = StopAfter(9)
    log = Lines()
    assert run_ledger(state, log=log, stop=stop, now_ms=lambda: NOW_MS) == EXIT_OK
    assert stored(state) == calls(range(3))
    assert stop.waited == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0, 0.25]
    assert log.lines == [
        (
            "error",
            "CDRs wait, the ledger cannot store them",
            {"reason": "ledger.lmdb cannot be written: the disk is full"},
        ),
        ("info", "the ledger stores CDRs again", {}),
    ]


def test_what_a_failing_ledger_does_not_take_stays_for_the_next_start(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(state, range(3))

    def refuse(*_: object) -> int:
        raise StoreError("the disk is full")

    log = Lines()
    with monkeypatch.context() as full_disk:
        full_disk.setattr(LmdbLedger, "store", refuse)
        assert run_ledger(state, log=log, stop=StopAfter(0), interval_s=0) == EXIT_FAILED
    assert log.lines[-1] == (
        "error",
        "CDRs stay in the outbox until the next start",
        {"entries": 3},
    )
    assert run_ledger(state, log=log, stop=StopAfter(0)) == EXIT_OK
    assert stored(state) == calls(range(3))


def test_a_state_that_cannot_be_opened_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    log = Lines()
    assert run_ledger(tmp_path / "state", log=log, stop=StopAfter(0)) == EXIT_CANNOT_BOOT
    assert [line[:2] for line in log.lines] == [("error", "the ledger cannot be opened")]


def test_a_stop_signal_ends_a_wait_from_another_thread_at_once() -> None:
    stop = StopSignal()
    assert stop.wait(0) is False
    threading.Timer(0.02, stop.set).start()
    started = time.monotonic()
    assert stop.wait(30) is True
    assert time.monotonic() - started < 10
    stop.set()
    assert stop.is_set()


LEDGER = """
import json, signal, sys
from router.runtime import ledger_process
# Before "up": a SIGTERM that came earlier than the handler would end the process by itself.
stop = ledger_process.StopSignal()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
ledger_process.BATCH_ENTRIES = int(sys.argv[2])
import router.store.live
router.store.live.DELETE_CHUNK = 5
def log(level, event, /, **fields):
    print(json.dumps([level, event, fields]), file=sys.stderr, flush=True)
print("up", flush=True)
sys.exit(ledger_process.run_ledger(sys.argv[1], log=log, stop=stop, interval_s=0.001))
"""


def start_ledger(state: Path, batch: int = 7) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", LEDGER, str(state), str(batch)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "up\n"
    return process


def test_a_ledger_killed_again_and_again_stores_every_cdr_once(state: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    number = 0
    drained_midway = 0
    live = LmdbLive(state / "live.lmdb")
    for _ in range(20):
        process = start_ledger(state)
        before = live.backlog()
        end = time.monotonic() + dice.uniform(0.02, 0.12)
        while time.monotonic() < end:
            ended = [cdr(number + step) for step in range(dice.randint(1, 20))]
            number += len(ended)
            live.commit([Finish(done.id, done) for done in ended], NOW_MS)
            time.sleep(0.001)
        process.kill()
        process.communicate(timeout=20)
        drained_midway += 0 < live.backlog() < before + number
    live.close()
    # Otherwise the kills came when nothing was in the air.
    assert drained_midway > 5
    assert run_ledger(state, log=Lines(), stop=StopAfter(0)) == EXIT_OK
    assert stored(state) == calls(range(number))


def test_sigterm_drains_to_the_last_cdr_and_exits_0(state: Path) -> None:
    process = start_ledger(state, batch=50)
    live = LmdbLive(state / "live.lmdb")
    live.commit([Finish(cdr(number).id, cdr(number)) for number in range(500)], NOW_MS)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert live.backlog() == 0
    live.close()
    assert stored(state) == calls(range(500))


def test_a_second_ledger_on_the_same_state_does_not_start(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_process, "PREDECESSOR_WAIT_S", 0.05)
    first = start_ledger(state)
    finish(state, [1])
    end = time.monotonic() + 10
    while not stored(state) and time.monotonic() < end:
        time.sleep(0.005)
    log = Lines()
    assert run_ledger(state, log=log, stop=StopAfter(0)) == EXIT_CANNOT_BOOT
    ((level, _, fields),) = log.lines
    assert level == "error"
    assert f"is in use by another Trunkline (its ledger process is {first.pid})" in str(fields)
    first.kill()
    first.communicate(timeout=20)
    monkeypatch.setattr(ledger_process, "PREDECESSOR_WAIT_S", 5.0)
    assert run_ledger(state, log=log, stop=StopAfter(0)) == EXIT_OK


def test_log_lines_are_whole_when_the_process_says_why(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    process = start_ledger(tmp_path / "state")
    _, err = process.communicate(timeout=20)
    assert process.returncode == EXIT_CANNOT_BOOT
    level, event, fields = json.loads(err)
    assert (level, event) == ("error", "the ledger cannot be opened")
    assert fields["reason"].startswith(f"state folder {tmp_path / 'state'} cannot be used: ")
