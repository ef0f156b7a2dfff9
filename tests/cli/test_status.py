from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from router.admin.status_facts import read_status
from router.cli.status import show, status
from router.runtime.run_record import (
    RUN_RECORD,
    make_run_record,
    read_run_record,
    write_run_record,
)
from router.store.errors import StoreError
from router.store.live import LmdbLive
from router.store.ops import Admit, Candidate, Finish, GatewayNews, GatewayState
from router.store.records import CallRecord, Cdr

NOW_MS = 1_000_000_000_000
GATEWAYS = [("cn_mobile", 30), ("backup", -1), ("down_town", 5)]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A running router: worker 0 of 2 alive, two calls on cn_mobile, one CDR waiting."""
    record = make_run_record(
        pid=4711,
        started_ms=NOW_MS - 3_725_000,
        config_hash="0123456789ab",
        slots=2,
        gateways=GATEWAYS,
        metrics="127.0.0.1:9464",
    )
    write_run_record(tmp_path, record)
    return tmp_path


@contextlib.contextmanager
def open_live(state: Path) -> Iterator[LmdbLive]:
    """The store as a worker has it; closed again, since a process can open it only once."""
    store = LmdbLive(state / "live.lmdb", slot=0)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture(autouse=True)
def live_state(tmp_path: Path) -> None:
    tiers = ((Candidate("gateway:cn_mobile", 30),),)
    calls = [CallRecord(id=f"{number:012x}00aa", call_id=f"call-{number}") for number in range(3)]
    with open_live(tmp_path) as store:
        store.commit([Admit(call, (), tiers) for call in calls], NOW_MS)
        store.commit([Finish(calls[0].id, Cdr(id=calls[0].id))], NOW_MS)
        store.commit([GatewayState("gateway:down_town", NOW_MS + 90_000, 5)], NOW_MS)
        store.heartbeat(0, NOW_MS - 900)
        store.heartbeat(1, NOW_MS - 7_000)


def shown(state: Path, now_ms: int = NOW_MS) -> str:
    out = io.StringIO()
    show(read_status(state, now_ms), state, Console(file=out, width=100), now_ms)
    return out.getvalue()


def lines_with(text: str, word: str) -> str:
    """The lines that hold a word, with single spaces."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if word in line)


def test_the_table_shows_workers_calls_and_gateways(state: Path) -> None:
    text = shown(state)
    assert "running for 1 h 2 min, process 4711" in lines_with(text, "Trunkline")
    assert lines_with(text, "Workers") == "Workers 1 of 2 up (not up: 1)"
    assert lines_with(text, "Active calls") == "Active calls 2"
    assert lines_with(text, "CDRs waiting") == "CDRs waiting 1 for the ledger"
    assert lines_with(text, "Configuration") == "Configuration 0123456789ab"
    assert "of 4.0 GiB used" in lines_with(text, "Live map")
    assert lines_with(text, "cn_mobile") == "cn_mobile 2 30 3 up"
    assert lines_with(text, "backup") == "backup 0 unlimited 0 up"
    assert lines_with(text, "down_town") == "down_town 0 5 0 down, tried again in 1 min 30 s"


def test_a_gateway_says_why_it_is_down_and_whether_it_has_registered_us(state: Path) -> None:
    with open_live(state) as live:
        live.commit(
            [
                GatewayNews("gateway:cn_mobile", down=True, trouble="3 pings without an answer"),
                GatewayNews("gateway:backup", registered_until_ms=NOW_MS + 600_000),
                GatewayNews("gateway:down_town", unregistered=True, trouble="403 Forbidden"),
            ],
            NOW_MS - 5_000,
        )
    text = shown(state)
    assert "3 down: 3 pings without an answer (5 s ago)" in lines_with(text, "cn_mobile")
    assert "up, registered until 20" in lines_with(text, "backup")
    found = {one.name: one for one in read_status(state, NOW_MS).gateways}
    assert not found["cn_mobile"].up and found["cn_mobile"].up_again_in_ms == 0
    assert found["cn_mobile"].registered_until_ms is None
    assert found["backup"].registered_until_ms == NOW_MS + 600_000
    assert found["down_town"].registered_until_ms == 0
    assert found["down_town"].why == "403 Forbidden"


def test_the_interpreter_that_runs_is_named(state: Path) -> None:
    said = lines_with(shown(state), "Interpreter")
    assert said.startswith(f"Interpreter Python {sys.version.split()[0]}, /")


def test_a_router_that_stopped_says_since_when(state: Path) -> None:
    text = shown(state, NOW_MS + 3_600_000)
    assert "not running, last heartbeat 1 h 0 min ago" in lines_with(text, "Trunkline")
    assert lines_with(text, "Workers") == "Workers 0 of 2 up"
    assert read_status(state, NOW_MS + 3_600_000).pid is None


def test_without_a_run_record_live_state_alone_is_shown(state: Path) -> None:
    (state / RUN_RECORD).unlink()
    text = shown(state)
    assert "Trunkline running, state folder" in lines_with(text, "Trunkline")
    assert lines_with(text, "Workers") == "Workers 1 of 2 up (not up: 1)"
    assert lines_with(text, "cn_mobile") == "cn_mobile 2 unknown 3 up"
    assert "Interpreter" not in text


def test_a_gateway_of_an_earlier_configuration_is_shown_while_it_holds_a_call(
    state: Path,
) -> None:
    tiers = ((Candidate("gateway:retired", 1),),)
    call = CallRecord(id="00000000ffff00aa", call_id="call-x")
    with open_live(state) as live:
        live.commit([Admit(call, (), tiers)], NOW_MS)
    assert lines_with(shown(state), "retired") == "retired 1 unknown 1 up"
    with open_live(state) as live:
        live.commit([Finish(call.id, Cdr(id=call.id))], NOW_MS)
    assert "retired" not in shown(state)


def test_json_holds_the_same_numbers(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: NOW_MS * 1_000_000)
    assert status(state=state, as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == msgspec.to_builtins(read_status(state, NOW_MS))
    assert found["workers"][0] == {"slot": 0, "up": True, "heartbeat_age_ms": 900}
    assert found["gateways"][1]["lines"] is None
    assert found["gateways"][2]["up_again_in_ms"] == 90_000
    assert found["live_map_bytes"] == 1 << 32


def test_a_folder_where_no_router_ran_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(StoreError):
        read_status(elsewhere, NOW_MS)
    assert status(state=elsewhere) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert f'no router has run with state folder "{elsewhere}"' in said.err
    assert not elsewhere.exists()


def test_a_reader_that_goes_away_is_no_traceback(state: Path) -> None:
    """As in `trunkline status --json | true`: what is printed is only flushed at the end."""
    script = (
        f"import sys; sys.argv = ['trunkline', 'status', '--json', '--state', {str(state)!r}]\n"
        "from router.cli.main import main\n"
        "sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    process.wait(30)
    assert said == b""


def test_a_run_record_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert read_run_record(tmp_path / "nowhere") is None
    (tmp_path / RUN_RECORD).write_text("{")
    assert read_run_record(tmp_path) is None
