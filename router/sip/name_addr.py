"""name-addr and addr-spec: the values of From, To, Contact, Route and their kin (RFC 3261 §20).

    ( name-addr / addr-spec ) *( SEMI param )
    name-addr  =  [ display-name ] LAQUOT addr-spec RAQUOT

Without brackets all parameters belong to the header, none to the URI (§20.10).
"""

from __future__ import annotations

from typing import NamedTuple

from router.sip.errors import SipError
from router.sip.quoting import WHITESPACE, end_of_quoted, split_outside_quotes


class NameAddr(NamedTuple):
    """An address with its display name and the header's parameters.

    `display` is as it came, quotes and escapes included, so that it renders the same (`unquote`
    gives its text). `uri` is "*" for the Contact of a de-registration. Parameter names are
    lower-case, values as they came, "" when there is none.
    """

    display: str
    uri: str
    params: dict[str, str]


def parse_params(text: str) -> dict[str, str]:
    """Parameters separated by ";", names lower-case, "" for one without value; the first counts."""
    params: dict[str, str] = {}
    for part in split_outside_quotes(text, ";"):
        name, _, value = part.partition("=")
        name = name.rstrip(WHITESPACE).lower()
        if name and name not in params:
            params[name] = value.lstrip(WHITESPACE)
    return params


def parse_name_addr(value: str) -> NameAddr:
    """Parses one address (not a comma-separated list); raises SipError 400."""
    value = value.strip(WHITESPACE)
    if value == "*":
        return NameAddr("", "*", {})
    opening = _find_bracket(value)
    if opening >= 0:
        closing = value.find(">", opening)
        if closing < 0:
            raise SipError(400, "Unterminated <")
        display = value[:opening].rstrip(WHITESPACE)
        uri = value[opening + 1 : closing].strip(WHITESPACE)
        rest = value[closing + 1 :].lstrip(WHITESPACE)
        if rest and rest[0] != ";":
            raise SipError(400, "Malformed address")
    else:
        display = ""
        uri, _, rest = value.partition(";")
        uri = uri.rstrip(WHITESPACE)
    if ":" not in uri or " " in uri or '"' in uri:
        raise SipError(400, "Malformed address")
    return NameAddr(display, uri, parse_params(rest) if rest else {})


def _find_bracket(value: str) -> int:
    """Where the "<" of a name-addr is; -1 for an addr-spec."""
    start = end_of_quoted(value, 0) if value[:1] == '"' else 0
    opening = value.find("<", start)
    # After a ";" it belongs to a quoted parameter of an addr-spec.
    if opening >= 0 and ";" in value[start:opening]:
        return -1
    return opening


def header_tag(value: str) -> str:
    """The tag parameter of a From or To value, "" when there is none; never raises."""
    if value[-1:] == ">":
        return ""
    if '"' not in value:
        # Without quotes the last ">" ends the URI, whatever the display name says.
        start = value.find(";tag=", value.rfind(">") + 1)
        if start >= 0:
            end = value.find(";", start + 5)
            return (value[start + 5 :] if end < 0 else value[start + 5 : end]).strip(WHITESPACE)
    opening = _find_bracket(value)
    if opening >= 0:
        closing = value.find(">", opening)
        start = closing + 1 if closing >= 0 else len(value)
    else:
        # A quoted name with no address after it leaves nothing that could be a parameter.
        start = value.find(";") if value[:1] != '"' else -1
    if not 0 <= start < len(value):
        return ""
    return parse_params(value[start:]).get("tag", "")


def header_uri(value: str) -> str:
    """The URI of the first address in a header value, inside <> or bare; never raises.

    "" when there is none; "*" for the Contact of a de-registration.
    """
    opening = _find_bracket(value)
    if opening >= 0:
        closing = value.find(">", opening)
        return value[opening + 1 : closing].strip(WHITESPACE) if closing >= 0 else ""
    if value[:1] == '"':
        return ""
    return value.partition(";")[0].partition(",")[0].strip(WHITESPACE)
