"""The stored form of what the core keeps of a call for a successor of its worker."""

from __future__ import annotations

from typing import Any

import msgspec

_encoder = msgspec.msgpack.Encoder()
# What msgspec takes as text must be UTF-8; peers send other bytes, which we carry as lone
# surrogates. Such a snapshot is stored with its bytes spread over Latin-1 characters instead.
_AS_TEXT, _AS_BYTES = b"t", b"b"


def pack(snapshot: Any) -> bytes:
    """The stored form of a struct, or of a tuple of structs."""
    try:
        return _AS_TEXT + _encoder.encode(snapshot)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(snapshot, builtin_types=(bytes,))
        return _AS_BYTES + _encoder.encode(_each_text(plain, "utf-8", "surrogateescape", "latin-1"))


def unpack(stored: bytes, kind: Any) -> Any:
    """The snapshot of a stored value; raises msgspec.DecodeError."""
    if stored[:1] == _AS_TEXT:
        return msgspec.msgpack.decode(stored[1:], type=kind)
    if stored[:1] == _AS_BYTES:
        plain = _each_text(msgspec.msgpack.decode(stored[1:]), "latin-1", "strict", "utf-8")
        return msgspec.convert(plain, kind)
    raise msgspec.DecodeError("not a snapshot of this version")


def _each_text(value: Any, out_of: str, errors: str, into: str) -> Any:
    """The same lists with every text encoded and decoded again."""
    if isinstance(value, str):
        raw = value.encode(out_of, errors)
        return raw.decode(into, "surrogateescape" if into == "utf-8" else "strict")
    if isinstance(value, list | tuple):
        return [_each_text(one, out_of, errors, into) for one in value]
    return value
