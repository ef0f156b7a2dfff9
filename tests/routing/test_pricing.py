"""What decks do to calls: who may carry them, in which order, and what they cost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from routed import T0, US, Routed, program_of

from router.billing.charges import settle
from router.billing.deck import Deck
from router.billing.rate import Rate
from router.core.agent import Behaviour
from router.core.engine import Engine
from router.core.flow import Flow
from router.core.parameters import TimerDefaults
from router.core.tally import Tally
from router.routing.config import build_config
from router.routing.pricing import by_cost
from router.routing.trial.ground import Ground
from router.routing.trial.run import run_trial
from router.store.records import Cdr, decode_call, encode_call
from router.store.restart import closed_by_restart

HEAD = "prefix,rate_per_min,connect_fee,first_s,cycle_s\n"
FILES = {
    "retail.csv": HEAD + "86,0.12,,60,60\n8613,0.24,0.01,1,1\n",
    "dear.csv": HEAD + "86,0.10,,1,1\n",
    "cheap.csv": HEAD + "8613,0.06,,6,6\n",
}
DECKS = """
deck retail { file = "retail.csv" }
deck dear { file = "dear.csv" }
deck cheap { file = "cheap.csv" }
gateway dear { address = 10.0.1.1:5071  prefixes = 86  deck = dear %s }
gateway cheap { address = 10.0.1.2:5072  prefixes = 86  deck = cheap  priority = 2 }
account acme { deck = retail  fee_decimals = 3  trunk office { ips = 192.0.2.0/24 } }
"""
PLAIN = "request_route { if (!identify()) end(IllegalCall); call(gateways($rU)); }"
BY_COST = PLAIN.replace("gateways($rU)", "by_cost(gateways($rU))")
BUSY = Behaviour(status=503, ring_after_ms=None)


def world(route: str = PLAIN, dear: str = "") -> Routed:
    return Routed(DECKS % dear + route, files=FILES)


def money(cdr: Cdr) -> tuple[str, int, int, int, int]:
    return cdr.rate_prefix, cdr.rate, cdr.billed_s, cdr.charge, cdr.cost


def test_an_answered_call_has_its_charge_and_cost() -> None:
    routed = world()
    routed.place("8613800138000", hang_up_after_ms=7_000)
    cdr = routed.cdr
    assert (cdr.end_reason, cdr.gateway, cdr.duration_ms) == ("Normal", "dear", 7_010)
    # 0.01 + 0.24 * 7 / 60 = 0.038, and 0.10 * 7 / 60 = 0.011667
    assert money(cdr) == ("8613", 240_000, 7, 38_000, 11_667)


def test_a_call_that_is_not_answered_costs_nothing() -> None:
    routed = world()
    routed.behaviours = {"dear": BUSY, "cheap": BUSY}
    routed.place("8613800138000")
    assert not routed.cdr.answered
    assert money(routed.cdr) == ("8613", 240_000, 0, 0, 0)


def test_a_number_without_a_rate_is_refused_before_any_gateway() -> None:
    routed = world()
    call = routed.place("4412345")
    assert call.status == 403
    assert routed.cdr.end_reason == "RateNotFound"
    assert routed.cdr.decision[-1] == "refused: no rate for 4412345 in deck retail"
    assert routed.gateways["dear"].requests == []


def test_a_gateway_without_a_rate_is_no_candidate_of_an_account_that_pays() -> None:
    routed = world()
    routed.behaviours = {"dear": BUSY}
    routed.place("8620123456")
    cdr = routed.cdr
    assert [attempt.gateway for attempt in cdr.attempts] == ["dear"]
    assert "cheap: no rate in deck cheap" in cdr.decision


def test_an_account_without_a_deck_needs_no_rates() -> None:
    text = DECKS.replace("deck = retail  fee_decimals = 3", "") % "priority = 3"
    routed = Routed(text.replace('deck retail { file = "retail.csv" }', "") + PLAIN, files=FILES)
    routed.place("8620123456", hang_up_after_ms=6_000)
    assert routed.cdr.gateway == "cheap"
    assert money(routed.cdr) == ("", 0, 0, 0, 0)


def test_the_cheapest_goes_first_where_the_script_asks() -> None:
    routed = world(BY_COST)
    routed.place("8613800138000", hang_up_after_ms=7_000)
    assert routed.cdr.gateway == "cheap"
    assert routed.cdr.cost == 12_000  # two cycles of 6 s


def test_who_has_no_rate_comes_last_by_cost_and_who_asks_nothing_first() -> None:
    config = build_config(program_of(
        DECKS % "" + "gateway ours { address = 10.0.1.3 prefixes = 86 priority = 9 }" + PLAIN,
        FILES,
    ))
    found = by_cost(config.prefixes.find("8620"), lambda deck: deck.find("8620", 1))
    assert [gateway.name for gateway in found] == ["ours", "dear", "cheap"]
    listed = by_cost(list(found), lambda deck: deck.find("8613", 1))
    assert [gateway.name for gateway in listed] == ["ours", "cheap", "dear"]


@pytest.mark.parametrize(
    ("dear", "why"),
    [
        ("max_rate = 0.09", "dear: rate 0.1 is over max_rate 0.09"),
        ("min_margin = 0.15", "dear: margin 0.14 is under min_margin 0.15"),
        ("max_rate = 0.1  min_margin = 0.14", ""),
    ],
)
def test_a_gateway_that_asks_too_much_is_passed_over(dear: str, why: str) -> None:
    routed = world(dear=dear)
    routed.place("8613800138000")
    assert routed.cdr.gateway == ("cheap" if why else "dear")
    assert not why or why in routed.cdr.decision


def test_without_any_gateway_that_may_carry_it_no_router_is_available() -> None:
    routed = world(dear="max_rate = 0.01")
    assert routed.place("8620123456").status == 503
    assert routed.cdr.end_reason == "NoAvailableRouter"


def test_the_number_of_the_prices_lives_on_with_the_call() -> None:
    routed = world(PLAIN.replace("call(", '$rU = "8613800138000"; call('))
    routed.caller.place("1", "1000", Flow("udp", *US, 0), hang_up_after_ms=60_000)
    routed.network.run_for(5_000)
    (record,) = routed.store.records.values()
    assert decode_call(encode_call(record)).callee == "8613800138000"


def succeed(routed: Routed, files: dict[str, str], spoil: bool = False) -> None:
    """The worker dies; its successor was born after a reload with these rates."""
    records = [decode_call(encode_call(record)) for record in routed.store.records.values()]
    for record in records:
        record.dialog = b"\xc1" if spoil else record.dialog
    routed.store.records.update({record.id: record for record in records})
    successor = Engine(
        Routed(DECKS % "" + PLAIN, files=FILES | files).switch, listeners=routed.config.listeners,
        slot=0, slots=1, generation=2, token=routed.token, tally=Tally(), now_ms=T0,
        timers=TimerDefaults(),
    )
    successor.adopt(records, routed.network.now)
    routed.engine = routed.network.engine = successor


@pytest.mark.parametrize("dear", ["86,0.50,,60,60\n", "44,0.50,,1,1\n"], ids=["dearer", "none"])
def test_a_successor_bills_a_call_as_its_own_worker_would_have(dear: str) -> None:
    routed = world(PLAIN.replace("call(", '$rU = "8613800138000"; call('))
    routed.caller.place("1", "1000", Flow("udp", *US, 0), hang_up_after_ms=7_000)
    routed.network.run_for(1_000)
    succeed(routed, {"dear.csv": HEAD + dear, "retail.csv": HEAD + "86,0.01,,1,1\n"})
    routed.network.run_for(20_000)
    cdr = routed.cdr
    assert money(cdr) == ("8613", 240_000, 7, 38_000, 11_667)
    (asked,) = cdr.cost_terms
    assert (asked.account, asked.kind, asked.rate_prefix, asked.rate) == (
        "", "vendor", "86", 100_000
    )
    assert (asked.billed_s, asked.amount) == (7, 11_667)


def test_a_call_that_nobody_can_go_on_with_has_its_cost() -> None:
    routed = world()
    routed.caller.place("8613800138000", "1000", Flow("udp", *US, 0), hang_up_after_ms=None)
    routed.network.run_for(7_000)
    succeed(routed, {"dear.csv": HEAD + "86,0.50,,60,60\n"}, spoil=True)
    routed.network.run_for(10)
    cdr = routed.cdr
    assert cdr.end_reason == "ServerFailure"
    assert (cdr.charge, cdr.cost) == (38_000, 11_667)


def test_a_power_cut_leaves_what_the_opening_says() -> None:
    routed = world()
    routed.caller.place("8613800138000", "1000", Flow("udp", *US, 0), hang_up_after_ms=None)
    routed.network.run_for(7_000)
    (record,) = routed.store.records.values()
    cdr = closed_by_restart(decode_call(encode_call(record)).cdr, routed.network.now)
    settle(cdr)
    assert (cdr.charge, cdr.cost) == (38_000, 11_667)


def test_a_test_block_expects_charge_and_cost() -> None:
    text = DECKS % "" + PLAIN + """
test "money" {
    invite from 192.0.2.10 callee "8613800138000";
    gateway dear answers;
    caller hangs up after 7s;
    expect end Normal charge 0.038 cost 0.011667;
}
"""
    program = program_of(text, FILES)
    (trial,) = program.tests
    assert run_trial(Ground(program), trial).failure is None
    assert trial.steps[-1].charge == Decimal("0.038")


def test_each_deck_is_looked_into_once_for_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Deck] = []
    find = Deck.find

    def counted(deck: Deck, number: str, now_ms: int) -> Rate | None:
        found.append(deck)
        return find(deck, number, now_ms)

    monkeypatch.setattr(Deck, "find", counted)
    text = DECKS % "min_margin = 0.01" + BY_COST
    agent = "account top { deck = retail }\naccount acme { agent = top "
    text = text.replace("account acme {", agent)
    routed = Routed(text, files=FILES)
    routed.behaviours = {"cheap": BUSY}
    routed.place("8613800138000", hang_up_after_ms=7_000)
    assert (routed.cdr.gateway, len(routed.cdr.charges)) == ("dear", 2)
    assert len(found) == len(set(map(id, found))) == 3
