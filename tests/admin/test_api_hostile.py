"""Whoever means ill: no request is a fault of ours, and nothing is told to who may not know."""

from __future__ import annotations

import gzip
import io
import socket
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from api_client import Api
from api_server import listening

from router.admin.api_tokens import make_token
from router.admin.rates_loading import load_deck

JSON = {"Content-Type": "application/json"}


def test_no_answer_is_kept_and_no_page_of_another_host_may_read_it(api: Api) -> None:
    read = {"Authorization": f"Bearer {api.tokens['read']}"}
    for path, headers in (("/gateways", read), ("/gateways", {}), ("/nothing", read)):
        answer = api.client.get(path, headers={**headers, "Origin": "https://evil.example"})
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "server" not in answer.headers and "set-cookie" not in answer.headers
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "DELETE"}
    answer = api.client.options("/gateways/out", headers=asked)
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "header",
    [b"Bearer \xff\xfe", b"Bearer", b"Bearer ", b"bearer  x", b"Basic eDp5",
     b"Bearer " + b"x" * 9_000, b"Bearer null", b"Bearer a b", b"\x00", b"Token x"],
    ids=range(10),
)
def test_no_header_is_a_token_but_a_token(api: Api, header: bytes) -> None:
    answer = api.client.get("/gateways", headers=[(b"Authorization", header)])
    assert answer.status_code == 401 and "out" not in answer.json()
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "path",
    ["/schema/../accounts", "/schema/%2e%2e/accounts", "//accounts", "/schema%2f..%2faccounts",
     "/schema;/accounts", "/schemas", "/./accounts", "/accounts/"],
)
def test_no_path_leads_around_the_gate(api: Api, path: str) -> None:
    answer = api.client.get(path)
    assert answer.status_code in (401, 404) and "acme" not in answer.text


@pytest.mark.parametrize(
    "name",
    ["..%2f..%2fetc%2fpasswd", "%2e%2e", "..", "%00", "a%0ab", "%ff%fe", "x" * 129, "*", "{}"],
)
def test_a_name_is_a_name_and_no_path(api: Api, name: str) -> None:
    headers = {"Authorization": f"Bearer {api.tokens['operate']}"}
    for method, path in (
        ("GET", "/gateways/{}"), ("GET", "/cdrs/{}"), ("GET", "/decks/{}/rates"),
        ("PUT", "/decks/{}/rates"), ("DELETE", "/blocks/{}"), ("DELETE", "/gateways/{}"),
        ("PUT", "/accounts/{}/lock"), ("GET", "/accounts/{}/rows"),
    ):
        answer = api.client.request(method, path.format(name), headers=headers)
        assert 400 <= answer.status_code < 500 or answer.status_code == 503, (method, path)
        assert "root:" not in answer.text and "Traceback" not in answer.text
    assert not api.log


@pytest.mark.parametrize(
    "body",
    [b"[" * 60_000, b'{"a":' * 12_000, b"\xff\xfe", b'{"settings": {"a": 1e999}}', b"null",
     b"1" * 60_000, b'{"name": "a", "name": "b"}', b'{"name": "\\ud800", "settings": {}}'],
    ids=range(8),
)
def test_no_body_is_a_fault_of_ours(api: Api, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {api.tokens['operate']}", **JSON}
    for method, path in (("POST", "/gateways"), ("POST", "/decisions"), ("POST", "/test-calls")):
        answer = api.client.request(method, path, headers=headers, content=body)
        assert 400 <= answer.status_code < 500, (method, path, answer.text)
    assert not api.log


def test_a_query_has_an_end(api: Api) -> None:
    for name in ("account", "cursor", "gateway", "callee", "reason", "since", "call_id"):
        api("GET", f"/cdrs?{name}={'x' * 201}", 400)
    api("GET", "/cdrs?" + "&".join(f"a{n}=b" for n in range(500)), 503)


def test_what_two_parsers_would_read_differently_is_refused(state: Path, log: Any) -> None:
    token = make_token(state, "me", ["operate"], "root")
    authorization = b"Authorization: Bearer " + token.encode()
    lines = [b"PUT /accounts/acme/lock HTTP/1.1", b"Host: x", authorization]
    hidden = b"DELETE /gateways/out HTTP/1.1\r\nHost: x\r\n\r\n"
    with listening(state, log) as address:
        for more in (
            [b"Content-Length: 2", b"Content-Length: 40"],
            [b"Content-Length: +2"],
            [b"Transfer-Encoding: chunked, identity"],
            [b"Transfer-Encoding: \x0bchunked"],
            [b"Content-Length : 2"],
            [b"X: y", b" folded: z", b"Content-Length: nonsense"],
        ):
            with socket.create_connection(address, timeout=10) as one:
                one.sendall(b"\r\n".join([*lines, *more, b"", b"{}"]) + hidden)
                got = b""
                while piece := one.recv(65_536):
                    got += piece
            assert got.startswith(b"HTTP/1.1 400 ") and got.count(b"HTTP/1.1 ") == 1, (more, got)


def test_secrets_are_nowhere_in_what_is_told(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.tokens['operate']}"}
    for path in ("/phones/acme/100", "/phones", "/audit", "/compiled", "/check", "/accounts/acme"):
        assert "a-long-secret-1" not in api.client.get(path, headers=headers).text, path
    wrong = {"name": "acme/1x", "settings": {"password": "another-secret", "nonsense": "1"}}
    assert "another-secret" not in str(api("POST", "/phones", 422, json=wrong))
    wrong = {"name": "acme/102", "settings": {"password": "another-secret } evil {"}}
    api("POST", "/phones", 201, json=wrong)
    assert "another-secret" not in str(api("GET", "/audit")) + str(api("GET", "/phones/acme/102"))


def test_a_small_file_that_unpacks_to_anything_fills_no_memory(
    api: Api, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = gzip.compress(b"prefix,rate_per_min\n" + b"8" * 50_000_000)
    assert len(line) < 64 * 1024
    tracemalloc.start()
    try:
        loading = load_deck(
            io.BytesIO(line), "bomb", "retail", state / "rates.lmdb", size=0, dry_run=False, rise=0
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert loading.changes is None and peak < 5_000_000
    problem = api("PUT", "/decks/retail/rates", 422, content=line)
    assert problem["errors"][0]["message"] == "is longer than 64 KiB"
    monkeypatch.setattr("router.admin.rates_loading.MAX_UNPACKED", 1_000)
    rows = "".join(f"{n},0.1\n" for n in range(1_000))
    body = f"prefix,rate_per_min\n{rows}".encode()
    problem = api("PUT", "/decks/retail/rates", 422, content=body)
    assert "comes after more than" in problem["errors"][-1]["message"]
