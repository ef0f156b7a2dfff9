"""`trunkline top` in a real terminal (a pty), on a real router under SIPp's calls."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
from harness.routes import Routes
from harness.switch import PROGRAM, Switch

ANSWERED_IN_S = 15.0
ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
SHOW_CURSOR = "\x1b[?25h"
SGR = re.compile(r"\x1b\[([\d;]*)m")
RGB = re.compile(r"[34]8;2;(\d+);(\d+);(\d+)")
BASIC = re.compile(r"(?:3[1-6]|4[1-6]|9[1-6]|10[1-6]|[34]8)")


class Terminal:
    """A pty of a size with the command in it; `said` is all that it wrote."""

    def __init__(self, *words: str, columns: int = 80, lines: int = 24, **environ: str) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.said = ""
        inherited = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        self.process = subprocess.Popen(
            [str(PROGRAM), "top", *words],
            stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
            env={**inherited, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environ},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def reads(self, seconds: float) -> str:
        """What comes within this time."""
        end = time.monotonic() + seconds
        start = len(self.said)
        while (left := end - time.monotonic()) > 0:
            if select.select([self.master], [], [], min(left, 0.2))[0]:
                self.said += os.read(self.master, 65536).decode(errors="replace")
        return self.said[start:]

    def shows(self, *words: str, since: int = 0) -> None:
        """AssertionError unless all of these are written, in time."""
        end = time.monotonic() + ANSWERED_IN_S
        while any(word not in self.said[since:] for word in words):
            missing = [word for word in words if word not in self.said[since:]]
            assert time.monotonic() < end, f"{missing} not in {self.said[since:][-4000:]!r}"
            self.reads(0.2)

    def press(self, keys: str) -> int:
        """Type; where what comes afterwards begins."""
        os.write(self.master, keys.encode())
        return len(self.said)

    def ends(self, seconds: float = 10.0) -> int:
        """The exit code; what it still writes is read meanwhile."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it is still there: {self.said[-2000:]!r}"
            self.reads(0.1)
        self.reads(0.2)
        return self.process.returncode

    def is_restored(self) -> None:
        """AssertionError unless the terminal is as it was before."""
        assert termios.tcgetattr(self.slave) == self.before
        assert self.said.rindex(LEAVE_SCREEN) > self.said.rindex(ENTER_SCREEN)
        assert self.said.rindex(SHOW_CURSOR) > self.said.rindex(ENTER_SCREEN)
        assert "Traceback" not in self.said

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
        for descriptor in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    return module_switch(Routes(pairs=4), workers=2)


@pytest.fixture
def terminal():
    own: list[Terminal] = []

    def open_terminal(*words: str, **more) -> Terminal:
        own.append(Terminal(*words, **more))
        return own[-1]

    yield open_terminal
    for each in own:
        each.close()


def test_it_shows_a_router_under_load(switch: Switch, sipp, terminal) -> None:
    answered, refused = switch.routes.pair(), switch.routes.pair()
    sipp("gateway_answers", port=answered.first, calls=200)
    for port in (refused.first, refused.second):
        sipp("gateway_refuses", port=port, calls=200)
    callers = [
        sipp("caller_hangs_up", target=switch.port, number=answered.number, call_id="top-a",
             calls=60, rate=10, hold_ms=3000),
        sipp("caller_is_refused", target=switch.port, number=refused.number, call_id="top-r",
             calls=20, rate=5, changes={'response="404"': 'response="500"'}),
    ]
    shown = terminal("--state", str(switch.state), "--every", "0.5")
    shown.shows("Trunkline", "workers 2 of 2 up", answered.first_name, "q quit")
    shown.shows("NoAvailableRouter", "Last failures", refused.number, "█")
    since = shown.press("?")
    shown.shows("these keys", since=since)
    shown.press("\x1b")
    shown.reads(0.6)
    since = shown.press("\t\r")
    shown.shows("What happened", since=since)
    shown.press("\x1b")
    shown.reads(0.6)
    shown.press("q")
    assert shown.ends() == 0
    shown.is_restored()
    for caller in callers:
        caller.wait()
    switch.is_idle(20)


@pytest.mark.parametrize("how", ["ctrl-c", "sigterm"])
def test_it_leaves_the_terminal_as_it_was(switch: Switch, terminal, how: str) -> None:
    shown = terminal("--state", str(switch.state), columns=200, lines=60)
    shown.shows("workers 2 of 2 up", "WHAT IT MEANS")
    if how == "ctrl-c":
        shown.press("\x03")
    else:
        shown.process.send_signal(signal.SIGTERM)
    assert shown.ends() == 0
    shown.is_restored()


def test_no_colour_where_none_is_wanted(switch: Switch, terminal) -> None:
    shown = terminal("--state", str(switch.state), NO_COLOR="1")
    shown.shows("workers 2 of 2 up", "q quit")
    shown.press("q")
    assert shown.ends() == 0
    for codes in SGR.findall(shown.said):
        assert all(len(set(one)) == 1 for one in RGB.findall(codes)), f"more than a grey: {codes}"
        assert not any(map(BASIC.fullmatch, RGB.sub("", codes).split(";"))), codes


def test_it_waits_for_a_router_and_says_when_it_is_gone(run_switch, terminal) -> None:
    own = run_switch(Routes(pairs=1), start=False)
    shown = terminal("--state", str(own.state), "--every", "0.3")
    shown.shows("no router has run")
    own.start()
    shown.shows("workers 1 of 1 up")
    own.kill()
    shown.shows("NOT RUNNING")
    shown.press("q")
    assert shown.ends() == 0
    shown.is_restored()


def test_without_a_terminal_it_says_what_to_use_instead(switch: Switch) -> None:
    done = switch.command("top", "--state", str(switch.state))
    assert (done.returncode, done.stdout) == (1, "")
    assert "trunkline status" in done.stderr and len(done.stderr.splitlines()) == 1
