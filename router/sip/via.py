"""The Via header: where a request came from and where its responses go.

RFC 3261 §18.2 and §20.42, RFC 3581 (rport). Only the topmost value is ever interpreted; the
others pass through as text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.sip.errors import SipError
from router.sip.grammar import is_token, is_version, parse_port
from router.sip.quoting import WHITESPACE, is_closed, split_outside_quotes
from router.sip.uri import split_host_port

if TYPE_CHECKING:
    from router.sip.message import Request

_TRANSPORTS = {
    f"SIP/2.0/{name}": name for name in ("UDP", "TCP", "TLS", "SCTP", "TLS-SCTP", "WS", "WSS")
}
# The usual names as they are usually spelled, to spare them the normalising.
_PARAMETERS = {name: name for name in ("branch", "rport", "received", "maddr", "ttl", "alias")}


class Via:
    """One Via value.

    `transport` is upper-case; `host` and `port` are the sent-by, without brackets, None for no
    port; `branch` and `received` are "" when absent; `rport` is None when absent, "" without a
    value. `params` holds all parameters, names lower-case, "" for no value.
    """

    __slots__ = ("host", "params", "port", "transport")

    def __init__(self, transport: str, host: str, port: int | None, params: dict[str, str]) -> None:
        self.transport = transport
        self.host = host
        self.port = port
        self.params = params

    @property
    def branch(self) -> str:
        """The branch parameter, "" when absent."""
        return self.params.get("branch", "")

    @property
    def received(self) -> str:
        """The received parameter without brackets, "" when absent."""
        # lenient: RFC 3261 wants a bare IPv6 address here, many write the brackets (RFC 5118 §4.5).
        return self.params.get("received", "").strip("[]")

    @property
    def rport(self) -> str | None:
        """The rport parameter: None when absent, "" without a value."""
        return self.params.get("rport")

    def __repr__(self) -> str:
        return f"Via({self.transport!r}, {self.host!r}, {self.port!r}, {self.params!r})"


def parse_via(value: str) -> Via:
    """Parses the first value of a Via header; raises SipError 400."""
    if "," in value:
        values = split_outside_quotes(value, ",")
        value = values[0] if values else ""
    if '"' not in value and "<" not in value:
        parts = value.split(";")
    else:
        # An open quote would swallow the parameters that we add.
        parts = split_outside_quotes(value, ";")
        if not parts or not is_closed(value):
            raise SipError(400, "Malformed Via header")
    protocol, _, sent_by = parts[0].strip(WHITESPACE).partition(" ")
    transport = _TRANSPORTS.get(protocol)
    if transport is None:
        transport, sent_by = _odd_protocol(parts[0])
    params: dict[str, str] = {}
    for part in parts[1:]:
        name, _, text = part.partition("=")
        key = _PARAMETERS.get(name) or name.strip(WHITESPACE).lower()
        if key and key not in params:
            params[key] = text.strip(WHITESPACE)
    host, _, digits = sent_by.partition(":")
    # The usual sent-by is a dotted host and four digits; all else takes the careful way.
    if (
        len(digits) == 4
        and digits.isdigit()
        and digits.isascii()
        and digits > "0999"
        and host.replace(".", "").isalnum()
    ):
        return Via(transport, host, int(digits), params)
    host, port = _sent_by(sent_by)
    return Via(transport, host, port, params)


def _odd_protocol(text: str) -> tuple[str, str]:
    """Transport and sent-by of a Via with an uncommon transport, spelling or white space.

    sent-protocol = protocol-name SLASH protocol-version SLASH transport, each SLASH with optional
    white space around it, then white space and the sent-by.
    """
    pieces = text.replace("\t", " ").split("/", 2)
    # Another version's Via is read too: 505 has to find its way back.
    if len(pieces) != 3 or not is_version(f"{pieces[0].strip(' ')}/{pieces[1].strip(' ')}"):
        raise SipError(400, "Malformed Via header")
    transport, _, sent_by = pieces[2].lstrip(" ").partition(" ")
    if not is_token(transport):
        raise SipError(400, "Malformed Via header")
    return transport.upper(), sent_by


def _sent_by(text: str) -> tuple[str, int | None]:
    """sent-by = host [ COLON port ], with white space allowed around the colon (HCOLON apart)."""
    text = text.strip(WHITESPACE)
    if " " in text or "\t" in text:
        text = "".join(part.strip(WHITESPACE) for part in _around_colon(text))
    try:
        return split_host_port(text)
    except SipError:
        raise SipError(400, "Malformed Via header") from None


def _around_colon(text: str) -> tuple[str, str, str]:
    return text.rpartition(":")


def stamp_source(request: Request, host: str, port: int) -> None:
    """Notes in the top Via where the request really came from, in place.

    Adds `received` when the sent-by is another host (RFC 3261 §18.2.1), and both `received` and
    the value of `rport` when the sender asks for rport (RFC 3581 §4). Such values that the sender
    wrote itself are replaced. Raises SipError 400 for a Via that cannot be read.
    """
    via = request.top_via
    params = via.params
    if "rport" in params:
        added = f";received={host};rport={port}"
        plain = params["rport"] == "" and "received" not in params
        params["rport"] = str(port)
    elif via.host != host or "received" in params:
        added = f";received={host}"
        plain = "received" not in params
    else:
        return
    params["received"] = host
    at = request.keys.index("via")
    line = request.lines[at]
    if plain and "," not in line and '"' not in line:
        if "rport" not in params:
            request.lines[at] = line.rstrip(WHITESPACE) + added
            return
        head, found, tail = line.partition(";rport")
        if found and tail[:1] in ("", ";"):
            request.lines[at] = f"{head}{added}{tail}"
            return
    request.lines[at] = _with_source(line, added)


def _with_source(line: str, added: str) -> str:
    """The line with received and rport of its first value replaced by `added`."""
    name, colon, value = line.partition(":")
    first, *others = split_outside_quotes(value, ",")
    parts = [
        part
        for part in split_outside_quotes(first, ";")
        if part.partition("=")[0].rstrip(WHITESPACE).lower() not in ("received", "rport")
    ]
    return f"{name}{colon} {', '.join([';'.join(parts) + added, *others])}"


def response_target(via: Via) -> tuple[str, int]:
    """Host and port to which a response to this Via goes over UDP, or over a new stream.

    RFC 3261 §18.2.2 and RFC 3581 §4: maddr, else received with rport, else received with the
    sent-by's port, else the sent-by itself; without any port 5060, or 5061 for TLS. The host may
    be a name.
    """
    params = via.params
    port = via.port or (5061 if via.transport in ("TLS", "WSS", "TLS-SCTP") else 5060)
    if params.get("maddr"):
        return params["maddr"].strip("[]"), port
    received = via.received
    if not received:
        return via.host, port
    return received, parse_port(params.get("rport", "")) or port
