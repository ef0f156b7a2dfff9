"""What a route decided, as values: the policy returns one, the core carries it out."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from router.core.end_reasons import EndReason
from router.core.flow import Flow
from router.core.identity import Identity
from router.core.media.session import Wish
from router.core.parameters import CallTimers, Login
from router.core.protect import NOBODY
from router.store.ops import Candidate, Credit, Hold

if TYPE_CHECKING:
    from router.core.attempt import Attempt
    from router.core.call import Call


class Place(NamedTuple):
    """Where a phone said that it is: the URI of its contact, and the way its REGISTER came."""

    uri: str
    flow: Flow


class Outward(Protocol):
    """Changes an attempt's numbers as a gateway wants them."""

    def rewrite(self, attempt: Attempt, call: Call) -> None:
        """Changes `callee` and `caller` of the attempt; says so in the call's decision."""


class Target(Protocol):
    """A gateway as the core sees it: where it is, what it wants, how long to wait for it.

    A phone has `contacts`, which are targets with a `place` each; `q` is in thousandths. So has a
    gateway with several addresses, without places: the next one is tried when one fails.
    """

    name: str
    key: str
    transport: str
    host: str
    port: int
    ping_ms: int
    """How often OPTIONS asks whether it is up, 0 for never."""
    login: Login | None
    """What we answer its challenges with."""
    registers: bool
    """Whether it wants us to register with it."""
    switch_after_ring: bool
    switch_after_media: bool
    identity: Identity
    """how it is told who calls"""
    reasons: Mapping[int, EndReason]
    """what its final codes mean; any other is GatewayRejected"""

    @property
    def contacts(self) -> Sequence[Target]:
        """What rings in its stead; of a gateway its addresses, if it has several."""

    @property
    def place(self) -> Place | None:
        """Where a contact is; None for a gateway, which is at its host and port."""

    @property
    def q(self) -> int:
        """Its preference, in thousandths."""

    @property
    def outward(self) -> Outward | None:
        """None when numbers go out as they are."""

    def switches_on(self, status: int) -> bool:
        """Whether hunting goes on after this final status."""


def addresses_of(gateway: Target) -> frozenset[tuple[str, str, int]]:
    """The transport, host and port of each address of a gateway."""
    return frozenset((one.transport, one.host, one.port) for one in gateway.contacts or (gateway,))


def same_places(one: Target, other: Target) -> bool:
    """Whether two gateways, of two configurations, stand at the same addresses."""
    return addresses_of(one) == addresses_of(other)


def same_place(one: Target, other: Target) -> bool:
    """Whether they are at the same address."""
    return (
        one.host == other.host and one.port == other.port and one.transport == other.transport
    )


class Respond:
    """Answer the request with a final response of the route's own."""

    __slots__ = ("extra", "reason", "status")

    def __init__(self, status: int, reason: str = "", extra: str = "") -> None:
        self.status = status
        self.reason = reason
        self.extra = extra


class Challenge(Respond):
    """Ask for credentials; what comes with them is a request of its own, so this is no call."""

    __slots__ = ()


class Enroll:
    """Store where a phone can be reached and answer its REGISTER (RFC 3261 §10.3).

    The bounds of an expiry are in seconds. `nonce` is what the phone proved itself with, used for
    the `nonce_count`-th time and known until `nonce_until_ms`; when it turns out to be used
    before, the answer is what `challenge` gives.
    """

    __slots__ = (
        "account", "challenge", "max_contacts", "max_expires_s", "min_expires_s", "nonce",
        "nonce_count", "nonce_until_ms", "number",
    )

    def __init__(
        self, number: str, account: str, *, min_expires_s: int, max_expires_s: int,
        max_contacts: int, challenge: Callable[[], Challenge], nonce: str = "",
        nonce_count: int = 0, nonce_until_ms: int = 0,
    ) -> None:
        self.number = number
        self.account = account
        self.min_expires_s = min_expires_s
        self.max_expires_s = max_expires_s
        self.max_contacts = max_contacts
        self.challenge = challenge
        self.nonce = nonce
        self.nonce_count = nonce_count
        self.nonce_until_ms = nonce_until_ms


class End:
    """End the call for a reason; None: for the reason of the last attempt."""

    __slots__ = ("reason", "status")

    def __init__(self, reason: EndReason | None, status: int = 0) -> None:
        self.reason = reason
        self.status = status


class Drop:
    """Stay silent."""

    __slots__ = ()


class Next:
    """Try the next candidate, or end with the last one's reason."""

    __slots__ = ()


NOTHING_RELAYED: Mapping[str, Wish] = {}


class Dial:
    """Admit the call and hunt through the candidates.

    `tiers`, `holds` and `credits` are what the store admits by; `targets` maps a candidate's key to
    the gateway; `timers` are the call timers towards each; the route names are "" for none.
    `branches` is how many may ring at once; `diverts` says that the policy has a word to say when
    nobody answered (`Policy.diverted`). `session_s` is the session timer of the caller's leg
    (RFC 4028), 0: none. `protected` are gateways that go last (`core/protect`), by key. What the
    credits ask for pays at least for `paid_ms` of the call, 0: not known. `media` are the targets
    whose media go through a relay, by key.
    """

    __slots__ = (
        "branches", "credits", "diverts", "holds", "max_attempts", "media", "on_branch",
        "on_failure", "on_reply", "paid_ms", "protected", "session_s", "targets", "tiers", "timers",
    )

    def __init__(
        self,
        tiers: tuple[tuple[Candidate, ...], ...],
        holds: tuple[Hold, ...],
        targets: Mapping[str, Target],
        timers: Mapping[str, CallTimers],
        max_attempts: int,
        on_branch: str = "",
        on_reply: str = "",
        on_failure: str = "",
        credits: tuple[Credit, ...] = (),
        branches: int = 1,
        diverts: bool = False,
        session_s: int = 0,
        protected: Mapping[str, int] = NOBODY,
        paid_ms: int = 0,
        media: Mapping[str, Wish] = NOTHING_RELAYED,
    ) -> None:
        self.media = media
        self.protected = protected
        self.paid_ms = paid_ms
        self.credits = credits
        self.branches = branches
        self.diverts = diverts
        self.tiers = tiers
        self.holds = holds
        self.targets = targets
        self.timers = timers
        self.max_attempts = max_attempts
        self.on_branch = on_branch
        self.on_reply = on_reply
        self.on_failure = on_failure
        self.session_s = session_s


class Reroute:
    """Run request_route again, for another number: the phone that was called forwards."""

    __slots__ = ("number",)

    def __init__(self, number: str) -> None:
        self.number = number


class Wait:
    """The route waits for a function of Python's, and decides later.

    `route` is what is left of it: a coroutine for a loop to run, at most `limit_ms` long. When it
    has ended, `conclude(error)` gives the verdict (None of a branch_route) or raises the error,
    made readable.
    """

    __slots__ = ("conclude", "limit_ms", "route")

    def __init__(
        self, route: Coroutine[Any, Any, Any], limit_ms: int,
        conclude: Callable[[BaseException | None], Any],
    ) -> None:
        self.route = route
        self.limit_ms = limit_ms
        self.conclude = conclude


Verdict = Respond | Enroll | End | Drop | Next | Dial | Reroute
