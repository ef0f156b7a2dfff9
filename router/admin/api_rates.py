"""Decks over HTTP: what they say, all of it as CSV, and new rates for them."""

from __future__ import annotations

import csv
import io
import os
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

from litestar import Request, get, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.response import Stream

from router.admin.api_desk import AGAIN, MAX_LOADS, UPLOAD, Desk
from router.admin.api_gate import Caller, needs
from router.admin.api_problems import Refusal, documented
from router.admin.api_shapes import Cursor, Limit, Name, Page, page
from router.admin.api_tokens import OPERATE
from router.admin.decks import deck_row, decks_of, open_decks, rate_cells, rate_data, rates_in
from router.admin.rates_loading import deck_folder, load_deck, problems_of, result_of
from router.billing.rates_file import COLUMNS
from router.runtime.clock import make_clock
from router.store.objects import DONE
from router.store.rates import RATES_DIR

LOAD_S: Final = 300.0
MAX_UPLOAD: Final = 256 * 1024 * 1024
Ask = Request[Any, Caller, Any]
Number = Annotated[
    str, QueryParameter(min_length=1, max_length=64, description="The number that is called.")
]


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
        deck: Name, number: Number
    ) -> dict[str, Any]:
        def work() -> dict[str, Any]:
            with open_decks(desk.known().outcome, desk.state, deck) as (decks, _):
                rate = decks[deck].find(number, make_clock()())
            return rate_data(deck, number, rate)

        return await desk.searches.do(work)

    @get("/rates", summary="The rates that a call would have now, in each deck", **told)
    async def find_rates(
        number: Number, limit: Limit = 50, cursor: Cursor = ""
    ) -> Page:
        def work() -> Page:
            now_ms = make_clock()()
            with open_decks(desk.known().outcome, desk.state) as (decks, _):
                found = [(name, one.find(number, now_ms)) for name, one in decks.items()]
            return page(
                found, lambda one: one[0], limit, cursor,
                lambda one: rate_data(one[0], number, one[1]),
            )

        return await desk.searches.do(work)

    @get(
        "/decks/{deck:str}/rates", summary="All rates of a deck, as a rates file has them",
        media_type="text/csv", **told,
    )
    async def export_rates(deck: Name) -> Stream:
        return Stream(await desk.stream(_csv(desk, deck)), media_type="text/csv; charset=utf-8")

    @put(
        "/decks/{deck:str}/rates", summary="Load a rates file, CSV, also gzipped, into a deck",
        guards=[needs(OPERATE)], request_max_body_size=MAX_UPLOAD, **told,
    )
    async def load_rates(
        request: Ask, deck: Name, dry_run: Annotated[bool, QueryParameter()] = False,
        rise: Annotated[float, QueryParameter(ge=0, le=1_000_000)] = 10.0,
    ) -> dict[str, Any]:
        with _uploaded(desk) as (out, file):
            async for chunk in request.stream():
                out.write(chunk)
            out.close()
            who = request.auth.who
            return await desk.loads.do(lambda: _load(desk, file, deck, dry_run, rise, who), LOAD_S)

    return [list_decks, find_rate, find_rates, export_rates, load_rates]


@contextmanager
def _uploaded(desk: Desk) -> Iterator[tuple[BinaryIO, Path]]:
    """A file for what is sent, gone at the end; Refusal 503 while there are enough of them."""
    if desk.uploads >= MAX_LOADS:
        raise Refusal(503, f"{MAX_LOADS} files are being loaded already", headers=AGAIN)
    desk.uploads += 1
    try:
        desk.state.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=UPLOAD, dir=desk.state)
        file = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as out:
                yield out, file
        finally:
            file.unlink(missing_ok=True)
    finally:
        desk.uploads -= 1


def _csv(desk: Desk, deck: str) -> Generator[str, None, None]:
    def line(cells: Sequence[object]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue()

    with open_decks(desk.known().outcome, desk.state, deck) as (decks, rates):
        yield line(COLUMNS)
        for rate in rates_in(decks, deck, rates):
            yield line(rate_cells(rate))


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
        desk.note(who, "load", f"deck {deck}", DONE, f"{loading.rates} rates")
    return result_of(deck, loading, time.monotonic() - began, dry_run=dry_run)
