"""The credit of an answered call: renewed while it lasts, and the end of the call when it is used.

    state      event                     what happens                                next
    PAID       the reserve runs low      more is asked of the store for all levels   ASKED
    ASKED      granted                   paid for longer                             PAID
    ASKED      refused, some is left     what is left is asked for                   ASKED
    ASKED      refused, nothing is left  the clock is set to the end of the credit   LAST
    LAST       the end of the credit     more is asked for once again: a top-up      ASKED
    ASKED      refused at the end        BYE to both sides, InsufficientBalance      over

The reserve is what the store keeps of each account for this call (`CallRecord.reserved`): it is the
price of the call up to `paid_until`, and no call is billed beyond that moment. Where several
accounts pay, the tightest counts. What an account asks for its time is known to the policy only
(`Payer`); a call that no account's credit limits has nothing of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from router.core.end_reasons import EndReason
from router.core.states import ANSWERED
from router.core.wheel import Timer, cancel
from router.store.ops import Credit, Renew, Renewed

if TYPE_CHECKING:
    from router.core.call import Call
    from router.core.transactions.server_invite import InviteServer

LEAD_MS = 5_000
"""How long before the end of the reserve it is renewed; half of it when it is shorter."""
SHORTEST_STEP_MS = 6_000
"""What is asked for at least, so that a call does not renew every second."""
MAX_TRIES = 5
"""How often what is left is asked for: other calls may take it in the meantime."""
RETRY_MS = 1_000


class Payer(Protocol):
    """What one account pays for a call, by its duration; amounts in millionths.

    `floor` is how far its balance may go, `step_ms` for how long it sets credit aside at a time.
    """

    account: str
    floor: int
    step_ms: int

    def charge(self, duration_ms: int) -> int:
        """The charge of a call of whole seconds."""

    def longest_ms(self, amount: int) -> int | None:
        """How many whole seconds an amount pays for, in ms; None: for ever."""


class Purse:
    """What one account has set aside for the call, for all that it pays for it."""

    __slots__ = ("account", "floor", "held", "payers")

    def __init__(self, payer: Payer) -> None:
        self.account = payer.account
        self.payers = [payer]
        self.held = 0
        self.floor = payer.floor

    def charge(self, duration_ms: int) -> int:
        """What it is charged for a call of whole seconds."""
        return sum(payer.charge(duration_ms) for payer in self.payers)

    def longest_ms(self, amount: int) -> int | None:
        """How long an amount pays for; None: for ever."""
        if len(self.payers) == 1:
            return self.payers[0].longest_ms(amount)
        each = [payer.longest_ms(amount) for payer in self.payers]
        limits = [one for one in each if one is not None]
        if not limits:
            return None
        # An account on two levels pays both: none of its sums has a formula, but it never falls.
        low, high = 0, min(limits) // 1000
        while low < high:
            middle = (low + high + 1) // 2
            if self.charge(middle * 1000) <= amount:
                low = middle
            else:
                high = middle - 1
        return low * 1000


def purses_of(payers: Iterable[Payer], reserved: Iterable[tuple[str, int]]) -> list[Purse]:
    """The payers by account, with what the store has set aside for each."""
    purses: dict[str, Purse] = {}
    for payer in payers:
        purse = purses.get(payer.account)
        if purse is None:
            purses[payer.account] = Purse(payer)
        else:
            purse.payers.append(payer)
    for account, amount in reserved:
        if account in purses:
            purses[account].held += amount
    return list(purses.values())


class CreditTimer:
    """Sees to it that an answered call is paid for, and ends it when it is not.

    Most calls are over before anything has to be renewed: purses are only made then, where it is
    known beforehand for how long the first reserve pays at least.
    """

    __slots__ = ("_paid_ms", "_purses", "_timer", "_tries", "_wants", "call", "server")

    def __init__(self, call: Call, paid_ms: int, purses: Sequence[Purse] = ()) -> None:
        self.call: Call = call
        self.server: InviteServer | None = None
        self._purses = purses
        self._wants: tuple[int, ...] = ()
        self._tries = 0
        self._timer: Timer | None = None
        self._paid_ms = paid_ms

    @property
    def paid_until(self) -> int:
        """Until when the call is paid for, epoch ms."""
        return self.call.cdr.answered + self._paid_ms

    def start(self) -> None:
        """Sets the clock."""
        self.call.record.paid_until = self.paid_until
        self._arm()

    def stop(self) -> None:
        """The call is over."""
        self.call.credit = None
        cancel(self._timer)
        self._timer = None

    # -- the clock --------------------------------------------------------------------------------

    def _arm(self) -> None:
        now = self.call.engine.layer.now
        left = self.paid_until - now
        self._at(now + max(left - LEAD_MS, left // 2), CreditTimer._renew)

    def _at(self, when_ms: int, what: Callable[[CreditTimer], None]) -> None:
        layer = self.call.engine.layer
        cancel(self._timer)
        self._timer = layer.wheel.at(max(when_ms, layer.now), what, self)

    def _renew(self) -> None:
        self._timer = None
        self._tries = 0
        elapsed = self.call.engine.layer.now - self.call.cdr.answered
        if not self._purses:
            self._purses, self._paid_ms = limited_purses(self.call)
            if not self._purses:
                self.call.record.paid_until = 0
                return
            self.call.record.paid_until = self.paid_until
            if self._paid_ms - elapsed > LEAD_MS:  # a cycle is longer than the reserve
                self._arm()
                return
        step_ms = max(payer.step_ms for purse in self._purses for payer in purse.payers)
        self._ask(max(self._paid_ms, elapsed) + max(step_ms, SHORTEST_STEP_MS))

    def _ask(self, target_ms: int) -> None:
        """Asks all accounts for what the call costs up to a duration."""
        call = self.call
        wants = [max(purse.charge(target_ms) - purse.held, 0) for purse in self._purses]
        self._wants = tuple(wants)
        self._tries += 1
        paid_ms = self._longest(
            [purse.held + want for purse, want in zip(self._purses, wants, strict=True)]
        )
        credits = tuple(
            Credit(purse.account, want, purse.floor)
            for purse, want in zip(self._purses, wants, strict=True)
        )
        call.engine.ask(Renew(call.record, credits, call.cdr.answered + paid_ms), self)

    def _longest(self, amounts: Sequence[int]) -> int:
        """How long the call lasts when each account gives so much."""
        limits = [
            longest
            for purse, amount in zip(self._purses, amounts, strict=True)
            if (longest := purse.longest_ms(amount)) is not None
        ]
        return min(limits)

    # -- what the store says ----------------------------------------------------------------------

    def on_stored(self, answer: Renewed) -> None:
        """More was given, or not."""
        call = self.call
        if call.state != ANSWERED:
            return
        if answer.granted:
            for purse, want in zip(self._purses, self._wants, strict=True):
                purse.held += want
            self._paid_ms = call.record.paid_until - call.cdr.answered
            self._arm()
            return
        free = answer.free
        left_ms = self._longest(
            [purse.held + free.get(purse.account, 0) for purse in self._purses]
        )
        if left_ms > self._paid_ms and self._tries < MAX_TRIES:
            self._ask(left_ms)
        elif self.paid_until > call.engine.layer.now:
            self._at(self.paid_until, CreditTimer._renew)
        else:
            self._end(free)

    def on_not_stored(self) -> None:
        """The store is out of order: nothing was given."""
        call = self.call
        if call.state != ANSWERED:
            return
        now = call.engine.layer.now
        if self.paid_until > now:
            self._at(min(self.paid_until, now + RETRY_MS), CreditTimer._renew)
        else:
            self._end({})

    def _end(self, free: Mapping[str, int]) -> None:
        call = self.call
        tightest = min(
            self._purses,
            key=lambda purse: _least(purse.longest_ms(purse.held + free.get(purse.account, 0))),
        )
        call.cdr.decision.append(call.policy.credit_entry(tightest.account, 0))
        call.hang_up(EndReason.InsufficientBalance)


def _least(longest_ms: int | None) -> int:
    return longest_ms if longest_ms is not None else 1 << 62


def _held_with_gateway(call: Call) -> list[tuple[str, int]]:
    """What is reserved with the gateway that answered.

    Others that rang at the same time give up theirs in this very turn: it is not to be spent.
    """
    reserved, dial = call.record.gateway_reserved, call.dial
    if not reserved or dial is None:
        return reserved
    name = call.cdr.gateway
    return next(
        (
            [(credit.account, credit.need) for credit in candidate.credits]
            for tier in dial.tiers
            for candidate in tier
            if dial.targets[candidate.key].name == name
        ),
        reserved,
    )


def limited_purses(call: Call) -> tuple[list[Purse], int]:
    """The purses whose credit limits the call, and for how long they all pay, in ms."""
    reserved = (*call.record.reserved, *_held_with_gateway(call))
    purses: list[Purse] = []
    limits: list[int] = []
    for purse in purses_of(call.policy.payers(call), reserved):
        limit_ms = purse.longest_ms(purse.held)
        if limit_ms is not None:
            purses.append(purse)
            limits.append(limit_ms)
    return purses, min(limits, default=0)


def begin_credit(call: Call) -> None:
    """Starts the clock of an answered call, if an account's credit limits it."""
    record, dial = call.record, call.dial
    if not record.reserved and not record.gateway_reserved:
        return
    if dial is not None and dial.paid_ms and not record.gateway_reserved:
        timer = CreditTimer(call, dial.paid_ms)
    else:
        purses, paid_ms = limited_purses(call)
        if not purses:
            record.paid_until = 0  # a successor's routes may have lifted a limit
            return
        timer = CreditTimer(call, paid_ms, purses)
    call.credit = timer
    timer.start()
