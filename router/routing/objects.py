"""Gateways, accounts, trunks and phones of routes.cfg as the routes and the core use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import UTC, date, datetime
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_address

from router.billing.rate import DEFAULT_HOLD_PRECISION_MS, MAX_DECIMALS, Rate
from router.core.end_reasons import BY_STATUS, EndReason
from router.core.identity import FROM_ONLY, Identity
from router.core.parameters import CallTimers, Login
from router.core.verdicts import Place, Target, same_place
from router.routing.hours import Hours
from router.routing.live_view import NOTHING_LIVE, LiveView
from router.routing.rewrite import NumberRules
from router.routing.screening import Screening
from router.routing.stored_decks import AnyDeck
from router.store.ops import GROUP, UNLIMITED, Candidate, Credit, Hold

Network = IPv4Network | IPv6Network
Codes = tuple[tuple[int, int], ...]

SESSION = "session_expires"
NO_CODES: Mapping[int, int] = {}
NO_TIMERS: Mapping[str, int] = {}
NO_GROUPS: frozenset[str] = frozenset()
DEFAULT_FORWARD_AFTER_MS = 20_000
ALL_KINDS: frozenset[str] = frozenset()
DEFAULT_RESERVE_S = 60
FIRST_Q = 1_000
# 4-calls, section 2: 408 and 500-599 save 501 and 505; 480 does not switch.
DEFAULT_SWITCH_ON: Codes = ((408, 408), (500, 500), (502, 504), (506, 599))


class Group:
    """Gateways that share limits; `lines` and `cps` -1 are unlimited.

    `hold` is what any call takes, `whole` what a call of a trunk takes that names the group: the
    last `reserved` lines are for those.
    """

    __slots__ = ("cps", "hold", "lines", "name", "reserved", "whole")

    def __init__(self, name: str, lines: int, cps: int, reserved: int = 0) -> None:
        self.name = name
        self.lines = lines
        self.cps = cps
        self.reserved = reserved if lines != UNLIMITED else 0
        key = f"{GROUP}{name}"
        self.whole = Hold(key, lines, cps)
        self.hold = (
            Hold(key, max(lines - reserved, 0), cps, reserved) if self.reserved else self.whole
        )

    @property
    def limited(self) -> bool:
        """Whether it sets any limit."""
        return self.lines != UNLIMITED or self.cps != UNLIMITED


class Gateway:
    """A gateway: where calls go out. `lines` and `cps` -1 are unlimited.

    `outward` are its rewrite rules, `callers` and `hours` what a call has to pass to come here;
    None when there is no such rule. `terminates` says that no shorter prefix follows it.
    `deck` is what its vendor asks, `max_rate` and `min_margin` are millionths a minute; `clearing`
    is the account that its vendor's cost is taken from. `login` is what we answer its challenges
    with, `registers` that we register there. `contacts` are its addresses where it has several,
    in the order in which they are tried, each with the gateway's own settings. `identity` is
    how it is told who calls.
    """

    __slots__ = (
        "_live", "_switches", "callers", "candidate", "clearing", "contacts", "cps", "deck",
        "deck_name", "group", "host", "hours", "id", "identity", "key", "lines", "locked", "login",
        "max_rate", "min_margin", "name", "outward", "ping_ms", "port", "prefixes", "priority",
        "protect_ms", "q", "reasons", "registers", "switch_after_media", "switch_after_ring",
        "terminates", "timers", "transport",
    )
    place: Place | None = None  # only phones' contacts are somewhere (`core.verdicts.Target`)

    def __init__(
        self, name: str, transport: str, host: str, port: int, prefixes: tuple[str, ...],
        priority: int, lines: int, switch_on: Codes, switch_after_ring: bool,
        switch_after_media: bool, timers: Mapping[str, int], *,
        outward: NumberRules | None = None, callers: Screening | None = None,
        hours: Hours | None = None, terminates: bool = False, deck: AnyDeck | None = None,
        deck_name: str = "", max_rate: int | None = None, min_margin: int | None = None,
        cps: int = UNLIMITED, group: Group | None = None, clearing: Account | None = None,
        live: LiveView = NOTHING_LIVE, protect_ms: int | None = None, ping_ms: int = 0,
        login: Login | None = None, registers: bool = False,
        reasons: Mapping[int, EndReason] = BY_STATUS, identity: Identity = FROM_ONLY,
    ) -> None:
        self._live = live
        self.contacts: list[Gateway] = []
        self.q = FIRST_Q
        self.identity = identity
        self.reasons = reasons
        self.cps = cps
        self.group = group
        self.ping_ms = ping_ms
        self.login = login
        self.registers = registers
        self.clearing = clearing
        self.id = self.name = name
        self.key = f"gateway:{name}"
        self.locked = False  # by command
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
        holds = (group.hold,) if group is not None and group.limited else ()
        self.candidate = Candidate(self.key, lines, cps, holds)
        self.protect_ms = protect_ms
        self._switches = frozenset(
            code for low, high in switch_on for code in range(max(low, 300), min(high, 699) + 1)
        )

    def stand_at(self, places: Sequence[tuple[str, str, int]]) -> None:
        """Gives it several addresses: transport, host and port of each."""
        for transport, host, port in places:
            one = copy(self)
            one.contacts = []
            one.transport, one.host, one.port = transport, host, port
            self.contacts.append(one)
        self._in_order()

    def turn_from(self, silent: Target) -> None:
        """The address that gave no answer comes last from now on."""
        for at, one in enumerate(self.contacts):
            if same_place(one, silent):
                self.contacts.append(self.contacts.pop(at))
                self._in_order()
                return

    def _in_order(self) -> None:
        # One q each, so that they are never rung together (`core.fork`).
        for at, one in enumerate(self.contacts):
            one.q = FIRST_Q - at

    @property
    def lines_used(self) -> int:
        """The lines in use now."""
        return self._live.lines_used(self.key)

    @property
    def choosy(self) -> bool:
        """Whether it depends on the call if this gateway may take it."""
        return self.callers is not None or self.hours is not None or self.locked

    def refusal(self, caller: str, now_ms: int) -> str:
        """Why it may not take a call of this caller at this time, "" when it may."""
        if self.locked:
            return "it is locked"
        if self.hours is not None and not self.hours.holds(now_ms):
            return f"it is not {self.hours}"
        return self.callers.refusal(caller) if self.callers is not None else ""

    def switches_on(self, status: int) -> bool:
        """Whether the next gateway is tried after this final status."""
        return status in self._switches

    def __str__(self) -> str:
        return self.name


class Account:
    """An account: who pays. `lines` and `cps` -1 are unlimited; `expires` is its last day.

    `agent` is the account above it. `chain` is the account itself and all above it, from below;
    `holds` are what they all have to find free, from above; `path` names them from above, "" where
    there is no agent; `priced` says that one of them has a deck. `opening` is its opening balance,
    None: its credit has no limit. `permit` are the kinds of call it may make, empty: all. Amounts
    are millionths.
    """

    __slots__ = (
        "_above", "_live", "agent", "balance_low", "cps", "credits", "deck", "deck_name", "expires",
        "fee_decimals", "floor", "hold", "hold_precision_ms", "holds", "id", "key", "lines",
        "locked", "name", "opening", "path", "permit", "priced", "reserve_s",
    )

    def __init__(
        self, name: str, lines: int, locked: bool, expires: date | None, *,
        deck: AnyDeck | None = None, deck_name: str = "", fee_decimals: int = MAX_DECIMALS,
        hold_precision_ms: int = DEFAULT_HOLD_PRECISION_MS, cps: int = UNLIMITED,
        agent: Account | None = None, opening: int | None = None, overdraft: int = 0,
        balance_low: int | None = None, permit: frozenset[str] = ALL_KINDS,
        reserve_s: int = DEFAULT_RESERVE_S, live: LiveView = NOTHING_LIVE,
    ) -> None:
        self._live = live
        self.cps = cps
        self.id = self.name = name
        self.key = f"account:{name}"
        self.agent = agent
        self.opening = opening
        self.floor = -overdraft
        self.balance_low = balance_low
        self.permit = permit
        self.reserve_s = reserve_s
        self.lines = lines
        self.locked = locked
        self.expires = expires
        self.deck = deck
        self.deck_name = deck_name
        self.fee_decimals = fee_decimals
        self.hold_precision_ms = hold_precision_ms
        self.hold = Hold(self.key, lines, cps)
        self._above: tuple[Account, ...] = agent.chain if agent is not None else ()
        self.credits: dict[Rate, Credit] = {}  # what calls ask of it at first, by the rate
        self.priced = any(level.deck is not None for level in self.chain)
        self.holds = tuple(level.hold for level in reversed(self.chain))
        self.path = (
            "/".join(level.name for level in reversed(self.chain)) if agent is not None else ""
        )

    @property
    def lines_used(self) -> int:
        """The lines in use now."""
        return self._live.lines_used(self.key)

    @property
    def chain(self) -> tuple[Account, ...]:
        """The account and all above it; not kept, for then it would refer to itself."""
        return (self, *self._above)

    @property
    def balance(self) -> Decimal:
        """What is left of its money, in units of its currency."""
        return Decimal(self._live.money(self.name).balance).scaleb(-MAX_DECIMALS)

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
    are none. `replaced` are the codes that its callers get instead of others. `groups` are the
    groups of gateways it may use, none: all gateways. `outer` are the holds of all its calls that
    stand above account and trunk; `counted` says that its lines are counted without a limit too.
    `session_s` is the session timer of its callers' legs, 0 for none. `caller_header` names the
    caller, "" for From; `caller_pool` are numbers that stand in for him. With a `password` its
    calls have to prove themselves under `username`.
    """

    __slots__ = (
        "_live", "account", "callees", "caller_header", "caller_pool", "caller_prefix", "callers",
        "cps", "groups", "holds", "id",
        "inward", "ips", "key", "lines", "locked", "name", "number_length", "password", "priority",
        "replaced", "session_s", "timers", "username",
    )

    def __init__(
        self, account: Account, name: str, ips: tuple[Network, ...], caller_prefix: str,
        priority: int, lines: int, number_length: tuple[int, int], timers: Mapping[str, int], *,
        inward: NumberRules | None = None, callees: Screening | None = None,
        callers: Screening | None = None, replaced: Mapping[int, int] = NO_CODES,
        groups: frozenset[str] = NO_GROUPS, cps: int = UNLIMITED, outer: tuple[Hold, ...] = (),
        counted: bool = False, session_s: int = 0, live: LiveView = NOTHING_LIVE,
        caller_header: str = "", caller_pool: tuple[str, ...] = (), username: str = "",
        password: str = "",
    ) -> None:
        self._live = live
        self.username = username or name
        self.password = password
        self.session_s = session_s
        self.caller_header = caller_header
        self.caller_pool = caller_pool
        self.groups = groups
        self.cps = cps
        self.key = f"trunk:{account.name}/{name}"
        self.locked = False  # by command
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
        holds = [*outer, *account.holds] if account.name else [*outer]
        if lines != UNLIMITED or cps != UNLIMITED or counted:
            holds.append(Hold(self.key, lines, cps))
        self.holds = tuple(holds)

    def may_come_from(self, source: str) -> bool:
        """Whether its calls may come from this address."""
        return not self.ips or _is_in(source, self.ips)

    def refusal(self, gateway: Gateway) -> str:
        """Why its calls may not go to this gateway, "" when they may."""
        if not self.groups or (gateway.group is not None and gateway.group.name in self.groups):
            return ""
        return f"it is in no group of trunk {self.account.name}/{self.name}"

    @property
    def lines_used(self) -> int:
        """The lines in use now; 0 where they are not counted."""
        return self._live.lines_used(self.key)

    def __str__(self) -> str:
        return self.name


class Phone:
    """A phone that registers under its number, which is also its user name.

    `ips` are the networks it may come from, none: all. `inward` and `outward` are its rewrite
    rules for calls from it and to it, None when there are none. `must_register`: it may call only
    while it is registered. `forward_…` is where its calls go instead, "" for nowhere: always, when
    it is busy, when it does not answer within `forward_after_ms`, when it is offline. `holds` are
    what a call from it has to find free, `session_s` is the session timer of its leg when it calls,
    0 for none.
    """

    __slots__ = (
        "_live", "account", "callees", "callers", "forward_after_ms",
        "forward_always", "forward_busy",
        "forward_no_answer", "forward_offline", "holds", "id", "inward", "ips", "key", "lines",
        "locked", "must_register", "number", "number_length", "outward", "password", "session_s",
        "timers",
    )

    def __init__(
        self, account: Account, number: str, password: str, ips: tuple[Network, ...] = (),
        lines: int = UNLIMITED, number_length: tuple[int, int] = (1, 32),
        timers: Mapping[str, int] = NO_TIMERS, *,
        inward: NumberRules | None = None, outward: NumberRules | None = None,
        forward_always: str = "", forward_busy: str = "", forward_no_answer: str = "",
        forward_offline: str = "", forward_after_ms: int = DEFAULT_FORWARD_AFTER_MS,
        outer: tuple[Hold, ...] = (), counted: bool = False, session_s: int = 0,
        callees: Screening | None = None, callers: Screening | None = None,
        live: LiveView = NOTHING_LIVE, must_register: bool = False,
    ) -> None:
        self._live = live
        self.must_register = must_register
        self.callees = callees
        self.callers = callers
        self.session_s = session_s
        self.account = account
        self.id = self.number = number
        self.key = f"phone:{number}"
        self.locked = False  # by command
        self.password = password
        self.ips = ips
        self.lines = lines
        self.number_length = number_length
        self.timers = timers
        self.inward = inward
        self.outward = outward
        self.forward_always = forward_always
        self.forward_busy = forward_busy
        self.forward_no_answer = forward_no_answer
        self.forward_offline = forward_offline
        self.forward_after_ms = forward_after_ms
        holds = [*outer, *account.holds] if account.name else [*outer]
        if lines != UNLIMITED or counted:
            holds.append(Hold(self.key, lines))
        self.holds = tuple(holds)

    def may_come_from(self, source: str) -> bool:
        """Whether it may register and call from this address."""
        return not self.ips or _is_in(source, self.ips)

    @property
    def lines_used(self) -> int:
        """The lines in use now; 0 where they are not counted."""
        return self._live.lines_used(self.key)

    def __str__(self) -> str:
        return self.number


# What `$account.id` reads before anybody was identified.
NO_ACCOUNT = Account("", UNLIMITED, False, None)
NO_TRUNK = Trunk(NO_ACCOUNT, "", (), "", 0, UNLIMITED, (1, 32), {})
NO_PHONE = Phone(NO_ACCOUNT, "", "")
NO_GATEWAY = Gateway("", "udp", "", 0, (), 0, UNLIMITED, (), False, False, {})

_TIMER_FIELDS = {
    "invite_timeout": "invite_ms",
    "trying_timeout": "trying_ms",
    "progress_timeout": "progress_ms",
    "media_progress_timeout": "media_progress_ms",
    "ringing_timeout": "ringing_ms",
    "max_duration": "max_duration_ms",
    SESSION: "session_ms",
}
TIMER_SETTINGS = tuple(_TIMER_FIELDS)


def _is_in(source: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ip_address(source)
    except ValueError:
        return False
    return any(address in network for network in networks)


def call_timers(*levels: Mapping[str, int]) -> CallTimers:
    """The call timers of several levels of settings (ms), the nearest level first."""
    merged: dict[str, int] = {}
    for level in reversed(levels):
        for setting, field in _TIMER_FIELDS.items():
            if setting in level:
                merged[field] = level[setting]
    return CallTimers(**merged)
