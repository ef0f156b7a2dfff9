"""The process that serves the HTTP API: uvicorn on a socket that the supervisor has opened.

It takes part in no call, and can be killed and restarted at any time: what was begun is in the
audit, and a payment that is asked for again with its key is not paid again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket as sockets
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import uvicorn
from litestar import Litestar

from router.admin.api import make_api
from router.admin.api_connections import MAX_CONNECTIONS, Connection
from router.admin.api_counted import CountedApi
from router.admin.api_problems import Log
from router.admin.api_tls import TlsFiles
from router.runtime.api_metrics import ApiFlusher, ApiTally

KEEP_ALIVE_S: Final = 5
STOP_S: Final = 5
HANDSHAKE_S: Final = 10.0
REST_S: Final = 10.0
"""How long counting into files rests after they could not be made larger."""
MAX_HEAD_BYTES: Final = 16 * 1024
SWITCH_S: Final = 0.0005
"""How long a thread may compute while others wait: long work takes many steps, short work few."""


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to the process it runs in, and does something each second."""

    def __init__(self, settings: uvicorn.Config, each_second: Callable[[], None]) -> None:
        super().__init__(settings)
        self._each_second = each_second

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[sockets.socket] | None = None) -> None:
        """As uvicorn's, with less patience for who connects and does not speak TLS."""
        if self.config.ssl is not None:
            loop: Any = asyncio.get_running_loop()
            loop.create_server = partial(loop.create_server, ssl_handshake_timeout=HANDSHAKE_S)
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            self._each_second()
        return await super().on_tick(counter)


class _Counts:
    """What the API counts, carried into its metrics files; without files it goes on counting."""

    def __init__(self, directory: Path | None, log: Log) -> None:
        self.tally = ApiTally()
        self._flusher: ApiFlusher | None = None
        self._resting_until = 0.0
        if directory is not None:
            try:
                self._flusher = ApiFlusher(directory)
            except OSError as error:
                log("warning", "the API is not in the metrics", reason=str(error))

    def carry(self) -> None:
        if self._flusher is None or time.monotonic() < self._resting_until:
            return
        try:
            self._flusher.flush(self.tally)
        except OSError:  # a full disk: what could not be carried stays in the tally
            self._resting_until = time.monotonic() + REST_S


class _ToLog(logging.Handler):
    """What uvicorn says, as a line of our log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.ERROR)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log("error", "the API's server failed", reason=record.getMessage()[:500])


def run_api(
    *,
    socket: sockets.socket,
    config: Path,
    state: Path,
    log: Log,
    on_stop: Callable[[Callable[[], None]], None],
    metrics: Path | None = None,
    tls: TlsFiles | None = None,
) -> int:
    """Serve the API until told to stop; the exit code, 0. StoreError when it cannot be served.

    `socket` is listening. `on_stop` is given what stops it, safe to call in a signal handler.
    `metrics` is the folder of the metrics files.
    """
    sys.setswitchinterval(SWITCH_S)
    _log_of_uvicorn(log)
    counts = _Counts(metrics, log)
    settings = _settings(make_api(config, state, log, tally=counts.tally), counts.tally, tls)

    def each_second() -> None:
        counts.carry()
        if tls is not None and settings.ssl is not None:
            tls.renew(settings.ssl, log)

    server = _Server(settings, each_second)

    def stop() -> None:
        server.should_exit = True

    on_stop(stop)
    _announce(socket, log, secure=tls is not None)
    server.run(sockets=[socket])
    counts.carry()
    log("info", "stopped serving the API")
    return 0


def _log_of_uvicorn(log: Log) -> None:
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = name != "uvicorn"
    logging.getLogger("uvicorn").addHandler(_ToLog(log))


def _settings(app: Litestar, tally: ApiTally, tls: TlsFiles | None) -> uvicorn.Config:
    return uvicorn.Config(
        CountedApi(app, tally),
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS + 1,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        ssl_certfile=tls.certificate if tls is not None else None,
        ssl_keyfile=tls.key if tls is not None else None,
    )


def _announce(socket: sockets.socket, log: Log, *, secure: bool) -> None:
    host, port = socket.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    log("info", "serving the API", url=f"http{'s' if secure else ''}://{shown}:{port}")
    if not secure and not ip_address(host.partition("%")[0]).is_loopback:
        log(
            "warning", "the API is served without TLS: tokens pass the network in clear",
            address=host, help="set api_tls_certificate and api_tls_key, or bind to 127.0.0.1",
        )
