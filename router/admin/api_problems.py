"""What the HTTP API answers when it cannot do what it is asked: RFC 9457 problem details.

Every error has a status, a title, what was wrong and what to do about it. What went wrong inside
of us is logged with its traceback and told as 500 without it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from dsl.findings import ConfigError
from dsl.sources import SourceError
from router.admin.wrong_value import Clash, NotThere, WrongValue
from router.store.errors import StoreError

MEDIA: Final = "application/problem+json"
MAX_DETAIL: Final = 4_000
Log = Callable[..., None]


class Problem(msgspec.Struct, omit_defaults=True):
    """RFC 9457 §3.1, with `help`, what to do, and `errors`, the places that are wrong."""

    title: str
    status: int
    detail: str
    help: str
    type: str = "about:blank"
    errors: list[dict[str, Any]] = []


class Refusal(Exception):
    """A request that is not carried out: the status, and what the problem says."""

    def __init__(
        self, status: int, detail: str, *, errors: list[dict[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.errors = errors or []
        self.headers = dict(headers or {})


HELP: Final = {
    400: "Compare the request with the schema at /schema/openapi.json.",
    401: "Send `Authorization: Bearer TOKEN`; trunkline tokens add NAME makes a token.",
    403: "Use a token with the role that is named: trunkline tokens add NAME --role ROLE.",
    404: "The lists (GET of the collection) show what there is.",
    405: "The header Allow says which methods there are.",
    408: "Send the body at once; a slow line may need smaller files.",
    409: "Look at the object as it is now, then ask again if it is still wanted.",
    413: "Send less at once; the limits are in docs/api.md.",
    415: "Send the content type that the schema names.",
    422: "Correct what `detail` names; nothing was changed.",
    429: "Wait for as long as the header Retry-After says.",
    500: "This is a fault of ours: the router's log has it. Please report it.",
    503: "Try again later; trunkline status shows whether the router is well.",
}
EXAMPLES: Final = {
    400: "Validation failed for GET /gateways?limit=0",
    401: "There is no token in the request.",
    403: "This needs the role operate; token:reports has read.",
    404: "there is no gateway `hkk`: did you mean `hk`?",
    408: "the body was not there after 10 s",
    409: "gateway hk is locked already",
    413: "Request Entity Too Large",
    422: "a gateway has no setting `line`: did you mean `lines`?",
    429: "Too many wrong tokens came from 192.0.2.7.",
    500: "Something went wrong inside of the API.",
    503: "32 requests of this kind (searches) are here already",
}
TITLES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """The problems that an operation answers with, beside those of every operation."""
    return {
        status: ResponseSpec(
            Problem,
            generate_examples=False,
            description=_title(status),
            media_type=MEDIA,
            examples=[Example(summary=_title(status), value=_example(status))],
        )
        for status in sorted({400, 401, 403, 404, 408, 413, 429, 500, 503, *statuses})
    }


def handlers(log: Log) -> dict[int | type[Exception], Callable[[Request[Any, Any, Any], Any], Any]]:
    """How each kind of exception is answered."""

    def on_refusal(_: Request[Any, Any, Any], error: Refusal) -> Response[Problem]:
        return _answer(error.status, str(error), error.errors, error.headers)

    def on_http(_: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
        places = error.extra if isinstance(error.extra, list) else []
        kept = ("allow", "retry-after", "www-authenticate")
        headers = {k: v for k, v in (error.headers or {}).items() if k.lower() in kept}
        if error.status_code >= 500:
            log("error", "a request of the API failed", error=traceback.format_exc(limit=8))
            return _answer(500, "Something went wrong inside of the API.", [], {})
        errors = [one for one in places if isinstance(one, dict)][:20]
        return _answer(error.status_code, error.detail, errors, headers)

    def on_known(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
        told = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        return _answer(status_of(error), told, [], {})

    def on_deep(_: Request[Any, Any, Any], __: RecursionError) -> Response[Problem]:
        return _answer(400, "The body is nested too deeply.", [], {})

    def on_fault(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
        told = "".join(traceback.format_exception(error, limit=8))
        log("error", "a request of the API failed", error=told)
        return _answer(500, "Something went wrong inside of the API.", [], {})

    known = (WrongValue, NotThere, Clash, StoreError, SourceError, ConfigError, OSError)
    return {
        HTTPException: on_http,
        Refusal: on_refusal,
        RecursionError: on_deep,
        Exception: on_fault,
        **dict.fromkeys(known, on_known),
    }


def status_of(error: Exception) -> int:
    """The status that an error of the layers below earns."""
    if isinstance(error, NotThere):
        return 404
    if isinstance(error, Clash | SourceError | ConfigError):
        return 409
    return 422 if isinstance(error, WrongValue) else 503


def _answer(
    status: int, detail: str, errors: list[dict[str, Any]], headers: Mapping[str, str]
) -> Response[Problem]:
    # Options of commands are parameters here.
    told = detail.replace(" --", " ").removeprefix("--")[:MAX_DETAIL] or _title(status)
    problem = Problem(_title(status), status, told, HELP.get(status, HELP[400]), errors=errors)
    return Response(problem, status_code=status, media_type=MEDIA, headers=dict(headers))


def _title(status: int) -> str:
    return TITLES.get(status) or HTTPStatus(status).phrase


def _example(status: int) -> dict[str, Any]:
    return {
        "title": _title(status),
        "status": status,
        "detail": EXAMPLES[status],
        "help": HELP[status],
        "type": "about:blank",
    }
