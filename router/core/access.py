"""Our credentials at a gateway: its 401 and 407 are answered, in the same attempt.

    sent so far                     401 or 407                    what happens
    without credentials             one that we can answer        sent again with credentials
    by an earlier challenge         one that we can answer        sent again by the new challenge
    with credentials, once          stale=true                    sent again by the new nonce
    with credentials, once          any other                     refused: the password is wrong
    twice                           any                           refused

A nonce is used again for later requests, counted (RFC 3261 §22.2, RFC 7616 §3.3), until the gateway
gives another. An ACK carries what its INVITE carried (RFC 3261 §22.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.core.parameters import Login
from router.core.transactions.layer import ClientTransaction, ClientUser
from router.core.verdicts import Target
from router.sip.digest import Challenge, answer_challenge, choose_challenge
from router.sip.message import Response
from router.store.ops import GatewayNews

if TYPE_CHECKING:
    from router.core.engine import Engine
    from router.core.leg import Leg

CHALLENGES = (401, 407)
MOST_CHALLENGES = 2
"""How often one request is sent again with credentials."""
REPEAT_TROUBLE_MS = 60_000
"""Of credentials that are refused with every call this often is spoken."""
MAX_REASON = 100
_HEADERS = {
    401: ("www-authenticate", "Authorization"),
    407: ("proxy-authenticate", "Proxy-Authorization"),
}


class Access:
    """What one worker answers a gateway's challenges with, and its latest challenge."""

    __slots__ = (
        "_challenge", "_count", "_engine", "_gateway", "_header", "_key", "_trouble_ms", "login",
    )

    def __init__(self, engine: Engine, target: Target, login: Login) -> None:
        self._engine = engine
        self._gateway = target.name
        self._key = target.key
        self.login = login
        self._challenge: Challenge | None = None
        self._header = ""
        self._count = 0
        self._trouble_ms: int | None = None

    def line(self, method: str, uri: str, body: bytes = b"") -> str:
        """The header line for a request; "" while nothing was asked for."""
        challenge = self._challenge
        if challenge is None:
            return ""
        self._count += 1
        login = self.login
        value = answer_challenge(
            challenge, method, uri, login.username, login.password,
            cnonce=self._engine.token(), nc=self._count, body=body,
        )
        return f"{self._header}: {value}\r\n"

    def may_answer(self, response: Response, tries: int) -> bool:
        """Learns a challenge; whether its request is to be sent again.

        `tries` counts how often it was sent with an answer to a challenge of its own.
        """
        name, header = _HEADERS[response.status]
        challenge = choose_challenge(response.get_all(name))
        if challenge is None or tries >= MOST_CHALLENGES or (tries and not challenge.stale):
            self._challenge = None  # it is no use trying that again with the next request
            self.note_refused(response)
            return False
        self._challenge = challenge
        self._header = header
        self._count = 0
        return True

    def note_refused(self, response: Response) -> None:
        """The gateway does not take our credentials: the log and live state say so."""
        engine, now = self._engine, self._engine.layer.now
        if self._trouble_ms is not None and now < self._trouble_ms + REPEAT_TROUBLE_MS:
            return
        self._trouble_ms = now
        why = f"credentials refused: {told(response)}"
        engine.log(
            "warning", "credentials refused", gateway=self._gateway, status=response.status,
            username=self.login.username,
        )
        engine.ask(GatewayNews(self._key, trouble=why), None)

    def note_accepted(self) -> None:
        """The gateway took our credentials."""
        if self._trouble_ms is not None:
            self._trouble_ms = None
            self._engine.ask(GatewayNews(self._key, trouble=""), None)


def told(response: Response) -> str:
    """Status and reason of a peer's response, fit to be stored and shown."""
    reason = response.reason[:MAX_REASON]
    plain = "".join(char if char.isprintable() else "?" for char in reason)
    return f"{response.status} {plain}"


def access_to(engine: Engine, target: Target) -> Access | None:
    """Our access to a gateway, kept from call to call; None when it has no credentials."""
    login = target.login
    if login is None:
        return None
    access = engine.accesses.get(target.name)
    if access is None or access.login != login:
        access = engine.accesses[target.name] = Access(engine, target, login)
    return access


class Challenged:
    """A request in a dialog that may be challenged: stands between its transaction and its user."""

    __slots__ = ("_body", "_extra", "_leg", "_method", "_tries", "user")

    def __init__(self, leg: Leg, method: str, user: ClientUser, extra: str, body: bytes) -> None:
        self._leg = leg
        self._method = method
        self.user: Any = user
        self._extra = extra
        self._body = body
        self._tries = 0

    @property
    def call(self) -> Any:
        """The call that it is for."""
        user = self.user
        return getattr(user, "call", user)

    def on_response(self, client: ClientTransaction, response: Response) -> None:
        """Answers a challenge; anything else is the user's."""
        leg, user = self._leg, self.user
        access = leg.access
        if response.status in CHALLENGES and access is not None:
            if access.may_answer(response, self._tries):
                self._tries += 1
                again = leg.send_again(self._method, self, self._extra, self._body)
                if getattr(user, "client", None) is client:
                    user.client = again  # whoever may want to cancel it
                return
        elif self._tries and access is not None and 200 <= response.status < 300:
            access.note_accepted()
        user.on_response(client, response)

    def on_timeout(self, client: ClientTransaction) -> None:
        """No final response came."""
        self.user.on_timeout(client)

    def on_transport_error(self, client: ClientTransaction) -> None:
        """The request could not be delivered."""
        self.user.on_transport_error(client)
