"""One call decided and not made: the real routes on the real engine, and nothing sent.

What the engine would send is looked at and thrown away. Live state (lines in use, gateways that are
down) is what the caller hands in, so the same question has the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from dsl.program import Program
from router.billing.amounts import amount
from router.core.agent import SDP
from router.core.attempt import Attempt
from router.core.call import Call
from router.core.engine import Engine
from router.core.events import LOADED
from router.core.flow import Flow, Listener
from router.core.protect import protected_last
from router.core.tally import Tally
from router.core.verdicts import Dial, Verdict, Wait
from router.routing.accounts import openings
from router.routing.config import Config, build_config
from router.routing.context import Context
from router.routing.decided import Decided, GatewayFate, LiveNow, Price, Question, Sent
from router.routing.decision_levels import NO_MONEY, fates_of_levels
from router.routing.decision_phones import (
    AllOnline,
    forwards_of,
    phones_of,
)
from router.routing.locks import apply_locks, locked_by_status
from router.routing.objects import Gateway
from router.routing.selection import Candidates, PrefixTable
from router.routing.stored_decks import StoredRates
from router.routing.switch import Switch
from router.sip.message import Request, Response, parse_message
from router.sip.uri import escape_user
from router.store.admission import choose_gateway
from router.store.memory import MemoryLive
from router.store.ops import UNLIMITED, Tiers, untried
from router.store.records import Cdr

SOURCE_PORT = 5060
SOMEWHERE = "where it has registered from"
TOKEN = "decided0decided0"


class _AskedPrefixes(PrefixTable):
    """Remembers for which numbers it was asked."""

    def __init__(self, gateways: Iterable[Gateway]) -> None:
        super().__init__(gateways)
        self.asked: list[str] = []

    def find(self, number: str) -> Candidates:
        if number not in self.asked:
            self.asked.append(number)
        return super().find(number)


def _attempts_of(call: Call | None) -> Iterator[Attempt]:
    """The attempts whose INVITEs go out, in their order."""
    if call is not None and call.fork is not None:
        return iter(call.fork.attempts)
    attempt = call.attempt if call is not None else None
    return iter(() if attempt is None else (attempt,))


class _WatchedSwitch(Switch):
    """Keeps hold of the call: it lets go of its own things when it ends."""

    call: Call | None = None
    context: Context | None = None

    def invite(self, call: Call) -> Verdict | Wait:
        self.call = call
        verdict = super().invite(call)
        self.context = call.context
        return verdict


class DecisionRun:
    """One question put to a program.

    `wait_for` runs what a route waits for (functions of imported Python) to its end; `rates` are
    those of decks without a file.
    """

    def __init__(
        self, program: Program, question: Question, live: LiveNow,
        wait_for: Callable[[Engine], None] = lambda engine: None,
        rates: StoredRates | None = None,
    ) -> None:
        self._question = question
        self._live = live
        self._wait_for = wait_for
        self._config: Config = build_config(program)
        self._config.try_only()
        self._config.rates.store = rates
        if live.locks:
            apply_locks(self._config, locked_by_status(self._config), live.locks)
        self._prefixes = _AskedPrefixes(self._config.gateways.values())
        self._config.prefixes = self._prefixes
        self._logs: list[tuple[str, str]] = []
        self._store = MemoryLive(live.usages, live.states, live.monies or {})
        known = live.monies or {}
        new = [one for one in self._config.accounts.values() if one.name not in known]
        self._store.commit(openings(new, question.now_ms), question.now_ms)
        self._monies = self._store.monies()
        tally = Tally()
        self._switch = _WatchedSwitch(
            program, self._config, tally, lambda: 0.0, self._on_log,
            live.shared or AllOnline(self._store, self._config.phones),
        )
        self._engine = Engine(
            self._switch, listeners=self._config.listeners, slot=0, slots=1, generation=1,
            token=lambda: TOKEN, tally=tally, now_ms=question.now_ms, timers=self._config.timers,
        )
        if live.shared is None:
            # What routes share when they are loaded is in the shared state of a running router.
            self._engine.events.tell(LOADED)

    def _on_log(self, level: str, text: str, **fields: Any) -> None:
        self._logs.append((level, text))

    def decide(self) -> Decided:
        """Runs the routes; what they came to."""
        engine, now = self._engine, self._question.now_ms
        engine.receive(self._invite(), self._flow(), now)
        self._wait_for(engine)
        while ops := engine.take_ops():
            engine.on_committed(self._store.commit(ops, now), now)
            self._wait_for(engine)
        sent = [(parse_message(data), flow) for data, flow in engine.take_sends()]
        call = self._switch.call
        cdr = call.cdr if call is not None else Cdr()
        decided = Decided(
            "silence", cdr.account, cdr.trunk, list(cdr.decision),
            call is not None and call.dial is not None, self._fates(call),
            holds=self._holds(call), logs=self._logs, numbers_asked=self._prefixes.asked,
            price=self._price(),
            levels=fates_of_levels(self._switch.context, call, self._monies, now),
            faults=[str(fields["trace"]) for _, _, fields in engine.logs if "trace" in fields],
            phones=phones_of(call, self._config.phones),
            forwarded=forwards_of(self._switch.context),
        )
        attempts = _attempts_of(call)
        for message, flow in sent:
            if isinstance(message, Request) and message.method == "INVITE":
                decided.verdict = "call"
                attempt = next(attempts, None)
                told = self._sent(message, flow, attempt)
                if decided.sent is None:
                    decided.sent = told
                else:
                    decided.also_sent.append(told)
            elif isinstance(message, Response) and message.status >= 200:
                decided.verdict = "answer"
                decided.status, decided.phrase = message.status, message.reason
                decided.end_reason = cdr.end_reason
        return decided

    # -- the question -----------------------------------------------------------------------------

    def _flow(self) -> Flow:
        transport = self._listener.transport
        index = self._config.listeners.index(self._listener)
        return Flow(transport, self._question.source, SOURCE_PORT, index)

    @property
    def _listener(self) -> Listener:
        """Where this caller would call: by its version of IP, and over UDP, if we can."""
        version = ":" in self._question.source
        return max(
            self._config.listeners,
            key=lambda one: ((":" in one.host) == version, one.transport == "udp"),
        )

    def _invite(self) -> bytes:
        question, listener = self._question, self._listener
        us = _authority(listener.host, listener.port)
        peer = _authority(question.source, SOURCE_PORT)
        callee, caller = escape_user(question.callee), escape_user(question.caller)
        user = f"{caller}@" if caller else ""
        headers = "".join(f"{line}\r\n" for line in question.headers)
        head = (
            f"INVITE sip:{callee}@{us} SIP/2.0\r\n"
            f"Via: SIP/2.0/{listener.transport.upper()} {peer};branch=z9hG4bK{TOKEN}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{user}{peer}>;tag={TOKEN}\r\n"
            f"To: <sip:{callee}@{us}>\r\nCall-ID: {question.call_id}\r\nCSeq: 1 INVITE\r\n"
            f"Contact: <sip:{peer}>\r\n{headers}Content-Type: application/sdp\r\n"
            f"Content-Length: {len(SDP)}\r\n\r\n"
        )
        return head.encode("utf-8", "surrogateescape") + SDP

    # -- the answer -------------------------------------------------------------------------------

    def _sent(self, invite: Request, flow: Flow, attempt: Attempt | None) -> Sent:
        added = attempt.added.splitlines() if attempt is not None else []
        removed = sorted(attempt.removed) if attempt is not None else []
        names = {line.partition(":")[0].strip().lower() for line in added}
        return Sent(
            attempt.target.name if attempt is not None else "",
            f"{flow.transport}:{_authority(flow.host, flow.port)}" if flow.port else SOMEWHERE,
            invite.uri, invite.get("from").partition(";tag=")[0], added,
            [name for name in removed if name not in names],
        )

    def _price(self) -> Price | None:
        context = self._switch.context
        rate = context.rate if context is not None else None
        if context is None or rate is None:
            return None
        return Price(
            amount(rate.rate_per_min), amount(rate.connect_fee), rate.prefix,
            context.account.deck_name,
        )

    def _asks(self, gateway: Gateway, number: str) -> str:
        """What a gateway's vendor asks for a minute, "" where nothing says so."""
        rate = gateway.deck.find(number, self._question.now_ms) if gateway.deck else None
        return amount(rate.rate_per_min) if rate is not None else ""

    def _holds(self, call: Call | None) -> dict[str, tuple[int, int]]:
        dial = call.dial if call is not None else None
        return {
            hold.key: (self._used(hold.key), hold.limit)
            for hold in (dial.holds if dial is not None else ())
        }

    def _used(self, key: str) -> int:
        usage = self._live.usages.get(key)
        return usage.in_use if usage is not None else 0

    def _fates(self, call: Call | None) -> list[GatewayFate]:
        """All gateways: the candidates in their order, then the others as routes.cfg has them."""
        dial = call.dial if call is not None else None
        order, dropped = self._order(_offered(dial)) if dial is not None else ([], {})
        refused = call is not None and dial is not None and not call.admitted
        number = self._prefixes.asked[-1] if self._prefixes.asked else ""
        matches = self._prefixes.matches(number) if self._prefixes.asked else {}
        fates = []
        for gateway in self._config.gateways.values():
            key = gateway.key
            place = order.index(key) + 1 if key in order else 0
            if key in dropped:
                why = dropped[key]
            elif place:
                assert dial is not None
                rings = place <= dial.branches and key not in dial.protected
                why = _kept(place, dial.max_attempts, refused, rings)
            elif call is None or dial is None:
                why = "not asked for: the call ended before"
            else:
                why = self._why_not(gateway, number, matches, call.cdr.decision)
            lines = gateway.lines if gateway.lines != UNLIMITED else None
            fates.append(
                GatewayFate(
                    gateway.name, place, why, matches.get(key), gateway.priority,
                    self._used(key), lines, self._asks(gateway, call.callee if call else number),
                )
            )
        return sorted(fates, key=lambda fate: fate.place or len(fates) + 1)

    def _order(self, tiers: Any) -> tuple[list[str], dict[str, str]]:
        """The candidates' keys as they would be tried if each failed, and the dropped ones."""
        usage = {key: (self._used(key), handed) for key, handed in self._handed(tiers).items()}
        usage |= {
            hold.key: (self._used(hold.key), 0)
            for tier in tiers
            for candidate in tier
            for hold in candidate.holds
        }
        down = {key: self._live.down_until(key) for key in usage}
        moneys = {
            credit.account: [*self._monies.get(credit.account, NO_MONEY)]
            for tier in tiers
            for candidate in tier
            for credit in candidate.credits
        }
        order: list[str] = []
        dropped: dict[str, str] = {}
        while True:
            seen: list[tuple[str, str]] = []
            chosen = choose_gateway(
                untried(tiers, order), usage, down, self._question.now_ms, seen,
                moneys=lambda: moneys,
            )
            dropped.update(seen)
            if chosen is None:
                return order, dropped
            order.append(chosen.key)

    def _handed(self, tiers: Any) -> dict[str, int]:
        keys = [candidate.key for tier in tiers for candidate in tier]
        usages = self._live.usages
        return {key: usages[key].handed if key in usages else 0 for key in keys}

    def _cut_off(self, gateway: Gateway, matches: Mapping[str, str]) -> str:
        """That a gateway with a longer prefix lets no shorter one follow, "" if none does so."""
        for key, prefix in matches.items():
            other = self._config.gateways_by_key[key]
            if other.terminates and len(prefix) > len(matches[gateway.key]):
                return f"after prefix {prefix} of {other.name} no shorter one follows (prefix_mode)"
        return ""

    def _why_not(
        self, gateway: Gateway, number: str, matches: Mapping[str, str], decision: list[str]
    ) -> str:
        """Why a gateway is not among the candidates that the route called with."""
        mine = f"{gateway.name}: "
        for entry in decision:
            if entry.startswith(mine):
                return entry.removeprefix(mine)
        if not self._prefixes.asked:
            return "the route does not name it"
        if gateway.key in matches:
            return self._cut_off(gateway, matches) or "the route left it out"
        if not gateway.prefixes:
            return "it has no prefixes"
        told = ", ".join(gateway.prefixes[:6]) + (", …" if len(gateway.prefixes) > 6 else "")
        none = "its prefix" if len(gateway.prefixes) == 1 else "none of its prefixes"
        does = "does not begin" if len(gateway.prefixes) == 1 else "begins"
        return f"{none} {told} {does} {number or 'an empty number'}"


def _kept(place: int, max_attempts: int, refused: bool, rings: bool) -> str:
    if place > max_attempts and not rings:
        return f"not tried: max_attempts = {max_attempts}"
    if refused:
        return "not looked at: the call was not admitted"
    if place == 1:
        return "taken"
    return "rings at the same time" if rings else "next if those before it fail"


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _offered(dial: Dial) -> Tiers:
    """The candidates in the order in which a call that has just come in would be offered them."""
    return protected_last(dial.tiers, dial.protected, 0) if dial.protected else dial.tiers
