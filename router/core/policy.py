"""What the core asks of the routes: the seam between call control and policy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from router.core.flow import Flow
from router.core.verdicts import Target, Verdict, Wait
from router.sip.message import Request, Response
from router.store.records import Cdr, GatewayState

if TYPE_CHECKING:
    from router.core.attempt import Attempt
    from router.core.call import Call
    from router.core.credit import Payer
    from router.core.engine import Engine


LookInside = Callable[["Call", Request, Flow], Verdict | None]


class Policy(Protocol):
    """The compiled routes with the objects of routes.cfg. An exception is that request's 500.

    Where a Wait is given, the route has only begun; the core goes on when it has ended.
    """

    def invite(self, call: Call) -> Verdict | Wait:
        """request_route for a new call; may set `call.callee`, `call.caller`, `call.cdr`'s who."""

    def request(self, request: Request, flow: Flow, engine: Engine) -> Verdict | Wait:
        """request_route for any other request outside a dialog."""

    def branch(self, call: Call, attempt: Attempt) -> Wait | None:
        """branch_route, before an attempt's INVITE is built."""

    def replied(self, call: Call, attempt: Attempt, response: Response) -> None:
        """reply_route, for each response of a gateway but 100; may set `attempt.reply_added`."""

    def failed(self, call: Call, attempt: Attempt) -> Verdict | Wait:
        """failure_route, after an attempt ended without an answer."""

    inside: LookInside | None
    """dialog_route for a request inside a dialog; None: it is passed on"""

    def silent(self, target: Target) -> None:
        """A gateway's address gave no answer; the others go before it from now on."""

    def note(self, call: Call) -> None:
        """The call's record is about to be stored: what routes keep for the call goes to its CDR.

        Whatever is not written here is lost when the worker dies before the call ends.
        """

    def adopted(self, call: Call) -> None:
        """An answered call of a dead worker goes on here; its CDR says what `note` wrote."""

    def answered(self, call: Call) -> None:
        """A gateway has answered; the CDR can still take what depends on which."""

    def payers(self, call: Call) -> Sequence[Payer]:
        """Whose credit limits an answered call, by what its CDR says."""

    def credit_entry(self, account: str, need: int) -> str:
        """What the decision says of an account without credit; `need` 0: used up in the call."""

    def diverted(self, call: Call, last: Attempt | None) -> Verdict | None:
        """What else a phone wants when it did not answer, asked where the Dial said so.

        `last` is the attempt that says why; None: its lines are all in use.
        """

    def rerouted(self, call: Call) -> Verdict | Wait:
        """request_route once more, for the number that `call.callee` is now."""

    def ended(self, call: Call) -> None:
        """end_route: the CDR is complete and can still take fields."""

    has_end_route: bool
    """whether `ended` is asked also of calls of a dead worker that nobody can go on with"""

    def orphaned(self, cdr: Cdr, paid_until: int) -> None:
        """Writes what a call cost that a worker left and nobody can go on with; no route runs."""

    low_balances: Mapping[str, int]
    """the accounts of which it is told when their balance falls below an amount (millionths)"""

    periods: Mapping[str, int]
    """the timers that routes have, by name: every how many ms each runs"""

    def event(
        self, event: str, target: Target | None, account: str, engine: Engine
    ) -> Wait | None:
        """The event_route of an event, if there is one; the gateway or account it is about."""

    def target(self, key: str) -> Target | None:
        """The gateway of a candidate's key, or None when it is no longer configured."""

    relays: Sequence[tuple[str, int]]
    """the media relays, by host and port"""

    wants_quality: bool
    """whether any route asks for gateways by quality"""

    @property
    def all_targets(self) -> Iterable[Target]:
        """Every gateway of the configuration."""

    def health_of(self, key: str) -> GatewayState | None:
        """What live state says of a gateway, None when nothing."""

    def max_duration_ms(self, cdr: Cdr) -> int:
        """How long an answered call may last: its gateway says, else who called, else all."""
