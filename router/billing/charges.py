"""What each account pays for a call, by the terms that stand on its CDR.

The terms of the account and of each agent above it are written when the call is admitted, those of
the gateway when it is answered. `settle` needs nothing else, so that a call is billed alike by the
worker that had it, by a successor that cannot go on with it, and by the ledger after a power cut,
when there may be no deck any more.
"""

from __future__ import annotations

from router.billing.rate import DEFAULT_HOLD_PRECISION_MS, MAX_DECIMALS, Rate, rate_call
from router.store.records import Cdr, Charge

RETAIL = "retail"
AGENT = "agent"
VENDOR = "vendor"


def terms(
    account: str,
    kind: str,
    rate: Rate,
    hold_precision_ms: int = DEFAULT_HOLD_PRECISION_MS,
    fee_decimals: int = MAX_DECIMALS,
) -> Charge:
    """What an account will pay by, its amount 0 so far."""
    return Charge(
        account,
        0,
        kind,
        rate.prefix,
        rate.rate_per_min,
        0,
        rate.connect_fee,
        rate.first_s,
        rate.cycle_s,
        rate.free_s,
        hold_precision_ms,
        fee_decimals,
    )


def rate_of(charge: Charge) -> Rate:
    """The rate that a charge was made by."""
    return Rate(
        charge.rate_prefix,
        charge.rate,
        charge.connect_fee,
        charge.first_s,
        charge.cycle_s,
        charge.free_s,
    )


def settle(cdr: Cdr, paid_until: int = 0) -> None:
    """Writes what a call that is over costs each account into its CDR; nothing if unanswered.

    What the call's account pays is repeated in `charge`, the vendor's in `cost`; what those pay
    whose call a phone passed on stands in `charges` alone. Doing it twice changes nothing. What
    credit did not pay for is not billed: `paid_until` is epoch ms, 0 for no limit. A vendor whom no
    account pays asks for the whole time all the same.
    """
    if not cdr.answered:
        cdr.charges, cdr.cost_terms = [], []
        return
    if not cdr.charges and not cdr.cost_terms:
        return
    cdr.charge = cdr.cost = 0
    duration_ms = cdr.duration_ms
    for one in cdr.cost_terms:
        one.billed_s, one.amount = rate_call(
            rate_of(one), duration_ms, one.hold_precision_ms, one.fee_decimals
        )
        cdr.cost = one.amount
    if paid_until:
        duration_ms = max(min(duration_ms, paid_until - cdr.answered), 0)
    for one in cdr.charges:
        one.billed_s, one.amount = rate_call(
            rate_of(one), duration_ms, one.hold_precision_ms, one.fee_decimals
        )
        if one.kind == RETAIL and one.account == cdr.account:
            cdr.billed_s = one.billed_s
            cdr.charge += one.amount
        elif one.kind == VENDOR:
            cdr.cost = one.amount
