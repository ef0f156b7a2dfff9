"""The HTTP API of a running router: a payment, a lock that the next call meets, who may do what."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "admin"))
from api_client import Document
from harness.ports import LOOPBACK, free_ports, tcp_listening, wait_until
from harness.routes import Routes
from harness.switch import Switch

ROWS = 400_000
PAYMENTS = 16


class Api:
    """A running router, and a client of its API."""

    def __init__(self, switch: Switch, port: int) -> None:
        self.switch = switch
        self.base = f"http://{LOOPBACK}:{port}"
        self.document = Document(httpx.get(self.base + "/schema/openapi.json").json())
        self.tokens = {role: self._token(role) for role in ("read", "operate", "money")}

    def _token(self, role: str) -> str:
        done = self.switch.command(
            "tokens", "add", f"{role}er", "--role", role, "--state", str(self.switch.state)
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def __call__(
        self, role: str, method: str, path: str, status: int = 200, **more: Any
    ) -> dict[str, Any]:
        """The JSON of an answer that must have this status."""
        headers = {"Authorization": f"Bearer {self.tokens[role]}", **more.pop("headers", {})}
        answer = httpx.request(method, self.base + path, headers=headers, timeout=60, **more)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        self.document.check(method, path, status, found)
        return found


@pytest.fixture(scope="module")
def api(module_switch: Callable[..., Switch]) -> Api:
    (port,) = free_ports(1)
    routes = Routes(pairs=4, settings={"api": f"{LOOPBACK}:{port}"}, more="deck wide { }\n")
    switch = module_switch(routes, workers=2)
    wait_until(lambda: tcp_listening(port), "the API listens", 10)
    return Api(switch, port)


def test_a_top_up_with_one_key_counts_once(api: Api) -> None:
    def pay() -> dict[str, Any]:
        return api(
            "money", "POST", "/accounts/acme/topup", json={"amount": "12.50"},
            headers={"Idempotency-Key": "invoice-1"},
        )

    first = pay()
    assert (first["balance"], first["durable"]) == ("12.500000", True)
    assert pay() == first
    assert api("read", "GET", "/accounts/acme")["balance"] == "12.500000"
    verify = api.switch.command("ledger", "verify", "--state", str(api.switch.state))
    assert verify.returncode == 0, verify.stdout + verify.stderr
    (row,) = api("read", "GET", "/audit?what=account%20acme")["items"]
    assert (row["who"], row["command"], row["result"]) == ("token:moneyer", "topup", "done")


def test_a_lock_refuses_the_next_call(api: Api, sipp) -> None:
    pair = api.switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, hold_ms=100)
    caller = sipp(
        "caller_hangs_up", target=api.switch.port, number=pair.number, call_id="before", hold_ms=100
    )
    caller.succeeds()
    gateway.succeeds()
    cdr = api.switch.cdr("before")
    assert api("read", "GET", "/cdrs?call_id=" + cdr["call_id"])["items"] == [cdr]
    told = api("read", "GET", f"/cdrs/{cdr['id']}/explain")
    assert told["reason"] == "Normal" and told["ladder"]
    assert api("operate", "PUT", "/accounts/acme/lock", json={"note": "unpaid"})["locked"]
    wait_until(lambda: all_have_looked(api.switch), "each worker has looked", 5)
    changes = {'response="404"': 'response="403"'}
    sipp(
        "caller_is_refused", target=api.switch.port, number=pair.number, call_id="locked",
        changes=changes,
    ).succeeds()
    assert api.switch.cdr("locked")["end_reason"] == "AccountLocked"
    api("operate", "DELETE", "/accounts/acme/lock")


def test_a_gateway_that_is_added_is_there_at_once(api: Api) -> None:
    body = {"name": "hk", "settings": {"address": "192.0.2.9", "prefixes": "852"}}
    assert "2 workers have it" in api("operate", "POST", "/gateways", 201, json=body)["told"][0]
    names = [one["name"] for one in api("read", "GET", "/status")["gateways"]]
    assert "hk" in names
    api("operate", "DELETE", "/gateways/hk")


def test_while_a_big_rates_file_is_loaded_others_are_answered(api: Api) -> None:
    rows = (f"{8_600_000 + number},0.12,0.01" for number in range(ROWS))
    body = "\n".join(("prefix,rate_per_min,connect_fee", *rows)).encode()
    slowest = answered = 0.0
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(
            lambda: api("operate", "PUT", "/decks/wide/rates", content=body)
        )
        while not loading.done():
            began = time.monotonic()
            assert len(api("read", "GET", "/status")["workers"]) == 2
            api("read", "GET", "/accounts/acme")
            slowest = max(slowest, time.monotonic() - began)
            answered += 1
        assert loading.result()["rates"] == ROWS
    # One after the other there would have been one answer, at the end.
    assert answered >= 5 and slowest < 5, (answered, slowest)
    assert api("read", "GET", "/decks/wide/rate?number=8600001")["rate"]["prefix"] == "8600001"


def test_a_test_call_is_placed_and_counted(api: Api) -> None:
    before = api("read", "GET", "/figures")
    asked = {"number": api.switch.routes.unserved_number, "trunk": "acme/office"}
    found = api("operate", "POST", "/test-calls", json=asked)
    assert (found["answered"], found["end_reason"], found["as_asked"]) == (False, "NotFound", True)
    assert api("read", "GET", f"/cdrs/{found['cdr']['id']}") == found["cdr"]

    def counted() -> bool:
        figures = api("read", "GET", "/figures")
        return {"reason": "NotFound", "calls": 1} in figures["ended"]

    wait_until(counted, "the figures have it", 5)
    figures = api("read", "GET", "/figures")
    assert figures["failures"][0]["id"] == found["cdr"]["id"]
    assert figures["running"] and len(figures["gateways"]) == len(before["gateways"])
    row = api("read", "GET", "/audit?limit=1")["items"][0]
    assert (row["who"], row["command"]) == ("token:operateer", "call")
    assert row["what"] == f"call {asked['number']} as trunk acme/office"


def test_who_may_not_is_told_so(api: Api) -> None:
    assert "role operate" in api("read", "POST", "/reload", 403, json={})["detail"]
    assert "role operate" in api("money", "PUT", "/accounts/acme/lock", 403, json={})["detail"]
    more = {"json": {"amount": "1"}, "headers": {"Idempotency-Key": "x"}}
    assert "role money" in api("operate", "POST", "/accounts/acme/topup", 403, **more)["detail"]
    assert httpx.get(api.base + "/status").status_code == 401
    done = api.switch.command("tokens", "remove", "reader", "--state", str(api.switch.state))
    assert done.returncode == 0
    wait_until(lambda: _status(api) == 401, "the token is refused", 5)


def test_payments_under_kills_are_booked_once_each(api: Api) -> None:
    before = api("operate", "GET", "/accounts/acme")["balance"]

    def pay(number: int) -> dict[str, Any]:
        """Ask with one key until there is an answer, as a careful client does."""
        end = time.monotonic() + 40
        headers = {
            "Authorization": f"Bearer {api.tokens['money']}", "Idempotency-Key": f"order-{number}"
        }
        while True:
            try:
                answer = httpx.post(
                    api.base + "/accounts/acme/topup", headers=headers, json={"amount": "1"},
                    timeout=10,
                )
                if answer.status_code == 200 and answer.json()["durable"]:
                    found: dict[str, Any] = answer.json()
                    return found
                assert answer.status_code in (200, 503), answer.text
            except httpx.TransportError:
                time.sleep(0.02)
            assert time.monotonic() < end, "nobody takes the payment"

    with ThreadPoolExecutor(4) as threads:
        paid = [threads.submit(pay, number) for number in range(PAYMENTS)]
        for victim, share in (("api", 0.2), ("ledger", 0.5), ("api", 0.8)):
            wait_until(lambda: sum(one.done() for one in paid) >= share * PAYMENTS, victim, 40)  # noqa: B023
            os.kill(api.switch.posts()[victim], signal.SIGKILL)
        answers = [one.result() for one in paid]
    assert len({one["id"] for one in answers}) == PAYMENTS
    wait_until(lambda: _answers(api), "the API is back", 10)
    assert [pay(number)["id"] for number in range(PAYMENTS)] == [one["id"] for one in answers]
    after = api("operate", "GET", "/accounts/acme")["balance"]
    assert float(after) - float(before) == PAYMENTS
    assert api("operate", "GET", "/ledger/verify")["sound"]


def test_a_killed_api_comes_back_and_all_of_it_stops_with_the_router(api: Api) -> None:
    os.kill(api.switch.posts()["api"], signal.SIGKILL)
    wait_until(lambda: _answers(api), "the API is back", 10)
    assert api.switch.stop() == 0
    assert "stopped serving the API" in api.switch.log()


def _answers(api: Api) -> bool:
    try:
        return httpx.get(api.base + "/schema/openapi.json").status_code == 200
    except httpx.HTTPError:
        return False


def _status(api: Api) -> int:
    headers = {"Authorization": f"Bearer {api.tokens['read']}"}
    return httpx.get(api.base + "/status", headers=headers).status_code


def all_have_looked(switch: Switch) -> bool:
    """Whether every worker has had its turn of the second since the last order."""
    version_at = (switch.state / "objects.lmdb" / "data.mdb").stat().st_mtime_ns // 1_000_000
    beats = switch.ask_live(lambda live: live.heartbeats())
    return all(beat > version_at + 50 for beat in beats.values())
