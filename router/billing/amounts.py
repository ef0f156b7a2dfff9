"""Amounts as people write them."""

from __future__ import annotations

from decimal import Decimal

from router.billing.rate import MAX_DECIMALS


def amount(millionths: int) -> str:
    """An amount as people write it: 0.12."""
    return f"{Decimal(millionths).scaleb(-MAX_DECIMALS).normalize():f}"
