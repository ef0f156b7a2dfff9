"""STATE/control.sock: how a command asks the running supervisor for a reload, and is answered.

A client writes one line of JSON and gets one back, then the connection is closed. The socket's mode
is 0600: who may ask is who runs the router. Everything is bounded: clients, the length of a
request, the time to send one and the time to take the answer.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from router.runtime.reload_report import Answer

CONTROL_SOCKET = "control.sock"
MAX_CLIENTS = 32
MAX_REQUEST_BYTES = 4096
REQUEST_MS = 5_000
TAKING_MS = 10_000


class Request(msgspec.Struct):
    """What a client wants."""

    command: str = "reload"
    dry_run: bool = False


class NoRouter(Exception):
    """Nobody answers at a state folder's control socket; the text is one line."""


_requests = msgspec.json.Decoder(Request)
_answers = msgspec.json.Decoder(Answer)


class Client:
    """A connection: what it sent so far, what it has not taken yet, and its deadline."""

    __slots__ = ("asked", "connection", "due_ms", "received", "unsent")

    def __init__(self, connection: socket.socket, due_ms: int) -> None:
        self.connection = connection
        self.received = b""
        self.unsent = b""
        self.asked = False
        self.due_ms = due_ms
        """0 while it waits for us."""


class Control:
    """The supervisor's side, without a loop of its own: `watched` says what to wait for."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._listener: socket.socket | None = None
        self._clients: dict[int, Client] = {}

    def open(self) -> None:
        """Listen, in the place of a supervisor that died; OSError when it cannot be."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with contextlib.suppress(FileNotFoundError):
                (self._state / CONTROL_SOCKET).unlink()
            mask = os.umask(0o177)
            try:
                with _address(self._state) as address:
                    listener.bind(address)
            finally:
                os.umask(mask)
            listener.listen(MAX_CLIENTS)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
        self._listener = listener

    def close(self) -> None:
        """Hear nobody any more; clients that wait are told by the end of their connection."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                (self._state / CONTROL_SOCKET).unlink()
        self.let_go()

    def let_go(self) -> None:
        """In a child of the supervisor: this is not ours."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for client in self._clients.values():
            client.connection.close()
        self._clients.clear()

    def watched(self) -> Iterator[tuple[int, int]]:
        """Descriptors and the events of `select.poll` to wait for."""
        if self._listener is not None and len(self._clients) < MAX_CLIENTS:
            yield self._listener.fileno(), select.POLLIN
        for number, client in self._clients.items():
            if client.unsent:
                yield number, select.POLLOUT
            elif not client.asked:
                yield number, select.POLLIN

    def due_ms(self) -> int:
        """When the first client's time is over; 0 when nobody's runs."""
        return min((one.due_ms for one in self._clients.values() if one.due_ms), default=0)

    def turn(self, now_ms: int) -> list[tuple[Client, Request]]:
        """Read and write what can be without waiting; the requests that are complete now."""
        self._accept(now_ms)
        requests = []
        for client in list(self._clients.values()):
            if client.due_ms and now_ms >= client.due_ms:
                self._drop(client)
            elif client.unsent:
                self._send(client)
            elif not client.asked:
                request = self._read(client)
                if request is not None:
                    requests.append((client, request))
        return requests

    def answer(self, client: Client, answer: Answer, now_ms: int) -> None:
        """Answer a request; a client that has gone misses it."""
        if client.connection.fileno() >= 0:
            client.unsent = msgspec.json.encode(answer) + b"\n"
            client.due_ms = now_ms + TAKING_MS
            self._send(client)

    def _accept(self, now_ms: int) -> None:
        while self._listener is not None and len(self._clients) < MAX_CLIENTS:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # nobody waits, or the one who did has gone
                return
            connection.setblocking(False)
            self._clients[connection.fileno()] = Client(connection, now_ms + REQUEST_MS)

    def _read(self, client: Client) -> Request | None:
        try:
            received = client.connection.recv(MAX_REQUEST_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            received = b""
        client.received += received
        line, end, _ = client.received.partition(b"\n")
        if not end:
            if not received or len(client.received) >= MAX_REQUEST_BYTES:
                self._drop(client)
            return None
        client.asked = True
        client.due_ms = 0
        try:
            return _requests.decode(line)
        except msgspec.DecodeError as error:
            return Request(command=f"? ({error})")

    def _send(self, client: Client) -> None:
        try:
            sent = client.connection.send(client.unsent)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        client.unsent = client.unsent[sent:]
        if not client.unsent:
            self._drop(client)

    def _drop(self, client: Client) -> None:
        self._clients.pop(client.connection.fileno(), None)
        client.connection.close()


@contextmanager
def _address(state: Path) -> Iterator[str]:
    """The socket's name by way of a descriptor: an address has 107 bytes, a path may have more."""
    folder = os.open(state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{CONTROL_SOCKET}"
    finally:
        os.close(folder)


def ask(state: Path, request: Request, timeout_s: float) -> Answer:
    """Ask the router of a state folder and wait for its answer; NoRouter when none comes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            with _address(state) as address:
                connection.connect(address)
        except OSError as error:
            raise NoRouter(_why_not(state, error)) from error
        connection.settimeout(timeout_s)
        try:
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
        except TimeoutError as error:
            raise NoRouter(f"the router has not answered for {timeout_s:g} s") from error
        except OSError:
            line = b""
    if not line.endswith(b"\n"):
        raise NoRouter("the router ended before it answered")
    try:
        return _answers.decode(line)
    except msgspec.DecodeError as error:
        raise NoRouter(f"the router speaks another version of Trunkline: {error}") from error


def _why_not(state: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f'the router of state folder "{state}" belongs to another user'
    if isinstance(error, FileNotFoundError | ConnectionRefusedError | NotADirectoryError):
        return (
            f'no router runs with state folder "{state}": '
            "start one with trunkline run, or name its folder with --state"
        )
    return f'state folder "{state}": {error.strerror or error}'
