"""The router itself over HTTP: status, check, reload, decisions, blocks, audit."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter

from dsl.findings import findings_json
from dsl.load import compile_routes
from router.admin.api_desk import Desk
from router.admin.api_gate import Caller, needs
from router.admin.api_problems import Refusal, documented
from router.admin.api_shapes import Asking, Cursor, Limit, Name, Page, Reloading, Word, page
from router.admin.api_tokens import OPERATE
from router.admin.audit_rows import read_audit
from router.admin.blocked import lift_block, read_blocks
from router.admin.deciding import decide, live_now, question_of
from router.admin.status_facts import Status, read_status
from router.admin.wrong_value import Clash
from router.routing.surface import SURFACE
from router.runtime.reload_control import NoRouter, ask
from router.runtime.reload_control import Request as ReloadRequest
from router.runtime.reload_report import APPLIED, SOUND
from router.runtime.routes_file import check_file, load_routes
from router.store.boot import LIVE_DIR, live_is_current
from router.store.objects import DONE, REFUSED
from router.store.rates import loaded_rates

RELOAD_S: Final = 60.0
Ask = Request[Any, Caller, Any]


def router_routes(desk: Desk) -> list[HTTPRouteHandler]:
    """Status, check, reload, decisions, blocks and audit."""
    told: Mapping[str, Any] = {"tags": ["router"], "responses": documented(409, 422)}

    @get("/status", summary="Whether it runs, its workers, gateways and lines", **told)
    async def status() -> Status:
        return await desk.short.do(lambda: read_status(desk.state, time.time_ns() // 1_000_000))

    @get("/check", summary="Check routes.cfg as it is on disk", **told)
    async def check() -> dict[str, Any]:
        def work() -> dict[str, Any]:
            found = check_file(desk.config).findings
            told: dict[str, Any] = json.loads(findings_json(found))
            return told

        return await desk.objects.do(work)

    @get("/compiled", summary="The Python that the routes of routes.cfg become", **told)
    async def compiled() -> dict[str, Any]:
        def work() -> dict[str, Any]:
            outcome = desk.known().outcome
            source = compile_routes(outcome, SURFACE).source()
            return {"hash": outcome.unit.hash, "python": source}

        return await desk.objects.do(work)

    @post(
        "/reload", status_code=200, summary="Let the router take routes.cfg as it is now",
        guards=[needs(OPERATE)], **told,
    )
    async def reload(request: Ask, data: JSONBody[Reloading]) -> dict[str, Any]:
        who = request.auth.who
        return await desk.orders.do(lambda: _reload(desk, data.dry_run, who), RELOAD_S + 5)

    @post("/decisions", status_code=200, summary="Decide a call without making it", **told)
    async def decision(data: JSONBody[Asking]) -> dict[str, Any]:
        return await desk.objects.do(lambda: _decided(desk, data))

    @get("/blocks", summary="List the addresses that are blocked", **told)
    async def list_blocks(limit: Limit = 50, cursor: Cursor = "") -> Page:
        def work() -> Page:
            blocks = read_blocks(desk.state, time.time_ns() // 1_000_000).items()
            return page(
                blocks, lambda one: one[0], limit, cursor,
                lambda one: {"address": one[0], **one[1]._asdict()},
            )

        return await desk.short.do(work)

    @delete(
        "/blocks/{address:str}", status_code=200, summary="End the block of an address",
        guards=[needs(OPERATE)], **told,
    )
    async def lift(request: Ask, address: Name) -> dict[str, Any]:
        def work() -> dict[str, Any]:
            lifted = lift_block(desk.state, address)
            desk.note(request.auth.who, "lift", f"block {lifted}", DONE)
            return {"address": lifted}

        return await desk.short.do(work)

    @get("/audit", summary="List what was changed by order, newest first", **told)
    async def audit(
        what: Word = "", limit: Limit = 50,
        cursor: Annotated[int, QueryParameter(ge=0, le=2**53)] = 0,
    ) -> Page:
        def work() -> Page:
            rows = read_audit(desk.state, what, limit + 1, cursor)
            last = str(rows[limit - 1].number) if len(rows) > limit else None
            return Page([msgspec.structs.asdict(one) for one in rows[:limit]], last)

        return await desk.short.do(work)

    return [status, check, compiled, reload, decision, list_blocks, lift, audit]


def _reload(desk: Desk, dry_run: bool, who: str) -> dict[str, Any]:
    try:
        answer = ask(desk.state, ReloadRequest(dry_run=dry_run), RELOAD_S)
    except NoRouter as error:
        raise Clash(str(error)) from None
    if not dry_run:
        result = DONE if answer.result == APPLIED else REFUSED
        desk.note(who, "reload", str(desk.config), result, answer.sentence)
    if answer.result not in (APPLIED, SOUND):
        errors = [{"message": text} for text in (*answer.findings, *answer.failures)][:50]
        raise Refusal(409, f"not loaded: {answer.sentence}", errors=errors)
    fields: dict[str, Any] = msgspec.to_builtins(answer)
    return fields


def _decided(desk: Desk, data: JSONBody[Asking]) -> dict[str, Any]:
    question = question_of(data.source, data.caller, data.callee, data.headers, data.at)
    outcome = check_file(desk.config)
    if outcome.errors:
        raise Clash("routes.cfg has errors: see /check")
    program = load_routes(desk.config)
    state = desk.state if live_is_current(desk.state / LIVE_DIR) else None
    with live_now(state) as live, loaded_rates(desk.state) as rates:
        decided, trace = decide(outcome, program, question, live, rates)
    asked: dict[str, Any] = msgspec.to_builtins(question)
    found: dict[str, Any] = msgspec.to_builtins({**msgspec.structs.asdict(decided)})
    return {**asked, "route": msgspec.to_builtins(trace.visits), **found}
