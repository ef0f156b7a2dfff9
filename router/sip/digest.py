"""Digest authentication, both sides (RFC 3261 §22.4, RFC 2617, RFC 7616, RFC 8760).

    response = H(HA1 ":" nonce ":" nc ":" cnonce ":" qop ":" HA2)     with a quality of protection
               H(HA1 ":" nonce ":" HA2)                               without one (RFC 2069)
    HA1      = H(username ":" realm ":" password)
               H(HA1 ":" nonce ":" cnonce)                            algorithms that end in -sess
    HA2      = H(method ":" uri)
               H(method ":" uri ":" H(body))                          qop=auth-int

Pure arithmetic and the two header values. Which nonces are ours, how old they are and how often
they were used is `router.core.nonces`; who may do what is decided above.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from router.sip.errors import SipError
from router.sip.quoting import WHITESPACE, quote, unquote

MD5 = "MD5"
SHA256 = "SHA-256"
MAX_PARAMS = 32
MAX_VALUE = 1_024

_scheme = re.compile(r"\s*([A-Za-z0-9\-.!%*_+`'~]+)(?:\s+|$)").match
# auth-param  =  token EQUAL ( token / quoted-string )
# lenient: whatever is no blank, comma or quote stands unquoted (nonces of old peers have "=" and
# "/"); a value that ought to be quoted need not be, and the other way round; commas may be doubled.
_param = re.compile(
    r"""[\s,]*([A-Za-z0-9\-.!%*_+`'~]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*)\s*(?=,|$)""", re.DOTALL
).match
_NAMES = frozenset((
    "username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "opaque", "qop", "nc",
    "stale", "domain",
))
_is_count = re.compile(r"[0-9a-fA-F]{8}").fullmatch

_Hash = Callable[[bytes], str]


def _sha512_256(data: bytes) -> str:
    return hashlib.new("sha512_256", data).hexdigest()


_HASHES: dict[str, _Hash] = {
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "sha-256": lambda data: hashlib.sha256(data).hexdigest(),
}
if "sha512_256" in hashlib.algorithms_available:
    _HASHES["sha-512-256"] = _sha512_256


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a WWW-Authenticate or Proxy-Authenticate asks for.

    `algorithm` is as it came, "" when none was named (then it is MD5); `qop` the offered
    qualities of protection in small letters, none: the answer has no count; `opaque` None when
    there is none.
    """

    realm: str
    nonce: str
    algorithm: str = ""
    qop: tuple[str, ...] = ("auth",)
    opaque: str | None = None
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an Authorization or Proxy-Authorization carries.

    `algorithm` as it came, "" when none was named; `qop` in small letters, "" without one, and
    then `count` (nc) is 0 and `cnonce` may be "".
    """

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = ""
    qop: str = ""
    count: int = 0
    cnonce: str = ""
    opaque: str | None = None


def is_supported(algorithm: str) -> bool:
    """Whether we can compute it; "" is MD5."""
    return _base_of(algorithm)[0] in _HASHES


def canonical_algorithm(algorithm: str) -> str:
    """The algorithm as the registry writes it: "MD5" for "" and "md5"."""
    return algorithm.upper() or MD5


def _base_of(algorithm: str) -> tuple[str, bool]:
    name = algorithm.lower() or "md5"
    return (name[:-5], True) if name.endswith("-sess") else (name, False)


def _raw(text: str) -> bytes:
    # Lone surrogates stand for bytes of the peer's that are no UTF-8; others come from nobody.
    return text.encode("utf-8", "surrogateescape")


# -- arithmetic -----------------------------------------------------------------------------------


def digest_ha1(username: str, realm: str, password: str, algorithm: str = MD5) -> str:
    """H(username:realm:password), which is as good as the password; raises KeyError for no H.

    The "-sess" of an algorithm does not count here.
    """
    return _HASHES[_base_of(algorithm)[0]](_raw(f"{username}:{realm}:{password}"))


def digest_response(
    ha1: str, method: str, credentials: Credentials, body: bytes = b""
) -> str:
    """The response that these credentials should carry; raises KeyError for an unknown algorithm.

    `ha1` is `digest_ha1`'s of the same algorithm.
    """
    name, session = _base_of(credentials.algorithm)
    digest = _HASHES[name]
    nonce, cnonce, qop = credentials.nonce, credentials.cnonce, credentials.qop
    if session:
        ha1 = digest(_raw(f"{ha1}:{nonce}:{cnonce}"))
    if qop == "auth-int":
        ha2 = digest(_raw(f"{method}:{credentials.uri}:{digest(body)}"))
    else:
        ha2 = digest(_raw(f"{method}:{credentials.uri}"))
    if qop:
        return digest(_raw(f"{ha1}:{nonce}:{credentials.count:08x}:{cnonce}:{qop}:{ha2}"))
    return digest(_raw(f"{ha1}:{nonce}:{ha2}"))


def is_right(ha1: str, method: str, credentials: Credentials, body: bytes = b"") -> bool:
    """Whether the credentials prove the password, compared in constant time."""
    expected = digest_response(ha1, method, credentials, body)
    return hmac.compare_digest(_raw(expected), _raw(credentials.response.lower()))


# -- the server's side of the wire ----------------------------------------------------------------


def parse_credentials(value: str) -> Credentials | None:
    """The value of an Authorization or Proxy-Authorization; None for another scheme than Digest.

    Raises SipError 400 when it cannot be read, or lacks what an answer has to have.
    """
    params = _params_of(value)
    if params is None:
        return None
    try:
        username, realm = params["username"], params["realm"]
        nonce, uri, response = params["nonce"], params["uri"], params["response"]
    except KeyError:
        raise SipError(400, "Incomplete credentials") from None
    qop = params.get("qop", "").lower()
    count = 0
    if qop:
        if qop not in ("auth", "auth-int"):
            raise SipError(400, "Unknown quality of protection")
        text = params.get("nc", "")
        if not _is_count(text) or "cnonce" not in params:
            raise SipError(400, "Incomplete credentials")
        count = int(text, 16)
    return Credentials(
        username, realm, nonce, uri, response, params.get("algorithm", ""), qop, count,
        params.get("cnonce", ""), params.get("opaque"),
    )


def render_challenge(challenge: Challenge) -> str:
    """The value of a WWW-Authenticate or Proxy-Authenticate."""
    parts = [f"realm={quote(challenge.realm)}", f"nonce={quote(challenge.nonce)}"]
    if challenge.opaque is not None:
        parts.append(f"opaque={quote(challenge.opaque)}")
    if challenge.stale:
        parts.append("stale=true")
    if challenge.algorithm:
        parts.append(f"algorithm={challenge.algorithm}")
    if challenge.qop:
        parts.append(f'qop="{",".join(challenge.qop)}"')
    return "Digest " + ", ".join(parts)


# -- the client's side of the wire ----------------------------------------------------------------


def parse_challenge(value: str) -> Challenge | None:
    """The value of a WWW-Authenticate or Proxy-Authenticate; None for another scheme than Digest.

    Raises SipError 400 when it cannot be read, or has no realm or nonce.
    """
    params = _params_of(value)
    if params is None:
        return None
    if "realm" not in params or "nonce" not in params:
        raise SipError(400, "Incomplete challenge")
    qop = tuple(
        part.strip().lower() for part in params.get("qop", "").split(",") if part.strip()
    )
    return Challenge(
        params["realm"], params["nonce"], params.get("algorithm", ""), qop, params.get("opaque"),
        params.get("stale", "").lower() == "true",
    )


def choose_challenge(values: Iterable[str]) -> Challenge | None:
    """The first of several header values that we can answer (RFC 8760 §2.4); None: none of them."""
    for value in values:
        try:
            challenge = parse_challenge(value)
        except SipError:
            continue
        if challenge is not None and _can_answer(challenge):
            return challenge
    return None


def _can_answer(challenge: Challenge) -> bool:
    qop = challenge.qop
    return is_supported(challenge.algorithm) and (
        not qop or "auth" in qop or "auth-int" in qop
    )


def answer_challenge(
    challenge: str | Challenge, method: str, uri: str, username: str, password: str, *,
    cnonce: str, nc: int = 1, body: bytes = b"",
) -> str:
    """The value of an Authorization (of a 401) or Proxy-Authorization (of a 407).

    `challenge` is a header value, or what `choose_challenge` gave; `uri` is the Request-URI of the
    request that carries the answer, `cnonce` a fresh random token, `nc` counts the requests that
    use this nonce from 1. SipError 400 when the challenge cannot be read or answered.
    """
    if isinstance(challenge, str):
        chosen = choose_challenge((challenge,))
        if chosen is None:
            raise SipError(400, "A challenge that cannot be answered")
        challenge = chosen
    elif not _can_answer(challenge):
        raise SipError(400, "A challenge that cannot be answered")
    qop = "auth" if "auth" in challenge.qop else "auth-int" if challenge.qop else ""
    needs_cnonce = bool(qop) or _base_of(challenge.algorithm)[1]
    credentials = Credentials(
        username, challenge.realm, challenge.nonce, uri, "", challenge.algorithm, qop,
        nc if qop else 0, cnonce if needs_cnonce else "", challenge.opaque,
    )
    ha1 = digest_ha1(username, challenge.realm, password, challenge.algorithm)
    return render_credentials(credentials, digest_response(ha1, method, credentials, body))


def render_credentials(credentials: Credentials, response: str = "") -> str:
    """The value of an Authorization or Proxy-Authorization; `response` in place of its own."""
    parts = [
        f"username={quote(credentials.username)}",
        f"realm={quote(credentials.realm)}",
        f"nonce={quote(credentials.nonce)}",
        f"uri={quote(credentials.uri)}",
        f"response={quote(response or credentials.response)}",
    ]
    if credentials.algorithm:
        parts.append(f"algorithm={credentials.algorithm}")
    if credentials.cnonce or credentials.qop:
        parts.append(f"cnonce={quote(credentials.cnonce)}")
    if credentials.opaque is not None:
        parts.append(f"opaque={quote(credentials.opaque)}")
    if credentials.qop:
        # RFC 3261 §25.1: neither is quoted here.
        parts.append(f"qop={credentials.qop}, nc={credentials.count:08x}")
    return "Digest " + ", ".join(parts)


# -- parameters -----------------------------------------------------------------------------------


def _params_of(value: str) -> dict[str, str] | None:
    """The parameters by lower-case name, values without quotes; None for another scheme.

    Raises SipError 400 for what cannot be read, a name given twice, and too much of all.
    """
    scheme = _scheme(value)
    if scheme is None:
        raise SipError(400, "Malformed credentials")
    if scheme[1].lower() != "digest":
        return None
    text = value[scheme.end() :]
    params = _plain_params(text)
    if params is None:
        params = _any_params(text)
    if len(params) > MAX_PARAMS or max(map(len, params.values()), default=0) > MAX_VALUE:
        raise SipError(400, "Malformed credentials")
    return params


def _plain_params(text: str) -> dict[str, str] | None:
    """The parameters as nearly everybody writes them; None for what has to be read with care."""
    params: dict[str, str] = {}
    for part in text.split(","):
        name, equals, raw = part.partition("=")
        name = name.strip(WHITESPACE).lower()
        raw = raw.strip(WHITESPACE)
        if raw[:1] == '"':
            if len(raw) < 2 or raw[-1] != '"':
                return None
            raw = raw[1:-1]
            if '"' in raw or "\\" in raw:
                return None
        elif not equals or '"' in raw or (raw and raw.split() != [raw]):
            return None
        if name not in _NAMES or name in params:
            return None
        params[name] = raw
    return params


def _any_params(text: str) -> dict[str, str]:
    params: dict[str, str] = {}
    at = 0
    while (found := _param(text, at)) is not None:
        name = found[1].lower()
        if name in params:
            raise SipError(400, "Malformed credentials")
        params[name] = unquote(found[2])
        at = found.end()
    if text[at:].strip(" \t,"):
        raise SipError(400, "Malformed credentials")
    return params
