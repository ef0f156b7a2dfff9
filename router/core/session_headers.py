"""The headers of session timers (RFC 4028 §4, §5, §8): read leniently, and kept on their leg.

Each leg has a timer of its own, so Session-Expires, Min-SE and the option tag `timer` never pass
from one leg to the other. Knows no clock and no dialog.
"""

from __future__ import annotations

from typing import NamedTuple

from router.sip.grammar import parse_digits
from router.sip.message import Message

MIN_SE_S = 90
"""RFC 4028 §5: what Min-SE is where nobody says more."""
MAX_LONGER = 2
"""how often one request gives in to a 422 (RFC 4028 §7.3)"""
REQUIRE = "Require: timer\r\n"
SDP_TYPE = "Content-Type: application/sdp\r\n"

_MAX_S = 9_999_999_999  # as long as any number we read; such a session never expires


class Interval(NamedTuple):
    """A Session-Expires value: seconds, and who refreshes ("uac", "uas", "" where it is open)."""

    seconds: int
    refresher: str


def session_expires(message: Message) -> Interval | None:
    """The Session-Expires of a message; None when there is none, or none that can be read."""
    if not message.has("session-expires"):
        return None
    value = message.get("session-expires")
    number, *parameters = value.split(";")
    seconds = parse_digits(number.strip(), _MAX_S)
    if not seconds:
        return None
    for parameter in parameters:
        name, _, word = parameter.partition("=")
        if name.strip().lower() == "refresher":
            word = word.strip().lower()
            return Interval(seconds, word if word in ("uac", "uas") else "")
    return Interval(seconds, "")


def min_se_s(message: Message) -> int:
    """The Min-SE of a message in seconds, 0 when there is none that can be read."""
    value = message.get("min-se")
    return parse_digits(value.partition(";")[0].strip(), _MAX_S) or 0 if value else 0


def supports_timer(message: Message) -> bool:
    """Whether the sender lists the option tag `timer` in Supported or Require."""
    return message.has_either("supported", "require") and (
        _names_timer(message, "supported") or _names_timer(message, "require")
    )


def allows_update(message: Message) -> bool:
    """Whether the sender's Allow lists UPDATE (RFC 3311 §4)."""
    return any(method.upper() == "UPDATE" for method in message.values("allow"))


def without_timer(message: Message, drop: frozenset[str]) -> str:
    """The header lines that pass to the other leg: those not in `drop`, without the tag `timer`."""
    if not message.has_either("supported", "require") or not supports_timer(message):
        return message.passthrough(drop)
    lines = []
    for line, key in zip(message.lines, message.keys, strict=True):
        if key in drop:
            continue
        if key in ("supported", "require"):
            name, _, tags = line.partition(":")
            others = [tag for tag in tags.split(",") if tag.strip().lower() != "timer"]
            if not others:
                continue
            line = f"{name}: {','.join(others).strip()}"
        lines.append(line + "\r\n")
    return "".join(lines)


def _names_timer(message: Message, key: str) -> bool:
    return message.has(key) and any(tag.lower() == "timer" for tag in message.values(key))


def sdp_of(message: Message) -> bytes:
    """The body of a message when it is a session description, else b""."""
    body = message.body
    if not body:
        return b""
    kind = message.get("content-type").partition(";")[0].strip().lower()
    return body if kind == "application/sdp" else b""
