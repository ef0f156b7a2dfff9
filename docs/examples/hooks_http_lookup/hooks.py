"""Asks a server over HTTP which carrier a number belongs to (number portability).

    GET LOOKUP_URL/8613800138000   →   200 {"carrier": "mobile"}   or 404: nobody knows

The answer is kept for a quarter of an hour. If the server is slow or away the call goes on without
it: a look-up must not be what stops the calls.
"""

from __future__ import annotations

import os
import time

import httpx

from router.routing.hooks import Call, route_function

URL = os.environ.get("LOOKUP_URL", "http://127.0.0.1:8080/numbers")
TIMEOUT_S = 0.5
KEEP_S = 900.0
MAX_KEPT = 100_000

_known: dict[str, tuple[str, float]] = {}
_client: httpx.AsyncClient | None = None


def _open_client() -> httpx.AsyncClient:
    # Not when this file is imported: that happens before the workers are, and a connection belongs
    # to one of them.
    global _client
    if _client is None:
        _client = httpx.AsyncClient(
            timeout=TIMEOUT_S, limits=httpx.Limits(max_connections=100), trust_env=False
        )
    return _client


@route_function
async def carrier_of(call: Call, number: str) -> str:
    """The carrier of a number, "" if it is not known or cannot be asked for now."""
    carrier, until = _known.get(number, ("", 0.0))
    if time.monotonic() < until:
        return carrier
    try:
        response = await _open_client().get(f"{URL}/{number}")
        if response.status_code == 404:
            carrier = ""
        else:
            response.raise_for_status()
            carrier = str(response.json()["carrier"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        call.log("warning", f"no carrier for {number}: {type(error).__name__}")
        return ""
    if len(_known) >= MAX_KEPT:
        _known.clear()
    _known[number] = (carrier, time.monotonic() + KEEP_S)
    return carrier
