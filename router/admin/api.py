"""The HTTP API as an application: its operations, its gate, its schema."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Final

from litestar import Litestar, get
from litestar.datastructures import State
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.response import Redirect

from router.admin.api_bodies import BodyMiddleware
from router.admin.api_calls import call_routes, cdr_routes
from router.admin.api_capture import capture_routes
from router.admin.api_counted import mark_unkept
from router.admin.api_desk import Desk
from router.admin.api_document import DocumentPlugin, PagePlugin
from router.admin.api_gate import MAX_WRONG, AllowMiddleware, Gate, GateMiddleware, role_of
from router.admin.api_ledger import ledger_routes
from router.admin.api_live import live_routes
from router.admin.api_money import money_routes
from router.admin.api_objects import object_routes
from router.admin.api_problems import Log, handlers
from router.admin.api_rates import rate_routes
from router.admin.api_router import router_routes
from router.runtime.api_metrics import ApiTally

MAX_BODY: Final = 64 * 1024
DESCRIPTION: Final = (
    "Everything that the commands of Trunkline do. Amounts are decimals in quotes, times epoch "
    "milliseconds. Lists are read page by page: `next` of one is `cursor` of the one after it."
)

OPEN: Final = ["^/schema(/|$)", "^/openapi[.]json$"]
"""What needs no token: the document."""


@get("/openapi.json", include_in_schema=False)
async def document() -> Redirect:
    """Where many look for it first."""
    return Redirect("/schema/openapi.json")


def make_api(
    config: Path, state: Path, log: Log, *, most_wrong: int = MAX_WRONG,
    tally: ApiTally | None = None,
) -> Litestar:
    """The application for a configuration and a state folder; StoreError when it cannot be."""
    desk = Desk(config, state)
    gate = Gate(desk.access, most_wrong=most_wrong, tally=tally, log=log)
    operations = [
        *router_routes(desk),
        *object_routes(desk),
        *money_routes(desk),
        *call_routes(desk),
        *cdr_routes(desk),
        *rate_routes(desk),
        *ledger_routes(desk),
        *live_routes(desk),
        *capture_routes(desk),
    ]
    roles = {str(one.operation_id or one.handler_name): role_of(one) for one in operations}
    return Litestar(
        [*operations, document],
        middleware=[
            AllowMiddleware, DefineMiddleware(GateMiddleware, exclude=OPEN), BodyMiddleware
        ],
        exception_handlers=handlers(log),
        request_max_body_size=MAX_BODY,
        state=State({"gate": gate}),
        on_shutdown=[desk.close],
        before_send=[mark_unkept],
        logging_config=None,
        openapi_config=OpenAPIConfig(
            title="Trunkline",
            version=version("trunkline"),
            description=DESCRIPTION,
            path="/schema",
            render_plugins=[DocumentPlugin(roles), PagePlugin(roles)],
            operation_id_creator=lambda handler, method, path: handler.handler_name,
            components=Components(
                security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}
            ),
            security=[{"token": []}],
        ),
    )
