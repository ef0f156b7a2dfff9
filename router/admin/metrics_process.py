"""The process that answers /metrics: plain HTTP, GET and HEAD, one thread a request, all bounded.

It takes part in no call: it reads the workers' metrics files and the live store, and can be
killed and restarted at any time without anything being lost or counted twice.
"""

from __future__ import annotations

import gzip
import io
import os
import signal
import socket as sockets
import socketserver
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import FrameType
from typing import Any, Final

from prometheus_client.exposition import choose_encoder, gzip_accepted

from router.admin.machine import Machine
from router.admin.scrape import Log, Scrape
from router.runtime.clock import make_clock
from router.runtime.run_record import RunRecord, read_run_record
from router.store.boot import LIVE_DIR
from router.store.live import LmdbLive

MAX_HEAD_BYTES: Final = 8192
HEAD_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 10.0
MAX_CONNECTIONS: Final = 16
GZIP_LEVEL: Final = 1
"""Ten times smaller already; higher levels cost the machine more than the network gains."""

ROOT_PAGE: Final = b"""<!doctype html>
<title>Trunkline</title>
<h1>Trunkline</h1>
<p>Metrics for Prometheus: <a href="/metrics">/metrics</a></p>
"""


class _Stop(BaseException):
    """SIGTERM came; no Exception, so that nothing on the way takes it for a failed request."""


class _Handler(BaseHTTPRequestHandler):
    """One connection, one request."""

    server: MetricsServer
    server_version = "Trunkline"
    sys_version = ""
    # What an answer needs that is given before a request could be read.
    command = ""
    requestline = ""
    request_version = "HTTP/1.0"
    close_connection = True

    def handle(self) -> None:
        """Read the whole head under one deadline and one limit, then answer.

        Read line by line, a client that sends a byte now and then would keep its thread for ever.
        """
        head = self._read_head()
        self.connection.settimeout(ANSWER_TIMEOUT_S)
        if len(head) > MAX_HEAD_BYTES:
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif head:
            self.rfile = io.BufferedReader(io.BytesIO(head))
            self.handle_one_request()

    def _read_head(self) -> bytes:
        deadline = time.monotonic() + self.server.head_timeout_s
        head = b""
        while b"\r\n\r\n" not in head and b"\n\n" not in head and len(head) <= MAX_HEAD_BYTES:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return b""
            self.connection.settimeout(left_s)
            try:
                received = self.connection.recv(4096)
            except OSError:
                return b""
            if not received:
                return b""
            head += received
        return head

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer_metrics()
        elif path == "/":
            self._answer("text/html; charset=utf-8", ROOT_PAGE)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET

    def _answer_metrics(self) -> None:
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        try:
            with self.server.scraping:
                body = encode(self.server.scrape)
        except Exception:  # logged where the server hears of it
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise
        if gzip_accepted(self.headers.get("Accept-Encoding", "")):
            body = gzip.compress(body, GZIP_LEVEL)
            self._answer(content_type, body, ("Content-Encoding", "gzip"))
        else:
            self._answer(content_type, body)

    def _answer(self, content_type: str, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is no news."""


class MetricsServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves a scrape on a listening socket that somebody else has opened."""

    daemon_threads = True

    def __init__(self, socket: sockets.socket, scrape: Scrape, log: Log) -> None:
        super().__init__(socket.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket
        self.scrape = scrape
        self.scraping = threading.Lock()
        """One scrape at a time: it is work for one core, and the other belongs to the workers."""
        self.head_timeout_s = HEAD_TIMEOUT_S
        self._log = log
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what is our bug, and go on; a client that went away is no news."""
        if not isinstance(sys.exc_info()[1], OSError):
            self._log("error", "a scrape failed", error=traceback.format_exc(limit=8))


def open_listener(host: str, port: int) -> sockets.socket:
    """A listening TCP socket; OSError when the address is taken or not ours."""
    family = sockets.AF_INET6 if ":" in host else sockets.AF_INET
    return sockets.create_server((host, port), family=family, backlog=32)


def run_metrics(
    *,
    host: str,
    port: int,
    directory: Path,
    state: Path,
    gateways: Sequence[tuple[str, int]],
    config_hash: str,
    slots: int,
    ports: Sequence[int] = (),
    socket: sockets.socket | None = None,
    log: Log,
    now_ms: Callable[[], int] | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Serve /metrics until SIGTERM; the exit code of the process, 0.

    `gateways` are (name, lines), lines -1 for no limit, until the run record, which the supervisor
    keeps up to date, tells others. `ports` are those of our UDP sockets. `socket` is already
    listening; without it host and port are opened here, and OSError says that they cannot be.
    `now_ms` is the clock of the heartbeats. `stopping` tells whether the order to stop came before
    this was called.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        raise _Stop

    listener = socket if socket is not None else open_listener(host, port)
    scrape = Scrape(
        directory=directory,
        gateways=gateways,
        config_hash=config_hash,
        slots=slots,
        open_live=lambda: LmdbLive(state / LIVE_DIR, readonly=True),
        now_ms=now_ms or make_clock(),
        log=log,
        running=_running_under(os.getppid(), state),
        machine=Machine(os.getppid(), ports, state).readings,
    )
    try:
        # Ctrl-C goes to the whole process group; the supervisor stops us when the time has come.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, stop)
        with listener, MetricsServer(listener, scrape, log) as server:
            if stopping():
                raise _Stop
            shown = f"[{host}]" if ":" in host else host
            log("info", "serving metrics", url=f"http://{shown}:{port}/metrics")
            server.serve_forever(poll_interval=60.0)
    except _Stop:
        log("info", "stopped serving metrics")
    return 0


def _running_under(supervisor: int, state: Path) -> Callable[[], RunRecord | None]:
    """The run record, if this supervisor has written it and not an earlier one."""

    def read() -> RunRecord | None:
        record = read_run_record(state)
        return record if record is not None and record.pid == supervisor else None

    return read
