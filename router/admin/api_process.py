"""The process that serves the HTTP API: uvicorn on a socket that the supervisor has opened.

It takes part in no call, and can be killed and restarted at any time: what was begun is in the
audit, and a payment that is asked for again with its key is not paid again.
"""

from __future__ import annotations

import contextlib
import logging
import socket as sockets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import uvicorn

from router.admin.api import make_api
from router.admin.api_connections import MAX_CONNECTIONS, Connection
from router.admin.api_problems import Log

KEEP_ALIVE_S: Final = 5
STOP_S: Final = 5
MAX_HEAD_BYTES: Final = 16 * 1024
SWITCH_S: Final = 0.0005
"""How long a thread may compute while others wait: long work takes many steps, short work few."""


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to the process it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


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
    sys.setswitchinterval(SWITCH_S)
    settings = uvicorn.Config(
        make_api(config, state, log),
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
