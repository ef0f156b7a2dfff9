"""The control socket: real sockets, its server driven by hand, clients in threads."""

from __future__ import annotations

import os
import select
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.runtime.reload_control import (
    CONTROL_SOCKET,
    MAX_CLIENTS,
    MAX_REQUEST_BYTES,
    REQUEST_MS,
    TAKING_MS,
    Client,
    Control,
    NoRouter,
    Request,
    ask,
)
from router.runtime.reload_report import APPLIED, Answer, Change

SOON_S = 5.0


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    made = Control(tmp_path)
    made.open()
    yield made
    made.close()


class Asking:
    """A client in a thread."""

    def __init__(self, state: Path, request: Request | None = None, timeout_s: float = 5) -> None:
        self.answer: Answer | None = None
        self.refusal = ""
        self._thread = threading.Thread(
            target=self._ask, args=(state, request or Request(), timeout_s)
        )
        self._thread.start()

    def _ask(self, state: Path, request: Request, timeout_s: float) -> None:
        try:
            self.answer = ask(state, request, timeout_s)
        except NoRouter as error:
            self.refusal = str(error)

    def wait(self) -> Asking:
        self._thread.join(SOON_S)
        assert not self._thread.is_alive()
        return self


def turns(control: Control, wanted: int = 1, now_ms: int = 1) -> list[tuple[Client, Request]]:
    """Turns whenever there is something to do, until so many requests have come."""
    found: list[tuple[Client, Request]] = []
    end = time.monotonic() + SOON_S
    while len(found) < wanted and time.monotonic() < end:
        waiting = select.poll()
        for descriptor, events in control.watched():
            waiting.register(descriptor, events)
        waiting.poll(100)
        found += control.turn(now_ms)
    assert len(found) == wanted
    return found


def raw_client(state: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(SOON_S)
    client.connect(str(state / CONTROL_SOCKET))
    return client


def test_a_request_is_answered(control: Control, tmp_path: Path) -> None:
    asking = Asking(tmp_path, Request(dry_run=True))
    [(client, request)] = turns(control)
    assert (request.command, request.dry_run) == ("reload", True)
    answer = Answer(APPLIED, changes=[Change("added", "gateway one", ("a", "b"))], took_ms=7)
    control.answer(client, answer, 1)
    assert asking.wait().answer == answer


def test_only_its_owner_may_use_the_socket(control: Control, tmp_path: Path) -> None:
    mode = (tmp_path / CONTROL_SOCKET).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    state = tmp_path / ("x" * 120) / ("y" * 120)
    state.mkdir(parents=True)
    control = Control(state)
    control.open()
    asking = Asking(state)
    [(client, _)] = turns(control)
    control.answer(client, Answer(APPLIED), 1)
    assert asking.wait().answer == Answer(APPLIED)
    control.close()


def test_the_socket_of_a_dead_supervisor_is_replaced(control: Control, tmp_path: Path) -> None:
    control.let_go()  # as kill -9 does: the file stays
    assert (tmp_path / CONTROL_SOCKET).exists()
    assert "no router runs" in Asking(tmp_path).wait().refusal
    control.open()
    asking = Asking(tmp_path)
    [(client, _)] = turns(control)
    control.answer(client, Answer(APPLIED), 1)
    assert asking.wait().answer == Answer(APPLIED)


def test_without_a_router_one_line_says_so(tmp_path: Path) -> None:
    for state in (tmp_path, tmp_path / "nowhere"):
        refusal = Asking(state).wait().refusal
        assert refusal.startswith(f'no router runs with state folder "{state}": start one')
        assert "\n" not in refusal


@pytest.mark.skipif(os.geteuid() == 0, reason="root may connect to every socket")
def test_the_socket_of_another_user_is_said_to_be_so(control: Control, tmp_path: Path) -> None:
    (tmp_path / CONTROL_SOCKET).chmod(0)
    assert "belongs to another user" in Asking(tmp_path).wait().refusal


def test_a_closed_control_leaves_no_file_and_ends_its_clients(tmp_path: Path) -> None:
    control = Control(tmp_path)
    control.open()
    asking = Asking(tmp_path)
    turns(control)
    control.close()
    assert not (tmp_path / CONTROL_SOCKET).exists()
    assert asking.wait().refusal == "the router ended before it answered"


def test_a_router_that_does_not_answer_is_not_waited_for_for_ever(
    control: Control, tmp_path: Path
) -> None:
    asking = Asking(tmp_path, timeout_s=0.05)
    assert asking.wait().refusal == "the router has not answered for 0.05 s"


def test_an_answer_of_another_version_is_told_from_one(control: Control, tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    other = tmp_path / "other"
    other.mkdir()
    listener.bind(str(other / CONTROL_SOCKET))
    listener.listen()
    asking = Asking(other)
    connection, _ = listener.accept()
    connection.sendall(b'{"verdict": 1}\n')
    assert "another version" in asking.wait().refusal
    connection.close()
    listener.close()


def test_a_large_answer_waits_for_a_slow_reader(control: Control, tmp_path: Path) -> None:
    client = raw_client(tmp_path)
    client.sendall(b"{}\n")
    [(asked, _)] = turns(control)
    answer = Answer(APPLIED, findings=["x" * 1_000] * 2_000)
    control.answer(asked, answer, 1)
    assert (asked.connection.fileno(), select.POLLOUT) in list(control.watched())
    received = b""
    while not received.endswith(b"\n"):
        received += client.recv(65_536)
        control.turn(2)
    assert len(received) > 2_000_000
    assert client.recv(10) == b""
    client.close()


@pytest.mark.parametrize("sent", [b"", b"{", b"{}"])
def test_a_client_that_does_not_ask_in_time_is_dropped(
    control: Control, tmp_path: Path, sent: bytes
) -> None:
    client = raw_client(tmp_path)
    client.sendall(sent)
    assert control.turn(1) == []
    assert control.due_ms() == 1 + REQUEST_MS
    control.turn(REQUEST_MS)
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(1)
    control.turn(1 + REQUEST_MS)
    assert client.recv(1) == b""
    assert control.due_ms() == 0
    client.close()


def test_a_client_that_does_not_take_its_answer_is_dropped(
    control: Control, tmp_path: Path
) -> None:
    client = raw_client(tmp_path)
    client.sendall(b"{}\n")
    [(asked, _)] = turns(control)
    control.answer(asked, Answer(APPLIED, findings=["x" * 1_000] * 2_000), 1)
    control.turn(1 + TAKING_MS)
    assert asked.connection.fileno() == -1
    client.close()


@pytest.mark.parametrize("sent", [b"x" * (MAX_REQUEST_BYTES + 1), b"x" * MAX_REQUEST_BYTES])
def test_a_request_that_is_too_long_is_dropped(
    control: Control, tmp_path: Path, sent: bytes
) -> None:
    client = raw_client(tmp_path)
    client.sendall(sent)
    assert control.turn(1) == []
    assert list(control.watched())[1:] == []
    client.close()


@pytest.mark.parametrize("sent", [b"\n", b"reload\n", b"[]\n", b'{"command": 3}\n', b"\xff\n"])
def test_what_is_no_request_becomes_an_unknown_command(
    control: Control, tmp_path: Path, sent: bytes
) -> None:
    client = raw_client(tmp_path)
    client.sendall(sent)
    [(_, request)] = turns(control)
    assert request.command.startswith("? (")
    client.close()


def test_a_client_that_has_gone_before_its_answer_is_no_error(
    control: Control, tmp_path: Path
) -> None:
    client = raw_client(tmp_path)
    client.sendall(b"{}\n")
    [(asked, _)] = turns(control)
    client.close()
    control.answer(asked, Answer(APPLIED, findings=["x" * 1_000] * 2_000), 1)
    control.turn(2)
    assert asked.connection.fileno() == -1
    control.answer(asked, Answer(APPLIED), 3)


def test_no_more_clients_than_the_limit_are_let_in(control: Control, tmp_path: Path) -> None:
    clients = [raw_client(tmp_path) for _ in range(MAX_CLIENTS)]
    control.turn(1)
    clients += [raw_client(tmp_path) for _ in range(5)]
    control.turn(1)
    assert len(list(control.watched())) == MAX_CLIENTS  # and the listener is not watched
    control.turn(1 + REQUEST_MS)
    control.turn(2 + REQUEST_MS)
    assert len(list(control.watched())) == 1 + 5
    for client in clients:
        client.close()
