"""A client of the HTTP API in this process, one token for each role, a small configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


class Api:
    """A client with one token for each role."""

    def __init__(self, client: TestClient[Any], tokens: dict[str, str], log: list[Any]) -> None:
        self.client = client
        self.tokens = tokens
        self.log = log

    def __call__(
        self, method: str, path: str, status: int = 200, *, role: str = "operate",
        headers: dict[str, str] | None = None, **more: Any,
    ) -> Any:
        """The JSON of an answer that must have this status."""
        sent = {"Authorization": f"Bearer {self.tokens[role]}", **(headers or {})}
        answer = self.client.request(method, path, headers=sent, **more)
        assert answer.status_code == status, answer.text
        return answer.json()


@contextmanager
def serving(state: Path) -> Iterator[Api]:
    """The API of the configuration beside a state folder."""
    tokens = {role: make_token(state, role, [role], "me") for role in ("read", "operate", "money")}
    log: list[Any] = []
    app = make_api(state.parent / "routes.cfg", state, lambda *a, **k: log.append((a, k)))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Api(client, tokens, log)
