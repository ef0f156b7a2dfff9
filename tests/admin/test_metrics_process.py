from __future__ import annotations

import gzip
import http.client
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from router.admin import metrics_process
from router.admin.merging import MergedFiles
from router.admin.metrics_process import MetricsServer, open_listener, run_metrics
from router.admin.scrape import Scrape

Get = Callable[..., http.client.HTTPResponse]


@pytest.fixture
def server(scrape: Scrape, log: Any) -> Iterator[MetricsServer]:
    with MetricsServer(open_listener("127.0.0.1", 0), scrape, log) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def get(server: MetricsServer, path: str, method: str = "GET", **headers: str) -> Any:
    host, port = server.socket.getsockname()[:2]
    connection = http.client.HTTPConnection(host, port, timeout=10)
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return connection.getresponse()


def raw(server: MetricsServer, request: bytes) -> bytes:
    """What comes back for these bytes; empty when the server just closes."""
    with socket.create_connection(server.socket.getsockname()[:2], timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while received := connection.recv(65536):
                answer += received
        except ConnectionResetError:
            pass
        return answer


def test_metrics_are_served_with_their_content_type(server: MetricsServer) -> None:
    response = get(server, "/metrics")
    text = response.read().decode()
    assert response.status == 200
    assert response.getheader("Content-Type").startswith("text/plain; version=")
    assert int(response.getheader("Content-Length")) == len(text)
    names = {family.name for family in text_string_to_metric_families(text)}
    assert "trunkline_active_calls" in names


def test_openmetrics_is_served_to_who_asks_for_it(server: MetricsServer) -> None:
    response = get(server, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert response.getheader("Content-Type").startswith("application/openmetrics-text")
    assert response.read().endswith(b"# EOF\n")


def test_metrics_are_compressed_for_who_asks_for_it(server: MetricsServer) -> None:
    plain = get(server, "/metrics").read()
    response = get(server, "/metrics", Accept_Encoding="gzip")
    assert response.getheader("Content-Encoding") == "gzip"
    assert gzip.decompress(response.read()) == plain


def test_a_query_does_not_hide_the_path(server: MetricsServer) -> None:
    assert get(server, "/metrics?x=1").status == 200


def test_the_root_names_the_metrics(server: MetricsServer) -> None:
    response = get(server, "/")
    assert response.status == 200
    assert b'href="/metrics"' in response.read()


def test_head_gives_the_headers_alone(server: MetricsServer) -> None:
    response = get(server, "/metrics", method="HEAD")
    assert int(response.getheader("Content-Length")) > 1000
    assert response.read() == b""


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /elsewhere HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /metrics/ HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"501"),
        (b"OPTIONS sip:127.0.0.1 SIP/2.0\r\n\r\n", b"400"),
        (b"\x00\xff\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"x" * 20_000, b"431"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
    ],
)
def test_what_is_no_proper_request_gets_its_status(
    server: MetricsServer, log: Any, request_head: bytes, status: bytes
) -> None:
    first_line = raw(server, request_head).partition(b"\r\n")[0]
    # A client that is still sending when it is refused may see the connection reset instead.
    assert status in first_line or (status == b"431" and first_line == b"")
    assert get(server, "/metrics").status == 200
    assert log.events == []


def test_a_client_that_sends_nothing_loses_its_place(server: MetricsServer) -> None:
    server.head_timeout_s = 0.05
    assert raw(server, b"GET /met") == b""


def test_more_connections_than_places_are_closed_and_the_rest_are_served(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server._places = threading.BoundedSemaphore(2)
    address = server.socket.getsockname()[:2]
    waiting = [socket.create_connection(address, timeout=10) for _ in range(2)]
    for connection in waiting:
        connection.sendall(b"GET / HTTP/1.1\r\n")
    # Connections are taken in order, so both have their place when the third one is looked at.
    assert raw(server, b"GET / HTTP/1.1\r\n\r\n") == b""
    for connection in waiting:
        connection.sendall(b"\r\n")
        assert b"200" in connection.recv(100)
        connection.close()


def test_a_client_that_does_not_read_its_answer_loses_its_place(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that reads a little now and then: the time is for the whole answer."""
    monkeypatch.setattr(metrics_process, "ANSWER_TIMEOUT_S", 0.3)
    monkeypatch.setattr(metrics_process, "ROOT_PAGE", b"x" * (64 << 20))
    with socket.create_connection(server.server_address[:2]) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert slow.recv(1000), "it is being answered"
        for _ in range(metrics_process.MAX_CONNECTIONS):
            assert server._places.acquire(timeout=5), "its place is free again"
        server._places.release(metrics_process.MAX_CONNECTIONS)
    monkeypatch.undo()
    assert get(server, "/metrics").status == 200


def test_a_fault_of_ours_is_a_500_and_logged_and_the_next_request_is_served(
    server: MetricsServer, scrape: Scrape, log: Any
) -> None:
    files = scrape._files
    scrape._files = MergedFiles(Path("/nonexistent"))
    assert b" 500 " in raw(server, b"GET /metrics HTTP/1.1\r\n\r\n").partition(b"\r\n")[0]
    scrape._files = files
    assert get(server, "/metrics").status == 200
    assert [event[:2] for event in log.events] == [("error", "a scrape failed")]


def _serve(listener: socket.socket, directory: Path, state: Path, log: Any) -> None:
    code = run_metrics(
        host="127.0.0.1",
        port=0,
        directory=directory,
        state=state,
        gateways=[("cn_mobile", 30)],
        config_hash="0123456789ab",
        slots=2,
        socket=listener,
        log=log,
    )
    os._exit(code)


@pytest.mark.parametrize("with_live_state", [True, False])
def test_the_process_serves_its_inherited_socket_and_ends_on_sigterm(
    tmp_path: Path, directory: Path, log: Any, with_live_state: bool, request: Any
) -> None:
    if with_live_state:
        request.getfixturevalue("live").close()
    listener = open_listener("127.0.0.1", 0)
    process = multiprocessing.get_context("fork").Process(
        target=_serve, args=(listener, directory, tmp_path, log)
    )
    process.start()
    try:
        connection = http.client.HTTPConnection(*listener.getsockname()[:2], timeout=20)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        assert 'trunkline_call_attempts_total{gateway="cn_mobile"} 6.0' in text
        # The records are of another time, so the workers are not up; without a store none is said.
        assert ('trunkline_worker_up{slot="0"} 0.0' in text) is with_live_state
        assert ('trunkline_active_calls{gateway="cn_mobile"} 2.0' in text) is with_live_state
        assert process.pid
        os.kill(process.pid, signal.SIGINT)
        os.kill(process.pid, signal.SIGTERM)
        process.join(20)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()
        listener.close()


def test_an_order_to_stop_that_came_before_is_followed(
    directory: Path, tmp_path: Path, log: Any
) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        code = run_metrics(
            host="127.0.0.1",
            port=0,
            directory=directory,
            state=tmp_path,
            gateways=[],
            config_hash="",
            slots=1,
            log=log,
            stopping=lambda: True,
        )
    finally:
        signal.signal(signal.SIGINT, handlers[0])
        signal.signal(signal.SIGTERM, handlers[1])
    assert code == 0


def test_an_address_that_is_taken_is_an_os_error() -> None:
    with open_listener("127.0.0.1", 0) as listener, pytest.raises(OSError, match="in use"):
        open_listener(*listener.getsockname()[:2])


def test_ipv6_is_listened_on_too() -> None:
    try:
        listener = open_listener("::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener:
        assert listener.family == socket.AF_INET6
