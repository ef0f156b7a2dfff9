"""A connection to the HTTP API: how long it may take, and how many there may be.

uvicorn and h11 speak HTTP; this is what they leave open. Who connects and says nothing, who begins
a request and never comes to the end of its head, and who stays for ever is put out. Connections
beyond the limit, in all or from one address, are answered 503 at once: so one address does not
keep the others out.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from router.admin.api_problems import HELP, MEDIA

HEAD_S: Final = 10.0
"""How long a connection may take from its beginning, or its last answer, to the next request."""
REQUEST_S: Final = 600.0
"""How long it may stay open, whatever it does."""
MAX_CONNECTIONS: Final = 64
MAX_FROM_ONE: Final = 48
"""Connections from one address; a reverse proxy on this machine is one address."""


class Connection(H11Protocol):
    """A connection that ends when it has begun no request in time, or stays too long."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self._end = loop.call_later(REQUEST_S, transport.abort)
        self._look = loop.call_later(HEAD_S, self._is_late)
        host = self.client[0] if self.client else ""
        # This one is among them.
        alike = sum(1 for one in self.connections if _host_of(one) == host)
        if len(self.connections) > MAX_CONNECTIONS or alike > MAX_FROM_ONE:
            transport.write(_too_many())
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        self._look.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._look.cancel()
        self._look = asyncio.get_running_loop().call_later(HEAD_S, self._is_late)
        super().on_response_complete()

    def _is_late(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


def _host_of(connection: Any) -> str:
    return connection.client[0] if connection.client else ""


def _too_many() -> bytes:
    problem = {
        "title": "Service Unavailable", "status": 503, "detail": "there are too many connections",
        "help": HELP[503], "type": "about:blank",
    }
    body = json.dumps(problem)
    return (
        f"HTTP/1.1 503 Service Unavailable\r\ncontent-type: {MEDIA}\r\nretry-after: 5\r\n"
        f"cache-control: no-store\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()
