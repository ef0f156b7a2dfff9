"""The HTTP API on a real server, in a thread of this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from router.admin.api_process import run_api

Address = tuple[str, int]


@contextmanager
def listening(state: Path, log: Any, **more: Any) -> Iterator[Address]:
    """Where an API listens, in a thread of this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    stops: list[Callable[[], None]] = []
    thread = threading.Thread(
        target=run_api,
        kwargs={
            "socket": listener, "config": state.parent / "routes.cfg", "state": state, "log": log,
            "on_stop": stops.append, **more,
        },
    )
    thread.start()
    try:
        # Connections wait in the socket until it serves them.
        yield listener.getsockname()
    finally:
        stops[0]()
        thread.join(20)
        listener.close()
