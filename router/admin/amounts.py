"""Amounts as people type and read them."""

from __future__ import annotations

from decimal import Decimal

from router.admin.wrong_value import WrongValue
from router.billing.rate import MAX_DECIMALS, MILLIONTHS

MAX_PAYMENT = 1_000_000_000
"""The most that is paid at once: a slip of the finger, and not money, is larger."""
_LEAST_DECIMALS = Decimal("0.01")


def parse_amount(text: str) -> int:
    """Millionths of an amount such as 12.50 or -3; WrongValue, one line, otherwise."""
    word = text.strip()
    whole, point, part = word.lstrip("+-").partition(".")
    if (
        len(word) - len(word.lstrip("+-")) > 1
        or not (whole + part).isdecimal()
        or not word.isascii()
        or (point and not (whole and part))
    ):
        raise WrongValue(f'"{text}" is no amount: give one such as 12.50')
    if len(part) > MAX_DECIMALS:
        raise WrongValue(f"{text} has more than {MAX_DECIMALS} decimals")
    if len(whole) > 18 or int(whole) > MAX_PAYMENT:
        raise WrongValue(f"{text} is too much: the most is {MAX_PAYMENT}")
    amount = int(whole) * MILLIONTHS + int(part.ljust(MAX_DECIMALS, "0") or "0")
    return -amount if word[0] == "-" else amount


def money(millionths: int) -> str:
    """An amount with two decimals at least, and as many as it has."""
    amount = Decimal(millionths).scaleb(-MAX_DECIMALS).normalize()
    if amount == amount.quantize(_LEAST_DECIMALS):
        amount = amount.quantize(_LEAST_DECIMALS)
    return f"{amount:f}"
