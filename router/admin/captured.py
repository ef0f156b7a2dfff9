"""The captured messages: found in the ring by call, listed by call, shown as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from router.runtime.strays import find_call_id
from router.sip.errors import SipError
from router.sip.uri import uri_number
from router.store.capture_ring import CAPTURE_DIR, MAX_CALL_ID, Captured, read_ring
from router.store.cdr_lines import CONTROL, plain

_ID: Final = re.compile(r"[0-9a-f]{4,}")


class CapturedCall(msgspec.Struct):
    """What was captured of one call, or under one Call-ID that is no call's."""

    call: str
    call_id: str
    began_us: int
    messages: int
    first: str
    """How it began: a method with the numbers, from whom."""
    last: str
    """The first final response on the caller's leg, after which it is answered or over."""


def captured_messages(
    state: Path, wanted: Callable[[Captured], bool] | None = None
) -> list[Captured]:
    """The captured messages that are wanted, in order of time; StoreError."""
    found = [one for one in read_ring(state / CAPTURE_DIR) if wanted is None or wanted(one)]
    found.sort(key=lambda message: message.at_us)
    return found


def messages_of(state: Path, word: str) -> list[Captured]:
    """All messages of the calls with this CDR's id, this end of one, or this Call-ID of a leg."""
    lower = word.strip().lower()
    call_id = word.strip().encode("utf-8", "surrogateescape")
    is_id = _ID.fullmatch(lower) is not None
    calls: set[str] = set()
    loose: set[bytes] = {call_id[:MAX_CALL_ID]}
    for one in read_ring(state / CAPTURE_DIR):
        if one.call and (
            (is_id and one.call.endswith(lower))
            or one.call_id in loose
            or find_call_id(one.data) == call_id
        ):
            calls.add(one.call)
    return captured_messages(
        state, lambda one: one.call in calls if one.call else one.call_id in loose
    )


def messages_of_call(state: Path, id: str, call_id: str = "") -> list[Captured]:
    """The messages of the call with this CDR's id, and what came under its Call-ID before it."""
    own = call_id.encode("utf-8", "surrogateescape")[:MAX_CALL_ID]
    return captured_messages(
        state, lambda one: one.call == id or (not one.call and bool(own) and one.call_id == own)
    )


def list_captured(messages: Iterable[Captured]) -> list[CapturedCall]:
    """The calls of these messages, which may come in any order, in order of their beginnings."""
    calls: dict[tuple[str, bytes], CapturedCall] = {}
    answered: dict[tuple[str, bytes], int] = {}
    for one in messages:
        key = (one.call, b"" if one.call else one.call_id)
        known = calls.get(key)
        if known is None:
            call_id = plain(one.call_id.decode("utf-8", "replace"))
            known = calls[key] = CapturedCall(one.call, call_id, one.at_us, 0, _began(one), "")
        elif one.at_us < known.began_us:
            known.began_us, known.first = one.at_us, _began(one)
        known.messages += 1
        status = _final_status(one)
        if status and one.at_us < answered.get(key, one.at_us + 1):
            known.last, answered[key] = status, one.at_us
    return sorted(calls.values(), key=lambda call: (call.began_us, call.call, call.call_id))


def _final_status(message: Captured) -> str:
    """Of a response on the caller's leg."""
    data = message.data
    if not data.startswith(b"SIP/2.0 ") or data[8:9] == b"1":
        return ""
    if find_call_id(data)[:MAX_CALL_ID] != message.call_id:
        return ""
    return first_line(message).partition(" ")[2]


def _began(message: Captured) -> str:
    line = first_line(message)
    method, space, uri = line.removesuffix(" SIP/2.0").partition(" ")
    if not space or method == "SIP/2.0":
        return line
    try:
        return plain(f"{method} {uri_number(uri) or uri}")
    except SipError:
        return f"{method} {uri}"


def first_line(message: Captured) -> str:
    """The start line of a message, as people read it."""
    line, _, _ = message.data.lstrip(b"\r\n").partition(b"\n")
    return plain(line.rstrip(b"\r")[:400].decode("utf-8", "backslashreplace"))


def text_of(message: Captured) -> str:
    """A message as people read it: nothing in it moves the cursor."""
    text = message.data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    lines = (CONTROL.sub("?", line.replace("\t", " ")) for line in text.split("\n"))
    return "\n".join(lines).rstrip()


def as_data(message: Captured) -> dict[str, Any]:
    """A message for a script."""
    return {
        "at_us": message.at_us,
        "direction": "out" if message.outward else "in",
        "transport": message.transport,
        "source": written(message.source),
        "target": written(message.target),
        "message": text_of(message),
    }


def written(end: tuple[str, int]) -> str:
    """host:port, an IPv6 address in brackets."""
    host, port = end
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
