"""Forwarding: why a phone passes a call on, where it has been, and how the callee hears of it.

A call that is forwarded goes through request_route again with its new number. The account of the
phone that forwards pays from there on, as if the phone had called; what the caller's account pays
for its call to the phone stays with it. Nothing rings twice: a number that the call has left before
ends it, and so does one hop too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from router.core.attempt import Attempt
from router.core.end_reasons import EndReason
from router.routing.objects import Phone
from router.routing.phones import BUSY
from router.sip.errors import SipError
from router.sip.message import Request
from router.sip.name_addr import parse_name_addr
from router.sip.uri import escape_user, uri_number

MAX_READ = 20
"""Diversion entries of the caller's that are looked at."""


class Why(Enum):
    """Why a phone forwards: (words, RFC 5806's reason, RFC 4458's cause)."""

    ALWAYS = ("always", "unconditional", 302)
    BUSY = ("busy", "user-busy", 486)
    NO_ANSWER = ("no answer", "no-answer", 408)
    OFFLINE = ("offline", "unavailable", 503)

    def __init__(self, words: str, diversion: str, cause: int) -> None:
        self.words = words
        self.diversion = diversion
        self.cause = cause


class Hop(NamedTuple):
    """A phone that passed the call on."""

    phone: Phone
    why: Why


def why_unanswered(last: Attempt | None) -> Why:
    """What it means that a phone did not answer; None: its lines are all in use."""
    if last is None or last.status in BUSY:
        return Why.BUSY
    if last.failure is EndReason.ResponseTimeout or last.rang or last.media:
        return Why.NO_ANSWER
    return Why.OFFLINE


def target_number(phone: Phone, why: Why) -> str:
    """Where a phone forwards calls for this reason, "" for nowhere."""
    return {
        Why.ALWAYS: phone.forward_always,
        Why.BUSY: phone.forward_busy,
        Why.NO_ANSWER: phone.forward_no_answer,
        Why.OFFLINE: phone.forward_offline,
    }[why]


def numbers_left(hops: Sequence[Hop], request: Request | None) -> list[str]:
    """The numbers that a call was forwarded from, before it came here and here; oldest first."""
    before = []
    if request is not None:
        for value in request.values("diversion")[:MAX_READ]:
            try:
                before.append(uri_number(parse_name_addr(value).uri))
            except SipError:
                continue
    return before[::-1] + [hop.phone.number for hop in hops]


def header_lines(hops: Sequence[Hop], callee: str, host: str, request: Request | None) -> str:
    """Diversion (RFC 5806) and History-Info (RFC 7044) of a call, with the caller's own.

    `callee` is where it goes now, `host` our address. The latest diversion stands first.
    """
    diversions = [
        f"Diversion: <{_uri(hop.phone.number, host)}>;reason={hop.why.diversion};counter=1\r\n"
        for hop in reversed(hops)
    ]
    history = []
    index = "1"
    if request is not None:
        diversions += [f"Diversion: {value}\r\n" for value in request.get_all("diversion")]
        earlier = request.values("history-info")
        history = [f"History-Info: {value}\r\n" for value in earlier]
        index = str(len(earlier) + 1)
    history.append(f"History-Info: <{_uri(hops[0].phone.number, host)}>;index={index}\r\n")
    numbers = [hop.phone.number for hop in hops[1:]] + [callee]
    for hop, number in zip(hops, numbers, strict=True):
        before, index = index, f"{index}.1"
        history.append(
            f"History-Info: <{_uri(number, host)};cause={hop.why.cause}>;index={index};mp={before}"
            "\r\n"
        )
    return "".join(diversions + history)


def _uri(number: str, host: str) -> str:
    return f"sip:{escape_user(number)}@{host}"
