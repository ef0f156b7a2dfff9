"""Calls to phones: who is online, what rings, and where a phone forwards to.

The part of the context that knows phones as callees. How their contacts ring is the core's affair
(`router.core.fork`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from router.core.attempt import Attempt
from router.core.decision import REFUSED, listed
from router.core.end_reasons import EndReason
from router.core.fork import MAX_BRANCHES
from router.core.tally import PHONE
from router.core.verdicts import Dial, End, Reroute, Target, Verdict
from router.routing.facts import without_lines
from router.routing.forwarding import (
    Hop,
    Why,
    header_lines,
    numbers_left,
    target_number,
    why_unanswered,
)
from router.routing.objects import NO_PHONE, Phone, Trunk
from router.routing.phone_functions import PhoneFunctions
from router.routing.phones import candidate_of, target_of
from router.store.ops import Credit, Hold
from router.store.records import Charge, Registration

if TYPE_CHECKING:
    from router.billing.rate import Rate
    from router.core.call import Call

DIVERSION = frozenset(("diversion", "history-info"))


class PhoneCalls(PhoneFunctions):
    """The actions and questions of routes that are about phones as callees.

    `hops` are the phones that have passed the call on; `earlier` what the accounts before the last
    of them pay, and `earlier_credits` the credit for that; `ringing` the phone that is called, None
    for none or several.
    """

    __slots__ = ("earlier", "earlier_credits", "hops", "rate", "ringing")

    earlier: list[Charge]
    earlier_credits: tuple[Credit, ...]
    hops: list[Hop]
    rate: Rate | None
    ringing: Phone | None

    if TYPE_CHECKING:
        credits: tuple[Credit, ...]
        trunk: Trunk

        def _screen(self, call: Call, inside: bool = False) -> End | None: ...

    def registered(self, number: str) -> bool:
        """Whether a phone has this number and can be called: online, or it forwards."""
        phone = self.config.phones.get(number)
        if phone is None:
            return False
        if phone.forward_always or phone.forward_offline:
            return True
        return self._registration(phone) is not None

    def phone_of(self, number: str) -> Phone:
        """The phone with this number; one without a number when there is none."""
        return self.config.phones.get(number, NO_PHONE)

    def _registration(self, phone: Phone) -> Registration | None:
        return self.config.live.store.registration(phone.number, self.now_ms)

    def _is_unregistered(self, call: Call) -> bool:
        """Whether the phone that calls is not registered, at the time when its call begins."""
        begins = not (call.admitted or self.hops)
        return begins and self._registration(self.phone) is None

    @property
    def _holds(self) -> tuple[Hold, ...]:
        """What the call has to find free, of its caller and of the phones that passed it on."""
        phone, trunk = self.phone, self.trunk
        if phone is not NO_PHONE:
            holds = phone.holds
        else:
            holds = trunk.holds if trunk.id else self.config.holds
        for hop in self.hops:
            # Not a line of the phone: it forwards just because it has none, and need not ring.
            held = {hop.phone.key, *(hold.key for hold in holds)}
            holds += tuple(hold for hold in hop.phone.holds if hold.key not in held)
        return holds

    def _new_credits(self, call: Call) -> tuple[Credit, ...]:
        """The credit that accounts have to give which have come in after the admission."""
        if not self.hops:
            return ()
        known = {account for account, _ in call.record.reserved}
        return tuple(credit for credit in self.credits if credit.account not in known)

    def _ring_phones(
        self, call: Call, phones: Sequence[Phone], ring: str, routes: tuple[str, str, str]
    ) -> Verdict:
        """What comes of a call to these phones."""
        refusal = self._screen(call, inside=True)
        if refusal is not None:
            return refusal
        decision = call.cdr.decision
        alone = phones[0] if len(phones) == 1 else None
        self.ringing = alone
        if alone is not None and alone.forward_always and not alone.locked:
            return self._forward(call, alone, Why.ALWAYS) or End(EndReason.ServerFailure)
        targets: dict[str, Target] = {}
        called: list[Phone] = []
        reason = EndReason.NotFound
        for phone in phones:
            if phone.key in targets:
                continue
            if not phone.number:
                decision.append(f"no phone has the number {call.callee}")
                continue
            reason = EndReason.CalledNotOnline
            registration = self._registration(phone)
            if registration is None:
                decision.append(f"{PHONE}{phone.number}: not registered")
                continue
            targets[phone.key] = target_of(phone, registration, alone is None)
            called.append(phone)
        if not called:
            verdict = self._forward(call, alone, Why.OFFLINE) if alone is not None else None
            return verdict or End(reason)
        decision.append(listed([f"{PHONE}{phone.number}" for phone in called]))
        on_branch, on_reply, on_failure = routes
        source = self.trunk if self.phone is NO_PHONE else self.phone
        return Dial(
            tuple((candidate_of(phone),) for phone in called), self._holds, targets,
            {phone.key: self.config.timers_to(phone, source) for phone in called},
            self.config.max_attempts, on_branch, on_reply, on_failure,
            self._new_credits(call) if call.admitted else self.credits,
            session_s=self.config.session_s if source.id == "" else source.session_s,
            branches=MAX_BRANCHES if ring == "all" else 1, diverts=alone is not None,
            media=self.config.media.to_phones(source.key, targets),
        )

    # -- forwarding -------------------------------------------------------------------------------

    def divert(self, call: Call, last: Attempt | None) -> Verdict | None:
        """Where the phone that did not answer passes the call on to; None: nowhere."""
        phone = self.ringing
        return self._forward(call, phone, why_unanswered(last)) if phone is not None else None

    def _why_not_forwarded(self) -> str:
        """Why the last phone's own account may not have its number called; "": it may."""
        hop = self.hops[-1]
        callees = hop.phone.callees
        why = callees.refusal(target_number(hop.phone, hop.why)) if callees is not None else ""
        return f"forwarding of phone {hop.phone}: {why}" if why else ""

    def _forward(self, call: Call, phone: Phone, why: Why) -> Verdict | None:
        """Passes the call on; None where the phone has no number for it."""
        number = target_number(phone, why)
        if not number:
            return None
        decision = call.cdr.decision
        if phone.locked:
            # Forwarding is a call that its account pays: a stolen phone would go on costing money.
            decision.append(f"{PHONE}{phone.number}: locked, and does not forward")
            return None
        hops = self.hops
        hops.append(Hop(phone, why))
        decision.append(f"{PHONE}{phone.number}: forwards to {number}, {why.words}")
        left = numbers_left(hops, self.request)
        if number in left:
            decision.append(f"{REFUSED}forwarding goes round: {' > '.join([*left, number])}")
            return End(EndReason.ForwardingLoop)
        if len(left) > self.config.max_hops:
            decision.append(f"{REFUSED}forwarded {len(left)} times, max_hops = "
                            f"{self.config.max_hops}")
            return End(EndReason.ForwardingLoop)
        cdr = call.cdr
        if phone.account is not self.account:
            # As VOS3000 does it: who forwards pays for where the call goes from there.
            self.earlier = [*cdr.charges]
            self.earlier_credits = self.credits
            self.account = phone.account
            self.rate = None
            cdr.rate_prefix, cdr.rate = "", 0
            cdr.account = phone.account.name
            cdr.agent_path = phone.account.path
            decision.append(f"account {cdr.account} pays from here on")
        call.removed = call.removed | DIVERSION
        for key in DIVERSION:
            call.added = without_lines(call.added, key)
        host = self.engine.hosts[max(call.flow.listener, 0)]
        call.added += header_lines(hops, number, host, self.request)
        return Reroute(number)
