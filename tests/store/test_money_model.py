"""Money over random turns, in both stores and the ledger, against a model of plain sums.

After every turn the answers are the model's, what is reserved is the sum over the calls, balances
are what was given less what was charged, no account has promised more than it may, and the ledger
with the outbox says the same as live state.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from store_samples import NOW_MS, sample_call, sample_cdr

from router.store.draining import Draining
from router.store.ledger import LmdbLedger
from router.store.ledger_check import check_ledger, check_live
from router.store.live import LmdbLive
from router.store.memory import MemoryLive
from router.store.money import Money
from router.store.ops import (
    Admission,
    Admit,
    Candidate,
    Credit,
    Finish,
    Funds,
    Op,
    Opened,
    Rehunt,
    Renew,
    Renewed,
    Save,
)
from router.store.records import CallRecord, Charge

FLOORS = {"acme": 0, "top": -30, "carrier": 0, "postpaid": -1_000_000}
OPENING = {"acme": 100, "top": 20, "carrier": 60, "postpaid": 0}
LINES = {"gateway:a": 2, "gateway:b": -1}

accounts = st.sampled_from(sorted(FLOORS))
wants = st.lists(st.tuples(accounts, st.integers(0, 40)), max_size=3)
gateways = st.lists(st.tuples(st.sampled_from(sorted(LINES)), wants), max_size=2)
number = st.integers(0, 30)
share = st.fractions(0, 1)
action = st.one_of(
    st.tuples(st.just("admit"), wants, gateways),
    st.tuples(st.just("rehunt"), number, gateways),
    st.tuples(st.just("renew"), number, wants),
    st.tuples(st.just("save"), number),
    st.tuples(st.just("finish"), number, share),
    st.tuples(st.just("funds"), accounts, st.integers(0, 90), st.integers(0, 20)),
)


def credits_of(asked: Any) -> tuple[Credit, ...]:
    return tuple(Credit(account, need, FLOORS[account]) for account, need in asked)


def tiers_of(offered: Any) -> tuple[tuple[Candidate, ...], ...]:
    """One gateway a tier, so that what is tested is money and not the order of gateways."""
    return tuple(
        (Candidate(key, LINES[key], credits=credits_of(asked)),) for key, asked in offered
    )


class Model:
    """Calls with what they have reserved; everything else is counted from that."""

    def __init__(self) -> None:
        self.given = dict.fromkeys(FLOORS, 0)
        self.charged = dict.fromkeys(FLOORS, 0)
        self.funded: set[str] = set()
        self.calls: dict[str, tuple[dict[str, int], dict[str, int], str]] = {}

    def reserved(self) -> dict[str, int]:
        sums = dict.fromkeys(FLOORS, 0)
        for own, gateway, _ in self.calls.values():
            for account in FLOORS:
                sums[account] += own.get(account, 0) + gateway.get(account, 0)
        return sums

    def balance(self, account: str) -> int:
        return self.given[account] - self.charged[account]

    def short(self, asked: Any) -> str:
        needs = dict.fromkeys(FLOORS, 0)
        for account, need in asked:
            needs[account] += need
            free = self.balance(account) - self.reserved()[account] - needs[account]
            if free < FLOORS[account]:
                return account
        return ""

    def take(self, offered: Any) -> tuple[Admission, dict[str, int]]:
        dropped = []
        for key, asked in offered:
            used = sum(gateway == key for _, _, gateway in self.calls.values())
            short = self.short(asked)
            if used >= LINES[key] >= 0:
                dropped.append((key, "full"))
            elif short:
                dropped.append((key, f"credit of account {short} used up"))
            else:
                return Admission(key, dropped), summed(asked)
        return Admission(None, dropped), {}

    def admit(self, id: str, asked: Any, offered: Any) -> Admission:
        short = self.short(asked)
        if short:
            return Admission(refused=f"credit:{short}")
        self.calls[id] = summed(asked), {}, ""
        admission, held = self.take(offered)
        self.calls[id] = summed(asked), held, admission.gateway or ""
        if admission.gateway is None:
            del self.calls[id]
        return admission

    def rehunt(self, id: str, offered: Any) -> Admission:
        if id not in self.calls:
            return Admission()
        own = self.calls[id][0]
        self.calls[id] = own, {}, ""
        admission, held = self.take(offered)
        self.calls[id] = own, held, admission.gateway or ""
        return admission

    def renew(self, id: str, asked: Any) -> Renewed:
        if id not in self.calls:
            return Renewed(False)
        granted = not self.short(asked)
        if granted:
            for account, need in asked:
                own = self.calls[id][0]
                own[account] = own.get(account, 0) + need
        return Renewed(granted, {
            account: max(
                self.balance(account) - self.reserved()[account] - FLOORS[account], 0
            )
            for account, _ in asked
        })


def summed(asked: Any) -> dict[str, int]:
    sums: dict[str, int] = {}
    for account, need in asked:
        sums[account] = sums.get(account, 0) + need
    return sums


class MoneyMachine(RuleBasedStateMachine):
    @initialize()
    def open_stores(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="trunkline-money-"))
        self.live = LmdbLive(self.folder / "live.lmdb", map_bytes=8 << 20)
        self.ledger = LmdbLedger(self.folder / "ledger.lmdb", map_bytes=8 << 20)
        self.draining = Draining(self.ledger, self.live)
        self.draining.bind(NOW_MS)
        self.memory = MemoryLive()
        self.model = Model()
        self.records: list[tuple[CallRecord, CallRecord]] = []
        self.do([self.plan_funds(account, amount, n) for n, (account, amount) in
                 enumerate(OPENING.items(), 100)])

    def teardown(self) -> None:
        if hasattr(self, "live"):
            self.live.close()
            self.ledger.close()
            shutil.rmtree(self.folder)

    def do(self, planned: list[tuple[Op, Op, Any]]) -> None:
        expected = [answer for _, _, answer in planned]
        assert self.live.commit([one for one, _, _ in planned], NOW_MS) == expected
        assert self.memory.commit([other for _, other, _ in planned], NOW_MS) == expected

    @rule(actions=st.lists(action, min_size=1, max_size=8))
    def turn(self, actions: list[tuple[Any, ...]]) -> None:
        planned = []
        for kind, *about in actions:
            # Each is planned on what the ones before it have done to the model.
            if kind in ("admit", "funds") or self.records:
                planned.append(getattr(self, f"plan_{kind}")(*about))
        self.do(planned)

    @rule()
    def the_ledger_takes_what_waits(self) -> None:
        while self.draining.move(NOW_MS):
            pass

    @rule()
    def the_ledger_is_killed_before_it_can_delete(self) -> None:
        self.ledger.store(self.live.outbox(10_000))

    def pair(self, index: int) -> tuple[CallRecord, CallRecord]:
        return self.records[index % len(self.records)]

    def plan_admit(self, asked: Any, offered: Any) -> tuple[Op, Op, Any]:
        one = sample_call(len(self.records))
        other = copy.deepcopy(one)
        self.records.append((one, other))
        answer = self.model.admit(one.id, asked, offered)
        credits, tiers = credits_of(asked), tiers_of(offered)
        return Admit(one, (), tiers, credits), Admit(other, (), tiers, credits), answer

    def plan_rehunt(self, index: int, offered: Any) -> tuple[Op, Op, Any]:
        one, other = self.pair(index)
        tiers = tiers_of(offered)
        return Rehunt(one, tiers), Rehunt(other, tiers), self.model.rehunt(one.id, offered)

    def plan_renew(self, index: int, asked: Any) -> tuple[Op, Op, Any]:
        one, other = self.pair(index)
        credits = credits_of(asked)
        answer = self.model.renew(one.id, asked)
        return Renew(one, credits, NOW_MS), Renew(other, credits, NOW_MS), answer

    def plan_save(self, index: int) -> tuple[Op, Op, Any]:
        one, other = self.pair(index)
        return Save(one), Opened(other), None

    def plan_finish(self, index: int, part: Any) -> tuple[Op, Op, Any]:
        """Charged is a part of what was reserved, as the core sees to it."""
        one, _ = self.pair(index)
        charges = []
        held = self.model.calls.pop(one.id, None)
        for kind, reserved in zip(("retail", "vendor"), held[:2] if held else (), strict=False):
            for account, amount in reserved.items():
                charges.append(Charge(account, int(amount * part), kind))
                self.model.charged[account] += int(amount * part)
        cdr = sample_cdr(0, id=one.id, charges=charges)
        return Finish(one.id, cdr), Finish(one.id, cdr), None

    def plan_funds(self, account: str, amount: int, id: int) -> tuple[Op, Op, Any]:
        key = f"{id:04}"
        if key not in self.model.funded:
            self.model.funded.add(key)
            self.model.given[account] += amount
        funds = Funds(key, account, amount)
        return funds, funds, None

    @invariant()
    def money_is_the_models(self) -> None:
        if not hasattr(self, "memory"):
            return
        reserved = self.model.reserved()
        for account, floor in FLOORS.items():
            right = Money(self.model.balance(account), reserved[account])
            assert self.live.money(account) == self.memory.money(account) == right
            assert right.balance - right.reserved >= floor

    @invariant()
    def live_state_and_ledger_prove_themselves(self) -> None:
        if not hasattr(self, "memory"):
            return
        assert self.live.verify() == self.memory.verify() == []
        assert check_live(self.ledger, self.live) == []
        assert check_ledger(self.ledger).problems == []


TestMoneyAgainstTheModel = MoneyMachine.TestCase
TestMoneyAgainstTheModel.settings = settings(
    max_examples=60, stateful_step_count=20, deadline=None, print_blob=True
)
