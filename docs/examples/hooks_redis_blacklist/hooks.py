"""A blacklist of callers in Redis, shared by all workers and machines.

A caller is blocked while the key `blacklist:NUMBER` exists, whoever has set it:

    redis-cli SET blacklist:4930123456 spam EX 86400

If Redis does not answer, calls go on: those who are blocked are few, and the others are everybody.
"""

from __future__ import annotations

import os
from datetime import timedelta

from redis.asyncio import Redis
from redis.exceptions import RedisError

from router.routing.hooks import Call, route_function

URL = os.environ.get("BLACKLIST_URL", "redis://127.0.0.1:6379/0")
TIMEOUT_S = 0.3

_redis: Redis | None = None


def _open_redis() -> Redis:
    # Not when this file is imported: that happens before the workers are, and a connection belongs
    # to one of them.
    global _redis
    if _redis is None:
        _redis = Redis.from_url(
            URL,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            max_connections=50,
        )
    return _redis


@route_function
async def blocked_for(call: Call, number: str) -> str:
    """Why a number is blocked, "" if it is not."""
    if not number:
        return ""
    try:
        why = await _open_redis().get(f"blacklist:{number}")
    except (RedisError, OSError) as error:
        call.log("warning", f"the blacklist does not answer: {type(error).__name__}")
        return ""
    return why.decode(errors="replace") if isinstance(why, bytes) else why or ""


@route_function
async def block(call: Call, number: str, why: str, time: timedelta) -> None:
    """Blocks a number for a time; one that is blocked already stays so for as long."""
    if call.is_test:
        return
    try:
        await _open_redis().set(f"blacklist:{number}", why, ex=time, nx=True)
    except (RedisError, OSError) as error:
        call.log("warning", f"the blacklist does not answer: {type(error).__name__}")
