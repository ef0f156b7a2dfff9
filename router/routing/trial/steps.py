"""The steps of a trial, carried out in the order in which they were written.

Each does its part and raises Unmet when the calls do not allow it. Time passes where a step says
`after T` or `wait T`, and before an expectation as far as is needed for the next event.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from dsl.trials import (
    ANSWERS,
    EARLY_MEDIA,
    RINGS,
    Cancels,
    ExpectEnd,
    ExpectGateway,
    ExpectMetric,
    ExpectReply,
    GatewayActs,
    HangsUp,
    Invite,
    Register,
    SetBalance,
    SetClock,
    SetHealth,
    Step,
    Wait,
)
from router.core.agent import AgentCall, Behaviour
from router.routing.trial.results import Unmet
from router.routing.trial.world import Arrival, PlacedCall, World
from router.sip.head import canonical_key
from router.sip.name_addr import parse_name_addr
from router.sip.uri import unescape, uri_user


class Player:
    """Plays the steps of one trial in its world; `call` is the one that steps speak of.

    That is the latest that was placed, until a step speaks of an earlier one.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.call: PlacedCall | None = None
        self._play: dict[type[Step], Callable[[Any], None]] = {
            Invite: self._invite,
            Register: self._register,
            ExpectGateway: self._expect_gateway,
            ExpectReply: self._expect_reply,
            ExpectEnd: self._expect_end,
            ExpectMetric: self._expect_metric,
            GatewayActs: self._gateway_acts,
            Cancels: self._cancels,
            HangsUp: self._hangs_up,
            Wait: lambda step: world.pass_time(step.after_ms),
            SetBalance: lambda step: world.set_balance(step.account, step.balance),
            SetHealth: lambda step: world.set_health(step.gateway, step.up),
            SetClock: self._set_clock,
        }

    def play(self, step: Step) -> None:
        """Carries one step out; raises Unmet."""
        self._play[type(step)](step)

    def _invite(self, step: Invite) -> None:
        self.call = self.world.place(step)

    def _register(self, step: Register) -> None:
        status = self.world.register(step)
        if status != 200:
            raise Unmet(
                f"phone {step.number} to register",
                f"it got {status}" if status else "its REGISTER was not answered",
            )

    def _set_clock(self, step: SetClock) -> None:
        world = self.world
        if not world.calls:
            world.begin_at(step.at_ms)
        elif step.at_ms < world.now:
            raise Unmet("this time to come", "it is over: the calls before it took longer")
        else:
            world.pass_time(step.at_ms - world.now)

    # -- expectations -----------------------------------------------------------------------------

    def _expect_gateway(self, step: ExpectGateway) -> None:
        name = step.gateway
        arrival = self._next_arrival(name)
        if arrival is None:
            raise Unmet(f"the call at {name}", self.what_happened())
        self.call = arrival.call
        found = arrival.record.gateway
        if found != name:
            raise Unmet(f"the call at {name}", f"it went to {found}")
        arrival.taken = True
        request = arrival.request
        caller = uri_user(parse_name_addr(request.get("from")).uri)
        for what, expected, user in (
            ("callee", step.callee, uri_user(request.uri)),
            ("caller", step.caller, caller),
        ):
            if expected is not None and unescape(user) != expected:
                raise Unmet(f'{name} to get the {what} "{expected}"', f'it got "{unescape(user)}"')
        for header, value in step.headers:
            values = [text.strip() for text in request.get_all(canonical_key(header))]
            # As in routes, a header that is not there is "".
            if value not in (values or [""]):
                got = " and ".join(f'"{text}"' for text in values)
                raise Unmet(
                    f'{name} to get the header "{header}: {value}"',
                    f"its value was {got}" if got else "there was no such header",
                )

    def _next_arrival(self, name: str) -> Arrival | None:
        """The first attempt that no step spoke of; time passes until there is one.

        Of those that ring at the same time, the one at this gateway or phone, if it is among them.
        """
        world = self.world

        def first() -> Arrival | None:
            return next((one for one in world.arrivals if not one.taken), None)

        world.wait_for(lambda: first() is not None or not world.hunting)
        found = first()
        if found is None:
            return None
        together = (
            one for one in world.arrivals
            if not one.taken and one.call is found.call
            and one.record.started == found.record.started and one.record.gateway == name
        )
        return next(together, found)

    def _expect_metric(self, step: ExpectMetric) -> None:
        self.world.settle()
        counted = self.world.engine.tally.counted
        count = sum(times for (metric, _), times in counted.items() if metric.name == step.name)
        if count != step.count:
            raise Unmet(f"the metric {step.name} to be {step.count}", f"it is {count}")

    def _expect_reply(self, step: ExpectReply) -> None:
        call = self._placed()
        expected = f"the caller to get {step.status}"

        def heard() -> bool:
            self.world.hear()
            new = call.replies[call.looked_at :]
            return step.status in new or any(status >= 200 for status in new)

        if step.status >= 200 and call.replies[: call.looked_at][-1:] == [step.status]:
            return  # a final response stays what it is
        self.world.wait_for(heard)
        new = call.replies[call.looked_at :]
        if step.status in new:
            call.looked_at += new.index(step.status) + 1
            return
        final = [status for status in call.replies if status >= 200]
        if final:
            raise Unmet(expected, f"it got {final[-1]}{self._because(call)}")
        raise Unmet(expected, self.what_happened())

    def _expect_end(self, step: ExpectEnd) -> None:
        call = self._placed()
        self.world.wait_for(lambda: call.cdr is not None and call.cdr.ended > 0)
        cdr = call.cdr
        if cdr is None or not cdr.ended:
            raise Unmet(f"the call to end {step.reason}", self.what_happened())
        if cdr.end_reason.partition("(")[0] != step.reason:
            raise Unmet(f"the call to end {step.reason}", self.what_happened())
        if step.duration_ms is not None and cdr.duration_ms != step.duration_ms:
            raise Unmet(
                f"a duration of {seconds(step.duration_ms)}", f"it was {seconds(cdr.duration_ms)}"
            )
        for what, amount, millionths in (
            ("charge", step.charge, cdr.charge),
            ("cost", step.cost, cdr.cost),
        ):
            if amount is not None and amount != Decimal(millionths) / 1_000_000:
                found = (Decimal(millionths) / 1_000_000).normalize()
                raise Unmet(f"a {what} of {amount}", f"it was {found:f}")

    # -- what peers do ----------------------------------------------------------------------------

    def _gateway_acts(self, step: GatewayActs) -> None:
        world = self.world
        name = step.gateway
        arrival = self._arrival_at(name)
        if arrival is None:
            raise Unmet(f"a call at {name}", self._not_at(name))
        self.call = arrival.call
        if step.after_ms and not arrival.told:
            self._act_until_then(arrival, step)
        arrival.taken = arrival.told = True
        world.pass_time(step.after_ms)
        if not arrival.open:
            cdr = arrival.call.cdr
            reason = arrival.record.reason or (cdr.end_reason if cdr is not None else "")
            raise Unmet(
                f"the call at {name} to wait for {seconds(step.after_ms)}",
                f"its attempt was over before that: {reason}",
            )
        world.wake(arrival.agent)
        self._act(arrival.leg, step)
        world.settle()

    def _act_until_then(self, arrival: Arrival, step: GatewayActs) -> None:
        """Who answers later rings first; whoever does something else has at least got the call."""
        self.world.wake(arrival.agent)
        leg = arrival.leg
        if step.action == ANSWERS:
            leg.ring()
        elif leg.server is not None:
            leg.server.respond(100)

    def _act(self, leg: AgentCall, step: GatewayActs) -> None:
        action, status = step.action, step.status
        if action == RINGS or status == 180:
            leg.behaviour = Behaviour()
            leg.ring()
        elif action == EARLY_MEDIA:
            leg.behaviour = Behaviour(early_media=True)
            leg.ring()
        elif action == ANSWERS or status >= 200:
            leg.behaviour = Behaviour(status=status if status >= 300 else 0)
            leg.conclude()
        elif status and leg.server is not None:
            leg.server.respond(status, "", leg.agent.contacts[0] if status > 100 else "")

    def _arrival_at(self, name: str) -> Arrival | None:
        """The attempt that waits at a gateway: of the call spoken of, else the oldest."""
        world = self.world

        def waiting() -> Arrival | None:
            there = [one for one in world.arrivals if one.open and one.record.gateway == name]
            return max(there, key=lambda one: one.call is self.call, default=None)

        def untaken() -> bool:
            return any(not one.taken for one in world.arrivals)

        world.wait_for(lambda: waiting() is not None or untaken() or not world.hunting)
        return waiting()

    def _not_at(self, name: str) -> str:
        for one in self.world.arrivals:
            if not one.taken:
                return f"it went to {one.record.gateway}"
        for one in self.world.arrivals:
            if one.record.gateway == name and one.record.answered and not one.record.ended:
                return "it had answered before"
        return self.what_happened()

    def _cancels(self, step: Cancels) -> None:
        world = self.world
        world.pass_time(step.after_ms)
        for call in self._calls_to_end():
            client = call.caller.client
            if not call.caller.status and client is not None and not call.over:
                self.call = call
                world.wake(call.caller.agent)
                client.cancel()
                world.settle()
                return
        raise Unmet("the caller to cancel", self.what_happened())

    def _hangs_up(self, step: HangsUp) -> None:
        world = self.world
        world.pass_time(step.after_ms)
        for call in self._calls_to_end():
            legs = [call.caller]
            if step.side == "callee":
                legs = [one.leg for one in world.arrivals if one.call is call]
            for leg in legs:
                if leg.answered_ms and not leg.ended_ms:
                    self.call = call
                    world.wake(leg.agent)
                    leg.hang_up()
                    world.settle()
                    return
        raise Unmet(f"the {step.side} to hang up", self.what_happened())

    def _calls_to_end(self) -> list[PlacedCall]:
        """The call that steps speak of, then the others, the latest first."""
        others = [call for call in reversed(self.world.calls) if call is not self.call]
        return [*([self.call] if self.call is not None else []), *others]

    # -- words ------------------------------------------------------------------------------------

    def _placed(self) -> PlacedCall:
        if self.call is None:
            raise Unmet("a call", "there was none")
        return self.call

    def what_happened(self) -> str:
        """Where the call that steps speak of stands, as what follows "but"."""
        call = self.call
        if call is None:
            return "there was no call"
        cdr = call.cdr
        if cdr is None:
            return "the routes dropped it: it got no answer and leaves no CDR"
        if cdr.ended:
            code = f" with {cdr.sip_code}" if cdr.sip_code >= 300 else ""
            return f"it ended {cdr.end_reason}{code}{self._because(call)}"
        if cdr.answered:
            return f"{cdr.gateway} had answered it"
        if cdr.attempts:
            last = cdr.attempts[-1]
            return f"it was at {last.gateway}{self._because(call)}"
        return "no gateway had got it"

    def _because(self, call: PlacedCall) -> str:
        """What explains the state of a call, if it is known."""
        for level, event, fields in reversed(self.world.logs):
            trace = fields.get("trace", "").strip()
            if level == "error" and trace:
                return f": {event}, {trace.splitlines()[-1]}"
        last = next((one for one in reversed(self.world.arrivals) if one.call is call), None)
        if last is not None and last.rings_untold:
            return f": {last.record.gateway} rang, since no step told it what to do"
        return ""


def seconds(milliseconds: int) -> str:
    """A duration as it is written in routes.cfg."""
    if milliseconds % 1000:
        return f"{milliseconds}ms"
    return f"{milliseconds // 1000}s"
