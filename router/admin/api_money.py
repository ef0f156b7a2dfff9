"""Money over HTTP: paid once for each idempotency key, however often it is asked for."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Annotated, Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, JSONBody

from router.admin.account_facts import read_accounts
from router.admin.amounts import parse_amount
from router.admin.api_desk import Desk
from router.admin.api_gate import Caller, needs
from router.admin.api_problems import documented
from router.admin.api_shapes import Correction, Name, Paid, Payment
from router.admin.api_tokens import MONEY
from router.admin.paying import check_payment, pay
from router.admin.wrong_value import WrongValue
from router.runtime.payments import row_of
from router.store.api_access import Asked
from router.store.cdr_lines import decimal
from router.store.funds import ADJUST, TOPUP, new_funds_id

Ask = Request[Any, Caller, Any]
Key = Annotated[
    str,
    HeaderParameter(
        name="Idempotency-Key", min_length=1, max_length=200,
        description="What nobody else uses, such as a UUID: the same key pays once.",
    ),
]


def money_routes(desk: Desk) -> list[HTTPRouteHandler]:
    """Top-ups and corrections."""
    told: Mapping[str, Any] = {
        "tags": ["accounts"],
        "guards": [needs(MONEY)],
        "responses": documented(409, 422),
        "status_code": 200,
    }

    @post("/accounts/{name:str}/topup", summary="Add to a balance, once for each key", **told)
    async def topup(request: Ask, name: Name, data: JSONBody[Payment], key: Key) -> Paid:
        caller = request.auth
        return await desk.money.do(
            lambda: _paid(desk, caller, key, name, data.amount, TOPUP, data.note)
        )

    @post("/accounts/{name:str}/adjust", summary="Correct a balance, once for each key", **told)
    async def adjust(request: Ask, name: Name, data: JSONBody[Correction], key: Key) -> Paid:
        caller = request.auth
        return await desk.money.do(
            lambda: _paid(desk, caller, key, name, data.amount, ADJUST, data.note)
        )

    return [topup, adjust]


def _paid(
    desk: Desk, caller: Caller, key: str, name: str, amount: str, kind: str, note: str
) -> Paid:
    accounts = read_accounts(desk.config, desk.state)
    accounts.named(name)
    # Before the key is taken: what is wrong may be asked again with it, put right.
    check_payment(amount, kind, note)
    now_ms = time.time_ns() // 1_000_000
    about = f"{kind}\n{name}\n{parse_amount(amount)}\n{note.strip()}"
    mine = Asked(new_funds_id(now_ms, secrets.token_hex(8)), about)
    asked = desk.access.ask(caller.name, key, mine, now_ms)
    if asked.about != about:
        raise WrongValue("this Idempotency-Key was used for another payment: take a new one")
    row = row_of(desk.state, asked.id) if asked is not mine else None
    if row is not None:
        return Paid(name, decimal(row.amount), decimal(row.balance), True, asked.id)
    funds, payment = pay(accounts, name, amount, kind, note, caller.who, asked.id)
    stored = payment.row
    balance = payment.balance if stored is None else stored.balance
    return Paid(name, decimal(funds.amount), decimal(balance), stored is not None, funds.id)
