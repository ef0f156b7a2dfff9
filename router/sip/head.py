"""The head of a message: where it ends, its lines, and the canonical name of each.

Knows nothing of what any header means. Every line it hands out is free of CR and LF: what is
rendered from lines can never carry a header that was not there (header injection).
"""

from __future__ import annotations

from itertools import repeat
from typing import NamedTuple

from router.sip.errors import SipError
from router.sip.grammar import is_token


class Limits(NamedTuple):
    """What a message may measure; beyond it the sender gets 413, 414 or 400."""

    message_bytes: int = 65_535
    header_count: int = 128
    line_chars: int = 8_192
    uri_chars: int = 2_048


DEFAULT_LIMITS = Limits()

# RFC 3261 §7.3.3 and the IANA registry of header fields: one letter for the long name.
COMPACT_FORMS = {
    "a": "accept-contact",  # RFC 3841
    "b": "referred-by",  # RFC 3892
    "c": "content-type",
    "d": "request-disposition",  # RFC 3841
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",  # RFC 3841
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",  # RFC 4474
    "o": "event",  # RFC 6665
    "r": "refer-to",  # RFC 3515
    "s": "subject",
    "t": "to",
    "u": "allow-events",  # RFC 6665
    "v": "via",
    "x": "session-expires",  # RFC 4028
    "y": "identity",  # RFC 8224
}

# As the RFCs spell them: the names that nearly every line of nearly every peer begins with.
COMMON_NAMES = (
    "Accept", "Accept-Contact", "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow",
    "Allow-Events", "Authentication-Info", "Authorization", "CSeq", "Call-ID", "Call-Info",
    "Contact", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length",
    "Content-Type", "Date", "Diversion", "Error-Info", "Event", "Expires", "From",
    "History-Info", "Identity", "Identity-Info", "In-Reply-To", "Join", "MIME-Version",
    "Max-Forwards", "Min-Expires", "Min-SE", "Organization", "P-Access-Network-Info",
    "P-Asserted-Identity", "P-Charging-Vector", "P-Early-Media", "P-Preferred-Identity", "Path",
    "Priority", "Privacy", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Require", "RAck",
    "RSeq", "Reason", "Record-Route", "Refer-To", "Referred-By", "Reject-Contact",
    "Remote-Party-ID", "Replaces", "Reply-To", "Request-Disposition", "Require", "Retry-After",
    "Route", "Server", "Service-Route", "Session-Expires", "Session-ID", "Subject",
    "Subscription-State", "Supported", "Timestamp", "To", "Unsupported", "User-Agent",
    "User-to-User", "Via", "WWW-Authenticate", "Warning",
)  # fmt: skip

LONG_NAMES = {name.lower(): name for name in COMMON_NAMES}

_MEMO_NAMES = 1_024
_MEMO_CHARS = 64


class _Irregular(Exception):
    """A line that does not begin with a header name: folded, or malformed."""


class _HeaderKeys(dict[str, str]):
    """From what stands before a line's colon to the canonical lower-case long name."""

    def __missing__(self, start: str) -> str:
        name = start.rstrip(" \t")
        if not is_token(name):
            raise _Irregular
        key = name.lower()
        key = COMPACT_FORMS.get(key, key)
        # Peers choose names and spellings: what is remembered of them has a limit.
        if len(self) < _MEMO_NAMES and len(start) <= _MEMO_CHARS:
            self[start] = key
        return key


header_keys = _HeaderKeys()
for _name in (*COMMON_NAMES, *COMPACT_FORMS):
    for _spelling in (_name, _name.lower(), _name.upper(), _name.title()):
        # The RFC's examples and some stacks put a space before the colon.
        for _start in (_spelling, _spelling + " "):
            header_keys[_start] = COMPACT_FORMS.get(_name, _name.lower())

_partition = str.partition
_colons = repeat(":")


def canonical_key(name: str) -> str:
    """The lower-case long name of a header ("v" and "VIA" are "via")."""
    key = name.lower()
    return COMPACT_FORMS.get(key, key)


def index_lines(lines: list[str]) -> tuple[list[str], list[str]]:
    """The lines unfolded, and the canonical name of each; raises SipError 400."""
    try:
        return lines, _keys_of(lines)
    except _Irregular:
        lines = unfold(lines)
        try:
            return lines, _keys_of(lines)
        except _Irregular:
            raise SipError(400, "Malformed header line") from None


def _keys_of(lines: list[str]) -> list[str]:
    # One partition and one look-up a line, looped over in C: this is the hottest line of all.
    keys = [header_keys[start] for start, colon, _ in map(_partition, lines, _colons) if colon]
    if len(keys) != len(lines):
        raise _Irregular
    return keys


def unfold(lines: list[str]) -> list[str]:
    """Joins continuation lines with the line they belong to (RFC 3261 §7.3.1).

    A fold and the white space around it is one space. A continuation without a header before it
    stays as it is, and is malformed.
    """
    # Collected in lists, so that many short folds do not cost their square.
    joined: list[list[str]] = []
    for line in lines:
        if joined and line[:1] in (" ", "\t"):
            joined[-1].append(line.strip(" \t"))
        else:
            joined.append([line])
    return [
        parts[0] if len(parts) == 1 else " ".join([parts[0].rstrip(" \t"), *parts[1:]])
        for parts in joined
    ]


def find_blank_line(data: bytes | bytearray, start: int = 0) -> tuple[int, int]:
    """Where the head ends and where the body begins; (-1, -1) when no blank line is there.

    The end is after the last header's text, before its line end.
    """
    crlf = data.find(b"\n\r\n", start)
    # lenient: hand-written probes and some embedded stacks end lines with LF alone.
    lf = data.find(b"\n\n", start, len(data) if crlf < 0 else crlf + 1)
    if lf >= 0:
        body = lf + 2
        end = lf
    elif crlf >= 0:
        body = crlf + 3
        end = crlf
    else:
        return -1, -1
    if end > 0 and data[end - 1] == 13:
        end -= 1
    return end, body


def split_lines(head: bytes) -> list[str]:
    """The lines of a head whose line ends are CRLF or LF, mixed; raises SipError 400."""
    lines = head.decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")
    # A CR alone ends a line for some parsers and not for others: nobody may be given one.
    if any("\r" in line for line in lines):
        raise SipError(400, "Carriage return without line feed")
    return lines
