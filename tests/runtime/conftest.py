"""Real processes for the tests of router/runtime: a function in a fork, its output in a file."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Test modules import `echo` from beside them; there are no packages under tests/.
sys.path.insert(0, str(Path(__file__).resolve().parent))

PATIENCE_S = 10.0


def wait_for(condition: Callable[[], object], what: str = "") -> object:
    """The condition's first true value; fails the test when it does not come in time."""
    end = time.monotonic() + PATIENCE_S
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"waited {PATIENCE_S} s for {what or condition}")
        time.sleep(0.005)


class Running:
    """A function that runs in a process of its own."""

    def __init__(self, body: Callable[[], int], output: Path) -> None:
        self.output = output
        self._code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.dup2(written, 1)
                os.dup2(written, 2)
                sys.stdout = os.fdopen(1, "w", buffering=1)
                sys.stderr = os.fdopen(2, "w", buffering=1)
                code = body()
            except SystemExit as ended:
                code = int(ended.code or 0)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)

    def text(self) -> str:
        """Everything written so far."""
        return self.output.read_text() if self.output.exists() else ""

    def wait_for_text(self, part: str, times: int = 1) -> None:
        """Until the output has `part` so often."""
        try:
            wait_for(lambda: self.text().count(part) >= times, f"{part!r} x {times}")
        except BaseException:
            print(self.text())
            raise

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def poll(self) -> int | None:
        if self._code is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def wait(self) -> int:
        """The exit code."""
        try:
            wait_for(lambda: self.poll() is not None, "the exit")
        except BaseException:
            print(self.text())
            raise
        assert self._code is not None
        return self._code


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Callable[[], int]], Running]]:
    """Start functions in processes; what still runs at the end of the test is killed."""
    running: list[Running] = []

    def begin(body: Callable[[], int]) -> Running:
        running.append(Running(body, tmp_path / f"output-{len(running)}.txt"))
        return running[-1]

    yield begin
    for process in running:
        if process.poll() is None:
            process.signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
def wait() -> Callable[..., object]:
    """`wait_for`, for test modules: they cannot import one another."""
    return wait_for
