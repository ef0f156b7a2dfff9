"""The accounts' book over HTTP: rows, balances, and the proof that they are right."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Annotated, Any, Final

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from router.admin.account_facts import unknown
from router.admin.api_desk import Desk
from router.admin.api_problems import documented
from router.admin.api_shapes import Cursor, Limit, Name, Page, page
from router.admin.cdr_search import open_ledger
from router.admin.wrong_value import NotThere
from router.store.boot import LIVE_DIR, live_is_current
from router.store.cdr_lines import decimal
from router.store.ledger_check import check_ledger, check_live
from router.store.live import LmdbLive

VERIFY_S: Final = 300.0


def ledger_routes(desk: Desk) -> list[HTTPRouteHandler]:
    """Rows, balances and their proof."""
    told: Mapping[str, Any] = {"tags": ["ledger"], "responses": documented(409, 422)}

    @get("/accounts/{name:str}/rows", summary="What changed a balance, newest first", **told)
    async def list_rows(
        name: Name, limit: Limit = 50,
        cursor: Annotated[int, QueryParameter(ge=0, le=2**53)] = 0,
    ) -> Page:
        def work() -> Page:
            with closing(open_ledger(desk.state)) as ledger:
                rows = list(ledger.rows(name, limit + 1, cursor))
                if not rows and name not in (known := ledger.balances()):
                    raise NotThere(unknown(name, known))
            last = str(rows[limit - 1].seq) if len(rows) > limit else None
            shown = [
                msgspec.structs.asdict(one)
                | {"amount": decimal(one.amount), "balance": decimal(one.balance)}
                for one in rows[:limit]
            ]
            return Page(shown, last)

        return await desk.searches.do(work)

    @get("/ledger/balances", summary="The balance of every account, as it is durable", **told)
    async def list_balances(limit: Limit = 50, cursor: Cursor = "") -> Page:
        def work() -> Page:
            with closing(open_ledger(desk.state)) as ledger:
                found = ledger.balances()
            return page(
                found.items(), lambda one: one[0], limit, cursor,
                lambda one: {"account": one[0], "balance": decimal(one[1])},
            )

        return await desk.searches.do(work)

    @get(
        "/ledger/verify", summary="Prove that balances are the sums of their rows, and these right",
        **told,
    )
    async def verify() -> dict[str, Any]:
        def work() -> dict[str, Any]:
            with closing(open_ledger(desk.state)) as ledger:
                found = check_ledger(ledger)
                if live_is_current(desk.state / LIVE_DIR):
                    with closing(LmdbLive(desk.state / LIVE_DIR, readonly=True)) as live:
                        found.problems.extend(check_live(ledger, live))
            return {"sound": not found.problems, **found._asdict()}

        return await desk.searches.do(work, VERIFY_S)

    return [list_rows, list_balances, verify]
