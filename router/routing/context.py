"""What a compiled route sees: the facts of the message and the call, and the actions.

Every attribute and method here is named in the function table (`surface`); generated code reaches
nothing else. An action leaves its verdict in `verdict` and the route returns. One context lives as
long as its call, so that variables and header changes carry over from route to route.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from router.billing.rate import Rate
from router.core.attempt import Attempt
from router.core.call import Call
from router.core.decision import NONE_LEFT, REFUSED, ROUTE, listed
from router.core.end_reasons import EndReason
from router.core.flow import Flow
from router.core.fork import MAX_BRANCHES
from router.core.verdicts import Dial, Drop, End, Next, Respond, Verdict
from router.routing.authentication import Proof
from router.routing.call_functions import CallFunctions
from router.routing.caller_id import stand_in, take_claim
from router.routing.facts import Facts, one_line
from router.routing.forwarding import Hop
from router.routing.header_functions import HeaderFunctions
from router.routing.hook_calls import HookRun
from router.routing.hook_meter import HookMeter
from router.routing.hooks import Call as HookCall
from router.routing.levels import Refusal, barred, price_levels, with_clearing, with_more
from router.routing.objects import NO_ACCOUNT, NO_PHONE, NO_TRUNK, Account, Gateway, Phone, Trunk
from router.routing.phone_calls import PhoneCalls
from router.routing.pricing import by_cost, unaffordable
from router.routing.quality import by_quality
from router.routing.selection import (
    Candidates,
    phones_in,
    shuffled,
    tiers_of,
    with_reserves,
)
from router.routing.stored_decks import AnyDeck
from router.sip.message import Request, Response
from router.store.ops import Credit, Tiers, untried
from router.store.records import Charge

if TYPE_CHECKING:
    from router.core.engine import Engine
    from router.routing.config import Config

MAX_STEPS = 10_000
MAX_ROUTE_LINES = 40
"""those that a CDR names: it has to stay small"""
_ONE = (Gateway, Phone)
NEXT: Verdict = Next()
DROP: Verdict = Drop()
_NOT_IN_URI = str.maketrans({char: f"%{ord(char):02X}" for char in '<>" '})


class TooManySteps(Exception):
    """A route took more than 10,000 steps; the traceback names its line of routes.cfg."""


class Context(Facts, CallFunctions, HeaderFunctions, PhoneCalls):
    """The `c` of generated code.

    `call` is None for a request that is not an INVITE; `attempt` is set in branch, reply and
    failure routes, `response` in reply routes.
    """

    __slots__ = (
        "_rated", "_rates", "_steps", "attempt", "call", "config", "credits", "engine", "flow",
        "hooks", "meter", "paid_s", "request", "response", "subject", "trunk", "variables",
    )

    def __init__(
        self, config: Config, meter: HookMeter, request: Request | None, flow: Flow,
        call: Call | None, engine: Engine,
    ) -> None:
        self.config = config
        self.engine = engine
        self.meter = meter
        self.hooks: HookRun | None = None
        self.request = request
        self.flow = flow
        self.call = call
        self.attempt: Attempt | None = None
        self.response: Response | None = None
        self.account: Account = NO_ACCOUNT
        self.trunk: Trunk = NO_TRUNK
        self.phone: Phone = NO_PHONE
        self.proof: Proof | None = None
        self.rate: Rate | None = None
        self.credits: tuple[Credit, ...] = ()
        self.paid_s = 0  # for how long they pay at first, as far as that is known
        self.variables: dict[str, Any] = {}
        self.verdict: Verdict | None = None
        self.subject: Gateway | None = None  # the gateway that an event is about
        self.hops: list[Hop] = []
        self.earlier: list[Charge] = []
        self.earlier_credits: tuple[Credit, ...] = ()
        self.ringing: Phone | None = None
        self._steps = 0
        self._rated: str | None = None
        self._rates: dict[AnyDeck, Rate | None] = {}

    # -- steps ------------------------------------------------------------------------------------

    def step(self) -> None:
        """Counts a turn of a loop or a call of a route; raises TooManySteps."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TooManySteps(f"more than {MAX_STEPS} steps in one request: is there a loop?")

    def at(self, place: str) -> None:
        """Notes a line of the routes that the call goes by, each once."""
        call = self.call
        if call is not None:
            lines = call.cdr.route_lines
            if place not in lines and len(lines) < MAX_ROUTE_LINES:
                lines.append(place)

    # -- requests inside the call -----------------------------------------------------------------

    def turn_to(self, request: Request, flow: Flow) -> tuple[Any, ...]:
        """Another request of the call is looked at; gives what `turn_back` needs."""
        kept = (
            self.request, self.flow, self.attempt, self.response, self.hooks, self.verdict,
            self._steps,
        )
        self.request, self.flow = request, flow
        self.attempt = self.response = self.hooks = self.verdict = None
        self._steps = 0
        return kept

    def turn_back(self, kept: tuple[Any, ...]) -> None:
        """What the context was about before."""
        (
            self.request, self.flow, self.attempt, self.response, self.hooks, self.verdict,
            self._steps,
        ) = kept

    # -- Python functions -------------------------------------------------------------------------

    def hook_run(self) -> HookRun:
        """The running route's dealings with Python functions."""
        if self.hooks is None:
            self.hooks = HookRun(self)
        return self.hooks

    def hook_call(self) -> HookCall:
        """The call as Python functions see it."""
        return self.hook_run().call

    def end_hooks(self) -> None:
        """The running route has ended."""
        if self.hooks is not None:
            self.hooks.close()
            self.hooks = None

    # -- who and where ----------------------------------------------------------------------------

    def identify(self) -> bool:
        """Finds the trunk of the source, else the phone; rewrites the numbers by its rules.

        Once it has found one, a second time changes nothing. RouteOver where a phone is asked for
        its credentials.
        """
        if self.trunk is not NO_TRUNK or self.phone is not NO_PHONE:
            return True
        source, caller, call = self.flow.host, self.caller, self.call
        found = self.config.trunks.match(source, caller, self.request)
        if found is None or found.trunk.password:
            asked = found.trunk if found is not None else None
            if self.config.authentication.is_used and self.identify_by_digest(asked):
                return True
            if call is not None:
                call.cdr.decision.append(self.config.trunks.why_not(source, caller))
            return False
        self.is_from_trunk(found.trunk, found.entry)
        return True

    def is_from_trunk(self, trunk: Trunk, entry: str) -> None:
        """The request is from this trunk; its rules are carried out."""
        call = self.call
        self.trunk = trunk
        self.account = trunk.account
        if call is not None:
            cdr = call.cdr
            cdr.trunk = trunk.name
            cdr.account = trunk.account.name
            cdr.agent_path = trunk.account.path
            cdr.decision.append(entry)
            if trunk.caller_header:
                take_claim(call, trunk)
            if trunk.inward is not None:
                trunk.inward.rewrite(call, call)
            if trunk.caller_pool:
                stand_in(call, trunk)
            call.replaced = trunk.replaced

    def gateways(self, number: str) -> list[Gateway]:
        """The gateways that serve a number."""
        return self.config.prefixes.find(number)

    def by_cost(self, candidates: Sequence[Gateway]) -> list[Gateway]:
        """The candidates by what their vendors ask for the callee, cheapest first."""
        call = self.call
        if call is None:
            return list(candidates)
        return by_cost(candidates, self.rate_in)

    def by_quality(self, candidates: Sequence[Gateway]) -> list[Gateway]:
        """The candidates by how many of their last attempts were answered, then by their delay."""
        live, now_ms = self.config.live, self.now_ms
        return by_quality(candidates, lambda key: live.quality(key, now_ms))

    def gateway_named(self, name: str) -> Gateway:
        """The gateway that an expression names."""
        return self.config.gateways[name]

    def log(self, level: str, text: str) -> None:
        """A line in the log with the call's id."""
        call = self.call
        self.meter.log(level, text, id=call.id if call is not None else "", call_id=self.call_id)

    # -- actions ----------------------------------------------------------------------------------

    def reply(self, code: int, reason: str = "") -> None:
        """Answers the request and ends it."""
        self.verdict = Respond(code, one_line(reason))
        self._tell_where(f"reply({code})")

    def end(self, reason: str = "") -> None:
        """Ends the call for a reason; without one: for that of the last attempt."""
        self.verdict = End(EndReason[reason] if reason else None)
        if reason:
            self._tell_where(f"end({reason})")

    def _tell_where(self, action: str) -> None:
        """Notes which statement of a route ended the call."""
        call = self.call
        if call is not None:
            code = sys._getframe(2)  # the route's own, whose lines are those of routes.cfg
            file = code.f_code.co_filename.rpartition("/")[2]
            call.cdr.decision.append(f"{ROUTE}{action} at {file}:{code.f_lineno}")

    def drop(self) -> None:
        """Stays silent."""
        self.verdict = DROP

    def redirect(self, *uris: str) -> None:
        """Answers 302 with these addresses, the first one preferred."""
        call = self.call
        if call is not None:
            call.cdr.decision.append(f"redirected to {', '.join(map(one_line, uris))}")
        contacts = []
        for at, uri in enumerate(uris):
            preference = f";q={max(1000 - 100 * at, 1) / 1000:.3f}" if len(uris) > 1 else ""
            contacts.append(f"Contact: <{_address_of(uri)}>{preference}\r\n")
        self.verdict = Respond(302, "", "".join(contacts))

    def next(self) -> None:
        """The next candidate, or the last one's reason."""
        self.verdict = NEXT

    def call_out(
        self, called: Sequence[Gateway] | Sequence[Phone] | Gateway | Phone,
        on_branch: str = "", on_reply: str = "", on_failure: str = "", ring: str = "hunt",
    ) -> None:
        """Screens, then hands the candidates to the core for admission and hunting."""
        call = self.call
        if call is None:
            self.verdict = Respond(405)
            return
        candidates: Sequence[Any] = (called,) if isinstance(called, _ONE) else called
        if ring == "random":
            candidates = shuffled(candidates, call.a.call_id)
        if not isinstance(candidates, Candidates) and (phones := phones_in(candidates)):
            routes = (on_branch, on_reply, on_failure)
            self.verdict = self._ring_phones(call, phones, ring, routes)
            return
        self.ringing = None
        refusal = self._screen(call)
        if refusal is not None:
            self.verdict = refusal
            return
        config = self.config
        decision = call.cdr.decision
        if isinstance(candidates, Candidates):
            tiers = candidates.tiers
            known = bool(candidates.prefixes)
            if tiers:
                decision.append(candidates.entry)
            else:
                decision.append(
                    NONE_LEFT if known else f"no gateway has a prefix of {call.callee}"
                )
        else:
            tiers = tiers_of(candidates)
            known = bool(tiers)
            decision.append(listed([gateway.name for gateway in candidates]))
        trunk = self.trunk
        if config.choosy or trunk.groups:
            tiers = self._willing(tiers, call)
            if config.has_reserves and trunk.groups:
                tiers = with_reserves(tiers, trunk.groups, config.gateways_by_key)
        if config.has_vendor_decks:
            tiers = self._affordable(tiers, call)
            if config.has_clearing:
                tiers = with_clearing(tiers, config.gateways_by_key, self.rate_in)
        credits = self.credits
        if call.admitted and credits:
            credits = self._new_credits(call)
            known_payers = [one for one in self.credits if one not in credits]
            tiers = with_more(tiers, known_payers, call.record.reserved)
        if not tiers and known and not call.admitted:
            self.verdict = End(EndReason.NoAvailableRouter)
            return
        caller = trunk if self.phone is NO_PHONE else self.phone
        source = config if caller is NO_TRUNK else caller
        self.verdict = Dial(
            tiers, self._holds, config.gateways_by_key,
            config.timers_for(caller), config.max_attempts, on_branch, on_reply, on_failure,
            credits, session_s=source.session_s, protected=config.protected,
            branches=MAX_BRANCHES if ring == "all" else 1,
            media=config.media.to_gateways(caller.key),
            paid_ms=0 if call.admitted or self.earlier_credits else self.paid_s * 1000,
        )

    def _willing(self, tiers: Tiers, call: Call) -> Tiers:
        """The tiers without the gateways that do not take this call."""
        config, trunk, caller, now_ms = self.config, self.trunk, call.caller, self.now_ms
        dropped: set[str] = set()
        for tier in tiers:
            for candidate in tier:
                gateway = config.gateways_by_key[candidate.key]
                why = trunk.refusal(gateway)
                if not why and candidate.key in config.choosy:
                    why = gateway.refusal(caller, now_ms)
                if why:
                    dropped.add(candidate.key)
                    call.cdr.decision.append(f"{gateway.name}: {why}")
        return untried(tiers, dropped) if dropped else tiers

    def _affordable(self, tiers: Tiers, call: Call) -> Tiers:
        """The tiers without the gateways that may not carry this call for its price."""
        gateways = self.config.gateways_by_key
        named = (gateways[candidate.key] for tier in tiers for candidate in tier)
        dropped = unaffordable(named, self.rate_in, self.rate)
        if not dropped:
            return tiers
        call.cdr.decision += [f"{gateways[key].name}: {why}" for key, why in dropped.items()]
        return untried(tiers, dropped)

    def rate_in(self, deck: AnyDeck) -> Rate | None:
        """The rate of a deck for the callee as it is now; each deck is looked into once."""
        call = self.call
        assert call is not None
        if call.callee != self._rated:
            self._rated = call.callee
            self._rates = {}
        elif deck in self._rates:
            return self._rates[deck]
        rate = self._rates[deck] = deck.find(call.callee, call.cdr.started)
        return rate

    def _price(self, call: Call, inside: bool) -> End | None:
        priced = price_levels(self.account, call.callee, self.rate_in, inside)
        if isinstance(priced, Refusal):
            return self._refused(call, *priced)
        cdr = call.cdr
        rate = self.rate = priced.rate
        if rate is not None:
            cdr.rate_prefix = rate.prefix
            cdr.rate = rate.rate_per_min
        elif cdr.rate_prefix:  # of a number that was tried before
            cdr.rate_prefix, cdr.rate = "", 0
        cdr.charges = [*self.earlier, *priced.charges]
        self.credits = self.earlier_credits + priced.credits
        self.paid_s = priced.paid_s
        return None

    def _screen(self, call: Call, inside: bool = False) -> End | None:
        account = self.account
        why_barred = barred(account, call.cdr.started)
        if why_barred is not None:
            return self._refused(call, *why_barred)
        if self.trunk.locked:
            why = f"trunk {account}/{self.trunk} is locked"
            return self._refused(call, EndReason.AccountLocked, why)
        if self.phone.locked:
            return self._refused(call, EndReason.AccountLocked, f"phone {self.phone} is locked")
        # A trunk's rules are about the numbers that came from there.
        trunk, phone, cdr = self.trunk, self.phone, call.cdr
        if phone is not NO_PHONE and not phone.may_come_from(self.flow.host):
            why = f"phone {phone} may not call from {self.flow.host}"
            return self._refused(call, EndReason.IpBlocked, why)
        if phone.must_register and self._is_unregistered(call):
            why = f"phone {phone} is not registered and may not call (must_register)"
            return self._refused(call, EndReason.Unregistered, why)
        callee, caller = cdr.callee_in, cdr.caller_in
        limits: Trunk | Phone | Config = self.config
        if trunk is not NO_TRUNK:
            limits = trunk
        elif phone is not NO_PHONE:
            limits = phone
        shortest, longest = limits.number_length
        if len(callee) < shortest:
            why = f"callee {callee} is shorter than {shortest}"
            return self._refused(call, EndReason.CalledNumberRestricted, why, 484)
        if len(callee) > longest:
            why = f"callee {callee} is longer than {longest}"
            return self._refused(call, EndReason.CalledNumberRestricted, why)
        if not shortest <= len(caller) <= longest:
            why = f"caller {caller} is not {shortest} to {longest} long"
            return self._refused(call, EndReason.CallerNumberRestricted, why)
        if limits.callees is not None and (why := limits.callees.refusal(callee)):
            return self._refused(call, EndReason.CalledNumberRestricted, why)
        if limits.callers is not None and (why := limits.callers.refusal(caller)):
            return self._refused(call, EndReason.CallerNumberRestricted, why)
        if self.hops and (why := self._why_not_forwarded()):
            return self._refused(call, EndReason.CalledNumberRestricted, why)
        return self._price(call, inside) if account.priced else None

    def _refused(self, call: Call, reason: EndReason, why: str, status: int = 0) -> End:
        call.cdr.decision.append(REFUSED + why)
        return End(reason, status)


def _address_of(uri: str) -> str:
    """The URI as it may stand between < and >, with a scheme."""
    uri = one_line(uri).strip().translate(_NOT_IN_URI)
    return uri if uri.lower().startswith(("sip:", "sips:", "tel:")) else f"sip:{uri}"
