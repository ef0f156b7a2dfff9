"""A call billed by what stands on its CDR, and nothing else."""

from __future__ import annotations

from router.billing.charges import AGENT, RETAIL, VENDOR, rate_of, settle, terms
from router.billing.rate import Rate, rate_call
from router.store.records import Cdr, decode_cdr, encode_cdr

RETAIL_RATE = Rate("86", 60_000, connect_fee=5, first_s=60, cycle_s=6)
AGENT_RATE = Rate("8", 50_000, first_s=1, cycle_s=1, free_s=10)
VENDOR_RATE = Rate("8613", 40_000, first_s=6, cycle_s=6)


def answered(duration_ms: int) -> Cdr:
    """A call with the terms of three accounts."""
    return Cdr(
        id="a",
        account="acme",
        answered=1_000,
        duration_ms=duration_ms,
        charges=[
            terms("acme", RETAIL, RETAIL_RATE, 500, 2),
            terms("top", AGENT, AGENT_RATE),
            terms("carrier", VENDOR, VENDOR_RATE),
        ],
    )


def test_terms_hold_the_whole_rate_and_survive_storage() -> None:
    stored = decode_cdr(encode_cdr(answered(0)))
    assert [rate_of(one) for one in stored.charges] == [RETAIL_RATE, AGENT_RATE, VENDOR_RATE]
    assert [one.amount for one in stored.charges] == [0, 0, 0]


def test_each_account_pays_by_its_own_terms() -> None:
    cdr = answered(61_400)
    settle(cdr)
    assert [(one.billed_s, one.amount) for one in cdr.charges] == [
        rate_call(RETAIL_RATE, 61_400, 500, 2),
        rate_call(AGENT_RATE, 61_400),
        rate_call(VENDOR_RATE, 61_400),
    ]
    assert (cdr.billed_s, cdr.charge) == rate_call(RETAIL_RATE, 61_400, 500, 2)
    assert cdr.cost == rate_call(VENDOR_RATE, 61_400)[1]
    assert cdr.charge == 70_000
    assert cdr.cost == 44_000


def test_settling_twice_changes_nothing() -> None:
    cdr = answered(61_400)
    settle(cdr)
    once = encode_cdr(cdr)
    settle(cdr)
    assert encode_cdr(cdr) == once


def test_a_call_without_an_answer_costs_nothing() -> None:
    cdr = answered(0)
    cdr.answered = 0
    settle(cdr)
    assert (cdr.charges, cdr.charge, cdr.cost) == ([], 0, 0)


def test_a_call_without_terms_keeps_what_it_says() -> None:
    cdr = Cdr(id="a", answered=1, duration_ms=5_000, charge=7, cost=3)
    settle(cdr)
    assert (cdr.charge, cdr.cost) == (7, 3)


def test_a_vendor_whom_no_account_pays_asks_by_the_terms_too() -> None:
    asks = terms("", VENDOR, VENDOR_RATE)
    cdr = Cdr(id="a", answered=1_000, duration_ms=61_400, cost_terms=[asks])
    stored = decode_cdr(encode_cdr(cdr))
    settle(stored)
    assert stored.cost == rate_call(VENDOR_RATE, 61_400)[1] == 44_000
    assert (stored.cost_terms[0].billed_s, stored.cost_terms[0].amount) == (66, 44_000)
    assert (stored.charge, stored.charges) == (0, [])
    once = encode_cdr(stored)
    settle(stored)
    assert encode_cdr(stored) == once
    stored.answered = 0
    settle(stored)
    assert stored.cost_terms == []


def test_what_credit_did_not_pay_for_costs_at_the_vendor_all_the_same() -> None:
    cdr = answered(61_400)
    cdr.charges.pop()
    cdr.cost_terms = [terms("", VENDOR, VENDOR_RATE)]
    settle(cdr, paid_until=31_000)
    assert cdr.charge == rate_call(RETAIL_RATE, 30_000, 500, 2)[1]
    assert cdr.cost == rate_call(VENDOR_RATE, 61_400)[1]
