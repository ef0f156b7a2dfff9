"""Who may use the HTTP API: tokens, their roles, and a limit for those who guess.

No token, no access, but for the schema. Tokens are read again after a second, so that one which
is removed is refused soon. Who is wrong too often, by address, gets 429.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network
from typing import Any, Final, NamedTuple

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from router.admin.api_problems import Log, Refusal
from router.admin.api_tokens import READ, ROLES, find_token
from router.runtime.api_metrics import NO_ROLE, NO_TOKEN, TOO_OFTEN, WRONG_TOKEN, ApiTally
from router.store.api_access import LmdbAccess, Token

LOOK_S: Final = 1.0
WINDOW_S: Final = 60.0
MAX_WRONG: Final = 10
MAX_SOURCES: Final = 10_000
MAX_SECRET: Final = 200
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="trunkline"'}


def network_of(source: str) -> str:
    """Whose tries are counted as one: an IPv4 address, the /64 of one of IPv6."""
    try:
        address = IPv6Address(source.partition("%")[0])
    except ValueError:
        return source
    mapped = address.ipv4_mapped
    return str(mapped or IPv6Network((int(address) >> 64 << 64, 64)))


class Caller(NamedTuple):
    """Who asks."""

    name: str
    roles: tuple[str, ...]

    @property
    def who(self) -> str:
        """As the audit calls them."""
        return f"token:{self.name}"


class Gate:
    """Knows the tokens, and who has been wrong; `clock` in seconds."""

    def __init__(
        self, access: LmdbAccess, *, most_wrong: int = MAX_WRONG,
        clock: Callable[[], float] = time.monotonic, tally: ApiTally | None = None,
        log: Log | None = None,
    ) -> None:
        self._access = access
        self._tally = ApiTally() if tally is None else tally
        self._log = log
        self._most_wrong = most_wrong
        self._clock = clock
        self._tokens: dict[str, Token] = {}
        self._read_at = -LOOK_S
        self._wrong: dict[str, tuple[int, float]] = {}
        """How often each address was wrong, since when."""

    def admit(self, header: str, source: str) -> Caller:
        """Who it is by the Authorization header; Refusal 401 or 429 when nobody."""
        scheme, _, secret = header.partition(" ")
        if scheme.lower() == "bearer" and 0 < len(secret := secret.strip()) <= MAX_SECRET:
            found = find_token(self._known(), secret)
            if found is not None:
                return Caller(found[0], found[1].roles)
        elif not header:
            # Asking without a token is no guess.
            self._tally.failures[NO_TOKEN] += 1
            raise Refusal(401, "There is no token in the request.", headers=CHALLENGE)
        self._note_wrong(network_of(source))
        self._tally.failures[WRONG_TOKEN] += 1
        raise Refusal(401, "The token is not one of those there are.", headers=CHALLENGE)

    def _note_wrong(self, source: str) -> None:
        now = self._clock()
        count, since = self._wrong.get(source, (0, now))
        if now - since >= WINDOW_S:
            count, since = 0, now
        if count >= self._most_wrong:
            self._tally.failures[TOO_OFTEN] += 1
            wait_s = math.ceil(since + WINDOW_S - now)
            raise Refusal(
                429, f"Too many wrong tokens came from {source}.",
                headers={"Retry-After": str(wait_s)},
            )
        if source not in self._wrong and len(self._wrong) >= MAX_SOURCES:
            self._wrong.pop(next(iter(self._wrong)))
        self._wrong[source] = (count + 1, since)
        if count + 1 == self._most_wrong and self._log is not None:
            self._log("warning", "wrong tokens for the API", source=source, count=count + 1)

    def refuse(self, caller: Caller, role: str) -> None:
        """Refusal 403 when somebody has not this role."""
        if role not in caller.roles:
            self._tally.failures[NO_ROLE] += 1
            raise Refusal(
                403, f"This needs the role {role}; {caller.who} has {', '.join(caller.roles)}."
            )

    def _known(self) -> dict[str, Token]:
        now = self._clock()
        if now - self._read_at >= LOOK_S:
            self._tokens = self._access.tokens()
            self._read_at = now
        return self._tokens


class GateMiddleware(AbstractAuthenticationMiddleware):
    """Asks the gate before anything else of a request is looked at."""

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        """Who asks; Refusal when nobody may."""
        gate: Gate = connection.app.state.gate
        source = connection.client.host if connection.client is not None else "-"
        caller = gate.admit(connection.headers.get("authorization", ""), source)
        return AuthenticationResult(user=None, auth=caller)


class AllowMiddleware:
    """Puts every method of a path into Allow: Litestar's own answer to OPTIONS names some."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on everything but that header."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                path = scope.get("path_template")
                methods = sorted(
                    {
                        method
                        for route in scope["litestar_app"].routes
                        if isinstance(route, HTTPRoute) and route.path_format == path
                        for method in route.methods
                    }
                )
                kept = [one for one in message["headers"] if one[0].lower() != b"allow"]
                message["headers"] = [*kept, (b"allow", ", ".join(methods).encode())]
            await send(message)

        options = scope.get("method") == "OPTIONS"
        await self._app(scope, receive, sent if options else send)


class RoleGuard:
    """A guard: Refusal 403 for a token that has not this role."""

    def __init__(self, role: str) -> None:
        assert role in ROLES
        self.role = role

    def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        gate: Gate = connection.app.state.gate
        gate.refuse(connection.auth, self.role)


def needs(role: str) -> RoleGuard:
    """The guard of operations that are not for everybody who has a token."""
    return RoleGuard(role)


def role_of(handler: BaseRouteHandler) -> str:
    """The role that an operation needs."""
    asked = [guard.role for guard in handler.guards or () if isinstance(guard, RoleGuard)]
    return asked[0] if asked else READ
