"""Calls over HTTP: those in progress and the end of one; CDRs, their story and their figures."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, delete, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.response import Stream

from router.admin.api_desk import Desk, in_time
from router.admin.api_gate import Caller, needs
from router.admin.api_problems import documented
from router.admin.api_shapes import Cursor, Killed, Limit, Name, Page, Word, page
from router.admin.api_tokens import OPERATE
from router.admin.call_counts import Counts, count_calls
from router.admin.call_events import story_data
from router.admin.cdr_figures import ordered, parse_by, stats_data
from router.admin.cdr_search import (
    ID_DIGITS,
    find_cdr,
    parse_instant,
    parse_reason,
    read_cdrs,
)
from router.admin.live_calls import call_fields, end_call, find_call, live_folder, read_calls
from router.admin.story import tell
from router.admin.wrong_value import WrongValue
from router.store.cdr_lines import cdr_data, csv_header, csv_line, json_line
from router.store.query import CdrQuery
from router.store.records import Cdr

TIME_DIGITS: Final = 12
MOST_DIGITS: Final = 64
Ask = Request[Any, Caller, Any]
Instant = Annotated[
    str,
    QueryParameter(
        max_length=40,
        description="2026-05-01, 2026-05-01T12:30, a span back from now (10m, 2h, 3d), today.",
    ),
]


def call_routes(desk: Desk) -> list[HTTPRouteHandler]:
    """Calls in progress."""
    told: Mapping[str, Any] = {"tags": ["calls"], "responses": documented(409, 422)}

    @get("/calls", summary="List the calls in progress", **told)
    async def list_calls(
        account: Word = "", gateway: Word = "", limit: Limit = 50, cursor: Cursor = ""
    ) -> Page:
        def work() -> Page:
            now_ms = time.time_ns() // 1_000_000
            found = [
                one for one in read_calls(live_folder(desk.state))
                if account in ("", one.cdr.account) and gateway in ("", one.cdr.gateway)
            ]
            return page(
                found, lambda one: one.id, limit, cursor, lambda one: call_fields(one, now_ms)
            )

        return await desk.short.do(work)

    @get("/calls/{id:str}", summary="Show a call in progress", **told)
    async def show_call(id: Name) -> dict[str, Any]:
        def work() -> dict[str, Any]:
            record = find_call(live_folder(desk.state), id)
            return call_fields(record, time.time_ns() // 1_000_000)

        return await desk.short.do(work)

    @delete(
        "/calls/{id:str}", status_code=200, summary="End a call in progress",
        guards=[needs(OPERATE)], **told,
    )
    async def kill_call(request: Ask, id: Name, note: Word = "") -> Killed:
        who = request.auth.who
        return await desk.short.do(lambda: Killed(end_call(live_folder(desk.state), id, note, who)))

    return [list_calls, show_call, kill_call]


def cdr_routes(desk: Desk) -> list[HTTPRouteHandler]:
    """Calls that are over."""
    told: Mapping[str, Any] = {"tags": ["cdrs"], "responses": documented(409, 422)}

    @get("/cdrs", summary="Search CDRs, newest first", **told)
    async def list_cdrs(
        since: Instant = "", until: Instant = "", gateway: Word = "", account: Word = "",
        callee: Word = "", reason: Word = "", call_id: Word = "", limit: Limit = 50,
        cursor: Cursor = "",
    ) -> Page:
        def work() -> Page:
            query = _query(since, until, gateway, account, callee, reason, call_id)
            with closing(_after(desk, query, cursor)) as cdrs:
                found = list(islice(cdrs, limit + 1))
            last = found[limit - 1].id if len(found) > limit else None
            return Page([cdr_data(one) for one in found[:limit]], last)

        return await desk.searches.do(work)

    @get(
        "/cdrs/export", summary="All CDRs that match, newest first, as CSV or JSON lines",
        media_type="text/csv", **told,
    )
    async def export_cdrs(
        since: Instant = "", until: Instant = "", gateway: Word = "", account: Word = "",
        callee: Word = "", reason: Word = "", call_id: Word = "",
        format: Annotated[Literal["csv", "jsonl"], QueryParameter()] = "csv",
    ) -> Stream:
        def lines() -> Generator[str, None, None]:
            query = _query(since, until, gateway, account, callee, reason, call_id)
            with closing(_as_generator(read_cdrs(desk.state, query))) as cdrs:
                if format == "csv":
                    yield csv_header()
                yield from map(csv_line if format == "csv" else json_line, cdrs)

        kind = "text/csv; charset=utf-8" if format == "csv" else "application/jsonl"
        return Stream(await desk.stream(lines()), media_type=kind)

    @get("/cdrs/{id:str}", summary="Show one CDR, by its id, the end of it, or a Call-ID", **told)
    async def show_cdr(id: Name) -> dict[str, Any]:
        return await desk.searches.do(lambda: cdr_data(find_cdr(desk.state, id)))

    @get("/cdrs/{id:str}/explain", summary="Tell the story of one call", **told)
    async def explain_cdr(id: Name) -> dict[str, Any]:
        def work() -> dict[str, Any]:
            cdr = find_cdr(desk.state, id)
            return story_data(tell(cdr), cdr)

        return await desk.searches.do(work)

    @get("/stats", summary="Count calls in groups: ASR, ACD, NER, PDD", **told)
    async def stats(
        by: Word = "reason", since: Instant = "", until: Instant = "", gateway: Word = "",
        account: Word = "", callee: Word = "", reason: Word = "",
        digits: Annotated[int, QueryParameter(ge=1, le=32)] = 5, limit: Limit = 50,
    ) -> dict[str, Any]:
        def work() -> dict[str, Any]:
            names = parse_by(by)
            query = _query(since, until, gateway, account, callee, reason, "")
            with closing(_after(desk, query, "")) as cdrs:
                rows = ordered(list(count_calls(cdrs, names, digits).items()), names)
            total = Counts()
            for _, counts in rows:
                total.add(counts)
            return stats_data(names, rows[:limit], total)

        return await desk.searches.do(work)

    return [list_cdrs, export_cdrs, show_cdr, explain_cdr, stats]


def _as_generator(cdrs: Iterator[Cdr]) -> Generator[Cdr, None, None]:
    """The same, to be closed: the ledger is open until then."""
    yield from cdrs


def _query(
    since: str, until: str, gateway: str, account: str, callee: str, reason: str, call_id: str
) -> CdrQuery:
    now = datetime.now().astimezone()
    query = CdrQuery(
        since_ms=parse_instant("since", since, now),
        until_ms=parse_instant("until", until, now),
        gateway=gateway,
        account=account,
        callee_prefix=callee,
        end_reason=parse_reason(reason),
        call_id=call_id,
    )
    if query.until_ms and query.since_ms >= query.until_ms:
        raise WrongValue("since is not before until: nothing lies between")
    return query


def _after(desk: Desk, query: CdrQuery, cursor: str) -> Generator[Cdr, None, None]:
    """The matching CDRs below the cursor, the id of one, newest first; bounded in time."""
    if cursor:
        if not TIME_DIGITS < len(cursor) <= MOST_DIGITS or not ID_DIGITS.issuperset(cursor):
            raise WrongValue("cursor is none that a page has given as `next`")
        end_ms = int(cursor[:TIME_DIGITS], 16) + 1
        if not query.until_ms or end_ms < query.until_ms:
            query = msgspec.structs.replace(query, until_ms=end_ms)
    for cdr in in_time(read_cdrs(desk.state, query)):
        if not cursor or cdr.id < cursor:
            yield cdr
