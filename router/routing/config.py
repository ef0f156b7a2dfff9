"""What routes.cfg says, merged with the defaults: the objects and numbers the router runs on."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec

from dsl.program import Address, Block, Program
from router.core.end_reasons import BY_STATUS, EndReason
from router.core.flow import Listener
from router.core.identity import FROM_ONLY, Identity
from router.core.parameters import CallTimers, Login, TimerDefaults
from router.core.protect import NEVER
from router.core.tally import MAX_SERIES
from router.routing.accounts import accounts_of, millionths
from router.routing.authentication import Authentication
from router.routing.caller_id import FROM, HEADERS
from router.routing.hours import hours_of
from router.routing.identify import TrunkTable
from router.routing.live_view import LiveView
from router.routing.media import MediaRules
from router.routing.objects import (
    DEFAULT_FORWARD_AFTER_MS,
    DEFAULT_SWITCH_ON,
    SESSION,
    TIMER_SETTINGS,
    Account,
    Codes,
    Gateway,
    Group,
    Network,
    Phone,
    Trunk,
    call_timers,
)
from router.routing.rewrite import number_rules
from router.routing.screening import Screening, screening, together
from router.routing.selection import PrefixTable, in_tiers
from router.routing.stored_decks import AnyDeck, RatesView, StoredDeck
from router.store.ops import UNLIMITED, Hold
from router.store.records import Cdr

DEFAULT_LISTEN = (Address("udp", "127.0.0.1", 5060),)
EVERYWHERE = " (for all calls)"
DEFAULT_STATE = "state"
DEFAULT_NUMBER_LENGTH = (1, 32)
DEFAULT_MAX_ATTEMPTS = 5
DEFAULT_MAX_HOPS = 5
DEFAULT_CAPTURE_MB = 64
DEFAULT_HEP_ID = 1
DEFAULT_SHUTDOWN_MS = 30_000
DEFAULT_HOOK_TIMEOUT_MS = 2_000
DEFAULT_PING_MS = 30_000
_INHERITED = (*TIMER_SETTINGS, "number_length", "must_register")
MIN_PING_MS = 1_000


class Config:
    """The configuration of a Program.

    `workers` 0 means one for each core; `metrics` and `api` are (host, port) or None.
    """

    def __init__(self, program: Program) -> None:
        settings = program.settings
        self.hash = program.hash
        self.listeners = [
            Listener(address.transport, address.host, address.port)
            for address in settings.get("listen") or DEFAULT_LISTEN
        ]
        workers = settings.get("workers", "auto")
        self.workers: int = 0 if workers == "auto" else int(workers)
        self.state = Path(program.path).parent / settings.get("state", DEFAULT_STATE)
        self.folder = Path(program.path).parent.absolute()
        self.cdr_file: str = settings.get("cdr_file", "")
        self.log_calls: str = settings.get("log_calls", "all")
        self.cdr_file_mb: int = settings.get("cdr_file_mb", 0)
        self.capture_mb: int = settings.get("capture_mb", DEFAULT_CAPTURE_MB)
        hep = settings.get("capture_hep")
        self.capture_hep: tuple[str, int] | None = (
            (str(hep.host), int(hep.port)) if hep is not None else None
        )
        self.capture_hep_id: int = settings.get("capture_hep_id", DEFAULT_HEP_ID)
        metrics = settings.get("metrics")
        self.metrics: tuple[str, int] | None = (
            (str(metrics.host), int(metrics.port)) if metrics is not None else None
        )
        api = settings.get("api")
        self.api: tuple[str, int] | None = (
            (str(api.host), int(api.port)) if api is not None else None
        )
        self.api_tls: tuple[Path, Path] | None = (
            (self.folder / settings["api_tls_certificate"], self.folder / settings["api_tls_key"])
            if "api_tls_key" in settings
            else None
        )
        """certificate and key"""
        self.timers = TimerDefaults(
            t1_ms=settings.get("t1", 500), t2_ms=settings.get("t2", 4_000)
        )
        self.max_hops: int = settings.get("max_hops", DEFAULT_MAX_HOPS)
        self.must_register: bool = settings.get("must_register", False)
        self.max_attempts: int = settings.get("max_attempts", DEFAULT_MAX_ATTEMPTS)
        self.shutdown_ms: int = settings.get("shutdown_timeout", DEFAULT_SHUTDOWN_MS)
        self.hook_timeout_ms: int = settings.get("hook_timeout", DEFAULT_HOOK_TIMEOUT_MS)
        self.script_metric_series: int = settings.get("script_metric_series", MAX_SERIES)
        self.variables = program.variables
        self.is_test = False  # set where calls are only tried
        self._timers = _timers_in(settings)
        self.session_s = self.session_s_of({})
        self.tables = program.tables
        self.media = MediaRules(program)
        self.callees = screening("callee", settings, program.tables, EVERYWHERE)
        self.callers = screening("caller", settings, program.tables, EVERYWHERE)
        self.live = LiveView()
        self.rates = RatesView()
        decks = decks_of(program, self.rates)
        self.groups = {
            block.name: Group(
                block.name, block.settings.get("lines", UNLIMITED),
                block.settings.get("cps", UNLIMITED), block.settings.get("reserved_lines", 0),
            )
            for block in program.blocks_of("group")
        }
        self.has_reserves = any(group.reserved for group in self.groups.values())
        self.reasons = _reasons(BY_STATUS, settings)
        self.accounts = accounts_of(program, decks, self.live)
        self.gateways: dict[str, Gateway] = {}
        for block in program.blocks_of("gateway"):
            gateway = _gateway(block, decks, self)
            self.gateways[gateway.name] = gateway
        self.members = {
            name: in_tiers(one for one in self.gateways.values() if one.group is group)
            for name, group in self.groups.items()
        }
        """the gateways of each group"""
        self.gateways_by_key = {gateway.key: gateway for gateway in self.gateways.values()}
        self.choosy = frozenset(one.key for one in self.gateways.values() if one.choosy)
        """the gateways that do not take every call, by key"""
        self.protected = {
            one.key: one.protect_ms
            for one in self.gateways.values()
            if one.protect_ms is not None
        }
        """after how many ms each protected gateway joins, by key; NEVER: after the others"""
        self.has_clearing = any(
            one.clearing is not None and one.clearing.opening is not None
            for one in self.gateways.values()
        )
        """whether the credit of any vendor is limited"""
        self.has_vendor_decks = any(one.deck is not None for one in self.gateways.values())
        length = settings.get("number_length", DEFAULT_NUMBER_LENGTH)
        self.number_length: tuple[int, int] = length
        lines, cps = settings.get("lines", UNLIMITED), settings.get("cps", UNLIMITED)
        limited = lines != UNLIMITED or cps != UNLIMITED
        self.holds: tuple[Hold, ...] = (Hold("server:", lines, cps),) if limited else ()
        """what every call has to find free, whoever it is from"""
        self.counts_trunks = _reads(program, "lines_used")
        self.wants_quality = _reads(program, "by_quality")
        self.phones: dict[str, Phone] = {}
        """the phones of all accounts, by number"""
        trunks: list[Trunk] = []
        for block in program.blocks_of("account"):
            account = self.accounts[block.name]
            trunks += [
                _trunk(account, child, block.settings, length, self)
                for child in block.children
                if child.kind == "trunk"
            ]
            for child in block.children:
                if child.kind == "phone":
                    phone = _phone(account, child, block.settings, length, self)
                    self.phones[phone.number] = phone
        self.authentication = Authentication(settings, self.phones, trunks, self.live)
        self.prefixes = PrefixTable(self.gateways.values())
        self.trunks = TrunkTable(trunks)
        self._timers_by_trunk: dict[Trunk | Phone, Mapping[str, CallTimers]] = {}

    def try_only(self) -> None:
        """From here on calls are only tried: what would leave the machine is not asked for."""
        self.is_test = True
        self.media.try_only()

    def timers_for(self, trunk: Trunk | Phone) -> Mapping[str, CallTimers]:
        """The call timers of a trunk, or of a phone, towards each gateway, by the gateway's key.

        The gateway's own settings are the nearest to the attempt, then the trunk's, then the
        global ones.
        """
        timers = self._timers_by_trunk.get(trunk)
        if timers is None:
            timers = {
                gateway.key: call_timers(gateway.timers, _for_others(trunk.timers), self._timers)
                for gateway in self.gateways.values()
            }
            self._timers_by_trunk[trunk] = timers
        return timers

    def session_s_of(self, timers: Mapping[str, int]) -> int:
        """The session timer of a peer's own leg in seconds, 0 for none; `timers` are the peer's."""
        session_ms = call_timers(timers, self._timers).session_ms
        return max(1, session_ms // 1_000) if session_ms else 0

    def timers_to(self, phone: Phone, trunk: Trunk | Phone) -> CallTimers:
        """The call timers towards a phone; it rings no longer than until it forwards."""
        timers = call_timers(phone.timers, _for_others(trunk.timers), self._timers)
        if not phone.forward_no_answer:
            return timers
        after_ms = phone.forward_after_ms
        return msgspec.structs.replace(
            timers, progress_ms=min(timers.progress_ms, after_ms),
            media_progress_ms=min(timers.media_progress_ms, after_ms),
            ringing_ms=min(timers.ringing_ms, after_ms),
        )

    def max_duration_ms(self, cdr: Cdr) -> int:
        """How long an answered call may last; also one of objects no longer configured."""
        gateway = self.gateways.get(cdr.gateway)
        who = self.phones.get(cdr.phone) or self.trunks.of_call(cdr)
        levels = [level.timers for level in (gateway, who) if level is not None]
        return call_timers(*levels, self._timers).max_duration_ms


def build_config(program: Program) -> Config:
    """The configuration of a checked program."""
    return Config(program)


def decks_of(program: Program, rates: RatesView) -> dict[str, AnyDeck]:
    """Every deck by name: read from its file, or asked of the loaded rates."""
    return {
        block.name: program.tables[block.name]
        if block.name in program.tables
        else StoredDeck(block.name, rates)
        for block in program.blocks_of("deck")
    }


def _timers_in(settings: Mapping[str, Any]) -> dict[str, int]:
    return {name: settings[name] for name in TIMER_SETTINGS if name in settings}


def _for_others(timers: Mapping[str, int]) -> dict[str, int]:
    """What a caller's settings mean to the other leg: all but its own leg's session timer."""
    return {name: ms for name, ms in timers.items() if name != SESSION}


def _reads(program: Program, name: str) -> bool:
    """Whether any route uses a name of the context or of an object."""
    return any(
        name in getattr(handler, "__code__", _reads.__code__).co_names
        for handler in program.routes.values()
    )


def _gateway(block: Block, decks: Mapping[str, Any], config: Config) -> Gateway:
    settings = block.settings
    addresses: list[Address] = list(dict.fromkeys(settings["address"]))
    address = addresses[0]
    codes: Codes = DEFAULT_SWITCH_ON
    if "switch_on" in settings:
        codes = tuple(tuple(pair) for pair in settings["switch_on"])
    gateway = Gateway(
        block.name,
        address.transport,
        address.host,
        address.port,
        tuple(settings.get("prefixes", ())),
        settings.get("priority", 1),
        settings.get("lines", UNLIMITED),
        codes,
        settings.get("switch_after_ring", False),
        settings.get("switch_after_media", False),
        _timers_in(settings),
        outward=number_rules(
            settings.get("callee_out", ""), settings.get("caller_out", ""), "out",
            f"gateway {block.name}",
        ),
        identity=_identity(settings),
        callers=screening("caller", settings, config.tables),
        hours=hours_of(settings["in_time"]) if "in_time" in settings else None,
        terminates=settings.get("prefix_mode", "continue") == "terminate",
        deck=decks.get(settings.get("deck", "")),
        deck_name=settings.get("deck", ""),
        max_rate=millionths(settings.get("max_rate")),
        min_margin=millionths(settings.get("min_margin")),
        cps=settings.get("cps", UNLIMITED),
        group=config.groups.get(settings.get("group", "")),
        clearing=config.accounts.get(settings.get("clearing", "")),
        live=config.live,
        protect_ms=(
            settings.get("protect_delay", NEVER) if settings.get("protect", False) else None
        ),
        ping_ms=_ping_ms(settings.get("ping", DEFAULT_PING_MS)),
        login=(
            Login(settings["username"], settings.get("password", ""))
            if "username" in settings else None
        ),
        registers=settings.get("register", False),
        reasons=_reasons(config.reasons, settings),
    )
    if len(addresses) > 1:
        gateway.stand_at([(one.transport, one.host, one.port) for one in addresses])
    return gateway


def _reasons(
    outer: Mapping[int, EndReason], settings: Mapping[str, Any]
) -> Mapping[int, EndReason]:
    """What final codes mean: what the settings say, before what holds around them."""
    own = settings.get("reason_of")
    return {**outer, **{code: EndReason[name] for code, name in own}} if own else outer


def _ping_ms(wanted_ms: int) -> int:
    """0 for no pings; nobody wants to be asked several times a second."""
    return max(wanted_ms, MIN_PING_MS) if wanted_ms else 0


def _around(
    what: str, account: Account, outer: Mapping[str, Any], config: Config
) -> tuple[Screening | None, Screening | None]:
    """The levels above what is inside an account: which numbers all calls and its own may have."""
    everywhere = config.callees if what == "callee" else config.callers
    return everywhere, screening(what, outer, config.tables, f" (account {account})")


def _identity(settings: Mapping[str, Any]) -> Identity:
    trusted: bool = settings.get("trusted", False)
    header = HEADERS.get(settings.get("caller_id_out", FROM), "")
    return Identity(trusted, header) if trusted or header else FROM_ONLY


def _inside(outer: Mapping[str, Any], block: Block) -> dict[str, Any]:
    """The settings of a block in an account: what that says holds unless the block says it too."""
    inherited = {key: outer[key] for key in _INHERITED if key in outer}
    return {**inherited, **block.settings}


def _networks_in(settings: Mapping[str, Any]) -> tuple[Network, ...]:
    return tuple(ip_network(str(network)) for network in settings.get("ips", ()))


def _trunk(
    account: Account, block: Block, outer: Mapping[str, Any], length: tuple[int, int],
    config: Config,
) -> Trunk:
    settings = _inside(outer, block)
    low, high = settings.get("number_length", length)
    return Trunk(
        account,
        block.name,
        _networks_in(settings),
        settings.get("caller_prefix", ""),
        settings.get("priority", 1),
        settings.get("lines", UNLIMITED),
        (int(low), int(high)),
        _timers_in(settings),
        inward=number_rules(
            settings.get("callee_in", ""), settings.get("caller_in", ""), "in",
            f"trunk {account.name}/{block.name}",
        ),
        username=settings.get("username", ""),
        password=settings.get("password", ""),
        caller_header=HEADERS.get(settings.get("caller_id", FROM), ""),
        caller_pool=tuple(settings.get("caller_pool", ())),
        callees=together(*_around("callee", account, outer, config), screening(
            "callee", settings, config.tables
        )),
        callers=together(*_around("caller", account, outer, config), screening(
            "caller", settings, config.tables
        )),
        replaced=dict(settings.get("replace_codes", ())),
        groups=frozenset(settings.get("groups", ())),
        cps=settings.get("cps", UNLIMITED),
        outer=config.holds,
        counted=config.counts_trunks,
        session_s=config.session_s_of(settings),
        live=config.live,
    )


def _phone(
    account: Account, block: Block, outer: Mapping[str, Any], length: tuple[int, int],
    config: Config,
) -> Phone:
    settings = _inside(outer, block)
    low, high = settings.get("number_length", length)
    title = f"phone {block.name}"
    return Phone(
        account,
        block.name,
        settings.get("password", ""),
        _networks_in(settings),
        settings.get("lines", UNLIMITED),
        (int(low), int(high)),
        _timers_in(settings),
        inward=number_rules(
            settings.get("callee_in", ""), settings.get("caller_in", ""), "in", title
        ),
        outward=number_rules(
            settings.get("callee_out", ""), settings.get("caller_out", ""), "out", title
        ),
        must_register=settings.get("must_register", config.must_register),
        forward_always=settings.get("forward_always", ""),
        forward_busy=settings.get("forward_busy", ""),
        forward_no_answer=settings.get("forward_no_answer", ""),
        forward_offline=settings.get("forward_offline", ""),
        forward_after_ms=settings.get("forward_after", DEFAULT_FORWARD_AFTER_MS),
        outer=config.holds,
        counted=config.counts_trunks,
        session_s=config.session_s_of(settings),
        callees=together(*_around("callee", account, outer, config)),
        callers=together(*_around("caller", account, outer, config)),
        live=config.live,
    )
