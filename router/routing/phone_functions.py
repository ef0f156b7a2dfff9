"""Functions of routes that are about phones as callers: who one is, and where it can be reached.

    identify(), authenticate()   the credentials of a request decide, once for each request
    challenge()                  401 or 407; 403 once an address has failed too often
    save()                       the REGISTER of a phone that has proved itself
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.decision import REFUSED, by_digest, rewritten
from router.core.end_reasons import EndReason
from router.core.guard import source_of
from router.core.verdicts import Challenge, End, Enroll, Respond
from router.routing.authentication import (
    DENIED,
    NO_PROOF,
    NONE,
    RIGHT,
    STALE,
    WRONG,
    Proof,
)
from router.routing.levels import barred
from router.routing.objects import NO_PHONE, Phone, Trunk
from router.sip.name_addr import header_uri
from router.sip.uri import uri_number
from router.store.ops import BlockAddress

if TYPE_CHECKING:
    from router.core.call import Call
    from router.core.engine import Engine
    from router.core.flow import Flow
    from router.core.verdicts import Verdict
    from router.routing.config import Config
    from router.routing.objects import Account
    from router.sip.message import Request

ANONYMOUS = "anonymous"


class RouteOver(Exception):
    """A function has decided, and nothing of the route comes after it."""


class PhoneFunctions:
    """The part of the context that is about phones."""

    # What it finds out is a part of the context's own state.
    __slots__ = ("account", "phone", "proof", "verdict")

    account: Account
    phone: Phone
    proof: Proof | None
    verdict: Verdict | None

    if TYPE_CHECKING:
        call: Call | None
        config: Config
        engine: Engine
        flow: Flow
        request: Request | None

        @property
        def caller(self) -> str: ...
        @property
        def method(self) -> str: ...
        @property
        def now_ms(self) -> int: ...

        def log(self, level: str, text: str) -> None: ...
        def is_from_trunk(self, trunk: Trunk, entry: str) -> None: ...

    def authenticate(self) -> bool:
        """Whether the request carries right credentials: it is from that phone or trunk then."""
        if self.phone is not NO_PHONE:
            return True
        proof = self._prove()
        return proof.outcome == RIGHT and self._is_from(proof.who)

    def identify_by_digest(self, found: Trunk | None) -> bool:
        """Whether it is from a phone, or a trunk with a password; `found` is that of its address.

        Raises RouteOver where that has to be proved first.
        """
        config = self.config
        if self.authenticate():
            return True
        proof = self._prove()
        if proof.outcome == RIGHT:
            return False
        if proof.outcome == NONE or (proof.outcome == WRONG and proof.who is NO_PHONE):
            named = found or config.phones.get(self.caller)
            if named is not None and config.is_test:
                # In a test block, and in `trunkline route`, everybody knows his password.
                return self._is_from(named)
            if named is None and not config.authentication.asks_strangers:
                return False
        self.challenge()
        raise RouteOver

    def challenge(self) -> None:
        """Asks for credentials; an address that has failed too often is refused instead."""
        proof = self._prove()
        if proof.outcome == DENIED:
            self.verdict = Respond(403) if self.call is None else End(EndReason.AuthFailed)
        else:
            self.verdict = self._challenge(proof.outcome == STALE)

    def save(self) -> None:
        """Stores where the phone can be reached, and answers its REGISTER."""
        phone, config, request = self.phone, self.config, self.request
        if self.method != "REGISTER":
            self.verdict = Respond(405)
            return
        refusal = "Not Authenticated"
        if phone is NO_PHONE:
            self.log("warning", "save() needs a phone: call authenticate() before it")
        elif request is None or uri_number(header_uri(request.get("to"))) != phone.number:
            refusal = "Not Your Number"
        elif (why := barred(phone.account, self.now_ms)) is not None:
            refusal = why[0].name
        elif phone.locked:
            refusal = "Phone Locked"
        elif not phone.may_come_from(self.flow.host):
            refusal = "Address Not Allowed"
        else:
            proof = self._prove()
            limits = config.authentication
            self.verdict = Enroll(
                phone.number, phone.account.name, min_expires_s=limits.min_expires_s,
                max_expires_s=limits.max_expires_s, max_contacts=limits.max_contacts,
                challenge=lambda: self._challenge(True), nonce=proof.nonce,
                nonce_count=proof.uses, nonce_until_ms=proof.until_ms,
            )
            return
        registers = self.engine.tally.registers
        registers[403] = registers.get(403, 0) + 1
        self.verdict = Respond(403, refusal)

    def _challenge(self, stale: bool) -> Challenge:
        engine = self.engine
        return self.config.authentication.challenge(
            self.method, self.flow.host, engine.layer.now, engine.token(), stale
        )

    def _prove(self) -> Proof:
        """What the request's credentials are worth; looked at once."""
        proof = self.proof
        if proof is not None:
            return proof
        request, config = self.request, self.config
        proof = NO_PROOF
        if request is not None and config.authentication.is_used:
            proof = config.authentication.prove(request, self.flow.host, self.now_ms)
            # The nonce of a REGISTER is noted with its contacts, in one transaction.
            if (
                proof.outcome == RIGHT
                and request.method != "REGISTER"
                and not config.live.store.use_nonce(
                    proof.nonce, proof.uses, proof.until_ms, self.now_ms
                )
            ):
                proof = Proof(STALE, proof.who)
            elif proof.outcome == WRONG:
                proof = self._failed(proof)
        self.proof = proof
        return proof

    def _failed(self, proof: Proof) -> Proof:
        """Counts wrong credentials; DENIED when they were the last that this address may have."""
        engine, config, source = self.engine, self.config, self.flow.host
        failures = engine.tally.auth_failures
        failures[proof.why] = failures.get(proof.why, 0) + 1
        if self.call is not None:
            self.call.cdr.decision.append(f"credentials of user {proof.username} are wrong")
        limits = config.authentication
        # Behind the address of a trunk there are more than the one that fails.
        if not limits.block_after or config.trunks.knows(source):
            return proof
        source = source_of(source)
        key, within_ms, now_ms = f"auth {source}", limits.block_within_ms, self.now_ms
        if config.live.store.permit(key, limits.block_after - 1, within_ms, now_ms):
            return proof
        until_ms = now_ms + limits.block_time_ms
        engine.ask(BlockAddress(source, until_ms, f"{within_ms}/{key}"), None)
        engine.guard.block(self.flow.host, until_ms)
        self.log("warning", f"{source} is blocked: {limits.block_after} wrong credentials")
        return proof._replace(outcome=DENIED)

    def _is_from(self, who: Phone | Trunk) -> bool:
        """Whether a phone or trunk that has proved itself may be the one that it is; it is then."""
        if isinstance(who, Trunk):
            source, call = self.flow.host, self.call
            if not (who.may_come_from(source) and self.caller.startswith(who.caller_prefix)):
                if call is not None:
                    why = f"trunk {who.account}/{who} may not call from {source} as {self.caller}"
                    call.cdr.decision.append(REFUSED + why)
                return False
            self.is_from_trunk(who, by_digest("trunk", who.account.name, who.name))
            return True
        self._is_from_phone(who)
        return True

    def _is_from_phone(self, phone: Phone) -> None:
        self.phone = phone
        self.account = phone.account
        call = self.call
        if call is None:
            return
        entry = by_digest("phone", phone.account.name, phone.number)
        cdr = call.cdr
        cdr.phone = phone.number
        cdr.account = phone.account.name
        cdr.agent_path = phone.account.path
        cdr.decision.append(entry)
        if call.caller != phone.number and call.caller.lower() != ANONYMOUS:
            # Nobody calls under a number that is not his.
            where = f"the number of phone {phone.number}"
            cdr.decision.append(rewritten("caller", call.caller, phone.number, where))
            call.caller = phone.number
        if phone.inward is not None:
            phone.inward.rewrite(call, call)
