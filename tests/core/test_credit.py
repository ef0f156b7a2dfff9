"""The credit timer where the core alone decides: several gateways at once, an account twice."""

from __future__ import annotations

from collections.abc import Callable

from virtual_world import World, gateway

from router.core.agent import Behaviour
from router.core.call import Call
from router.core.credit import Payer, Purse, purses_of
from router.core.verdicts import Dial
from router.store.ops import Candidate, Credit, Funds


class Seconds:
    """A payer of so much for each second, and a fee."""

    step_ms = 60_000

    def __init__(self, account: str, price: int, fee: int = 0, floor: int = 0) -> None:
        self.account = account
        self.floor = floor
        self.price = price
        self.fee = fee

    def charge(self, duration_ms: int) -> int:
        return self.fee + self.price * (duration_ms // 1000)

    def longest_ms(self, amount: int) -> int | None:
        if not self.price:
            return None
        return max(amount - self.fee, 0) // self.price * 1000


def purse(*payers: Payer) -> Purse:
    (found,) = purses_of(payers, ())
    return found


def test_one_purse_pays_for_all_levels_of_its_account() -> None:
    both = purse(Seconds("a", 3), Seconds("a", 2, fee=7))
    for amount in range(60):
        longest_ms = both.longest_ms(amount)
        assert longest_ms is not None
        assert both.charge(longest_ms) <= amount or longest_ms == 0
        assert both.charge(longest_ms + 1_000) > amount
    assert purse(Seconds("a", 0, fee=7)).longest_ms(0) is None
    assert purse(Seconds("a", 0, fee=7), Seconds("a", 1)).longest_ms(10) == 3_000


def test_what_is_reserved_is_held_by_account() -> None:
    reserved = [("a", 5), ("b", 1), ("a", 2), ("gone", 9)]
    found = purses_of([Seconds("a", 1), Seconds("b", 1), Seconds("a", 1)], reserved)
    assert [(one.account, one.held, len(one.payers)) for one in found] == [
        ("a", 7, 2), ("b", 1, 1),
    ]


def test_what_gateways_that_rang_too_had_reserved_is_not_spent(
    make_world: Callable[..., World]
) -> None:
    world = make_world([gateway("g1", 1), gateway("g2", 2)])
    world.behaviours |= {"g1": Behaviour(answer_after_ms=None), "g2": Behaviour()}
    world.store.commit([Funds("1", "carrier", 100)], world.network.now)
    routes = world.routes
    routes.ring_all = True
    plain = routes.dial()

    def dial(call: Call) -> Dial:
        plain.tiers = tuple(
            tuple(Candidate(one.key, credits=(Credit("carrier", 40),)) for one in tier)
            for tier in plain.tiers
        )
        return plain

    routes.on_invite = dial
    routes.payers_of = [Seconds("carrier", 1)]
    world.place(hang_up_after_ms=None)
    world.run(500)
    assert world.store.money("carrier") == (100, 40)
    world.run(200_000)
    cdr = world.cdr
    assert (cdr.gateway, cdr.end_reason) == ("g2", "InsufficientBalance")
    assert cdr.duration_ms // 1000 == 100
    assert world.store.money("carrier").reserved == 0


def test_a_limit_that_a_successors_routes_do_not_have_bills_nothing_less(world: World) -> None:
    world.store.commit([Funds("1", "acme", 100)], world.network.now)
    world.routes.credits = (Credit("acme", 10),)
    world.routes.payers_of = [Seconds("acme", 1)]
    world.place(hang_up_after_ms=50_000)
    world.run(3_000)
    (record,) = world.store.records.values()
    assert record.paid_until == record.cdr.answered + 10_000
    world.routes.payers_of = []
    world.crash()
    (record,) = world.store.records.values()
    assert record.paid_until == 0
    world.run(60_000)
    assert world.cdr.end_reason == "Normal"

