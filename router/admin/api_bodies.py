"""How long a request may take to arrive: a body that trickles in keeps nobody waiting."""

from __future__ import annotations

import asyncio
from typing import Final

from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send

from router.admin.api_problems import Refusal

BODY_S: Final = 10.0
UPLOAD_S: Final = 300.0
UPLOADS: Final = "/rates"


class BodyMiddleware:
    """Refusal 408 when a body is late, 400 when its sender went away before its end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on everything, with a deadline for what is received."""
        limit_s = UPLOAD_S if scope["path"].endswith(UPLOADS) else BODY_S
        end = asyncio.get_running_loop().time() + limit_s
        whole = False

        async def received() -> HTTPReceiveMessage:
            nonlocal whole
            if whole:
                return await receive()  # type: ignore[return-value]
            try:
                async with asyncio.timeout_at(end):
                    message = await receive()
            except TimeoutError:
                raise Refusal(408, f"the body was not there after {limit_s:g} s") from None
            if message["type"] == "http.disconnect":
                raise Refusal(400, "the connection ended before the body")
            whole = not message.get("more_body", False)
            return message  # type: ignore[return-value]

        await self._app(scope, received, send)
