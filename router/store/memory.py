"""The live store in plain memory: for routes tried in virtual time, where nothing may touch a disk.

Same rules as LMDB's, one process, nothing shared. The CDRs of ended calls are in `cdrs`, by id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from router.store.admission import PACE_MS, choose_gateway, paced
from router.store.bindings import bound, current
from router.store.branches import left_behind, take_others
from router.store.health import changed
from router.store.interface import Block, Usage
from router.store.money import (
    Money,
    charge,
    free,
    joined,
    release,
    reserve,
    short_of,
)
from router.store.ops import (
    CREDIT,
    GROUP,
    Admission,
    Admit,
    Answer,
    Bind,
    BlockAddress,
    Bound,
    Candidate,
    Finish,
    Finished,
    Forget,
    Funds,
    Hold,
    Keep,
    Leave,
    Op,
    Opened,
    Outcomes,
    Rehunt,
    Remember,
    Renew,
    Renewed,
    Save,
)
from router.store.quality import Quality, quality_of
from router.store.quality import joined as outcomes_joined
from router.store.records import CallRecord, Cdr, GatewayState, Registration
from router.store.window import Window

NO_USAGES: Mapping[str, Usage] = {}
NO_MONIES: Mapping[str, Money] = {}
NO_STATES: Mapping[str, GatewayState] = {}


class MemoryLive:
    """In-use, health and records of one process.

    It keeps the worker's own records instead of copies: a call that is saved again is the same
    object. `usages` is what is in use, and was handed out, before it begins; `states` is the health
    of gateways then, `monies` what accounts have.
    """

    def __init__(
        self, usages: Mapping[str, Usage] = NO_USAGES,
        states: Mapping[str, GatewayState] = NO_STATES,
        monies: Mapping[str, Money] = NO_MONIES,
    ) -> None:
        self.records: dict[str, CallRecord] = {}
        self.cdrs: dict[str, Cdr] = {}
        self.opened: list[str] = []
        self.funds: dict[str, Funds] = {}
        self._usage: dict[str, list[int]] = {key: [*usage] for key, usage in usages.items()}
        self._down: dict[str, GatewayState] = dict(states)
        self._money: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._money.update((account, [*money]) for account, money in monies.items())
        self._windows: dict[str, Window] = {}
        self._outcomes: dict[str, bytes] = {}
        self._shared: dict[str, tuple[str, int]] = {}
        self._registrations: dict[str, Registration] = {}
        self._nonces: dict[str, tuple[int, int]] = {}
        self._blocks: dict[str, Block] = {}

    def commit(self, ops: Sequence[Op], now_ms: int) -> list[Answer | None]:
        """Does all operations in order, one answer for each."""
        return [self._apply(op, now_ms) for op in ops]

    def money(self, account: str) -> Money:
        """Balance and reserve of an account."""
        return Money(*self._money.get(account, (0, 0)))

    def monies(self) -> dict[str, Money]:
        """Balance and reserve of every account, by name."""
        return {account: Money(*money) for account, money in sorted(self._money.items())}

    def usage(self, key: str) -> Usage:
        """In-use and handed of one key."""
        return Usage(*self._usage.get(key, (0, 0)))

    def recall(self, key: str, now_ms: int) -> str | None:
        """The value that routes share under a key."""
        value, until_ms = self._shared.get(key, ("", 0))
        return value if until_ms > now_ms else None

    def permit(self, key: str, n: int, per_ms: int, now_ms: int) -> bool:
        """Whether this is one of at most n in this time, counting it if it is."""
        window = self._windows.setdefault(f"{per_ms}/{key}", Window(per_ms))
        if window.count(now_ms) >= n:
            return False
        window.note(now_ms)
        return True

    def usages(self, prefix: str) -> dict[str, Usage]:
        """In-use and handed of every key that begins with the prefix, in key order."""
        return {
            key: Usage(*used) for key, used in sorted(self._usage.items()) if key.startswith(prefix)
        }

    def gateway_states(self) -> dict[str, GatewayState]:
        """Health of every gateway that has some, by key."""
        return dict(self._down)

    def registration(self, number: str, now_ms: int) -> Registration | None:
        """Where a phone can be reached now; None when it is not online."""
        found = self._registrations.get(number)
        if found is None:
            return None
        contacts = current(found.contacts, now_ms)
        return Registration(number, found.account, contacts) if contacts else None

    def registrations(self) -> Iterator[Registration]:
        """Every registration by number, some with contacts that have just expired."""
        yield from [one for _, one in sorted(self._registrations.items())]

    def registered_phones(self) -> int:
        """How many phones are registered."""
        return len(self._registrations)

    def sweep_registrations(self, now_ms: int) -> int:
        """Takes away contacts that have expired; of how many phones."""
        ended = 0
        for number, one in list(self._registrations.items()):
            contacts = current(one.contacts, now_ms)
            ended += contacts != one.contacts
            self._keep_registration(Registration(number, one.account, contacts))
        return ended

    def _keep_registration(self, registration: Registration) -> None:
        if registration.contacts:
            self._registrations[registration.number] = registration
        else:
            self._registrations.pop(registration.number, None)

    def _bind(self, op: Bind, now_ms: int) -> Bound:
        if op.nonce and not self.use_nonce(op.nonce, op.nonce_count, op.nonce_until_ms, now_ms):
            return Bound([], replayed=True)
        known = self._registrations.get(op.number)
        answer = bound(known.contacts if known is not None else [], op, now_ms)
        if not answer.refused:
            self._keep_registration(Registration(op.number, op.account, answer.contacts))
        return answer

    def quality(self, key: str) -> Quality:
        """How well the last attempts at a gateway went."""
        return quality_of(self._outcomes.get(key, b""))

    def gateway_state(self, key: str) -> GatewayState | None:
        """Health of one gateway, None when nothing is known of it."""
        return self._down.get(key)

    def secret(self) -> bytes:
        """What nonces are signed with: here nobody could guess, or would want to."""
        return b"memory"

    def use_nonce(self, nonce: str, count: int, until_ms: int, now_ms: int) -> bool:
        """Whether a nonce was never used with this count or a higher one; it is from now on."""
        highest, ends_ms = self._nonces.get(nonce, (-1, 0))
        if ends_ms > now_ms and highest >= count:
            return False
        self._nonces[nonce] = count, until_ms
        return True

    def blocks(self, now_ms: int) -> dict[str, Block]:
        """The addresses that are blocked."""
        return {
            address: block for address, block in self._blocks.items() if block.until_ms > now_ms
        }

    def lift_block(self, address: str, now_ms: int) -> bool:
        """Ends the block of an address; whether it was blocked."""
        block = self._blocks.pop(address, None)
        return block is not None and block.until_ms > now_ms

    def _block(self, op: BlockAddress, now_ms: int) -> None:
        self._windows.pop(op.counted, None)
        earlier = self._blocks.get(op.address)
        if earlier is None or earlier.until_ms <= now_ms:
            earlier = Block(now_ms, 0)
        self._blocks[op.address] = Block(earlier.since_ms, max(earlier.until_ms, op.until_ms))

    def verify(self) -> list[str]:
        """One sentence for each in-use and reserve that is not the sum over the records."""
        sums: dict[str, int] = {}
        reserved: dict[str, int] = {}
        for record in self.records.values():
            for key in (*record.holds, *([record.gateway] if record.gateway else [])):
                sums[key] = sums.get(key, 0) + 1
            for account, amount in (*record.reserved, *record.gateway_reserved):
                reserved[account] = reserved.get(account, 0) + amount
        return [
            f"{key}: {used[0]} in use, {sums.get(key, 0)} held by calls"
            for key, used in self._usage.items()
            if used[0] != sums.get(key, 0)
        ] + [
            f"account {account}: {money[1]} reserved, {reserved.get(account, 0)} by calls"
            for account, money in self._money.items()
            if money[1] != reserved.get(account, 0)
        ]

    def _apply(self, op: Op, now_ms: int) -> Answer | None:
        if isinstance(op, Admit):
            return self._admit(op, now_ms)
        if isinstance(op, Rehunt):
            return self._rehunt(op, now_ms)
        if isinstance(op, Bind):
            return self._bind(op, now_ms)
        if isinstance(op, Save):
            if op.record.id in self.records:
                self.records[op.record.id] = op.record
        elif isinstance(op, Finish):
            record = self.records.pop(op.id, None)
            low: tuple[str, ...] = ()
            if record is not None:
                self._give_back((*record.holds, record.gateway))
                release(self._money, (*record.reserved, *record.gateway_reserved))
                low = charge(self._money, op.cdr.charges, op.watched)
            self.cdrs.setdefault(op.id, op.cdr)
            return Finished(low) if op.watched else None
        elif isinstance(op, Opened):
            self.opened.append(op.record.id)
        elif isinstance(op, Keep):
            self.records.setdefault(op.record.id, op.record)
        elif isinstance(op, Forget):
            kept = self.records.get(op.id)
            if kept is not None and not (kept.holds or kept.gateway or kept.reserved):
                del self.records[op.id]
        elif isinstance(op, BlockAddress):
            self._block(op, now_ms)
        elif isinstance(op, Leave):
            self._leave(op)
        elif isinstance(op, Outcomes):
            self._outcomes[op.key] = outcomes_joined(self._outcomes.get(op.key, b""), op.results)
        elif isinstance(op, Remember):
            self._shared[op.key] = op.value, op.until_ms
        elif isinstance(op, Renew):
            return self._renew(op)
        elif isinstance(op, Funds):
            if op.id not in self.funds:
                self.funds[op.id] = op
                self._money[op.account][0] += op.amount
        else:
            self._down[op.key] = changed(self._down.get(op.key), op, now_ms)
        return None

    def _admit(self, op: Admit, now_ms: int) -> Admission:
        refused = self._refused(op.holds, now_ms)
        if refused is not None:
            return refused
        short = short_of(self._money, op.credits)
        if short:
            return Admission(refused=CREDIT + short)
        reserved = reserve(self._money, op.credits)
        admission, chosen = self._choose(op.tiers, op.holds, now_ms)
        if chosen is None:
            release(self._money, reserved)
            return admission
        record = op.record
        record.holds = [hold.key for hold in (*op.holds, *chosen.holds)]
        record.gateway = chosen.key
        record.reserved = reserved
        record.gateway_reserved = reserve(self._money, chosen.credits)
        self._take_others(op, admission, now_ms)
        for hold in op.holds:
            self._used(hold.key)[0] += 1
        self.records[record.id] = record
        return admission

    def _rehunt(self, op: Rehunt, now_ms: int) -> Admission:
        record = op.record
        if record.id not in self.records:
            return Admission()
        groups = [key for key in record.holds if key.startswith(GROUP)]
        self._give_back((record.gateway, *groups))
        release(self._money, record.gateway_reserved)
        record.holds = [key for key in record.holds if not key.startswith(GROUP)]
        record.gateway = ""
        record.gateway_reserved = []
        refused = self._refused(op.holds, now_ms)
        short = "" if refused is not None else short_of(self._money, op.credits)
        if refused is not None or short:
            return refused or Admission(refused=CREDIT + short)
        for hold in op.holds:
            self._used(hold.key)[0] += 1
            record.holds.append(hold.key)
        record.reserved = joined(record.reserved, reserve(self._money, op.credits))
        admission, chosen = self._choose(op.tiers, op.holds, now_ms)
        if chosen is not None:
            record.holds += [hold.key for hold in chosen.holds]
            record.gateway = chosen.key
            record.gateway_reserved = reserve(self._money, chosen.credits)
            self._take_others(op, admission, now_ms)
        return admission

    def _take_others(self, op: Admit | Rehunt, admission: Admission, now_ms: int) -> None:
        take_others(
            op.record, admission, op, lambda tiers, holds: self._choose(tiers, holds, now_ms),
            lambda chosen: reserve(self._money, chosen.credits),
        )

    def _leave(self, op: Leave) -> None:
        record = op.record
        if record.id in self.records:
            left = left_behind(record, op)
            record.holds, record.gateway, record.gateway_reserved = left[:3]
            self._give_back(left.keys)
            release(self._money, left.reserved)

    def _renew(self, op: Renew) -> Renewed:
        record = op.record
        if record.id not in self.records:
            return Renewed(False)
        granted = not short_of(self._money, op.wants)
        if granted:
            record.reserved = joined(record.reserved, reserve(self._money, op.wants))
            record.paid_until = op.paid_until
        return Renewed(granted, free(self._money, op.wants))

    def _refused(self, holds: Sequence[Hold], now_ms: int) -> Admission | None:
        taken: dict[str, int] = {}
        for hold in holds:
            too_fast = 0 <= hold.cps <= self._pace(hold.key, now_ms)
            in_use = self._used(hold.key)[0] + taken.get(hold.key, 0)
            if too_fast or in_use >= hold.limit >= 0:
                return Admission(refused=hold.key, too_fast=too_fast)
            taken[hold.key] = taken.get(hold.key, 0) + 1
        return None

    def _pace(self, key: str, now_ms: int) -> int:
        return self._windows.setdefault(key, Window(PACE_MS)).count(now_ms)

    def _choose(
        self, tiers: Sequence[Sequence[Candidate]], holds: Sequence[Hold], now_ms: int
    ) -> tuple[Admission, Candidate | None]:
        usage, down = {}, {}
        for tier in tiers:
            for candidate in tier:
                key = candidate.key
                usage[key] = self._used(key)
                usage.update((hold.key, self._used(hold.key)) for hold in candidate.holds)
                state = self._down.get(key)
                down[key] = state.out_until_ms if state is not None else 0
        dropped: list[tuple[str, str]] = []
        chosen = choose_gateway(
            tiers, usage, down, now_ms, dropped, lambda key: self._pace(key, now_ms),
            lambda: self._money,
        )
        if chosen is None:
            return Admission(None, dropped), None
        used = self._used(chosen.key)
        used[0] += 1
        used[1] += 1
        for hold in chosen.holds:
            self._used(hold.key)[0] += 1
        for key in paced(holds, chosen):
            self._pace(key, now_ms)
            self._windows[key].note(now_ms)
        return Admission(chosen.key, dropped), chosen

    def _used(self, key: str) -> list[int]:
        return self._usage.setdefault(key, [0, 0])

    def _give_back(self, keys: Iterable[str]) -> None:
        for key in keys:
            if key:
                self._used(key)[0] -= 1
