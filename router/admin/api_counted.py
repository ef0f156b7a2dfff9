"""The application as it is served: its requests counted, its answers never kept by anybody."""

from __future__ import annotations

import time
from typing import Any, Final

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import Message, Receive, Scope, Send

from router.runtime.api_metrics import ApiTally

HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    # Of the one page for people; a browser that is shown anything else runs nothing of it.
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    ),
)


class CountedApi:
    """Passes everything on and counts it, also what fits no path."""

    def __init__(self, app: Litestar, tally: ApiTally) -> None:
        self._app = app
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a request when it has ended; a connection that breaks off counts as 499."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 499

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            # Only what is in the table of routes has a template.
            endpoint: Any = scope.get("path_template", "")
            seconds = time.monotonic() - began
            self._tally.request(endpoint, scope["method"], status, seconds)


async def mark_unkept(message: Message, _: Scope) -> None:
    """Headers of every answer: it is of this moment and for who asked, and is what it says."""
    if message["type"] == "http.response.start":
        message["headers"] = [*message["headers"], *HEADERS]
