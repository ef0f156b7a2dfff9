"""The process that serves the HTTP API: uvicorn on a socket that the supervisor has opened.

It takes part in no call, and can be killed and restarted at any time: what was begun is in the
audit, and a payment that is asked for again with its key is not paid again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket as sockets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from router.admin.api import make_api
from router.admin.api_problems import Log

HEAD_S: Final = 10.0
"""How long a connection may take until its first request has begun."""
REQUEST_S: Final = 600.0
"""How long it may stay open, whatever it does."""
KEEP_ALIVE_S: Final = 5
STOP_S: Final = 5
MAX_CONNECTIONS: Final = 64
MAX_HEAD_BYTES: Final = 16 * 1024
BACKLOG: Final = 64


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to the process it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Connection(H11Protocol):
    """A connection that ends when it has begun no request in time, or stays too long."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self._timers = [
            loop.call_later(HEAD_S, self._look, transport),
            loop.call_later(REQUEST_S, transport.abort),
        ]

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in self._timers:
            timer.cancel()
        super().connection_lost(exc)

    def _look(self, transport: Any) -> None:
        if self.cycle is None:
            transport.abort()


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
) -> int:
    """Serve the API until told to stop; the exit code, 0. StoreError when it cannot be served.

    `socket` is listening. `on_stop` is given what stops it, safe to call in a signal handler.
    """
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = name != "uvicorn"
    logging.getLogger("uvicorn").addHandler(_ToLog(log))
    settings = uvicorn.Config(
        make_api(config, state, log),
        http=_Connection,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
    server = _Server(settings)

    def stop() -> None:
        server.should_exit = True

    on_stop(stop)
    host, port = socket.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    log("info", "serving the API", url=f"http://{shown}:{port}")
    server.run(sockets=[socket])
    log("info", "stopped serving the API")
    return 0
