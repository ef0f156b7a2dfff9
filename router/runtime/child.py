"""What a process of Trunkline is on its first instructions after the fork: named, mortal, obedient.

A child dies with its supervisor, hears SIGTERM ("take nothing new, finish what runs") and SIGUSR1
("end at once"), is deaf to the terminal's Ctrl-C (which reaches the whole process group, while
stopping in order is the supervisor's business) and tells that it lives by writing the time into
a cell of shared memory. It knows no SIP and no store.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

from router.runtime.logs import log_sink

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_CANNOT_BOOT = 3
"""The configuration or the state keeps the process from starting: another try may not help."""
EXIT_FAULT = 70
"""An exception nobody caught: a fault of ours."""

FINISH = 1
END_AT_ONCE = 2

HANDLED_SIGNALS = frozenset(
    {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD}
)
ROUSE = signal.SIGUSR2
"""Sent to a worker that stands still; the others ignore it."""

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


class CannotBoot(Exception):
    """A process cannot start; the text is one line that says why."""


class Heartbeats:
    """What processes tell their supervisor through shared memory; each writes its own cell.

    `cells` holds monotonic milliseconds at which a process last turned its loop, 0 before the
    first time; `resting` is 1 for a process that was told to finish and has nothing left to do.
    """

    def __init__(self, cells: int) -> None:
        self._memory = mmap.mmap(-1, cells * 16)
        numbers = memoryview(self._memory).cast("q")
        self.cells = numbers[:cells]
        self.resting = numbers[cells:]

    def clear(self, cell: int) -> None:
        """Forget what the predecessor told."""
        self.cells[cell] = self.resting[cell] = 0


class Life:
    """One process's life: its generation, its orders, its heartbeat."""

    __slots__ = ("_cell", "_heartbeats", "_listener", "channel", "generation", "order", "words")

    def __init__(self, generation: int, heartbeats: Heartbeats, cell: int) -> None:
        self.generation = generation
        """Number of this process among all that the supervisor ever started, from 1."""
        self.order = 0
        """0: go on; FINISH: no new work; END_AT_ONCE."""
        self.channel: socket.socket | None = None
        """Where the supervisor tells a worker to load a new configuration."""
        self.words = -1
        """A descriptor for what a worker says when it stands still; -1: there is none."""
        self._heartbeats = heartbeats
        self._cell = cell
        self._listener: Callable[[], None] | None = None

    def beat(self) -> None:
        """Say that the loop turns; the first time also says that the boot succeeded."""
        self._heartbeats.cells[self._cell] = time.monotonic_ns() // 1_000_000

    def rest(self) -> None:
        """Say that nothing is left to do after the order to finish."""
        self._heartbeats.resting[self._cell] = 1

    def on_order(self, listener: Callable[[], None]) -> None:
        """Call `listener` in a signal handler whenever `order` rises; at once if it already has."""
        self._listener = listener
        if self.order:
            listener()

    def hear(self, order: int) -> None:
        """Take an order; a lower one than before changes nothing."""
        if order > self.order:
            self.order = order
            if self._listener is not None:
                self._listener()


def spawn(title: str, run: Callable[[Life], int], life: Life, at_birth: Callable[[], None]) -> int:
    """Fork a process that runs `run` and exits with what it returns; its pid.

    `at_birth` runs first in the child, to let go of what is the supervisor's.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    supervisor = os.getpid()
    # Signals wait until the child has its own handlers: the supervisor's would run in it else.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED_SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            _live(title, run, life, supervisor, at_birth, blocked)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    return pid


def _live(
    title: str,
    run: Callable[[Life], int],
    life: Life,
    supervisor: int,
    at_birth: Callable[[], None],
    mask: set[int | signal.Signals],
) -> NoReturn:
    """The whole of a child's life. Never returns into the supervisor's code."""
    code = EXIT_FAULT
    try:
        die_with(supervisor)
        set_process_name(title)
        at_birth()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(ROUSE, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, lambda *_: life.hear(FINISH))
        signal.signal(signal.SIGUSR1, lambda *_: life.hear(END_AT_ONCE))
        signal.pthread_sigmask(signal.SIG_SETMASK, mask - HANDLED_SIGNALS)
        code = run(life)
    except CannotBoot as error:
        print(f"{title}: {error}", file=sys.stderr)
        code = EXIT_CANNOT_BOOT
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else EXIT_FAILED
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
            log_sink().close()
        finally:
            # Not sys.exit: what the supervisor's program registered for its end is not ours.
            os._exit(code)


def die_with(parent: int) -> None:
    """SIGKILL for this process when its parent is gone: leases and outbox are made for that."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it died between the fork and here
        os._exit(EXIT_FAILED)


def set_process_name(title: str) -> None:
    """Name this process for ps and top; the kernel keeps 15 bytes."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, title.encode()[:15], 0, 0, 0)
