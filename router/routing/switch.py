"""The policy of the core: runs the compiled routes of one Program.

The Program and its objects are of one piece: a call keeps the Switch it began with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dsl.program import Program
from router.billing.charges import settle
from router.core.attempt import Attempt
from router.core.call import Call
from router.core.credit import Payer
from router.core.end_reasons import EndReason
from router.core.events import BALANCE_LOW
from router.core.flow import Flow
from router.core.policy import LookInside
from router.core.tally import Tally
from router.core.verdicts import End, Next, Target, Verdict, Wait
from router.routing.caller_id import privacy_of
from router.routing.config import Config
from router.routing.context import Context
from router.routing.hook_meter import HookMeter
from router.routing.levels import note_vendor, payers, short_of_credit
from router.routing.live_view import SharedState
from router.routing.objects import NO_ACCOUNT, NO_PHONE, Gateway
from router.routing.route_runs import make_run
from router.routing.variables import texts_of, values_of
from router.sip.message import Request, Response
from router.sip.name_addr import header_uri, parse_name_addr
from router.sip.uri import uri_number
from router.store.records import Cdr, GatewayState

if TYPE_CHECKING:
    from router.core.engine import Engine

NEXT: Verdict = Next()
ONE_EVENT_MS = 20_000
"""What several workers say of a gateway within this time is one event."""


class Switch:
    """Routes and objects of one Program, as the core's Policy.

    `stopwatch` gives seconds from any fixed point; `log(level, text, **fields)` takes the lines
    that routes write. `live` is what the routes may ask of live state; without one they see
    nothing in use.
    """

    def __init__(
        self, program: Program, config: Config, tally: Tally, stopwatch: Callable[[], float],
        log: Callable[..., None], live: SharedState | None = None,
    ) -> None:
        self.program = program
        self.config = config
        if live is not None:
            config.live.store = live
        self._meter = HookMeter(tally, stopwatch, log)
        self._routes = {
            (kind, name): make_run(
                f"{kind}[{name}]" if name else kind, handler, tally, self._meter,
                config.hook_timeout_ms,
            )
            for (kind, name), handler in program.routes.items()
        }
        self._request_route = self._routes.get(("request_route", ""), _no_route)
        self._end_route = self._routes.get(("end_route", ""))
        self.has_end_route = self._end_route is not None
        self.periods = program.periods
        self.wants_quality = config.wants_quality
        self.relays = config.media.relays
        self.inside: LookInside | None = None
        if ("dialog_route", "") in self._routes:
            self.inside = self._inside
        watched = ("event_route", BALANCE_LOW) in self._routes
        self.low_balances: Mapping[str, int] = {
            account.name: account.balance_low
            for account in config.accounts.values()
            if watched and account.balance_low is not None
        }

    def invite(self, call: Call) -> Verdict | Wait:
        """Runs request_route for a new call."""
        request = call.request
        assert request is not None
        who = request.get("from")
        call.caller = uri_number(header_uri(who))
        if who[:1] not in "<s":  # neither "<sip:…>" nor "sip:…": a name stands before the URI
            call.display = parse_name_addr(who).display
        if request.has("privacy") or "nonymous" in who:
            call.privacy = privacy_of(request, who)
        cdr = call.cdr
        cdr.caller_in = call.caller
        cdr.config = self.config.hash
        context = Context(self.config, self._meter, request, call.flow, call, call.engine)
        call.context = context
        return self._request_route(context, _verdict) or _verdict(context)

    def request(self, request: Request, flow: Flow, engine: Engine) -> Verdict | Wait:
        """Runs request_route for any other request outside a dialog."""
        context = Context(self.config, self._meter, request, flow, None, engine)
        return self._request_route(context, _verdict) or _verdict(context)

    def branch(self, call: Call, attempt: Attempt) -> Wait | None:
        """Runs the call's branch_route."""
        dial = call.dial
        if dial is None:
            return None
        context: Context = call.context
        context.attempt = attempt
        wait = self._run("branch_route", dial.on_branch, context, _nothing)
        if wait is None:
            _nothing(context)
        return wait

    def replied(self, call: Call, attempt: Attempt, response: Response) -> None:
        """Runs the call's reply_route."""
        dial = call.dial
        if dial is not None:
            context: Context = call.context
            context.attempt = attempt
            context.response = response
            self._run("reply_route", dial.on_reply, context, _nothing)
            _nothing(context)

    def failed(self, call: Call, attempt: Attempt) -> Verdict | Wait:
        """Runs the call's failure_route; without a decision of it hunting goes on."""
        dial = call.dial
        if dial is None:
            return NEXT
        context: Context = call.context
        context.attempt = attempt
        wait = self._run("failure_route", dial.on_failure, context, _verdict_or_next)
        return wait if wait is not None else _verdict_or_next(context)

    def answered(self, call: Call) -> None:
        """Writes the vendor's terms to the CDR."""
        gateway = self.config.gateways.get(call.cdr.gateway)
        if gateway is None or gateway.deck is None:
            return
        rate = call.context.rate_in(gateway.deck)
        if rate is not None:
            note_vendor(call.cdr, gateway, rate)

    def payers(self, call: Call) -> list[Payer]:
        """Whose credit limits an answered call."""
        return payers(call.cdr, self.config.accounts)

    def credit_entry(self, account: str, need: int) -> str:
        """What the decision says when an account could not give what a call needs."""
        known = self.config.accounts.get(account)
        return short_of_credit(
            account, self.config.live.money(account), known.floor if known is not None else 0, need
        )

    def diverted(self, call: Call, last: Attempt | None) -> Verdict | None:
        """What a phone that did not answer wants instead."""
        context: Context = call.context
        return context.divert(call, last)

    def rerouted(self, call: Call) -> Verdict | Wait:
        """Runs request_route again, for the number that the call goes to now."""
        context: Context = call.context
        context.attempt = context.response = None
        return self._request_route(context, _verdict) or _verdict(context)

    def ended(self, call: Call) -> None:
        """Writes prices and variables to the CDR: the prices before end_route, the others after."""
        cdr = call.cdr
        context: Context | None = call.context
        if cdr.answered:
            settle(cdr, call.record.paid_until)
        elif cdr.charges:
            settle(cdr)
        if context is None:
            return
        # Of a route that was waiting when the call ended.
        context.end_hooks()
        if self._end_route is not None:
            context.attempt = context.response = None
            self._end_route(context, _nothing)
        self.note(call)

    def orphaned(self, cdr: Cdr, paid_until: int) -> None:
        """Bills by the terms on the CDR."""
        settle(cdr, paid_until)

    def _inside(self, call: Call, request: Request, flow: Flow) -> Verdict | None:
        """Runs dialog_route; a route of the call that waits meanwhile finds its own again."""
        context: Context | None = call.context
        if context is None:
            return None
        kept = context.turn_to(request, flow)
        try:
            self._routes["dialog_route", ""](context, _nothing)
            return context.verdict
        finally:
            context.turn_back(kept)
            if request.method != "BYE":
                before = call.cdr.variables
                self.note(call)
                if call.cdr.variables != before:
                    call.store_dialog()

    def silent(self, target: Target) -> None:
        """A gateway's address gave no answer; the others go before it from now on."""
        gateway = self.config.gateways_by_key.get(target.key)
        if gateway is not None and gateway.contacts:
            gateway.turn_from(target)

    def note(self, call: Call) -> None:
        """Writes the variables of the call to its CDR, as far as they go."""
        context: Context | None = call.context
        if context is not None and (context.variables or call.cdr.variables):
            call.cdr.variables = texts_of(context.variables)

    def adopted(self, call: Call) -> None:
        """Gives an answered call of a dead worker what its routes knew, out of its CDR."""
        config, cdr = self.config, call.cdr
        flow = call.flow._replace(host=cdr.source)
        context = Context(config, self._meter, None, flow, call, call.engine)
        context.account = config.accounts.get(cdr.account, NO_ACCOUNT)
        context.trunk = config.trunks.of_call(cdr)
        context.phone = config.phones.get(cdr.phone, NO_PHONE)
        context.variables, strange = values_of(cdr.variables, config.variables)
        for name in strange:
            text = f"$call.{name} is {config.variables[name]} now and was {cdr.variables[name]}"
            context.log("warning", text)
        call.context = context

    def event(
        self, event: str, target: Target | None, account: str, engine: Engine
    ) -> Wait | None:
        """Runs the event_route of an event; what all workers notice runs in the first of them."""
        route = self._routes.get(("event_route", event))
        if route is None:
            return None
        live = self.config.live.store
        if target is not None and not live.permit(
            f"{event} {target.name}", 1, ONE_EVENT_MS, engine.layer.now
        ):
            return None
        context = Context(self.config, self._meter, None, engine.no_flow, None, engine)
        if isinstance(target, Gateway):
            context.subject = target
        context.account = self.config.accounts.get(account, NO_ACCOUNT)
        return route(context, _nothing)

    def target(self, key: str) -> Target | None:
        """The gateway of a candidate's key, or None when it is no longer configured."""
        return self.config.gateways_by_key.get(key)

    @property
    def all_targets(self) -> Iterable[Target]:
        """Every gateway of the configuration."""
        return self.config.gateways.values()

    def health_of(self, key: str) -> GatewayState | None:
        """What live state says of a gateway, None when nothing."""
        return self.config.live.store.gateway_state(key)

    def max_duration_ms(self, cdr: Cdr) -> int:
        """How long an answered call through this gateway may last."""
        return self.config.max_duration_ms(cdr)

    def _run(
        self, kind: str, name: str, context: Context, conclude: Callable[[Context], Any]
    ) -> Wait | None:
        try:
            return self._routes[kind, name](context, conclude)
        except BaseException:
            context.attempt = context.response = None
            raise


def _no_route(context: Context, conclude: Callable[[Context], Any]) -> None:
    """A configuration without a request_route decides nothing."""


def _nothing(context: Context) -> None:
    """The end of a route that decides nothing."""
    context.attempt = context.response = None
    context.verdict = None


def _verdict(context: Context) -> Verdict:
    """What request_route decided.

    A path without an answer is a finding of `check`; if one is met all the same, the caller must
    not wait.
    """
    verdict = context.verdict
    context.verdict = None
    return verdict if verdict is not None else End(EndReason.ServerFailure)


def _verdict_or_next(context: Context) -> Verdict:
    """What failure_route decided; without a decision hunting goes on."""
    context.attempt = context.response = None
    verdict = context.verdict
    context.verdict = None
    return verdict if verdict is not None else NEXT


def build_switch(
    program: Program, config: Config, *, tally: Tally, stopwatch: Callable[[], float],
    log: Callable[..., None], live: SharedState | None = None,
) -> Switch:
    """The policy of a checked program."""
    return Switch(program, config, tally, stopwatch, log, live)
