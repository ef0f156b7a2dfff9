"""Connections to the API that are slow, half open or too many, on a real server."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_server import Address, listening
from harness.certificates import make_certificate

from router.admin import api_connections, api_process
from router.admin.api_process import _announce
from router.admin.api_tls import TlsError, TlsFiles
from router.admin.api_tokens import make_token
from router.admin.scrape import Scrape


@pytest.fixture
def address(
    state: Path, monkeypatch: pytest.MonkeyPatch, log: Any
) -> Iterator[tuple[str, int]]:
    """Where an API listens that has little patience."""
    monkeypatch.setattr(api_connections, "HEAD_S", 0.6)
    monkeypatch.setattr(api_connections, "MAX_FROM_ONE", 4)
    with listening(state, log) as address:
        yield address


def test_who_begins_and_does_not_go_on_is_put_out(address: tuple[str, int]) -> None:
    url = "http://{}:{}/schema/openapi.json".format(*address)
    for begun in (b"", b"GET /status HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        with socket.create_connection(address, timeout=10) as one:
            one.sendall(begun)
            assert one.recv(1) == b""
    with socket.create_connection(address, timeout=10) as one:
        # The second request of a connection has no more time than the first.
        one.sendall(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\nGET /status HTTP/1.1\r\n")
        got = b""
        while piece := one.recv(4096):
            got += piece
        assert got.startswith(b"HTTP/1.1 401")
    assert httpx.get(url).status_code == 200


def test_too_many_from_one_address_are_told_so(address: tuple[str, int]) -> None:
    url = "http://{}:{}/schema/openapi.json".format(*address)
    with ExitStack() as opened:
        for _ in range(4):
            opened.enter_context(socket.create_connection(address, timeout=10))
        answer = httpx.get(url)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "too many connections" in answer.json()["detail"]
    wait_for(lambda: httpx.get(url).status_code == 200)  # it has seen that they are gone


def test_a_head_without_end_is_refused(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=10) as one:
        one.sendall(b"GET /status?x=" + b"a" * 40_000)
        assert one.recv(100).startswith(b"HTTP/1.1 400")


def test_a_renewed_certificate_is_served_without_a_restart(
    state: Path, tmp_path: Path, log: Any
) -> None:
    files = make_certificate(tmp_path, "api")
    with listening(state, log, tls=TlsFiles(*files)) as address:
        first = served(address)
        assert first == ssl.PEM_cert_to_DER_cert(files[0].read_text())
        renewed = make_certificate(tmp_path, "new")
        files[0].write_bytes(renewed[0].read_bytes())
        # It does not fit the key: the old one is served, and that is said once.
        wait_for(lambda: said(log, "cannot be served"))
        assert served(address) == first
        files[1].write_bytes(renewed[1].read_bytes())
        wait_for(lambda: said(log, "serves its new certificate"))
        assert served(address) == ssl.PEM_cert_to_DER_cert(renewed[0].read_text())
        url = "https://{}:{}/schema/openapi.json".format(*address)
        trusted = ssl.create_default_context(cafile=files[0])
        assert httpx.get(url, verify=trusted).status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.get(url.replace("https", "http"))
    assert len([one for one in log.events if "cannot be served" in one[1]]) == 1
    files[1].write_text("no key")
    with pytest.raises(TlsError, match=r"api\.pem and key .*api\.key cannot be served"):
        TlsFiles(*files)


def test_who_connects_and_speaks_no_tls_is_put_out(
    state: Path, tmp_path: Path, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_process, "HANDSHAKE_S", 0.3)
    files = make_certificate(tmp_path, "api")
    with (
        listening(state, log, tls=TlsFiles(*files)) as address,
        socket.create_connection(address, timeout=10) as one,
    ):
        assert one.recv(1) == b""


def test_tokens_in_clear_on_a_network_are_warned_of(log: Any) -> None:
    for host, warned in (("127.0.0.1", False), ("0.0.0.0", True)):
        log.events.clear()
        with socket.create_server((host, 0)) as listener:
            _announce(listener, log, secure=False)
            assert said(log, "tokens pass the network in clear") is warned
            log.events.clear()
            _announce(listener, log, secure=True)
            assert not said(log, "clear") and log.events[0][2]["url"].startswith("https://")


def test_requests_are_counted_by_path_and_never_by_what_clients_invent(
    state: Path, log: Any, scrape: Scrape, directory: Path
) -> None:
    token = make_token(state, "me", [], "root")
    with (
        listening(state, log, metrics=directory) as address,
        httpx.Client(base_url="http://{}:{}".format(*address)) as client,
    ):
        right = {"Authorization": f"Bearer {token}"}
        for name in ("a", "b"):
            assert client.get(f"/gateways/{name}", headers=right).status_code == 404
        client.get("/invented/path", headers=right)
        client.request("BREW", "/gateways", headers=right)
        client.get("/gateways")
        client.delete("/gateways/out", headers=right)
        for _ in range(11):
            client.get("/gateways", headers={"Authorization": "Bearer x"})
    families = {family.name: family for family in scrape.collect()}
    requests = {
        tuple(one.labels[name] for name in ("endpoint", "method", "code")): one.value
        for one in families["trunkline_api_requests"].samples
    }
    assert requests == {
        ("/status", "GET", "200"): 1,  # the fixture's
        ("/gateways/{name}", "GET", "404"): 2,
        ("other", "GET", "404"): 1,
        ("other", "other", "405"): 1,
        ("/gateways", "GET", "401"): 11,
        ("/gateways", "GET", "429"): 1,
        ("/gateways/{name}", "DELETE", "403"): 1,
    }
    failures = {
        one.labels["reason"]: one.value for one in families["trunkline_api_auth_failures"].samples
    }
    assert failures == {"no_token": 1, "wrong_token": 10, "too_often": 1, "no_role": 2}
    counts = [
        one.value for one in families["trunkline_api_request_duration_seconds"].samples
        if one.name.endswith("_count") and one.labels["endpoint"] == "/gateways/{name}"
    ]
    assert counts == [3]
    (warned,) = [one for one in log.events if one[1] == "wrong tokens for the API"]
    assert warned[2] == {"source": "127.0.0.1", "count": 10}
    assert token not in str(log.events)


def served(address: Address) -> bytes:
    """The certificate that a connection is shown."""
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(address, timeout=10))


def said(log: Any, words: str) -> bool:
    """Whether the log has them."""
    return any(words in event for _, event, _ in log.events)


def wait_for(happens: Callable[[], bool]) -> None:
    """Until it happens; it is looked at once a second there."""
    end = time.monotonic() + 10
    while not happens():
        assert time.monotonic() < end
        threading.Event().wait(0.02)
