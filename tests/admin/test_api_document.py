"""The OpenAPI document: sound, whole, and what its examples say is what its schemas say."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

from api_client import Api
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from router.admin.api_document import CSV, JSON, LINKS, told
from router.admin.api_page import render_page
from router.admin.api_problems import MEDIA


def operations(api: Api) -> Iterator[dict[str, Any]]:
    for methods in api.document.document["paths"].values():
        yield from methods.values()


def test_it_is_sound_openapi(api: Api) -> None:
    document = api.document.document
    assert document["openapi"].startswith("3.1.")
    assert [str(one) for one in OPENAPI_31_VALIDATOR.iter_errors(document)] == []
    names = [one["operationId"] for one in operations(api)]
    assert len(set(names)) == len(names)
    assert references(document) <= {
        f"#/components/{kind}/{name}"
        for kind, ones in document["components"].items()
        for name in ones
    }


def test_it_is_where_one_looks_for_it(api: Api) -> None:
    for path in ("/openapi.json", "/schema", "/schema/openapi.json"):
        assert api.client.get(path).json() == api.document.document, path


def references(value: Any) -> set[str]:
    """Everything that is referred to."""
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_every_operation_is_described_with_an_answer_and_a_body(api: Api) -> None:
    there = {one["operationId"] for one in operations(api)}
    # What answers with a file for another program has no example.
    files = {
        one["operationId"] for one in operations(api)
        if not {JSON, CSV} & set(next(iter(one["responses"].values())).get("content", {}))
    }
    assert set(told()["descriptions"]) == there, "router/admin/api_examples.json"
    assert set(told()["answers"]) == there - files, "router/admin/api_examples.json"
    for operation in operations(api):
        name = operation["operationId"]
        assert len(operation["description"]) > 20 and operation["summary"], name
        (status,) = [one for one in operation["responses"] if one.startswith("2")]
        answer = api.document.answer(operation, int(status))
        for content in answer["content"].values():
            for example in content.get("examples", {}).values():
                assert api.document.faults(content["schema"], example["value"]) == [], name
        assert name in files or next(iter(answer["content"].values()))["examples"], name
        assert all(one["description"] for one in operation.get("parameters", ())), name
        body = operation.get("requestBody", {}).get("content", {}).get(JSON)
        assert (body is not None) == (name in told()["bodies"]), name
        if body is not None:
            (example,) = body["examples"].values()
            assert api.document.faults(body["schema"], example["value"]) == [], name


def test_every_operation_tells_its_problems(api: Api) -> None:
    for operation in operations(api):
        problems = {one for one in operation["responses"] if not one.startswith("2")}
        assert {"400", "401", "403", "404", "429", "500", "503"} <= problems
        for status in problems:
            content = api.document.answer(operation, int(status))["content"][MEDIA]
            (example,) = content["examples"].values()
            assert example["value"]["status"] == int(status)
            assert api.document.faults(content["schema"], example["value"]) == []


def test_links_lead_from_an_answer_to_an_operation(api: Api) -> None:
    by_name = {one["operationId"]: one for one in operations(api)}
    for name, (target, parameters) in LINKS.items():
        wanted = {one["name"] for one in by_name[target]["parameters"] if one["in"] == "path"}
        assert set(parameters) == wanted
        for pointer in parameters.values():
            found = told()["answers"][name]
            for step in pointer.strip("/").split("/"):
                found = found[int(step) if step.isdigit() else step]
            assert isinstance(found, str) and found


def test_no_secret_and_no_place_of_this_machine_is_in_it(api: Api) -> None:
    text = str(api.document.document)
    assert "tl_" not in text and "/tmp" not in text and "/root" not in text


def test_there_is_no_page_that_asks_another_host(api: Api) -> None:
    for path in ("/schema", "/schema/swagger", "/schema/redoc", "/schema/elements", "/docs", "/"):
        assert "<script" not in api.client.get(path).text, path
    page = api.client.get("/schema/page")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    parts = Parts()
    parts.feed(page.text)
    assert parts.asked == {"openapi.json"} and "script" not in parts.tags
    assert {one["operationId"] for one in operations(api)} <= parts.ids
    assert page.text.count("<pre>") >= len(parts.ids)


class Parts(HTMLParser):
    """What a page consists of, and what it asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: set[str] = set()
        self.asked: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("href", "src", "action"):
                self.asked.add(value or "")
            elif name == "id":
                self.ids.add(value or "")


def test_what_stands_in_the_document_is_text_on_the_page() -> None:
    operation = {
        "operationId": "a", "summary": "<b>", "tags": ["x"], "x-role": "read",
        "description": "`a<`",
        "responses": {"200": {"content": {JSON: {"examples": {"u": {"value": "</pre><script>"}}}}}},
    }
    document = {
        "info": {"title": "T", "version": "1", "description": "d"},
        "paths": {"/<i>": {"get": operation}},
    }
    page = render_page(document)
    assert "<script" not in page and "<b>" not in page and "<i>" not in page
    assert "<code>a&lt;</code>" in page
