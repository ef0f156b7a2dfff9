"""What happens now over HTTP: the figures of `trunkline top`, and test calls."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import Meta

from router.admin.api_desk import Desk
from router.admin.api_gate import Caller, needs
from router.admin.api_problems import documented
from router.admin.api_tokens import OPERATE
from router.admin.call_as import phone_caller, router_flow, session_description, trunk_caller
from router.admin.live_figures import FAILURES, Reader, Snapshot
from router.admin.test_calls import (
    BYE_WAIT_MS,
    CDR_WAIT_S,
    TestCall,
    check_number,
    check_running,
    why_no_cdr,
)
from router.admin.wrong_value import Clash, WrongValue
from router.store.cdr_lines import cdr_data
from router.store.errors import StoreError
from router.store.objects import DONE, REFUSED

SHOWN_FAILURES: Final = 20
Ask = Request[Any, Caller, Any]
Number = Annotated[str, Meta(min_length=1, max_length=128, examples=["85221234567"])]


class TestCallBody(msgspec.Struct):
    """A test call: from a trunk or from a phone, one of them."""

    number: Number
    trunk: Annotated[
        str, Meta(max_length=128, examples=["acme/office"],
                  description="ACCOUNT/TRUNK; an address of its networks must be this machine's.")
    ] = ""
    phone: Annotated[str, Meta(max_length=128, description="The phone's number.")] = ""
    caller: Annotated[
        str, Meta(max_length=128, description="The caller's number, instead of the usual one.")
    ] = ""
    hold_ms: Annotated[int, Meta(ge=0, le=60_000, description="How long to talk.")] = 5_000
    give_up_ms: Annotated[
        int, Meta(ge=1_000, le=180_000, description="How long to wait for an answer.")
    ] = 60_000
    codecs: Annotated[
        str, Meta(max_length=100, description="What is offered, with commas: pcma, pcmu, g722, "
                  "g729, opus.")
    ] = "pcma,pcmu"


def live_routes(desk: Desk) -> list[HTTPRouteHandler]:
    """Figures of this moment, and test calls."""
    told: Mapping[str, Any] = {"tags": ["router"], "responses": documented(409, 422)}
    reader = Reader(desk.state)
    reading = threading.Lock()

    @get("/figures", summary="Calls a second, how gateways do, what failed last", **told)
    async def figures() -> dict[str, Any]:
        def work() -> dict[str, Any]:
            with reading:
                found = reader.read(FAILURES)
            if found.status is None:
                raise StoreError(found.trouble or "there is no live state")
            return _figures(found)

        return await desk.short.do(work)

    @post(
        "/test-calls", status_code=200, summary="Place a test call through the running router",
        guards=[needs(OPERATE)], **told,
    )
    async def test_call(request: Ask, data: JSONBody[TestCallBody]) -> dict[str, Any]:
        who = request.auth.who
        longest_s = (data.hold_ms + data.give_up_ms + 2 * BYE_WAIT_MS) / 1_000 + CDR_WAIT_S
        return await desk.calls.do(lambda: _placed(desk, data, who), longest_s)

    return [figures, test_call]


def _figures(found: Snapshot) -> dict[str, Any]:
    assert found.status is not None
    return {
        "at_ms": found.at_ms,
        "running": found.running,
        "active_calls": found.status.active_calls,
        "calls_per_s": None if found.cps is None else round(found.cps, 3),
        "calls_per_s_over_ms": found.cps_over_ms,
        "ended": [{"reason": name, "calls": count} for name, count in found.reasons],
        "ended_over_ms": found.reasons_over_ms,
        "gateways": [
            {
                "name": row.gateway.name,
                "state": row.gateway.state,
                "lines": row.gateway.lines,
                "lines_used": row.gateway.lines_used,
                "attempts": row.quality.attempts,
                "answered": row.quality.answered,
                "asr_percent": None if row.asr is None else round(row.asr, 1),
                "pdd_ms": row.quality.pdd_ms if row.quality.pdd_ms >= 0 else None,
            }
            for row in found.rows
        ],
        "failures": [
            {
                "id": one.id,
                "started": one.started,
                "account": one.account,
                "callee": one.callee_in,
                "gateway": one.gateway,
                "end_reason": one.end_reason,
            }
            for one in found.ended[:SHOWN_FAILURES]
        ],
    }


def _placed(desk: Desk, data: TestCallBody, who: str) -> dict[str, Any]:
    if bool(data.trunk) == bool(data.phone):
        raise WrongValue("who calls? give trunk, ACCOUNT/TRUNK, or phone, one of them")
    check_number("the number", data.number)
    if data.caller:
        check_number("caller", data.caller)
    known = desk.known()
    make = trunk_caller if data.trunk else phone_caller
    caller = make(known, data.trunk or data.phone, data.caller)
    flow = router_flow(known, caller.source, "")
    session_description(caller.source, 9, data.codecs)
    check_running(desk.state)
    played = TestCall(caller, flow, desk.state, hold_ms=data.hold_ms, codecs=data.codecs)
    played.play(
        data.number, data.give_up_ms + data.hold_ms, stop_asked=lambda: desk.stopping
    )
    cdr = played.cdr
    told = f"call {data.number} as {caller.told}"
    if cdr is None:
        why = why_no_cdr(played)
        desk.note(who, "call", told, REFUSED, why)
        raise Clash(why)
    desk.note(who, "call", told, DONE, f"CDR {cdr.id}: {cdr.end_reason}")
    taken = cdr.phone if data.phone else f"{cdr.account}/{cdr.trunk}"
    return {
        "answered": bool(cdr.answered),
        "end_reason": cdr.end_reason,
        "taken_for": taken,
        "as_asked": taken.endswith(data.phone.rpartition("/")[2] or data.trunk),
        "cdr": cdr_data(cdr),
    }
