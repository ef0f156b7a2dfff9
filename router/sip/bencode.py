"""Bencode: the encoding of rtpengine's ng protocol (BEP 3), as bytes ↔ plain values.

Integers, byte strings, lists, and dictionaries whose keys are byte strings. What is decoded comes
from the network: it is bounded in depth, and read to its very end or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Value = int | bytes | list[Any] | dict[bytes, Any]

MAX_DEPTH = 32
MAX_DIGITS = 19
"""64 bits with a sign; rtpengine counts no further."""


class BencodeError(ValueError):
    """The bytes are no bencoded value."""


def encode(value: int | bytes | str | Sequence[Any] | Mapping[str, Any]) -> bytes:
    """The value as bytes, text as UTF-8, keys in order; a bool is no value."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, Mapping):
        pairs = sorted((_key(key), encode(one)) for key, one in value.items())
        return b"d" + b"".join(encode(key) + one for key, one in pairs) + b"e"
    return b"l" + b"".join(map(encode, value)) + b"e"


def _key(key: str | bytes) -> bytes:
    return key if isinstance(key, bytes) else key.encode()


def decode(data: bytes) -> Value:
    """The value that `data` is, all of it; raises BencodeError."""
    value, end = _read(data, 0, MAX_DEPTH)
    if end != len(data):
        raise BencodeError(f"{len(data) - end} bytes behind the value")
    return value


def _read(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    kind = data[at : at + 1]
    if kind == b"i":
        return _number(data, at + 1, b"e", signed=True)
    if kind.isdigit():
        length, start = _number(data, at, b":")
        if start + length > len(data):
            raise BencodeError("a string that goes on behind the end")
        return data[start : start + length], start + length
    if kind not in (b"l", b"d"):
        raise BencodeError(f"no value begins with {kind!r}")
    if not depth:
        raise BencodeError("too deep")
    at += 1
    found: list[Any] = []
    while data[at : at + 1] != b"e":
        value, at = _read(data, at, depth - 1)
        found.append(value)
    if kind == b"l":
        return found, at + 1
    keys = found[::2]
    if len(found) % 2 or not all(isinstance(key, bytes) for key in keys):
        raise BencodeError("a dictionary needs pairs, and strings as keys")
    return dict(zip(keys, found[1::2], strict=True)), at + 1


def _number(data: bytes, at: int, end: bytes, signed: bool = False) -> tuple[int, int]:
    stop = data.find(end, at, at + MAX_DIGITS + 2)
    digits = data[at:stop] if stop >= 0 else b""
    if not (digits[1:] if signed and digits[:1] == b"-" else digits).isdigit():
        raise BencodeError("no number")
    return int(digits), stop + 1
