"""`trunkline demo` as a newcomer runs it: no terminal, a small one, Ctrl-C half-way."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness.ports import wait_until
from harness.processes import alive, children

PROGRAM = Path(sys.executable).with_name("trunkline")
LIMIT_S = 60


def start(folder: Path, *options: str, columns: int = 80) -> subprocess.Popen[str]:
    """The demo, with its temporary folders in `folder`."""
    environ = {**os.environ, "TMPDIR": str(folder), "COLUMNS": str(columns)}
    return subprocess.Popen(
        [str(PROGRAM), "demo", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )


def test_a_dozen_calls_are_played_and_shown_within_80_columns(tmp_path: Path) -> None:
    process = start(tmp_path)
    out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, err) == (0, ""), out + err
    assert "All 12 calls ended as they were meant to." in out
    for reason in ("UserBusy", "NotFound", "Cancelled", "NoAvailableRouter", "ResponseTimeout"):
        assert reason in out
    assert "◄─ 503 Service Unavailable ─" in out
    assert "What to try next" in out
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out, "no colours and no spinner without a terminal"
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_can_be_looked_at(tmp_path: Path) -> None:
    process = start(tmp_path, "--keep", columns=140)
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, out + err
    (folder,) = tmp_path.iterdir()
    assert str(folder) in out
    done = subprocess.run(
        [str(PROGRAM), "cdr", "--state", str(folder / "state"), "--json"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 12
    errors = [
        line for line in (folder / "router.log").read_text().splitlines() if '"error"' in line
    ]
    assert errors == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_ended_half_way_it_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process = start(tmp_path)
    try:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("  86"):
            assert process.poll() is None
        family = everyone(process.pid)
        assert len(family) >= 4, "the router, its workers and its ledger"
        process.send_signal(number)
        out, err = process.communicate(timeout=15)
    finally:
        process.kill()
    assert (process.returncode, err) == (code, "")
    assert "Traceback" not in out
    assert list(tmp_path.iterdir()) == []
    assert [pid for pid in family if alive(pid)] == []


def test_killed_it_takes_its_router_with_it(tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("  86"):
        assert process.poll() is None
    family = everyone(process.pid)
    process.kill()
    process.communicate(timeout=15)
    wait_until(lambda: not any(map(alive, family)), "the router dies with the demo", 5)


def test_on_a_terminal_the_line_of_progress_is_gone_at_the_end(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(PROGRAM), "demo"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "80", "TERM": "xterm"},
    )
    os.close(theirs)
    said = b""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # the other side is closed
            break
        said += part
    os.close(ours)
    assert process.wait(5) == 0, said.decode()
    assert b"calls are over" in said
    shown, hidden = said.rfind(b"\x1b[?25h"), said.rfind(b"\x1b[?25l")
    assert shown > hidden >= 0, "the cursor is shown again"


def everyone(pid: int) -> list[int]:
    """All processes below this one."""
    found = children(pid)
    return found + [below for child in found for below in everyone(child)]
