"""The router itself over HTTP: status, check, reload, decisions, rates, blocks, audit."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter

from dsl.findings import findings_json
from router.admin.api_desk import Desk
from router.admin.api_gate import Caller, needs
from router.admin.api_problems import Refusal, documented
from router.admin.api_shapes import Asking, Cursor, Limit, Name, Page, Reloading, Word, page
from router.admin.api_tokens import OPERATE
from router.admin.audit_rows import read_audit
from router.admin.blocked import lift_block, read_blocks
from router.admin.deciding import decide, live_now, question_of
from router.admin.decks import deck_row, decks_of, open_decks
from router.admin.rates_loading import deck_folder, load_deck, problems_of, result_of
from router.admin.status_facts import Status, read_status
from router.admin.wrong_value import Clash
from router.billing.amounts import amount
from router.runtime.clock import make_clock
from router.runtime.reload_control import NoRouter, ask
from router.runtime.reload_control import Request as ReloadRequest
from router.runtime.reload_report import APPLIED, SOUND
from router.runtime.routes_file import check_file, load_routes
from router.store.boot import LIVE_DIR, live_is_current
from router.store.objects import DONE, OBJECTS_DIR, REFUSED, AuditRow, LmdbObjects
from router.store.rates import RATES_DIR, loaded_rates

RELOAD_S: Final = 60.0
LOAD_S: Final = 300.0
MAX_UPLOAD: Final = 256 * 1024 * 1024
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

        return await desk.short.do(work)

    @post(
        "/reload", status_code=200, summary="Let the router take routes.cfg as it is now",
        guards=[needs(OPERATE)], **told,
    )
    async def reload(request: Ask, data: JSONBody[Reloading]) -> dict[str, Any]:
        who = request.auth.who
        return await desk.orders.do(lambda: _reload(desk, data.dry_run, who), RELOAD_S + 5)

    @post("/decisions", status_code=200, summary="Decide a call without making it", **told)
    async def decision(data: JSONBody[Asking]) -> dict[str, Any]:
        return await desk.short.do(lambda: _decided(desk, data))

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
            _note(desk, request.auth.who, "lift", f"block {lifted}", DONE)
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

    return [status, check, reload, decision, list_blocks, lift, audit]


def rate_routes(desk: Desk) -> list[HTTPRouteHandler]:
    """Decks: what they say, and new rates for them."""
    told: Mapping[str, Any] = {"tags": ["rates"], "responses": documented(409, 413, 422)}

    @get("/decks", summary="List the decks: where their rates come from, since when", **told)
    async def list_decks(limit: Limit = 50, cursor: Cursor = "") -> Page:
        def work() -> Page:
            outcome = desk.known().outcome
            files = decks_of(outcome)
            with open_decks(outcome, desk.state) as (decks, rates):
                loaded = rates.decks() if rates is not None else {}
                rows = [
                    deck_row(name, files[name], one, loaded.get(name))
                    for name, one in decks.items()
                ]
            return page(rows, lambda one: str(one["deck"]), limit, cursor, dict)

        return await desk.searches.do(work)

    @get("/decks/{deck:str}/rate", summary="The rate that a call would have now", **told)
    async def find_rate(
        deck: Name, number: Annotated[str, QueryParameter(min_length=1, max_length=64)]
    ) -> dict[str, Any]:
        def work() -> dict[str, Any]:
            with open_decks(desk.known().outcome, desk.state, deck) as (decks, _):
                rate = decks[deck].find(number, make_clock()())
            if rate is None:
                return {"deck": deck, "number": number, "rate": None}
            fields = {name: getattr(rate, name) for name in
                      ("prefix", "name", "first_s", "cycle_s", "free_s", "kind")}
            fields["rate_per_min"] = amount(rate.rate_per_min)
            fields["connect_fee"] = amount(rate.connect_fee)
            return {"deck": deck, "number": number, "rate": fields}

        return await desk.searches.do(work)

    @put(
        "/decks/{deck:str}/rates", summary="Load a rates file, CSV, also gzipped, into a deck",
        guards=[needs(OPERATE)], request_max_body_size=MAX_UPLOAD, **told,
    )
    async def load_rates(
        request: Ask, deck: Name, dry_run: Annotated[bool, QueryParameter()] = False,
        rise: Annotated[float, QueryParameter(ge=0, le=1_000_000)] = 10.0,
    ) -> dict[str, Any]:
        desk.state.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".upload.", dir=desk.state)
        file = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as out:
                async for chunk in request.stream():
                    out.write(chunk)
            who = request.auth.who
            return await desk.loads.do(lambda: _load(desk, file, deck, dry_run, rise, who), LOAD_S)
        finally:
            file.unlink(missing_ok=True)

    return [list_decks, find_rate, load_rates]


def _reload(desk: Desk, dry_run: bool, who: str) -> dict[str, Any]:
    try:
        answer = ask(desk.state, ReloadRequest(dry_run=dry_run), RELOAD_S)
    except NoRouter as error:
        raise Clash(str(error)) from None
    if not dry_run:
        result = DONE if answer.result == APPLIED else REFUSED
        _note(desk, who, "reload", str(desk.config), result, answer.sentence)
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


def _load(
    desk: Desk, file: Path, deck: str, dry_run: bool, rise: float, who: str
) -> dict[str, Any]:
    began = time.monotonic()
    deck_folder(desk.config, desk.known().outcome, deck)
    source = f"upload by {who}"
    with file.open("rb") as raw:
        loading = load_deck(
            raw, source, deck, desk.state / RATES_DIR,
            size=file.stat().st_size, dry_run=dry_run, rise=rise,
        )
    if loading.changes is None:
        raise Refusal(
            422, f"{loading.faulty} lines are wrong: nothing was loaded",
            errors=problems_of(loading),
        )
    if not dry_run:
        _note(desk, who, "load", f"deck {deck}", DONE, f"{loading.rates} rates")
    return result_of(deck, loading, time.monotonic() - began, dry_run=dry_run)


def _note(desk: Desk, who: str, command: str, what: str, result: str, why: str = "") -> None:
    objects = LmdbObjects(desk.state / OBJECTS_DIR)
    try:
        objects.begin(
            AuditRow(
                time.time_ns() // 1_000_000, who, command, what, result=result, why=why[:200]
            )
        )
    finally:
        objects.close()
