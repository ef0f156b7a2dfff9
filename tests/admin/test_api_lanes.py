"""Requests beside each other: long work keeps nobody waiting, and every queue has an end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from api_client import Api

from router.admin.api_desk import MAX_LOADS
from router.store.ledger import LmdbLedger
from router.store.records import Cdr, encode_cdr
from router.store.state import prepare_state

RATES = "prefix,rate_per_min\n86,0.60\n"


class Held:
    """Work that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, *_: Any, **__: Any) -> Any:
        self.begun.release()
        assert self.go.wait(30)
        raise OSError(5, "let go", "rates")


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    held = Held()
    monkeypatch.setattr("router.admin.api_rates._load", held)
    return held


def test_while_rates_are_loaded_everything_else_is_answered(
    api: Api, state: Path, held: Held
) -> None:
    prepare_state(state)
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(api, "PUT", "/decks/retail/rates", 503, content=RATES.encode())
        assert held.begun.acquire(timeout=30)
        for path in ("/gateways", "/accounts/acme", "/calls", "/cdrs", "/stats", "/decks"):
            api("GET", path)
        api("PUT", "/accounts/acme/lock", json={})
        api("POST", "/gateways", 201, json={"name": "hk", "settings": {"address": "192.0.2.9"}})
        paid = api(
            "POST", "/accounts/acme/topup", role="money", json={"amount": "1"},
            headers={"Idempotency-Key": "k"},
        )
        assert paid["balance"] == "6.000000"
        assert not loading.done()
        held.go.set()
        assert "let go" in loading.result()["detail"]


def test_a_python_file_that_takes_its_time_holds_up_no_status(
    api: Api, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_state(state)
    held = Held()
    monkeypatch.setattr("router.admin.api_desk.read_known", held)
    with ThreadPoolExecutor(6) as threads:
        waiting = [threads.submit(api, "GET", "/gateways", 503) for _ in range(6)]
        assert held.begun.acquire(timeout=30)
        for path in ("/calls", "/audit", "/blocks", "/cdrs", "/figures"):
            api("GET", path)
        assert not any(one.done() for one in waiting)
        held.go.set()
        assert {one.result()["status"] for one in waiting} == {503}


def test_a_lane_that_is_full_says_when_to_come_again(api: Api, state: Path, held: Held) -> None:
    def load(_: int) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {api.tokens['operate']}"}
        answer = api.client.put("/decks/retail/rates", headers=headers, content=RATES.encode())
        return answer.status_code, answer.headers.get("retry-after", "")

    with ThreadPoolExecutor(MAX_LOADS + 2) as threads:
        first = [threads.submit(load, n) for n in range(MAX_LOADS + 2)]
        assert held.begun.acquire(timeout=30)
        # What is too much is refused at once, whatever the others do.
        refused = [one.result() for one in islice(as_completed(first, timeout=30), 2)]
        assert refused == [(503, "5"), (503, "5")]
        assert not all(one.done() for one in first)
        held.go.set()
    assert not list(state.glob(".upload.*"))


def test_many_at_once_read_and_change_one_state(api: Api, state: Path) -> None:
    prepare_state(state)
    ledger = LmdbLedger(state / "ledger.lmdb")
    cdrs = [Cdr(id=f"{number:012x}00aa", account="acme") for number in range(300)]
    ledger.store([(one.id.encode(), encode_cdr(one)) for one in cdrs], 1)
    ledger.close()
    paths = (
        "/status", "/gateways", "/accounts", "/trunks", "/phones/acme/100", "/check", "/blocks",
        "/cdrs?limit=300", "/stats?since=1970-01-02", "/decks", "/audit", "/calls",
    )

    def ask(number: int) -> None:
        if number % 6 == 0:
            body = {"amount": "1"}
            api(
                "POST", "/accounts/acme/topup", role="money", json=body,
                headers={"Idempotency-Key": f"k{number}"},
            )
        elif number % 6 == 1:
            settings = {"address": "192.0.2.9"}
            api("POST", "/gateways", 201, json={"name": f"g{number}", "settings": settings})
        elif number % 6 == 2:
            api("POST", "/decisions", json={"source": "127.0.0.1", "callee": "8613"})
        else:
            api("GET", paths[number % len(paths)], 503 if number % len(paths) == 0 else 200)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(ask, range(96)))
    assert api("GET", "/accounts/acme")["balance"] == "21.000000"
    assert len(api("GET", "/gateways")["items"]) == 17
    assert not api.log
