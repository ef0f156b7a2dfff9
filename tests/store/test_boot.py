from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from store_samples import NOW_MS, sample_admit

from router.store import boot
from router.store.boot import WriterLock, ensure_current_live, live_is_current, live_mark
from router.store.errors import StoreError
from router.store.live import LmdbLive
from router.store.state import Prepared, prepare_state

MAP_BYTES = 8 << 20


@pytest.fixture
def other_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes the kernel tell another boot id whenever the file is rewritten."""
    path = tmp_path / "boot_id"
    path.write_text("11111111-boot\n")
    monkeypatch.setattr(boot, "BOOT_ID_PATH", path)
    return path


def test_the_kernel_names_its_boot() -> None:
    assert len(boot.boot_id()) == 36


def test_live_state_of_another_boot_is_thrown_away(live_path: Path, other_boot: Path) -> None:
    live = LmdbLive(live_path, map_bytes=MAP_BYTES)
    live.commit([sample_admit(1)], NOW_MS)
    live.close()
    mark = live_mark(live_path)
    assert mark.startswith("11111111-boot ")

    live = LmdbLive(live_path, map_bytes=MAP_BYTES)
    assert live.active_calls() == 1
    live.close()
    assert live_mark(live_path) == mark

    other_boot.write_text("22222222-boot\n")
    with pytest.raises(StoreError, match="no live state of this boot"):
        LmdbLive(live_path, readonly=True)
    live = LmdbLive(live_path, map_bytes=MAP_BYTES)
    assert live.active_calls() == 0
    assert live.usages("") == {}
    live.close()
    assert live_mark(live_path).startswith("22222222-boot ")


def test_damaged_state_of_another_boot_is_never_opened(live_path: Path, other_boot: Path) -> None:
    LmdbLive(live_path, map_bytes=MAP_BYTES).close()
    (live_path / "data.mdb").write_bytes(b"\0" * 100_000)
    other_boot.write_text("22222222-boot\n")
    live = LmdbLive(live_path, map_bytes=MAP_BYTES)
    assert live.active_calls() == 0
    live.close()


def test_state_without_a_mark_is_not_trusted(live_path: Path) -> None:
    """So it looks when the process that threw the old state away died half-way."""
    live = LmdbLive(live_path, map_bytes=MAP_BYTES)
    live.commit([sample_admit(1)], NOW_MS)
    live.close()
    (live_path / "boot").unlink()
    assert ensure_current_live(live_path)
    live = LmdbLive(live_path, map_bytes=MAP_BYTES)
    assert live.active_calls() == 0
    live.close()


def test_state_made_anew_in_the_same_boot_has_another_mark(live_path: Path) -> None:
    assert not ensure_current_live(live_path)
    first = live_mark(live_path)
    (live_path / "boot").unlink()
    ensure_current_live(live_path)
    assert live_mark(live_path) != first
    assert live_is_current(live_path)


RACER = """
import sys
from pathlib import Path
from router.store import boot
boot.BOOT_ID_PATH = Path(sys.argv[2])
from router.store.boot import live_mark
from router.store.live import LmdbLive
from router.store.ops import Admit, Candidate
from router.store.records import CallRecord
print("ready", flush=True)
sys.stdin.readline()
live = LmdbLive(sys.argv[1], map_bytes=8 << 20)
live.commit([Admit(CallRecord(id=sys.argv[3]), (), ((Candidate("gateway:a"),),))], 1)
print(live_mark(live.path), flush=True)
"""


def test_processes_that_find_an_old_boot_at_once_agree_on_one_new_state(
    live_path: Path, other_boot: Path
) -> None:
    for turn in range(5):
        other_boot.write_text(f"boot-{turn}\n")
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", RACER, str(live_path), str(other_boot), f"call-{number}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(4)
        ]
        for racer in racers:
            assert racer.stdout and racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin
            racer.stdin.write("\n")
            racer.stdin.flush()
        marks = {racer.communicate(timeout=20)[0] for racer in racers}
        assert [racer.returncode for racer in racers] == [0] * 4
        assert len(marks) == 1
        live = LmdbLive(live_path, readonly=True)
        assert sorted(call.id for call in live.calls()) == [f"call-{n}" for n in range(4)]
        assert live.verify() == []
        live.close()


def test_a_missing_boot_id_is_an_error_in_words(
    live_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(boot, "BOOT_ID_PATH", tmp_path / "none")
    with pytest.raises(StoreError, match="live state of before a restart could not be told"):
        LmdbLive(live_path, map_bytes=MAP_BYTES)


def test_prepare_state_makes_everything_a_reader_needs(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state"
    assert prepare_state(state) == Prepared(False, 0, [])
    assert (state / "live.lmdb" / "data.mdb").exists()
    assert (state / "ledger.lmdb" / "data.mdb").exists()
    assert live_is_current(state / "live.lmdb")
    assert sorted(path.name for path in state.iterdir()) == [
        "ledger.lmdb",
        "ledger.lock",
        "live.lmdb",
        "live.lock",
        "objects.lmdb",
        "rates.lmdb",
    ]
    assert prepare_state(state) == Prepared(False, 0, [])


def test_prepare_state_says_whether_it_threw_live_state_away(
    tmp_path: Path, other_boot: Path
) -> None:
    prepare_state(tmp_path / "state")
    other_boot.write_text("22222222-boot\n")
    assert prepare_state(tmp_path / "state").threw_away
    assert not prepare_state(tmp_path / "state").threw_away


def test_a_state_folder_that_is_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreError, match=r"state folder .*state cannot be used: File exists"):
        prepare_state(tmp_path / "state")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o500)
    with pytest.raises(StoreError, match="cannot be used: Permission denied"):
        prepare_state(tmp_path / "state")


def test_a_folder_that_cannot_be_written_is_refused_in_words() -> None:
    with pytest.raises(StoreError, match=r"state folder /proc/trunkline cannot be used: "):
        prepare_state("/proc/trunkline")


def test_a_second_writer_is_refused_with_the_first_ones_process_id(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path / "ledger.lock")
    with pytest.raises(
        StoreError, match=rf"in use by another .*its ledger process is {os.getpid()}"
    ):
        WriterLock(tmp_path / "ledger.lock")
    lock.release()
    WriterLock(tmp_path / "ledger.lock").release()
