"""What of a message may not be passed on, written over: its length and everything else stay.

The digest of a password (RFC 7616 §3.4: `response`, and `rspauth` of the other direction) can be
tried against guesses by whoever has the rest of the header; other schemes (Basic, Bearer) carry
the secret itself. The master key of SRTP (RFC 4568 §6.1: `inline:` of a=crypto) opens a recording
of the call at once.
"""

from __future__ import annotations

import re

# A header with its folded lines: lenient in the end of line, as the parser is.
_HEADER = re.compile(
    rb"(?:^|(?<=\n))(?:proxy-)?(?:authorization|authentication-info)[ \t]*:"
    rb"[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*",
    re.IGNORECASE,
)
_DIGEST = re.compile(rb"\bdigest\b", re.IGNORECASE)
_PARAMETER = re.compile(
    rb"""(?:\bresponse|\brspauth)\s*=\s*(?:"([^"]*)"?|([^\s,"]+))""", re.IGNORECASE
)
_CREDENTIALS = re.compile(rb":\s*\S+\s+(.*)\Z", re.DOTALL)
_SRTP_KEY = re.compile(rb"(?:^|(?<=\n))a=crypto:[^\r\n]*", re.IGNORECASE)
_INLINE = re.compile(rb"inline:([^\s|;]+)", re.IGNORECASE)
_VISIBLE = re.compile(rb"[^\s]")


def mask_secrets(data: bytes) -> bytes:
    """The message with an `x` for each character of a secret; the same bytes when it has none."""
    lower = data.lower()
    if b"authorization" in lower or b"authentication-info" in lower:
        data = _HEADER.sub(_masked_header, data)
    if b"a=crypto:" in lower:
        data = _SRTP_KEY.sub(lambda line: _INLINE.sub(_masked, line[0]), data)
    return data


def _masked_header(header: re.Match[bytes]) -> bytes:
    name, _, value = header[0].partition(b":")
    if b"info" in name.lower() or _DIGEST.match(value.strip()):
        return _PARAMETER.sub(_masked, header[0])
    return _CREDENTIALS.sub(_masked, header[0])


def _masked(found: re.Match[bytes]) -> bytes:
    whole, start = found[0], found.start()
    for group in range(1, (found.re.groups or 0) + 1):
        if found[group] is not None:
            begin, end = found.start(group) - start, found.end(group) - start
            hidden = _VISIBLE.sub(b"x", whole[begin:end])
            whole = whole[:begin] + hidden + whole[end:]
    return whole
