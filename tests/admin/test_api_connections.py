"""Connections to the API that are slow, half open or too many, on a real server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from router.admin import api_connections
from router.admin.api_process import run_api


@pytest.fixture
def address(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """Where an API listens that has little patience."""
    monkeypatch.setattr(api_connections, "HEAD_S", 0.3)
    monkeypatch.setattr(api_connections, "MAX_FROM_ONE", 4)
    listener = socket.create_server(("127.0.0.1", 0))
    stops: list[Callable[[], None]] = []
    ready = threading.Event()
    thread = threading.Thread(
        target=run_api,
        kwargs={
            "socket": listener, "config": state.parent / "routes.cfg", "state": state,
            "log": lambda *_, **__: ready.set(), "on_stop": stops.append,
        },
    )
    thread.start()
    assert ready.wait(20)
    yield listener.getsockname()
    stops[0]()
    thread.join(20)
    listener.close()


def test_who_begins_and_does_not_go_on_is_put_out(address: tuple[str, int]) -> None:
    url = "http://{}:{}/schema/openapi.json".format(*address)
    for begun in (b"", b"GET /status HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        with socket.create_connection(address, timeout=10) as one:
            one.sendall(begun)
            assert one.recv(1) == b""
    with socket.create_connection(address, timeout=10) as one:
        # The second request of a connection has no more time than the first.
        one.sendall(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\nGET /status HTTP/1.1\r\n")
        got = b""
        while piece := one.recv(4096):
            got += piece
        assert got.startswith(b"HTTP/1.1 401")
    assert httpx.get(url).status_code == 200


def test_too_many_from_one_address_are_told_so(address: tuple[str, int]) -> None:
    url = "http://{}:{}/schema/openapi.json".format(*address)
    with ExitStack() as opened:
        for _ in range(4):
            opened.enter_context(socket.create_connection(address, timeout=10))
        answer = httpx.get(url)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "too many connections" in answer.json()["detail"]
    for _ in range(6):
        assert httpx.get(url).status_code == 200


def test_a_head_without_end_is_refused(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=10) as one:
        one.sendall(b"GET /status?x=" + b"a" * 40_000)
        assert one.recv(100).startswith(b"HTTP/1.1 400")
