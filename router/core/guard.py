"""What strangers cost at most: blocked addresses, and how many of their calls are recorded.

A worker keeps its own copy of the blocked addresses, renewed once a second from live state, so that
a request costs one look. Calls of nobody (refused before an account was known) leave a CDR only so
often: who floods us must not fill the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from router.core.end_reasons import EndReason
from router.store.ops import Forget
from router.store.records import Cdr

if TYPE_CHECKING:
    from router.core.call import Call

WINDOW_MS = 60_000
CALLS_OF_ADDRESS = 30
"""Refused calls of one address that are recorded in a minute, by each worker."""
ADDRESSES = 300
"""Addresses of which any are recorded in a minute: a flood may forge each of its own."""
MAX_TEXT = 200
"""Characters of what a peer sent that are kept in one field of a CDR."""
REFUSALS = frozenset((
    EndReason.IllegalCall, EndReason.IpBlocked, EndReason.AuthFailed, EndReason.ScriptRejected,
    EndReason.Overloaded,
))
"""What calls of nobody are refused with."""

NONE_BLOCKED: Mapping[str, int] = {}


@lru_cache(maxsize=4096)
def source_of(address: str) -> str:
    """What is counted and blocked for an address: itself, and of IPv6 the /64 that it lies in.

    That is what one subscriber has at least: by address he could never be blocked.
    """
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed) >> 64 << 64, 64)))


class Guard:
    """One worker's look at strangers.

    `blocked` are the sources that are blocked, each with the end of it, epoch ms: empty when
    there are none, so that this costs nothing.
    """

    __slots__ = ("_counts", "_until_ms", "blocked")

    def __init__(self) -> None:
        self.blocked: Mapping[str, int] = NONE_BLOCKED
        self._counts: dict[str, int] = {}
        self._until_ms = 0

    def is_blocked(self, address: str, now_ms: int) -> bool:
        """Whether this address gets nothing but refusals now."""
        return self.blocked.get(source_of(address), 0) > now_ms

    def block(self, address: str, until_ms: int) -> None:
        """Blocks an address at once; that the others hear of it is the store's matter."""
        self.blocked = {**self.blocked, source_of(address): until_ms}

    def has_room(self, address: str, now_ms: int) -> bool:
        """Whether one more refused call of this address is to be recorded."""
        if now_ms >= self._until_ms:
            self._until_ms = now_ms + WINDOW_MS
            self._counts = {}
        count = self._counts.get(source_of(address), 0)
        return count < CALLS_OF_ADDRESS if count else len(self._counts) < ADDRESSES

    def records(self, address: str, now_ms: int) -> bool:
        """The same, counting it if so."""
        if not self.has_room(address, now_ms):
            return False
        source = source_of(address)
        self._counts[source] = self._counts.get(source, 0) + 1
        return True


def is_recorded(call: Call, reason: EndReason) -> bool:
    """Whether a call that has ended leaves its CDR, cut to size; one that does not is counted."""
    cdr = call.cdr
    engine = call.engine
    if (
        cdr.account
        or reason not in REFUSALS
        or call.admitted
        or engine.guard.records(cdr.source, engine.layer.now)
    ):
        shorten(cdr)
        return True
    unrecorded = engine.tally.unrecorded
    unrecorded[reason.name] = unrecorded.get(reason.name, 0) + 1
    if call.kept:
        engine.ask(Forget(call.id), None)
    return False


def shorten(cdr: Cdr) -> None:
    """Cuts what peers have sent: any of it may be as long as a message."""
    if len(cdr.call_id) > MAX_TEXT:
        cdr.call_id = cdr.call_id[:MAX_TEXT]
    if len(cdr.caller_in) > MAX_TEXT:
        cdr.caller_in = cdr.caller_in[:MAX_TEXT]
    if len(cdr.callee_in) > MAX_TEXT:
        cdr.callee_in = cdr.callee_in[:MAX_TEXT]
    for at, entry in enumerate(cdr.decision):
        if len(entry) > 2 * MAX_TEXT:
            cdr.decision[at] = entry[: 2 * MAX_TEXT]
