"""Money given to an account by somebody: what is asked for is looked at, audited, and paid."""

from __future__ import annotations

import secrets
import time

from router.admin.account_facts import Accounts
from router.admin.amounts import parse_amount
from router.admin.wrong_value import WrongValue
from router.runtime.payments import Payment, give_funds
from router.store.cdr_lines import CONTROL, decimal
from router.store.funds import ADJUST, TOPUP, Funds, new_funds_id
from router.store.objects import DONE, OBJECTS_DIR, AuditRow, LmdbObjects

MAX_NOTE = 200


def pay(
    accounts: Accounts, name: str, text: str, kind: str, note: str, who: str, id: str = ""
) -> tuple[Funds, Payment]:
    """Give an account what the text says; WrongValue, and nothing was given.

    An `id` that was paid already is not paid again, and answered with that payment.
    """
    amount = check_payment(text, kind, note)
    accounts.named(name)
    now_ms = time.time_ns() // 1_000_000
    id = id or new_funds_id(now_ms, secrets.token_hex(8))
    funds = Funds(id, name, amount, kind, note.strip(), who, now_ms)
    return funds, _audited(accounts, funds)


def check_payment(text: str, kind: str, note: str) -> int:
    """The amount in millionths; WrongValue when it, or the note, makes no sense."""
    amount = parse_amount(text)
    if amount == 0 or (kind == TOPUP and amount < 0):
        raise WrongValue(
            f"{text} changes nothing"
            if kind == ADJUST
            else f"{text} adds nothing: give more than 0"
            + (", or take money away with trunkline accounts adjust" if amount else "")
        )
    if kind == ADJUST and not note.strip():
        raise WrongValue("a correction needs a reason: give one with --note")
    if CONTROL.search(note) or len(note) > MAX_NOTE:
        raise WrongValue(f"--note has control characters or is longer than {MAX_NOTE}")
    return amount


def _audited(accounts: Accounts, funds: Funds) -> Payment:
    """The payment, with a row in the audit before it is made."""
    what = AuditRow(
        funds.at_ms, funds.who, funds.kind, f"account {funds.account}", "",
        f"{decimal(funds.amount)}, payment {funds.id}",
    )
    objects = LmdbObjects(accounts.state / OBJECTS_DIR)
    try:
        number = objects.begin(what)
        payment = give_funds(accounts.state, funds, accounts.openings.get(funds.account))
        objects.conclude(number, DONE, funds.note)
    finally:
        objects.close()
    return payment
