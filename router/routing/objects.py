"""Gateways, accounts and trunks of routes.cfg as the routes and the core use them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from ipaddress import IPv4Network, IPv6Network

from router.billing.deck import Deck
from router.billing.rate import DEFAULT_HOLD_PRECISION_MS, MAX_DECIMALS
from router.core.parameters import CallTimers
from router.routing.hours import Hours
from router.routing.rewrite import NumberRules
from router.routing.screening import Screening
from router.store.ops import UNLIMITED, Candidate, Hold

Network = IPv4Network | IPv6Network
Codes = tuple[tuple[int, int], ...]

# 4-calls, section 2: 408 and 500-599 save 501 and 505; 480 does not switch.
NO_CODES: Mapping[int, int] = {}
DEFAULT_SWITCH_ON: Codes = ((408, 408), (500, 500), (502, 504), (506, 599))


class Gateway:
    """A gateway: where calls go out. `lines` -1 is unlimited.

    `outward` are its rewrite rules, `callers` and `hours` what a call has to pass to come here;
    None when there is no such rule. `terminates` says that no shorter prefix follows it.
    `deck` is what its vendor asks, `max_rate` and `min_margin` are millionths a minute.
    """

    __slots__ = (
        "_switches", "callers", "candidate", "deck", "deck_name", "host", "hours", "id", "key",
        "lines", "max_rate", "min_margin", "name", "outward", "port", "prefixes", "priority",
        "switch_after_media", "switch_after_ring", "terminates", "timers", "transport",
    )

    def __init__(
        self, name: str, transport: str, host: str, port: int, prefixes: tuple[str, ...],
        priority: int, lines: int, switch_on: Codes, switch_after_ring: bool,
        switch_after_media: bool, timers: Mapping[str, int], *,
        outward: NumberRules | None = None, callers: Screening | None = None,
        hours: Hours | None = None, terminates: bool = False, deck: Deck | None = None,
        deck_name: str = "", max_rate: int | None = None, min_margin: int | None = None,
    ) -> None:
        self.id = self.name = name
        self.key = f"gateway:{name}"
        self.outward = outward
        self.callers = callers
        self.hours = hours
        self.terminates = terminates
        self.transport = transport
        self.host = host
        self.port = port
        self.prefixes = prefixes
        self.priority = priority
        self.lines = lines
        self.switch_after_ring = switch_after_ring
        self.switch_after_media = switch_after_media
        self.timers = timers
        self.deck = deck
        self.deck_name = deck_name
        self.max_rate = max_rate
        self.min_margin = min_margin
        self.candidate = Candidate(self.key, lines)
        self._switches = frozenset(
            code for low, high in switch_on for code in range(max(low, 300), min(high, 699) + 1)
        )

    @property
    def choosy(self) -> bool:
        """Whether it depends on the call if this gateway may take it."""
        return self.callers is not None or self.hours is not None

    def refusal(self, caller: str, now_ms: int) -> str:
        """Why it may not take a call of this caller at this time, "" when it may."""
        if self.hours is not None and not self.hours.holds(now_ms):
            return f"it is not {self.hours}"
        return self.callers.refusal(caller) if self.callers is not None else ""

    def switches_on(self, status: int) -> bool:
        """Whether the next gateway is tried after this final status."""
        return status in self._switches

    def __str__(self) -> str:
        return self.name


class Account:
    """An account: who pays. `lines` -1 is unlimited; `expires` the last day it is valid."""

    __slots__ = (
        "deck", "deck_name", "expires", "fee_decimals", "hold", "hold_precision_ms", "id", "lines",
        "locked", "name",
    )

    def __init__(
        self, name: str, lines: int, locked: bool, expires: date | None, *,
        deck: Deck | None = None, deck_name: str = "", fee_decimals: int = MAX_DECIMALS,
        hold_precision_ms: int = DEFAULT_HOLD_PRECISION_MS,
    ) -> None:
        self.id = self.name = name
        self.lines = lines
        self.locked = locked
        self.expires = expires
        self.deck = deck
        self.deck_name = deck_name
        self.fee_decimals = fee_decimals
        self.hold_precision_ms = hold_precision_ms
        self.hold = Hold(f"account:{name}", lines)

    def expired(self, now_ms: int) -> bool:
        """Whether the last valid day (UTC) is over."""
        if self.expires is None:
            return False
        return datetime.fromtimestamp(now_ms / 1000, UTC).date() > self.expires

    def __str__(self) -> str:
        return self.name


class Trunk:
    """A customer's peer, known by its source networks.

    `inward` are its rewrite rules, `callees` and `callers` its lists of prefixes; None when there
    are none. `replaced` are the codes that its callers get instead of others.
    """

    __slots__ = (
        "account", "callees", "caller_prefix", "callers", "holds", "id", "inward", "ips", "lines",
        "name", "number_length", "priority", "replaced", "timers",
    )

    def __init__(
        self, account: Account, name: str, ips: tuple[Network, ...], caller_prefix: str,
        priority: int, lines: int, number_length: tuple[int, int], timers: Mapping[str, int], *,
        inward: NumberRules | None = None, callees: Screening | None = None,
        callers: Screening | None = None, replaced: Mapping[int, int] = NO_CODES,
    ) -> None:
        self.account = account
        self.inward = inward
        self.callees = callees
        self.callers = callers
        self.replaced = replaced
        self.name = name
        self.id = name
        self.ips = ips
        self.caller_prefix = caller_prefix
        self.priority = priority
        self.lines = lines
        self.number_length = number_length
        self.timers = timers
        holds = [account.hold] if account.name else []
        if lines != UNLIMITED:
            holds.append(Hold(f"trunk:{account.name}/{name}", lines))
        self.holds = tuple(holds)

    def __str__(self) -> str:
        return self.name


# What `$account.id` reads before anybody was identified.
NO_ACCOUNT = Account("", UNLIMITED, False, None)
NO_TRUNK = Trunk(NO_ACCOUNT, "", (), "", 0, UNLIMITED, (1, 32), {})
NO_GATEWAY = Gateway("", "udp", "", 0, (), 0, UNLIMITED, (), False, False, {})

_TIMER_FIELDS = {
    "invite_timeout": "invite_ms",
    "trying_timeout": "trying_ms",
    "progress_timeout": "progress_ms",
    "media_progress_timeout": "media_progress_ms",
    "ringing_timeout": "ringing_ms",
    "max_duration": "max_duration_ms",
}
TIMER_SETTINGS = tuple(_TIMER_FIELDS)


def call_timers(*levels: Mapping[str, int]) -> CallTimers:
    """The call timers of several levels of settings (ms), the nearest level first."""
    merged: dict[str, int] = {}
    for level in reversed(levels):
        for setting, field in _TIMER_FIELDS.items():
            if setting in level:
                merged[field] = level[setting]
    return CallTimers(**merged)
