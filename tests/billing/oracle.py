"""What calls cost, worked out another way: with Decimal, by formulas that billing does not use.

Billing adds sixtieths of millionths as integers and rounds once by a shift; here a call is cut into
its periods, each is priced in units of the currency, and the sum is rounded by Decimal. What an
amount pays for is found by trying periods, where billing divides.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, Context, Decimal
from random import Random
from typing import NamedTuple

from router.billing.charges import settle, terms
from router.billing.rate import Rate, rate_call
from router.billing.reserve import FOR_EVER, NOT_AT_ALL, longest_paid_ms
from router.store.records import Cdr

EXACT = Context(prec=60)
SIXTY = Decimal(60)
THOUSAND = Decimal(1000)
MILLION = Decimal(1_000_000)


class Terms(NamedTuple):
    """How an account is billed."""

    rate: Rate
    precision_ms: int
    decimals: int


def random_terms(dice: Random) -> Terms:
    """Terms of all sorts, the odd ones often."""
    rate = Rate(
        "",
        dice.choice((0, 1, 7, 120_000, 60_000_000, dice.randrange(10**6), dice.randrange(10**9))),
        dice.choice((0, 0, 5, dice.randrange(10**7))),
        dice.choice((0, 1, 6, 30, 60, dice.randrange(1, 200))),
        dice.choice((1, 1, 6, 60, dice.randrange(1, 200))),
        dice.choice((0, 0, 0, 1, 5, dice.randrange(100))),
    )
    return Terms(rate, dice.choice((0, 1, 50, 50, 999, 1000, 5000)), dice.randrange(7))


def random_duration_ms(dice: Random) -> int:
    """From nothing to a day, and close to whole seconds often."""
    whole_ms = dice.choice((0, 1, 59, 60, 61, dice.randrange(1_000), dice.randrange(86_400))) * 1000
    return max(whole_ms + dice.choice((0, 0, -1, 1, 49, 50, 51, dice.randrange(1000))), 0)


def charge(terms: Terms, duration_ms: int) -> tuple[int, int]:
    """Billed seconds and the charge in millionths."""
    rate = terms.rate
    length = Decimal(duration_ms) / THOUSAND
    whole = length.to_integral_value(ROUND_DOWN)
    over = length - whole
    seconds = whole + (over > 0 and over * THOUSAND >= terms.precision_ms)
    paid_for = seconds - rate.free_s
    periods: list[Decimal] = []
    if paid_for > 0:
        periods.append(Decimal(rate.first_s))
        rest = paid_for - rate.first_s
        if rest > 0:
            cycles = EXACT.divide(rest, Decimal(rate.cycle_s)).to_integral_value(ROUND_CEILING)
            periods.append(cycles * rate.cycle_s)
    billed = sum(periods, Decimal(0))
    a_minute = Decimal(rate.rate_per_min) / MILLION
    # Divided at the end: a sixtieth has no end as a decimal, the sum of sixtieths may have one.
    dues = sum((EXACT.multiply(a_minute, period) for period in periods), Decimal(0))
    sixty_times = dues + Decimal(rate.connect_fee) / MILLION * SIXTY
    total = _rounded_sixtieth(sixty_times, terms.decimals)
    return int(billed), int(total * MILLION)


def _rounded_sixtieth(sixty_times: Decimal, decimals: int) -> Decimal:
    """A sixtieth of it, half up: rounded down, and up again where what is left is half or more."""
    unit = Decimal(1).scaleb(-decimals)
    below = EXACT.divide(sixty_times, SIXTY).quantize(unit, rounding=ROUND_DOWN, context=EXACT)
    rest = sixty_times - below * SIXTY
    return below + unit if rest * 2 >= unit * SIXTY else below


def check(dice: Random) -> None:
    """One random call: its charge, how long random money pays for it, and its bill on a CDR."""
    terms_ = random_terms(dice)
    rate, precision_ms, decimals = terms_
    duration_ms = random_duration_ms(dice)
    expected = charge(terms_, duration_ms)
    case = (terms_, duration_ms)
    assert rate_call(rate, duration_ms, precision_ms, decimals) == expected, case
    _check_longest(terms_, expected[1] + dice.choice((0, 0, -1, 1, dice.randrange(10**6))), case)
    cdr = Cdr(account="acme", answered=1, duration_ms=duration_ms + dice.randrange(5_000))
    cdr.charges = [terms("acme", "retail", rate, precision_ms, decimals)]
    # What credit did not pay for is not billed.
    settle(cdr, 1 + duration_ms)
    assert (cdr.billed_s, cdr.charge) == expected, case


def _check_longest(terms_: Terms, amount: int, case: object) -> None:
    rate, precision_ms, decimals = terms_
    longest = longest_paid_ms(rate, amount, precision_ms, decimals)
    if longest == NOT_AT_ALL:
        assert charge(terms_, 0)[1] > amount, (case, amount)
    elif longest == FOR_EVER:
        assert charge(terms_, 10**9)[1] <= amount, (case, amount)
    else:
        assert charge(terms_, longest)[1] <= amount, (case, amount)
        assert charge(terms_, longest + 1)[1] > amount, (case, amount)
