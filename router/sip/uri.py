"""URIs: sip, sips and tel (RFC 3261 §19.1, RFC 3966).

Percent-escapes are kept as they came, so that what is parsed renders the same; only
`unescape` resolves them, and `same_address`, which compares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from router.sip.errors import SipError
from router.sip.grammar import is_host, is_ipv6, is_scheme, parse_port

_escape = re.compile(r"%([0-9A-Fa-f]{2})")
# user = 1*( unreserved / escaped / user-unreserved ); what is not in it has to be escaped.
# "%" stays when it already begins an escape.
_not_user = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-_.!~*'()&=+$,;?/%]")


@dataclass(slots=True)
class Uri:
    """A URI in its parts, each as it came but for the lower-case scheme and parameter names.

    `user` is "" when there is none; for tel it is the number and `host` is "". `password` is None
    when there is none. `host` has no brackets around an IPv6 address. A parameter without "=" has
    the value None. `headers` is the text after "?", unsplit.
    """

    scheme: str
    user: str
    password: str | None
    host: str
    port: int | None
    params: dict[str, str | None] = field(default_factory=dict)
    headers: str = ""


def parse_uri(text: str) -> Uri:
    """Parses a sip, sips or tel URI; raises SipError 416 for another scheme, else 400."""
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or not is_scheme(scheme):
        raise SipError(400, "Malformed URI")
    if scheme == "tel":
        number, _, params = rest.partition(";")
        if not number:
            raise SipError(400, "Malformed URI")
        return Uri(scheme, number, None, "", None, _parse_params(params))
    if scheme not in ("sip", "sips"):
        raise SipError(416, "Unsupported URI Scheme")
    user = ""
    password: str | None = None
    userinfo, at, hostport = rest.partition("@")
    if at:
        user, colon, secret = userinfo.partition(":")
        if not user:
            raise SipError(400, "Malformed URI")
        if colon:
            password = secret
    else:
        hostport = rest
    hostport, _, headers = hostport.partition("?")
    hostport, _, params = hostport.partition(";")
    host, port = split_host_port(hostport)
    return Uri(scheme, user, password, host, port, _parse_params(params), headers)


def _parse_params(text: str) -> dict[str, str | None]:
    params: dict[str, str | None] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if name:
            # RFC 3261 §19.1.1 forbids a second one of a name. lenient: the first counts.
            params.setdefault(name.lower(), value if equals else None)
    return params


def render_uri(uri: Uri) -> str:
    """The text of a URI, escapes as they are in its parts."""
    params = "".join(
        f";{name}" if value is None else f";{name}={value}" for name, value in uri.params.items()
    )
    if uri.scheme == "tel":
        return f"tel:{uri.user}{params}"
    userinfo = ""
    if uri.user:
        userinfo = f"{uri.user}@" if uri.password is None else f"{uri.user}:{uri.password}@"
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    port = "" if uri.port is None else f":{uri.port}"
    headers = f"?{uri.headers}" if uri.headers else ""
    return f"{uri.scheme}:{userinfo}{host}{port}{params}{headers}"


def split_host_port(text: str) -> tuple[str, int | None]:
    """hostport = host [ ":" port ], brackets taken off an IPv6 reference; raises SipError 400."""
    if text[:1] == "[":
        host, bracket, tail = text[1:].partition("]")
        if not bracket or not is_ipv6(host) or (tail and tail[0] != ":"):
            raise SipError(400, "Malformed IPv6 reference")
        colon, port = tail[:1], tail[1:]
    else:
        host, colon, port = text.partition(":")
        if not is_host(host):
            raise SipError(400, "Malformed host")
    if not colon:
        return host, None
    number = parse_port(port)
    if number is None:
        raise SipError(400, "Malformed port")
    return host, number


def _host_port_text(text: str) -> str:
    # "@" cannot stand unescaped in a parameter or header, so the first one ends the user.
    rest = text[text.find("@") + 1 :] if "@" in text else text[text.find(":") + 1 :]
    cut = rest.find(";")
    if cut >= 0:
        rest = rest[:cut]
    cut = rest.find("?")
    return rest if cut < 0 else rest[:cut]


def uri_user(text: str) -> str:
    """The user part of a URI, or a tel URI's number, escapes kept; "" when there is none."""
    at = text.find("@")
    if at >= 0:
        return text[text.find(":") + 1 : at].partition(":")[0]
    if text[:4].lower() == "tel:":
        return text[4:].partition(";")[0]
    return ""


def uri_host(text: str) -> str:
    """The host of a URI without brackets, unchecked; "" for tel."""
    if text[:4].lower() == "tel:":
        return ""
    host = _host_port_text(text)
    if host[:1] == "[":
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def uri_host_port(text: str) -> tuple[str, int | None]:
    """The host of a URI without brackets and its port, None when not given; raises SipError 400.

    For tel, which has neither, ("", None).
    """
    if text[:4].lower() == "tel:":
        return "", None
    return split_host_port(_host_port_text(text))


# RFC 3261 §19.1.4: what one URI says of these and the other does not makes them differ.
_TELLING = ("transport", "user", "ttl", "method", "maddr")


def same_address(one: str, other: str) -> bool:
    """Whether two URIs are the same address (RFC 3261 §19.1.4); False when one cannot be read."""
    if one == other:
        return True
    try:
        a, b = parse_uri(one), parse_uri(other)
    except SipError:
        return False
    if (
        a.scheme != b.scheme
        or unescape(a.user) != unescape(b.user)
        or a.password != b.password
        or a.host.lower() != b.host.lower()
        or a.port != b.port
        or a.headers != b.headers
    ):
        return False
    shared = a.params.keys() & b.params.keys()
    return all(
        (a.params.get(name, "") or "").lower() == (b.params.get(name, "") or "").lower()
        for name in (*_TELLING, *shared)
    )


def replace_uri_user(text: str, user: str) -> str:
    """The URI with another user (for tel: another number); a password goes with the old user.

    Characters that a user cannot hold are escaped, CR and LF among them.
    """
    user = escape_user(user)
    scheme, _, rest = text.partition(":")
    if scheme.lower() == "tel":
        _, semicolon, params = rest.partition(";")
        return f"{scheme}:{user}{semicolon}{params}"
    at = rest.find("@")
    return f"{scheme}:{user}@{rest[at + 1 :]}" if user else f"{scheme}:{rest[at + 1 :]}"


def uri_number(text: str) -> str:
    """The user part of a URI as people write it: "#21#", where the wire has "%2321%23".

    One whose text would hold what cannot be printed, or a "%", is left as it came, so that
    `escape_user` makes the same of it again.
    """
    user = uri_user(text)
    if "%" not in user:
        return user
    plain = unescape(user)
    return plain if plain.isprintable() and "%" not in plain else user


def escape_user(text: str) -> str:
    """The text as a user part: what RFC 3261 does not allow there becomes %XX of its UTF-8."""
    return _not_user.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogateescape"))


def unescape(text: str) -> str:
    """The text with its %XX resolved."""
    if "%" not in text:
        return text
    raw = bytearray()
    at = 0
    for match in _escape.finditer(text):
        raw += text[at : match.start()].encode("utf-8", "surrogateescape")
        raw.append(int(match[1], 16))
        at = match.end()
    raw += text[at:].encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "surrogateescape")
