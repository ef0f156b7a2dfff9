"""Credit while calls last: renewed, used to the last unit and never more; workers may die."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest
from routed import T0, Routed

from router.core.agent import Behaviour
from router.core.engine import Engine
from router.core.flow import Flow
from router.core.parameters import TimerDefaults
from router.core.tally import Tally
from router.store.errors import StoreError
from router.store.memory import MemoryLive
from router.store.ops import Answer, Funds, Op, Renew
from router.store.records import Cdr, decode_call, encode_call

US = Flow("udp", "10.0.0.1", 5060, 0)
HEAD = "prefix,rate_per_min,connect_fee,first_s,cycle_s\n"
FILES = {
    "retail.csv": HEAD + "86,0.60,,1,1\n44,3.00,,60,60\n33,0,0.25,1,1\n1,0,0,1,1\n55,0.60,,1,300\n",
    "wholesale.csv": HEAD + "86,0.30,0.05,6,6\n44,2.40,,1,1\n33,0,0.10,1,1\n1,0,0,1,1\n",
    "vendor.csv": HEAD + "86,0.12,,1,1\n44,1.20,,1,1\n33,0,0.05,1,1\n1,0.06,0,1,1\n55,0.1,,1,1\n",
}
DECKS = "\n".join(f'deck {name[:-4]} {{ file = "{name}" }}' for name in FILES)
ROUTE = "request_route { if (!identify()) end(IllegalCall); call(gateways($rU)); }"
GATEWAY = (
    "gateway g { address = 10.0.1.1:5071  prefixes = 86, 44, 33, 1, 55  deck = vendor  %s }\n"
)


def world(accounts: str, clearing: str = "", seed: int = 1) -> Routed:
    return Routed(f"{DECKS}\n{GATEWAY % clearing}{accounts}\n{ROUTE}", seed, FILES)


def acme(settings: str) -> str:
    return f"account acme {{ deck = retail  {settings}  trunk t {{ ips = 192.0.2.0/24 }} }}"


def place(routed: Routed, callee: str = "86138", hang_up_after_ms: int | None = None) -> None:
    routed.caller.place(callee, "1000", US, hang_up_after_ms=hang_up_after_ms)


def byes(routed: Routed) -> tuple[int, int]:
    """How many BYE each side got."""
    return tuple(
        sum(request.method == "BYE" for request in agent.requests)
        for agent in (routed.caller, routed.gateways["g"])
    )  # type: ignore[return-value]


def adopt(routed: Routed) -> None:
    """The worker dies; a successor takes over what it finds."""
    records = [decode_call(encode_call(record)) for record in routed.store.records.values()]
    routed.store.records.update({record.id: record for record in records})
    successor = Engine(
        routed.switch, listeners=routed.config.listeners, slot=0, slots=1, generation=2,
        token=routed.token, tally=Tally(), now_ms=T0, timers=TimerDefaults(),
    )
    successor.adopt(records, routed.network.now)
    routed.engine = routed.network.engine = successor


def test_the_call_ends_when_the_last_of_its_credit_is_used() -> None:
    routed = world(acme("balance = 1.00"))
    place(routed)
    routed.network.run_for(200_000)
    cdr = routed.cdr
    assert (cdr.end_reason, cdr.end_side) == ("InsufficientBalance", "server")
    assert cdr.charge == 1_000_000
    assert 100_000 <= cdr.duration_ms <= 100_010
    assert byes(routed) == (1, 1)
    assert routed.store.money("acme") == (0, 0)
    assert cdr.decision[-1] == "credit:acme: used up, balance 1, reserved 1"
    assert cdr.q850 and routed.store.verify() == []


def test_credit_is_renewed_while_the_call_lasts_and_given_back_at_its_end() -> None:
    routed = world(acme("balance = 100"))
    place(routed, hang_up_after_ms=130_000)
    routed.network.run_for(10_000)
    assert routed.store.money("acme") == (100_000_000, 600_000)
    routed.network.run_for(50_000)
    assert routed.store.money("acme") == (100_000_000, 1_200_000)
    routed.network.run_for(100_000)
    cdr = routed.cdr
    assert (cdr.end_reason, cdr.charge, cdr.billed_s) == ("Normal", 1_300_000, 130)
    assert routed.store.money("acme") == (98_700_000, 0)


def test_a_cycle_that_is_longer_than_the_reserve_is_used_before_more_is_asked_for() -> None:
    routed = world(acme("balance = 100"))
    place(routed, "55", hang_up_after_ms=400_000)
    first = 301 * 10_000  # a second and one cycle of 300
    routed.network.run_for(290_000)
    assert routed.store.money("acme") == (100_000_000, first)
    routed.network.run_for(20_000)
    assert routed.store.money("acme") == (100_000_000, first + 300 * 10_000)
    routed.network.run_for(200_000)
    assert (routed.cdr.billed_s, routed.cdr.charge) == (601, 6_010_000)


def test_an_account_without_a_balance_renews_nothing() -> None:
    routed = world(acme(""))
    place(routed, hang_up_after_ms=130_000)
    routed.network.run_for(200_000)
    assert routed.cdr.charge == 1_300_000
    assert routed.store.money("acme") == (-1_300_000, 0)


@pytest.mark.parametrize("callee", ["1", "33"])
def test_what_costs_nothing_by_time_has_no_end(callee: str) -> None:
    routed = world(acme("balance = 0.25"))
    place(routed, callee, hang_up_after_ms=3_600_000)
    routed.network.run_for(4_000_000)
    cdr = routed.cdr
    assert (cdr.end_reason, cdr.charge) == ("Normal", 250_000 if callee == "33" else 0)


LEVELS = (
    "account top { deck = wholesale  balance = %s }\n"
    "account acme { agent = top  deck = retail  balance = %s  trunk t { ips = 192.0.2.0/24 } }"
)


@pytest.mark.parametrize(
    ("top", "own", "seconds", "tightest"),
    [("0.56", "9", 102, "top"), ("9", "0.75", 75, "acme"), ("0.35", "0.60", 60, "acme")],
)
def test_of_several_levels_the_tightest_counts(
    top: str, own: str, seconds: int, tightest: str
) -> None:
    routed = world(LEVELS % (top, own))
    place(routed)
    routed.network.run_for(300_000)
    cdr = routed.cdr
    assert cdr.end_reason == "InsufficientBalance"
    assert cdr.duration_ms // 1000 == seconds
    assert cdr.decision[-1].startswith(f"credit:{tightest}: used up")
    assert cdr.agent_path == "top/acme"
    assert [(one.account, one.kind) for one in cdr.charges] == [
        ("acme", "retail"), ("top", "agent"),
    ]
    assert cdr.charges[0].amount == seconds * 10_000 == cdr.charge
    assert cdr.charges[1].amount == 50_000 + -(-seconds // 6) * 30_000


def test_an_account_on_two_levels_pays_both_from_one_purse() -> None:
    routed = world(acme("balance = 1.44"), "clearing = acme")
    place(routed)
    routed.network.run_for(300_000)
    cdr = routed.cdr
    # 0.60 and 0.12 a minute
    assert (cdr.end_reason, cdr.duration_ms // 1000) == ("InsufficientBalance", 120)
    assert (cdr.charge, cdr.cost) == (1_200_000, 240_000)
    assert routed.store.money("acme") == (0, 0)


def test_a_top_up_at_the_last_moment_keeps_the_call() -> None:
    routed = world(acme("balance = 1.00"))
    place(routed)
    routed.network.run_for(99_000)
    routed.store.commit([Funds("1", "acme", 1_000_000)], routed.network.now)
    routed.network.run_for(200_000)
    assert routed.cdr.charge == 2_000_000
    assert routed.cdr.duration_ms // 1000 == 200


DEARER = (
    'request_route { if (!identify()) end(IllegalCall); call(g, on_failure = OTHER); }\n'
    'failure_route[OTHER] { $rU = "441"; call(other); }\n'
    "gateway other { address = 10.0.1.2:5072  prefixes = 44 }\n"
)


@pytest.mark.parametrize(("balance", "paid"), [("2.99", False), ("3.00", True)])
def test_a_failure_route_to_a_dearer_number_needs_the_dearer_price(
    balance: str, paid: bool
) -> None:
    routed = Routed(
        f"{DECKS}\n{GATEWAY % ''}{acme(f'balance = {balance}')}\n{DEARER}", 1, FILES
    )
    routed.behaviours["g"] = Behaviour(status=503, ring_after_ms=None)
    place(routed)
    routed.network.run_for(200_000)
    cdr = routed.cdr
    if paid:
        assert (cdr.end_reason, cdr.gateway, cdr.charge) == (
            "InsufficientBalance", "other", 3_000_000,
        )
        assert cdr.duration_ms // 1000 == 60
    else:
        assert "other: credit of account acme used up" in cdr.decision
        assert cdr.charge == 0
    assert routed.store.money("acme").reserved == 0


# -- a worker's death ------------------------------------------------------------------------------


def test_a_successor_goes_on_with_the_credit_and_ends_the_call_in_time() -> None:
    routed = world(acme("balance = 1.00"))
    place(routed)
    routed.network.run_for(30_000)
    adopt(routed)
    routed.network.run_for(200_000)
    cdr = routed.cdr
    assert (cdr.end_reason, cdr.charge) == ("InsufficientBalance", 1_000_000)
    assert 100_000 <= cdr.duration_ms <= 100_010
    assert byes(routed) == (1, 1)


def test_a_successor_that_is_late_bills_nothing_beyond_the_credit() -> None:
    routed = world(acme("balance = 1.00"))
    place(routed)
    routed.network.run_for(97_000)
    routed.network.now += 20_000  # nobody runs
    adopt(routed)
    routed.network.run_for(60_000)
    cdr = routed.cdr
    assert (cdr.end_reason, cdr.charge, cdr.billed_s) == ("InsufficientBalance", 1_000_000, 100)
    assert cdr.duration_ms >= 116_900
    assert routed.store.money("acme") == (0, 0)


def test_a_late_successor_takes_what_the_call_went_on_for_where_there_is_credit() -> None:
    routed = world(acme("balance = 10"))
    place(routed, hang_up_after_ms=150_000)
    routed.network.run_for(50_000)
    routed.network.now += 60_000
    adopt(routed)
    routed.network.run_for(100_000)
    cdr = routed.cdr
    assert (cdr.end_reason, cdr.charge) == ("Normal", cdr.billed_s * 10_000)
    assert cdr.billed_s == round(cdr.duration_ms / 1000)


# -- a store that takes nothing --------------------------------------------------------------------


class Stubborn(MemoryLive):
    """Refuses turns in which credit is renewed, as long as it is told to."""

    refuses = False

    def commit(self, ops: Sequence[Op], now_ms: int) -> list[Answer | None]:
        if self.refuses and any(isinstance(op, Renew) for op in ops):
            raise StoreError("full")
        return super().commit(ops, now_ms)


def stubborn(balance: str) -> tuple[Routed, Stubborn]:
    routed = world(acme(f"balance = {balance}"))
    store = Stubborn()
    store.__dict__.update(routed.store.__dict__)
    routed.store = routed.config.live.store = store
    engine = routed.engine

    class Commits:
        def commit(self, ops: Sequence[Op], now_ms: int) -> Iterable[Answer | None]:
            try:
                return store.commit(ops, now_ms)
            except StoreError:
                engine.on_commit_failed(now_ms)
                engine._taken = ([], [])
                return []

    routed.network.store = Commits()  # type: ignore[assignment]
    return routed, store


def test_a_store_that_is_out_of_order_is_asked_again_until_the_credit_ends() -> None:
    routed, store = stubborn("10")
    place(routed, hang_up_after_ms=300_000)
    store.refuses = True
    routed.network.run_for(58_000)
    store.refuses = False
    routed.network.run_for(300_000)
    assert (routed.cdr.end_reason, routed.cdr.charge) == ("Normal", 3_000_000)


def test_without_the_store_the_call_ends_with_what_it_has() -> None:
    routed, store = stubborn("10")
    place(routed, hang_up_after_ms=300_000)
    store.refuses = True
    routed.network.run_for(58_000)
    routed.network.run_for(100_000)
    cdr = routed.cdr
    assert (cdr.end_reason, cdr.charge) == ("InsufficientBalance", 600_000)


# -- many calls ------------------------------------------------------------------------------------


class Watched(MemoryLive):
    """Looks after each turn whether an account has promised more than it has."""

    floors: dict[str, int]

    def commit(self, ops: Sequence[Op], now_ms: int) -> list[Answer | None]:
        answers = super().commit(ops, now_ms)
        for account, floor in self.floors.items():
            balance, reserved = self.money(account)
            assert balance - reserved >= floor, (account, balance, reserved)
            assert reserved >= 0
        return answers


RINGS = (
    "request_route { if (!identify()) end(IllegalCall);\n"
    '    if ($fU == "2") call(gateways($rU), ring = all);\n'
    '    if ($fU == "3") call(gateways($rU), on_failure = DEARER);\n'
    "    call(gateways($rU)); }\n"
    'failure_route[DEARER] { $rU = "441"; call(gateways($rU)); }\n'
    "gateway h { address = 10.0.1.2:5072  prefixes = 86, 44, 33, 1  priority = 2\n"
    "    deck = wholesale  clearing = carrier }\n"
)
BEHAVIOURS = (
    Behaviour(), Behaviour(), Behaviour(answer_after_ms=4_000),
    Behaviour(status=503, ring_after_ms=None), Behaviour(status=486, answer_after_ms=2_000),
)


@pytest.mark.parametrize("seed", range(12))
def test_no_account_ever_gives_more_than_it_has(seed: int) -> None:
    dice = random.Random(seed)
    balances = [dice.randrange(0, 6_000_000) / 1_000_000 for _ in range(3)]
    routed = Routed(
        f"{DECKS}\n{GATEWAY % 'clearing = carrier'}{RINGS}"
        f"account carrier {{ balance = {balances[0]}  deck = vendor }}\n"
        f"account top {{ deck = wholesale  balance = {balances[1]}  overdraft = 0.5 }}\n"
        f"account acme {{ agent = top  deck = retail  balance = {balances[2]}\n"
        f"    reserve_minutes = {dice.choice(('0', '0.1', '1', '2'))}\n"
        f"    trunk t {{ ips = 192.0.2.0/24 }} }}",
        1, FILES,
    )
    store = Watched()
    store.floors = {"carrier": 0, "top": -500_000, "acme": 0}
    store.__dict__.update(routed.store.__dict__)
    routed.store = routed.network.store = routed.config.live.store = store
    for _ in range(25):
        routed.behaviours = {name: dice.choice(BEHAVIOURS) for name in ("g", "h")}
        routed.caller.place(
            dice.choice(("861", "441", "331", "1")), dice.choice("1123"), US,
            hang_up_after_ms=dice.choice((None, dice.randrange(1, 400_000))),
        )
        routed.network.run_for(dice.randrange(30_000))
        if dice.random() < 0.1:
            routed.network.now += dice.randrange(30_000)
            adopt(routed)
        if dice.random() < 0.1:
            store.commit([Funds(f"{dice.random()}", "acme", 500_000)], routed.network.now)
    routed.network.run_for(7_400_000)
    assert not routed.engine.calls
    assert all(reserved == 0 for _, reserved in store.monies().values())
    assert len(store.cdrs) == 25
    _charges_are_what_was_taken(store, balances)


def _charges_are_what_was_taken(store: MemoryLive, balances: list[float]) -> None:
    cdrs: list[Cdr] = list(store.cdrs.values())
    given = {"carrier": balances[0], "top": balances[1], "acme": balances[2]}
    for account, opening in given.items():
        paid_in = sum(one.amount for one in store.funds.values() if one.account == account)
        spent = sum(
            one.amount for cdr in cdrs for one in cdr.charges if one.account == account
        )
        assert paid_in >= round(opening * 1_000_000)
        assert store.money(account).balance == paid_in - spent
