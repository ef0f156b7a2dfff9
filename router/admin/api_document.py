"""The OpenAPI document of the HTTP API: what Litestar knows, with examples, shapes and links.

`api_examples.json` has an answer and a body of each operation, from a running router, and what is
to be said of it. Answers that are plain data get their schema from their example: so what a client
reads there and what it gets are one thing, and the tests hold every answer against it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from importlib.resources import files
from typing import Any, Final

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin

from router.admin.api_page import render_page

JSON: Final = "application/json"
CSV: Final = "text/csv"
FREE: Final = frozenset(("settings", "variables", "holds", "formulas"))
"""Fields that are maps: their names are anything."""
NULLABLE: Final = {
    "acd_s": "number",
    "asr_percent": "number",
    "calls_per_s": "number",
    "cps": "integer",
    "free": "string",
    "heartbeat_age_ms": "integer",
    "lines": "integer",
    "loaded": "string",
    "met": "boolean",
    "ner_percent": "number",
    "next": "string",
    "pdd_ms": "integer",
    "percent": "number",
    "prefix": "string",
    "price": "object",
    "rate": "string",
    "registered_until_ms": "integer",
    "sent": "object",
    "ser_percent": "number",
}
"""Fields that may be null, and what they are else where the example has null."""
SOMETIMES: Final = frozenset(("stats.gateway", "stats.reason"))
"""Fields that not every answer has, with their operation."""
TEXTS: Final = {"export_cdrs": (CSV, "application/jsonl"), "export_rates": (CSV,)}
"""What answers in another form than JSON, and in which."""
LINKS: Final = {
    "list_calls": ("show_call", {"id": "/items/0/id"}),
    "list_cdrs": ("explain_cdr", {"id": "/items/0/id"}),
    "test_call": ("explain_cdr", {"id": "/cdr/id"}),
    "list_gateways": ("show_gateway", {"name": "/items/0/name"}),
    "list_accounts": ("list_rows", {"name": "/items/0/name"}),
    "add_gateway": ("show_gateway", {"name": "/name"}),
    "add_account": ("show_account", {"name": "/name"}),
    "topup": ("list_rows", {"name": "/account"}),
    "list_decks": ("export_rates", {"deck": "/items/0/deck"}),
}
PARAMETERS: Final = {
    "account": "Only those of this account.",
    "by": "What to group by: reason, gateway, prefix, account, trunk, hour; several with commas.",
    "call_id": "Only the call with this Call-ID, of either leg.",
    "callee": "Only calls to numbers that begin so, as they were dialled.",
    "cursor": "`next` of the page before, if any.",
    "digits": "How much of a number a prefix is.",
    "dry_run": "Only say what would change.",
    "format": "csv, or jsonl for one JSON object a line.",
    "gateway": "Only those that are, or were tried, on this gateway.",
    "note": "Why; stands in the audit.",
    "prefix": "Only gateways that serve numbers that begin so.",
    "reason": "Only calls that ended so, such as UserBusy; 用户忙 does as well.",
    "rise": "From how many percent a rise is told.",
    "what": "Only changes of this: `gateway hk`, `account acme`.",
}
"""What is said of parameters that say nothing of themselves."""
RETRY: Final = {
    "Retry-After": {
        "description": "Seconds to wait.", "schema": {"type": "integer"}, "required": False,
    }
}
CHALLENGE: Final = {
    "WWW-Authenticate": {
        "description": "Bearer.", "schema": {"type": "string"}, "required": False,
    }
}


class DocumentPlugin(JsonRenderPlugin):
    """Serves the document, made once; `roles` are those that operations need."""

    def __init__(self, roles: Mapping[str, str]) -> None:
        super().__init__()
        self._roles = roles
        self._made = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document as JSON."""
        if not self._made:
            self._made = super().render(request, complete(openapi_schema, self._roles))
        return self._made


class PagePlugin(OpenAPIRenderPlugin):
    """Serves it to people at /schema/page, made once."""

    def __init__(self, roles: Mapping[str, str]) -> None:
        super().__init__(path="/page")
        self._roles = roles
        self._made = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document as a page."""
        if not self._made:
            self._made = render_page(complete(openapi_schema, self._roles)).encode()
        return self._made


@cache
def told() -> dict[str, dict[str, Any]]:
    """`answers`, `bodies` and `descriptions`, each by operation."""
    raw = files("router.admin").joinpath("api_examples.json").read_text("utf-8")
    found: dict[str, dict[str, Any]] = json.loads(raw)
    return found


def complete(document: dict[str, Any], roles: Mapping[str, str]) -> dict[str, Any]:
    """A document with everything that Litestar does not know."""
    document = deepcopy(document)
    problems: dict[str, Any] = {}
    for methods in document["paths"].values():
        for operation in methods.values():
            operation["x-role"] = roles[operation["operationId"]]
            _complete(operation)
            _share_problems(operation["responses"], problems)
    document["components"]["responses"] = problems
    return document


def _share_problems(answers: dict[str, Any], problems: dict[str, Any]) -> None:
    """Problems stand in the document once for each status."""
    for status in [one for one in answers if not one.startswith("2")]:
        problem = problems.setdefault(f"Problem{status}", answers[status])
        assert problem == answers[status], status
        answers[status] = {"$ref": f"#/components/responses/Problem{status}"}


def _complete(operation: dict[str, Any]) -> None:
    name = operation["operationId"]
    operation["description"] = told()["descriptions"].get(name, "")
    for parameter in operation.get("parameters", ()):
        parameter.setdefault("description", PARAMETERS.get(parameter["name"], ""))
    if name == "load_rates":
        operation["requestBody"] = {
            "required": True,
            "description": "A rates file, also gzipped.",
            "content": {CSV: {"schema": {"type": "string"}}},
        }
    if "requestBody" not in operation:
        for status in ("408", "413"):  # which are about a body
            operation["responses"].pop(status, None)
    body = told()["bodies"].get(name)
    if body is not None:
        operation["requestBody"]["content"][JSON]["examples"] = _examples(operation, body)
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            _complete_answer(name, operation, answer)
        elif status in ("429", "503"):
            answer["headers"] = RETRY
        elif status == "401":
            answer["headers"] = CHALLENGE


def _complete_answer(name: str, operation: dict[str, Any], answer: dict[str, Any]) -> None:
    example = told()["answers"].get(name)
    if name in TEXTS:
        answer["content"] = {kind: {"schema": {"type": "string"}} for kind in TEXTS[name]}
    kind = TEXTS[name][0] if name in TEXTS else JSON
    content = answer.get("content", {}).get(kind)
    if content is None or example is None:
        return  # such as a file for another program
    content["examples"] = _examples(operation, example)
    if kind == JSON and _is_plain(content["schema"]):
        content["schema"] = shape_of(example, name)
    if name in LINKS:
        target, parameters = LINKS[name]
        answer["links"] = {
            target: {
                "operationId": target,
                "parameters": {
                    key: f"$response.body#{pointer}" for key, pointer in parameters.items()
                },
            }
        }


def _examples(operation: Mapping[str, Any], value: Any) -> dict[str, Any]:
    return {"usual": {"summary": operation["summary"], "value": value}}


def _is_plain(schema: Mapping[str, Any]) -> bool:
    """Whether Litestar knows no more than that it is an object, or a page of them."""
    return schema.get("$ref", "").endswith("Page") or schema.get("type") == "object"


def shape_of(example: Any, place: str) -> dict[str, Any]:
    """The schema of plain data that looks like the example; `place` ends in its field's name."""
    field = place.rpartition(".")[2]
    if example is None:
        return {"type": [NULLABLE[field], "null"]}
    if isinstance(example, dict):
        shape = _object(example, place)
    elif isinstance(example, list):
        shape = {"type": "array", "items": _items(example, place)}
    else:
        shape = {"type": _TYPES[type(example)]}
    if field in NULLABLE and "." in place:
        shape["type"] = [shape["type"], "null"]
    return shape


_TYPES: Final = {bool: "boolean", int: "integer", float: "number", str: "string"}


def _object(example: Mapping[str, Any], place: str) -> dict[str, Any]:
    if place.rpartition(".")[2] in FREE:
        return {"type": "object", "additionalProperties": True}
    operation = place.partition(".")[0]
    return {
        "type": "object",
        "properties": {
            name: shape_of(value, f"{place}.{name}") for name, value in example.items()
        },
        "required": [name for name in example if f"{operation}.{name}" not in SOMETIMES],
    }


def _items(example: list[Any], place: str) -> dict[str, Any]:
    """What all items are; those of an object's fields that all have are required."""
    shapes = [shape_of(one, f"{place}[]") for one in example]
    if not shapes:
        return {}
    merged = shapes[0]
    for shape in shapes[1:]:
        if shape["type"] != merged["type"]:
            return {}
        if shape["type"] == "object" and "properties" in merged:
            merged = {
                "type": "object",
                "properties": {**shape["properties"], **merged["properties"]},
                "required": [one for one in merged["required"] if one in shape["required"]],
            }
    return merged
