"""Literal texts to Python values; the same in an expression and in a setting."""

from __future__ import annotations

import re
from decimal import Decimal
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network

DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LONGEST_MS = 10 * 366 * 86_400_000
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class LiteralError(Exception):
    """A literal that cannot be read: the finding's code, its sentence and its help."""

    def __init__(self, code: str, message: str, help: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help


def read_string(quoted: str) -> str:
    """The value of a string in double quotes; raises LiteralError for an unknown escape."""

    def unescape(match: re.Match[str]) -> str:
        char = match.group(1)
        if char not in _ESCAPES:
            raise LiteralError(
                "bad-escape",
                f"a string has no escape `\\{char}`",
                'the escapes are \\n, \\t, \\" and \\\\; for a backslash write two',
            )
        return _ESCAPES[char]

    body = quoted[1:-1]
    return _ESCAPED.sub(unescape, body) if "\\" in body else body


def read_duration(text: str) -> int:
    """Milliseconds of `500ms`, `1.5s`, `5m`, `2h` or `1d`; raises LiteralError."""
    match = DURATION.fullmatch(text)
    if match is None:
        bare = text.isascii() and text.isdigit()
        hint = f"did you mean `{text}s`?" if bare else "a duration is written 500ms, 30s, 5m or 2h"
        what = "has no unit" if bare else "is no duration"
        raise LiteralError("bad-duration", f"`{text}` {what}", hint)
    number, unit = match.groups()
    exact = Decimal(number) * _UNIT_MS[unit]
    if exact != int(exact) or exact > _LONGEST_MS:
        raise LiteralError(
            "bad-duration",
            f"`{text}` is no whole number of milliseconds up to ten years",
            "a duration is written 500ms, 30s, 5m or 2h",
        )
    return int(exact)


def read_ip(text: str) -> IpAddress:
    """An IPv4 address, or an IPv6 address in brackets; raises LiteralError."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ip_address(bare)
    except ValueError:
        raise LiteralError("bad-address", f"`{text}` is no IP address", _ip_help(bare)) from None
    if address.version == 6 and bare is text:
        raise LiteralError(
            "bad-address", f"the IPv6 address `{text}` needs brackets", f"did you mean `[{text}]`?"
        )
    return address


def _ip_help(text: str) -> str:
    parts = text.split(".")
    if len(parts) == 4 and all(part.isdigit() for part in parts):
        if any(int(part) > 255 for part in parts):
            return "each of the four numbers is at most 255"
        return "the four numbers have no leading zeros"
    return "an address is written 192.0.2.1 or [2001:db8::1]"


def read_network(text: str) -> IpNetwork:
    """A network `192.0.2.0/24` or `[2001:db8::]/32`, or one address; raises LiteralError."""
    address, slash, length = text.partition("/")
    host = read_ip(address)
    if not slash:
        return ip_network(host)
    longest = host.max_prefixlen
    if not (length.isascii() and length.isdigit() and int(length) <= longest):
        raise LiteralError(
            "bad-network",
            f"`/{length}` is no prefix length from 0 to {longest}",
            "a network is written 192.0.2.0/24",
        )
    network = ip_network((host, int(length)), strict=False)
    if network.network_address != host:
        meant = _network_text(network)
        raise LiteralError(
            "host-bits",
            f"`{text}` is no network: it has bits set behind the prefix length",
            f"did you mean `{meant}`, or the single address `{address}`?",
        )
    return network


def _network_text(network: IpNetwork) -> str:
    host = str(network.network_address)
    return f"[{host}]/{network.prefixlen}" if network.version == 6 else str(network)
