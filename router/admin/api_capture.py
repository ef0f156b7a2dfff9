"""Signalling capture over HTTP: begun and ended, what was captured, a call as pcap.

Who may only read sees that something is captured; the messages themselves are for operators.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import Meta

from router.admin.api_desk import Desk, in_time
from router.admin.api_gate import Caller, needs
from router.admin.api_problems import documented
from router.admin.api_shapes import Cursor, Limit, Name, Page, page
from router.admin.api_tokens import OPERATE
from router.admin.capture_orders import (
    DEFAULT_SPAN,
    CaptureStatus,
    CaptureWish,
    RunningCapture,
    capture_status,
    clear_captured,
    running_capture,
    start_capture,
    stop_captures,
)
from router.admin.captured import as_data, list_captured, messages_of
from router.admin.pcap import PcapWriter
from router.admin.wrong_value import NotThere, WrongValue
from router.store.capture_ring import CAPTURE_DIR, Captured, read_ring

PCAP: Final = "application/vnd.tcpdump.pcap"
MAX_DOWNLOAD_BYTES: Final = 32_000_000
MAX_ID_DIGITS: Final = 9
Ask = Request[Any, Caller, Any]


class CaptureBody(msgspec.Struct):
    """Which calls to capture: those that all of it is true of; nothing is everything."""

    account: Annotated[
        str, Meta(max_length=128, examples=["acme"], description="Of this account, or below it.")
    ] = ""
    number: Annotated[
        str, Meta(max_length=33, examples=["8613"], description="From or to numbers so beginning.")
    ] = ""
    gateway: Annotated[
        str, Meta(max_length=128, examples=["out"], description="Tried on this gateway.")
    ] = ""
    source: Annotated[
        str, Meta(max_length=64, examples=["192.0.2.0/24"], description="From there.")
    ] = ""
    sample: Annotated[
        str, Meta(max_length=10, examples=["1/20"], description="A share of them: 1/20, or 5%.")
    ] = ""
    span: Annotated[
        str, Meta(max_length=8, examples=["10m"], description="90s, 10m, 2h: then it ends.")
    ] = DEFAULT_SPAN
    digests: Annotated[
        Literal["masked", "kept"], Meta(description="What becomes of digests of passwords.")
    ] = "masked"


def capture_routes(desk: Desk) -> list[HTTPRouteHandler]:
    """Captures, and what they have brought."""
    told: Mapping[str, Any] = {"tags": ["capture"], "responses": documented(409, 422)}
    order: Mapping[str, Any] = {**told, "guards": [needs(OPERATE)]}

    @get("/captures", summary="What is captured now, and how much is kept", **told)
    async def list_captures() -> CaptureStatus:
        return await desk.short.do(lambda: capture_status(desk.state, _now_ms()))

    @post("/captures", summary="Begin to capture SIP messages, within a second", **order)
    async def begin_capture(request: Ask, data: JSONBody[CaptureBody]) -> RunningCapture:
        who = request.auth.who

        def work() -> RunningCapture:
            wish = CaptureWish(
                data.account, data.number, data.gateway, data.source, data.sample, data.span,
                data.digests == "kept",
            )
            return running_capture(start_capture(desk.known(), wish, who, _now_ms()))

        return await desk.orders.do(work)

    @delete(
        "/captures/{number:str}", status_code=200, summary="End a capture; 0 ends all", **order
    )
    async def end_capture(request: Ask, number: Name) -> list[RunningCapture]:
        who = request.auth.who

        def work() -> list[RunningCapture]:
            if not (number.isascii() and number.isdigit() and len(number) <= MAX_ID_DIGITS):
                raise NotThere(f"no capture {number} is running: captures have numbers")
            ended = stop_captures(desk.state, int(number), who, _now_ms())
            return [running_capture(one) for one in ended]

        return await desk.orders.do(work)

    return [list_captures, begin_capture, end_capture, *_captured(desk, order)]


def _captured(desk: Desk, order: Mapping[str, Any]) -> list[HTTPRouteHandler]:
    @get("/captured", summary="The calls whose messages are kept, oldest first", **order)
    async def list_captured_calls(limit: Limit = 50, cursor: Cursor = "") -> Page:
        def work() -> Page:
            found = list_captured(in_time(read_ring(desk.state / CAPTURE_DIR)))
            return page(
                found, lambda one: f"{one.began_us:016x}-{one.call or one.call_id}"[:200], limit,
                cursor, msgspec.to_builtins,
            )

        return await desk.searches.do(work)

    @delete("/captured", status_code=200, summary="Delete all that was captured", **order)
    async def delete_captured(request: Ask) -> dict[str, int]:
        who = request.auth.who
        return await desk.orders.do(
            lambda: {"deleted_bytes": clear_captured(desk.state, who, _now_ms())}
        )

    @get("/captured/{id:str}", summary="The messages of a call, in order of time", **order)
    async def show_captured(id: Name) -> list[dict[str, Any]]:
        return await desk.searches.do(lambda: [as_data(one) for one in _of(desk, id)])

    @get(
        "/captured/{id:str}/pcap", summary="The messages of a call, for Wireshark and sngrep",
        media_type=PCAP, **order,
    )
    async def download_captured(id: Name) -> Response[bytes]:
        def work() -> bytes:
            file = io.BytesIO()
            PcapWriter(file).write_all(_of(desk, id))
            return file.getvalue()

        named = {"Content-Disposition": 'attachment; filename="call.pcap"'}
        return Response(await desk.searches.do(work), media_type=PCAP, headers=named)

    return [list_captured_calls, delete_captured, show_captured, download_captured]


def _of(desk: Desk, word: str) -> list[Captured]:
    found = messages_of(desk.state, word)
    if not found:
        raise NotThere(f"no message of the call {word} was captured, or they were overwritten")
    if sum(len(one.data) for one in found) > MAX_DOWNLOAD_BYTES:
        raise WrongValue("these are too many messages: use trunkline capture export")
    return found


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
