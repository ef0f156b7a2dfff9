"""Who calls, as the caller's INVITE says it: From, P-Asserted-Identity or Remote-Party-ID.

A trunk's `caller_id` says which header is believed (RFC 3325 §5: only that of a peer one trusts);
where that is missing From counts. Its `caller_pool` are numbers that stand in for the caller.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from router.core.decision import rewritten
from router.sip.errors import SipError
from router.sip.message import Request
from router.sip.name_addr import parse_name_addr
from router.sip.uri import uri_number

if TYPE_CHECKING:
    from router.core.call import Call
    from router.routing.objects import Trunk

FROM = "from"
HEADERS = {"pai": "P-Asserted-Identity", "rpid": "Remote-Party-ID"}
"""the values of `caller_id` that name another header than From"""
ID = "id"

_is_number = re.compile(r"\+?[0-9*#]+").fullmatch
_PRIVATE = frozenset(("id", "user"))


class Claim(NamedTuple):
    """A caller as a header names him; `display` is as it came, `private` asks to hide him."""

    number: str
    display: str
    private: bool


def claimed(request: Request, header: str) -> Claim | None:
    """The caller that a header names, None without one that can be read.

    Of several values (RFC 3325 §9.1: a sip and a tel URI) the first with a telephone number
    counts, else the first with any user part.
    """
    first: Claim | None = None
    for value in request.values(header.lower()):
        try:
            address = parse_name_addr(value)
        except SipError:
            continue
        if address.params.get("party", "calling").lower() != "calling":
            continue
        number = uri_number(address.uri)
        if not number or number.lower() == "anonymous":
            continue
        private = address.params.get("privacy", "off").partition("-")[0].lower() in (
            "full", "uri", "name",
        )
        claim = Claim(number, address.display, private)
        if _is_number(number):
            return claim
        first = first or claim
    return first


def privacy_of(request: Request, sender: str) -> str:
    """The privacy that a caller asks for: "id" or ""; `sender` is the value of From.

    An anonymous From asks for it too; `Privacy: none` asks for none (RFC 3323 §4.2).
    """
    if request.has("privacy"):
        asked = {
            word.strip().lower()
            for value in request.get_all("privacy")
            for word in value.replace(",", ";").split(";")
        }
        if "none" in asked:
            return ""
        if asked & _PRIVATE:
            return ID
    sender = sender.lower()
    return ID if "sip:anonymous@" in sender or "@anonymous.invalid" in sender else ""


def take_claim(call: Call, trunk: Trunk) -> None:
    """Makes the caller the one that the trunk's header names, unless a route has named another."""
    cdr, request = call.cdr, call.request
    claim = claimed(request, trunk.caller_header) if request is not None else None
    if claim is None or call.caller != cdr.caller_in:
        return
    if claim.number != call.caller:
        cdr.decision.append(rewritten("caller", call.caller, claim.number, trunk.caller_header))
    call.caller = cdr.caller_in = claim.number
    call.display = claim.display
    if claim.private:
        call.privacy = ID


def stand_in(call: Call, trunk: Trunk) -> None:
    """Puts a number of the trunk's pool in the caller's place, the same for the same Call-ID."""
    pool = trunk.caller_pool
    number = pool[crc32(call.a.call_id.encode("utf-8", "surrogateescape")) % len(pool)]
    where = f"caller_pool of trunk {trunk.account.name}/{trunk.name}"
    call.cdr.decision.append(rewritten("caller", call.caller, number, where))
    call.caller = number
    call.display = ""
