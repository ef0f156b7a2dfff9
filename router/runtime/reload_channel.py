"""Between the supervisor and a worker: load this image, swap to it, drop it.

    supervisor says   worker does                          worker answers
    load N + image    makes everything of image N ready    loaded N, or failed N and why
    swap N            puts it in its place, at once        swapped N
    drop N            forgets it                           nothing

Each message is one datagram of a connected pair, so none is ever half there. What is sent to a
worker that still boots waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import traceback
from collections.abc import Callable

from router.runtime.reload_memory import read_memory

MAX_MESSAGE = 4096

LOAD, SWAP, DROP = "load", "swap", "drop"
LOADED, FAILED, SWAPPED = "loaded", "failed", "swapped"

Swap = Callable[[int], None]
"""Puts what was loaded in its place, at this time (ms)."""
Loaded = Callable[[], Swap]
Load = Callable[[bytes], Loaded]
Aside = Callable[[Callable[[], Loaded], Callable[[Loaded | Exception], None]], None]
"""Runs the first aside from the loop and calls the second in it, with what came of it."""


class Channel:
    """The supervisor's end. `serial` and `word` are the last that the worker is known to be at."""

    __slots__ = ("_ours", "asked", "name", "reason", "serial", "theirs", "word")

    def __init__(self, name: str) -> None:
        self.name = name
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self.asked = 0
        """The last image it was told to load."""
        self.serial = 0
        self.word = ""
        self.reason = ""

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._ours.fileno()

    def load(self, serial: int, image: int) -> bool:
        """Tell the worker to load an image, given by its descriptor.

        False when it hears nothing more. One that has died counts as not asked: its successor will
        be, under a channel of its own.
        """
        try:
            socket.send_fds(self._ours, [f"{LOAD} {serial}".encode()], [image])
        except BlockingIOError:
            return False
        except OSError:
            return True
        self.asked = serial
        return True

    def tell(self, word: str, serial: int) -> bool:
        """SWAP or DROP; whether the worker can hear."""
        try:
            self._ours.send(f"{word} {serial}".encode())
        except OSError:
            return False
        return True

    def read(self) -> None:
        """Take what the worker has answered."""
        while True:
            try:
                message = self._ours.recv(MAX_MESSAGE)
            except OSError:
                return
            if not message:
                return  # it died: its exit will tell
            word, _, rest = message.decode("utf-8", "replace").partition(" ")
            serial, _, self.reason = rest.partition(" ")
            self.word, self.serial = word, int(serial)

    def is_at(self, word: str, serial: int) -> bool:
        """Whether this was its last word about this image."""
        return self.serial == serial and self.word == word

    def let_go(self) -> None:
        """In a process of the other end: let go of ours."""
        self._ours.close()

    def close(self) -> None:
        """Let go of both ends."""
        self._ours.close()
        self.theirs.close()


class Follower:
    """The worker's end: loads aside from the calls, and swaps between two turns.

    `load` takes the bytes of an image, in a thread: a large one, or a Python file that imports
    half of the world, must not keep the calls waiting. What it returns is called in the loop, and
    returns what swaps. Whatever one of them raises makes the reload fail everywhere; `fault` is
    told the traceback.
    """

    def __init__(
        self,
        channel: socket.socket,
        load: Load,
        now: Callable[[], int],
        fault: Callable[[str], None],
        aside: Aside,
    ) -> None:
        self._channel = channel
        channel.setblocking(False)
        self._load = load
        self._now = now
        self._fault = fault
        self._aside = aside
        self._serial = ""
        self._swap: Swap | None = None

    def read(self) -> bool:
        """Do the next thing that was told; False when the supervisor has gone."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._channel, MAX_MESSAGE, 1)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not message:
            return False
        word, _, serial = message.decode().partition(" ")
        if word == LOAD:
            self._begin(serial, descriptors[0])
        elif serial == self._serial:
            swap, self._swap, self._serial = self._swap, None, ""
            if word == SWAP and swap is not None:
                swap(self._now())
                self._answer(f"{SWAPPED} {serial}")
        return True

    def _begin(self, serial: str, descriptor: int) -> None:
        self._serial = serial
        self._swap = None  # what an earlier reload has left

        def work() -> Callable[[], Swap]:
            try:
                image = read_memory(descriptor)
            finally:
                os.close(descriptor)
            return self._load(image)

        self._aside(work, lambda loaded: self._finish(serial, loaded))

    def _finish(self, serial: str, loaded: Callable[[], Swap] | Exception) -> None:
        if serial != self._serial:
            return  # dropped meanwhile
        try:
            if isinstance(loaded, Exception):
                raise loaded
            self._swap = loaded()
        except Exception as error:
            self._fault(traceback.format_exc())
            reason = str(error).partition("\n")[0] or "no reason given"
            self._answer(f"{FAILED} {serial} {type(error).__name__}: {reason}")
        else:
            self._answer(f"{LOADED} {serial}")

    def _answer(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._channel.send(text.encode("utf-8", "replace")[:MAX_MESSAGE])


def in_thread(loop: asyncio.AbstractEventLoop) -> Aside:
    """Work in a thread of its own, its result or exception in the loop.

    Not in the loop's pool: an import that hangs would keep the next reload waiting, and the end
    of the process as well.
    """

    def run(work: Callable[[], Loaded], done: Callable[[Loaded | Exception], None]) -> None:
        def body() -> None:
            result: Loaded | Exception
            try:
                result = work()
            except Exception as error:
                result = error
            except BaseException as error:  # a Python file may call sys.exit
                result = RuntimeError(f"{type(error).__name__}: {error}")
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(done, result)

        threading.Thread(target=body, name="load", daemon=True).start()

    return run
