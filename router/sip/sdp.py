"""The little of a session description (RFC 4566) that a switch has to read: codecs of a call."""

from __future__ import annotations

# RFC 3551 §6: payload types that need no rtpmap.
_STATIC = {
    b"0": "PCMU", b"3": "GSM", b"4": "G723", b"8": "PCMA", b"9": "G722", b"15": "G728",
    b"18": "G729",
}
_MAX_NAME = 32
_MAX_CODECS = 20
"""How many codecs of a stream are read; a peer may name any number."""


def first_codec(body: bytes) -> str:
    """The name of the first codec of the first audio stream; "" when there is none to be seen.

    In an answer it is the one that will be used (RFC 3264 §6.1).
    """
    start = body.find(b"m=audio ")
    if start < 0:
        return ""
    line, _, rest = body[start:].partition(b"\n")
    formats = line.split()
    if len(formats) < 4:
        return ""
    return _name_of(formats[3], rest)


def codecs(body: bytes) -> list[str]:
    """The codecs of the first audio stream in its order, each once; by number where unnamed."""
    start = body.find(b"m=audio ")
    if start < 0:
        return []
    line, _, rest = body[start:].partition(b"\n")
    rest = (b"\n" + rest).partition(b"\nm=")[0]
    names = [
        _name_of(payload, rest) or payload.decode("ascii")
        for payload in line.split()[3 : 3 + _MAX_CODECS]
        if payload.isdigit() and len(payload) <= 3
    ]
    return list(dict.fromkeys(names))


def _name_of(payload: bytes, attributes: bytes) -> str:
    """The name of a payload type, by the attributes of its stream or RFC 3551; "" for none."""
    rest = attributes
    at = rest.find(b"a=rtpmap:" + payload + b" ")
    if at >= 0:
        name = rest[at:].partition(b" ")[2].partition(b"\n")[0].partition(b"/")[0].strip()
        if 0 < len(name) <= _MAX_NAME and name.isascii():
            return name.decode("ascii")
    return _STATIC.get(payload, "")
