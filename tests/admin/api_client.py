"""A client of the HTTP API in this process, one token for each role, a small configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs
from litestar.testing import TestClient

from router.admin.api import make_api
from router.admin.api_tokens import make_token

ROUTES = """\
deck retail { }
gateway out { address = 192.0.2.1  prefixes = 86 }
account acme {
    deck = retail  balance = 5
    trunk office { ips = 127.0.0.1 }
    phone 100 { password = "a-long-secret-1" }
}
request_route { if (!identify()) end(IllegalCall); call(gateways($rU)); }
"""


class Document:
    """The OpenAPI document, to hold answers against it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._paths = [
            (re.compile(re.sub(r"{\w+}", "[^/]+", path) + "$"), methods)
            # Those without a name in them first: /cdrs/export is no /cdrs/{id}.
            for path, methods in sorted(document["paths"].items(), key=lambda one: "{" in one[0])
        ]
        self._validators: dict[int, Any] = {}

    def faults(self, schema: dict[str, Any], value: Any) -> list[str]:
        """What of a value is not as a schema of the document says."""
        validator = self._validators.get(id(schema))
        if validator is None:
            whole = {**schema, "components": self.document["components"]}
            validator = self._validators[id(schema)] = jsonschema_rs.Draft202012Validator(whole)
        return [f"{list(one.instance_path)}: {one.message}" for one in validator.iter_errors(value)]

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The operation of a request."""
        path = path.partition("?")[0]
        found = next((one for pattern, one in self._paths if pattern.match(path)), {})
        operation: dict[str, Any] | None = found.get(method.lower())
        return operation

    def answer(self, operation: dict[str, Any], status: int) -> dict[str, Any]:
        """The answer that is documented for a status; KeyError if none is."""
        answer: dict[str, Any] = operation["responses"][str(status)]
        name = answer.get("$ref", "").rpartition("/")[2]
        return self.document["components"]["responses"][name] if name else answer

    def check(self, method: str, path: str, status: int, body: Any) -> None:
        """Whether an answer in JSON is one that the document knows."""
        operation = self.operation(method, path)
        if operation is None:
            assert status in (401, 404, 405), (method, path, status)
            return
        (content,) = self.answer(operation, status)["content"].values()
        assert self.faults(content["schema"], body) == [], (method, path, body)


class Api:
    """A client with one token for each role."""

    def __init__(self, client: TestClient[Any], tokens: dict[str, str], log: list[Any]) -> None:
        self.client = client
        self.tokens = tokens
        self.log = log
        self.document = Document(client.get("/schema/openapi.json").json())

    def __call__(
        self, method: str, path: str, status: int = 200, *, role: str = "operate",
        headers: dict[str, str] | None = None, **more: Any,
    ) -> Any:
        """The JSON of an answer that must have this status."""
        sent = {"Authorization": f"Bearer {self.tokens[role]}", **(headers or {})}
        answer = self.client.request(method, path, headers=sent, **more)
        assert answer.status_code == status, answer.text
        body = answer.json()
        self.document.check(method, path, status, body)
        return body


@contextmanager
def serving(state: Path) -> Iterator[Api]:
    """The API of the configuration beside a state folder."""
    tokens = {role: make_token(state, role, [role], "me") for role in ("read", "operate", "money")}
    log: list[Any] = []
    app = make_api(state.parent / "routes.cfg", state, lambda *a, **k: log.append((a, k)))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Api(client, tokens, log)
