"""docs/api.md names every command and every operation of the HTTP API, with the role it needs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cyclopts import App
from litestar.testing import TestClient

from router.admin.api import make_api
from router.admin.api_tokens import make_token
from router.cli.main import make_app

sys.path.insert(0, str(Path(__file__).parent / "admin"))
from api_client import ROUTES

PAGE = Path(__file__).parents[1] / "docs/api.md"
ROW = re.compile(r"^\| `([a-z ]+)` \| (.+) \| (read|operate|money|—) \|$", re.M)
OPERATION = re.compile(r"`([A-Z]+) (/[^`]*)`")
BESIDE = {"read": "", "operate": "money", "money": "operate"}
"""A role that is not enough, for each."""


class Row(NamedTuple):
    """A row of the table."""

    command: str
    operations: list[tuple[str, str]]
    role: str
    text: str


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    found = ROW.findall(PAGE.read_text())
    return [
        Row(command, [(m, p) for m, p in OPERATION.findall(text)], role, text)
        for command, text, role in found
    ]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:  # type: ignore[type-arg]
    folder = tmp_path_factory.mktemp("api")
    (folder / "routes.cfg").write_text(ROUTES)
    (folder / "state").mkdir()
    with TestClient(make_api(folder / "routes.cfg", folder / "state", print)) as client:
        client.headers["X-Folder"] = str(folder / "state")
        yield client


def commands(app: App, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command that does something, as it is typed."""
    inner = [(name, app[name]) for name in app if not name.startswith("-")]
    if path and (app.default_command is not None or not inner):
        yield " ".join(path)
    for name, one in inner:
        yield from commands(one, (*path, name))


def test_every_command_has_its_operation_or_a_reason(rows: list[Row]) -> None:
    named = [row.command for row in rows]
    assert sorted(named) == sorted(commands(make_app()))
    for row in rows:
        assert bool(row.operations) == (row.role != "—"), row
        assert row.operations or ("only" in row.text and len(row.text) > 30), row


def test_every_operation_is_in_the_table(rows: list[Row], client: TestClient) -> None:  # type: ignore[type-arg]
    paths = client.get("/schema/openapi.json").json()["paths"]
    there = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert {one for row in rows for one in row.operations} == there
    for row in rows:
        for method, path in row.operations:
            assert paths[path][method.lower()]["x-role"] == row.role, (method, path)


def test_the_roles_are_those_that_are_asked_for(rows: list[Row], client: TestClient) -> None:  # type: ignore[type-arg]
    state = Path(client.headers["X-Folder"])
    tokens = {role: make_token(state, role, [role], "me") for role in BESIDE}
    for row in rows:
        for method, path in row.operations:
            path = re.sub(r"{\w+}", "x", path)
            for role in {"read", BESIDE[row.role]} - {"", row.role}:
                headers = {"Authorization": f"Bearer {tokens[role]}"}
                answer = client.request(method, path, headers=headers)
                assert answer.status_code == 403, (method, path, role)
                assert f"needs the role {row.role}" in answer.json()["detail"]
            # Whatever else is wrong with the request, it is not the role.
            headers = {"Authorization": f"Bearer {tokens[row.role]}"}
            assert client.request(method, path, headers=headers).status_code != 403
