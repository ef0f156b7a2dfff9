"""Between the supervisor and a worker: load this image, swap to it, drop it.

    supervisor says   worker does                          worker answers
    load N + image    makes everything of image N ready    loaded N, or failed N and why
    swap N            puts it in its place, at once        swapped N
    drop N            forgets it                           nothing

Each message is one datagram of a connected pair, so none is ever half there. What is sent to a
worker that still boots waits for it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import traceback
from collections.abc import Callable

from router.runtime.reload_memory import read_memory

MAX_MESSAGE = 4096

LOAD, SWAP, DROP = "load", "swap", "drop"
LOADED, FAILED, SWAPPED = "loaded", "failed", "swapped"

Swap = Callable[[int], None]
"""Puts what was loaded in its place, at this time (ms)."""


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
        """Tell the worker to load an image, given by its descriptor; whether it can hear."""
        self.asked = serial
        try:
            socket.send_fds(self._ours, [f"{LOAD} {serial}".encode()], [image])
        except OSError:
            return False
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
    """The worker's end: loads, and swaps between two turns.

    `load` takes the bytes of an image and returns what swaps to it; whatever it raises makes the
    reload fail everywhere. `fault` is told the traceback.
    """

    def __init__(
        self,
        channel: socket.socket,
        load: Callable[[bytes], Swap],
        now: Callable[[], int],
        fault: Callable[[str], None],
    ) -> None:
        self._channel = channel
        channel.setblocking(False)
        self._load = load
        self._now = now
        self._fault = fault
        self._ready: tuple[int, Swap] | None = None

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._channel.fileno()

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
            self._ready = None  # what an earlier reload has left
            self._get_ready(int(serial), descriptors[0])
        elif self._ready is not None and self._ready[0] == int(serial):
            swap = self._ready[1]
            self._ready = None
            if word == SWAP:
                swap(self._now())
                self._answer(f"{SWAPPED} {serial}")
        return True

    def _get_ready(self, serial: int, descriptor: int) -> None:
        try:
            self._ready = serial, self._load(read_memory(descriptor))
        except Exception as error:
            self._fault(traceback.format_exc())
            reason = str(error).partition("\n")[0] or "no reason given"
            self._answer(f"{FAILED} {serial} {type(error).__name__}: {reason}")
        else:
            self._answer(f"{LOADED} {serial}")
        finally:
            os.close(descriptor)

    def _answer(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._channel.send(text.encode("utf-8", "replace")[:MAX_MESSAGE])
