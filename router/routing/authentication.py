"""Digest authentication of phones and trunks: who a request is from (RFC 3261 §22).

    what the request carries                                        outcome
    no credentials of our realm                                     NONE
    the right password, a nonce of ours, young and not used so far  RIGHT
    the right password, but an old or used nonce, or another's      STALE
    the nonce was given to this address, and the password is wrong  WRONG
    the same, once too often from this address                      DENIED
    a wrong password with any other nonce                           NONE: nobody's failure

A nonce is bound to the address that it was given to, so that nobody can have somebody else blocked
by failing in his name: whoever fails here has heard our challenge where he says he is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from router.core.nonces import Nonces
from router.core.verdicts import Challenge
from router.routing.objects import NO_PHONE, Phone, Trunk
from router.sip.digest import (
    MD5,
    SHA256,
    Credentials,
    canonical_algorithm,
    digest_ha1,
    is_right,
    parse_credentials,
    render_challenge,
)
from router.sip.digest import Challenge as DigestChallenge
from router.sip.errors import SipError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from router.routing.live_view import LiveView
    from router.sip.message import Request

NONE, RIGHT, STALE, WRONG, DENIED = "none", "right", "stale", "wrong", "denied"
DEFAULT_REALM = "trunkline"
# RFC 8760 has both offered at once; baresip 1.0 (libre), for one, gives up on a second header with
# an algorithm that it does not know.
DEFAULT_ALGORITHMS = ("md5",)
DEFAULT_NONCE_MS = 300_000
DEFAULT_BLOCK_AFTER = 10
DEFAULT_BLOCK_WITHIN_MS = 60_000
DEFAULT_BLOCK_TIME_MS = 600_000
DEFAULT_MIN_EXPIRES_MS = 60_000
DEFAULT_MAX_EXPIRES_MS = 3_600_000
DEFAULT_MAX_CONTACTS = 10
MAX_USERNAME = 64
MAX_HEADERS = 8
"""Headers with credentials that are looked at in one request."""
PASSWORD, UNKNOWN = "password", "unknown_user"
"""Why credentials are wrong, as it is counted."""

_ALGORITHMS = {"md5": MD5, "sha256": SHA256}
_HERE = "\x7f"


class Proof(NamedTuple):
    """What a request's credentials came to, and whose they are; NO_PHONE: nobody's that we know.

    `why` of a WRONG one is PASSWORD or UNKNOWN, `username` what it named.
    """

    outcome: str
    who: Phone | Trunk = NO_PHONE
    nonce: str = ""
    uses: int = 0
    until_ms: int = 0
    why: str = ""
    username: str = ""


NO_PROOF = Proof(NONE)


class Authentication:
    """The realm of one configuration, and what its phones have to prove."""

    def __init__(
        self, settings: Mapping[str, Any], phones: Mapping[str, Phone], trunks: Iterable[Trunk],
        live: LiveView,
    ) -> None:
        self._phones = phones
        proven = [trunk for trunk in trunks if trunk.password]
        self._trunks = {trunk.username: trunk for trunk in reversed(proven)}
        self.is_used = bool(phones or proven)
        self.asks_strangers = any(not trunk.ips for trunk in proven)
        """whether anybody may turn out to be a trunk"""
        self._live = live
        self.realm: str = settings.get("realm", DEFAULT_REALM)
        names = settings.get("digest", DEFAULT_ALGORITHMS)
        offered = [_ALGORITHMS[name] for name in names]
        self._algorithms = {*offered, SHA256}  # the stronger one is good unasked
        self._templates = [
            render_challenge(DigestChallenge(self.realm, _HERE, algorithm))
            for algorithm in offered
        ]
        self._nonce_ms: int = settings.get("nonce_lifetime", DEFAULT_NONCE_MS)
        self.block_after: int = settings.get("block_after", DEFAULT_BLOCK_AFTER)
        self.block_within_ms: int = settings.get("block_within", DEFAULT_BLOCK_WITHIN_MS)
        self.block_time_ms: int = settings.get("block_time", DEFAULT_BLOCK_TIME_MS)
        self.min_expires_s: int = settings.get("min_expires", DEFAULT_MIN_EXPIRES_MS) // 1_000
        self.max_expires_s: int = settings.get("max_expires", DEFAULT_MAX_EXPIRES_MS) // 1_000
        self.max_contacts: int = settings.get("max_contacts", DEFAULT_MAX_CONTACTS)
        self._made: Nonces | None = None
        self._secrets: dict[tuple[str, str], str] = {}

    @property
    def _nonces(self) -> Nonces:
        # A configuration is made before there is a store to share the secret in.
        nonces = self._made
        if nonces is None:
            nonces = self._made = Nonces(self._live.store.secret())
        return nonces

    def challenge(
        self, method: str, source: str, now_ms: int, token: str, stale: bool = False
    ) -> Challenge:
        """401 for a REGISTER, which is for us; 407 for what we would send on."""
        nonce = self._nonces.make(source, now_ms, token)
        name, status = (
            ("WWW-Authenticate: ", 401) if method == "REGISTER" else ("Proxy-Authenticate: ", 407)
        )
        end = ", stale=true\r\n" if stale else "\r\n"
        lines = [f"{name}{one.replace(_HERE, nonce)}{end}" for one in self._templates]
        return Challenge(status, "", "".join(lines))

    def prove(self, request: Request, source: str, now_ms: int) -> Proof:
        """What the credentials of a request are worth; the use of its nonce is not noted here."""
        credentials = self._credentials_in(request)
        if credentials is None:
            return NO_PROOF
        age_ms = self._nonces.age_ms(credentials.nonce, source, now_ms)
        username = credentials.username
        user = username.partition("@")[0]
        who = self._phones.get(user) or self._trunks.get(username) or self._trunks.get(user)
        if who is not None and self._is_right(who, request, credentials):
            if age_ms is None or not 0 <= age_ms < self._nonce_ms:
                return Proof(STALE, who)
            until_ms = now_ms - age_ms + self._nonce_ms
            return Proof(RIGHT, who, credentials.nonce, credentials.count, until_ms)
        if age_ms is None:
            return NO_PROOF
        why = UNKNOWN if who is None else PASSWORD
        return Proof(WRONG, who or NO_PHONE, why=why, username=username[:MAX_USERNAME])

    def _is_right(
        self, who: Phone | Trunk, request: Request, credentials: Credentials
    ) -> bool:
        algorithm = canonical_algorithm(credentials.algorithm)
        if algorithm not in self._algorithms:
            return False
        username = credentials.username
        key = (username, algorithm)
        secret = self._secrets.get(key)
        if secret is None:
            secret = digest_ha1(username, self.realm, who.password, algorithm)
            if "@" not in username:  # there are only so many names without
                self._secrets[key] = secret
        return is_right(secret, request.method, credentials, request.body)

    def _credentials_in(self, request: Request) -> Credentials | None:
        """The credentials of our realm; None without any that can be read."""
        for key in ("authorization", "proxy-authorization"):
            for value in request.get_all(key)[:MAX_HEADERS]:
                try:
                    credentials = parse_credentials(value)
                except SipError:
                    continue
                if credentials is not None and credentials.realm == self.realm:
                    return credentials
        return None
