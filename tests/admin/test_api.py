"""The HTTP API without a router: who may do what, what is told of errors, what is paid once."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest
from api_client import Api

from router.admin.api_bodies import BodyMiddleware
from router.admin.api_gate import Gate
from router.admin.api_problems import Refusal
from router.admin.api_tokens import find_token, make_token, read_tokens, remove_token
from router.admin.wrong_value import Clash, NotThere, WrongValue
from router.store.api_access import ACCESS_DIR, KEEP_MS, Asked, LmdbAccess
from router.store.ledger import LmdbLedger

JSON = {"Content-Type": "application/json"}
RATES = "prefix,rate_per_min,connect_fee,first_s,cycle_s\n86,0.60,0.05,60,60\n"


def test_without_a_token_there_is_the_schema_and_nothing_else(api: Api) -> None:
    schema = api.client.get("/schema/openapi.json")
    assert schema.status_code == 200 and schema.json()["openapi"].startswith("3.1")
    for path in schema.json()["paths"]:
        answer = api.client.get(path.replace("{", "").replace("}", ""))
        assert answer.status_code in (401, 405), path
        assert answer.status_code == 405 or answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("role", ["read", "money"])
def test_only_an_operator_changes_things(api: Api, role: str) -> None:
    block = {"name": "hk", "settings": {"address": "192.0.2.9"}}
    for method, path, body in (
        ("POST", "/gateways", block),
        ("PATCH", "/gateways/out", {"settings": {"lines": "3"}}),
        ("DELETE", "/trunks/acme/office", None),
        ("PUT", "/phones/acme/100/lock", {}),
        ("DELETE", "/accounts/acme/lock", None),
        ("DELETE", "/calls/1", None),
        ("POST", "/reload", {}),
        ("PUT", "/decks/retail/rates", None),
        ("DELETE", "/blocks/192.0.2.1", None),
    ):
        problem = api(method, path, 403, role=role, json=body)
        assert "needs the role operate" in problem["detail"]
    assert api("GET", "/gateways", role=role)["items"][0]["name"] == "out"


@pytest.mark.parametrize("role", ["read", "operate"])
def test_only_money_pays(api: Api, role: str) -> None:
    for what in ("topup", "adjust"):
        body = {"amount": "1", "note": "x"}
        problem = api(
            "POST", f"/accounts/acme/{what}", 403, role=role, json=body,
            headers={"Idempotency-Key": "k"},
        )
        assert "needs the role money" in problem["detail"]
    assert api("GET", "/accounts/acme")["balance"] == "5.000000"


def test_a_gateway_is_added_changed_locked_and_removed(api: Api) -> None:
    settings = {"address": "192.0.2.9", "prefixes": "852, 853"}
    api("POST", "/gateways", 201, json={"name": "hk", "settings": settings})
    problem = api("POST", "/gateways", 409, json={"name": "hk", "settings": settings})
    assert "already" in problem["detail"]
    api("PATCH", "/gateways/hk", json={"settings": {"lines": "3"}})
    assert api("PUT", "/gateways/hk/lock", json={"note": "tests"}) == {"name": "hk", "locked": True}
    assert "locked already" in api("PUT", "/gateways/hk/lock", 409, json={})["detail"]
    shown = api("GET", "/gateways/hk")
    assert (shown["lines"], shown["state"], shown["lock_note"]) == (3, "locked", "tests")
    assert api("DELETE", "/gateways/hk/lock") == {"name": "hk", "locked": False}
    api("DELETE", "/gateways/hk")
    assert "there is no gateway `hk`" in api("GET", "/gateways/hk", 404)["detail"]
    rows = api("GET", "/audit", params={"what": "gateway hk"})["items"]
    assert [row["command"] for row in rows] == ["remove", "unlock", "lock", "set", "add"]
    assert {row["who"] for row in rows} == {"token:operate"}


def test_trunks_and_phones_are_named_with_their_account(api: Api) -> None:
    api("POST", "/phones", 201, json={"name": "acme/101", "settings": {"password": "b-secret-22"}})
    names = [one["name"] for one in api("GET", "/phones")["items"]]
    assert names == ["acme/100", "acme/101"]
    assert api("GET", "/phones/acme/101")["settings"]["password"] == "***"
    assert "b-secret-22" not in str(api("GET", "/audit"))
    api("PUT", "/trunks/acme/office/lock", json={})
    assert api("GET", "/trunks/acme/office")["state"] == "locked"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ('x { address = 192.0.2.7 } import "evil.py" gateway y', {"address": "192.0.2.9"}),
        ("x\ngateway y", {"address": "192.0.2.9"}),
        ("hk", {"address": "192.0.2.9 } account rich { balance = 9"}),
        ("hk", {"address": 'env("HOME")'}),
        ("hk", {"address } account rich {": "1"}),
        ("hk", {"nonsense": "1"}),
    ],
)
def test_nothing_comes_into_the_configuration_by_the_way(
    api: Api, name: str, settings: dict[str, str], state: Path
) -> None:
    api("POST", "/gateways", 422, json={"name": name, "settings": settings})
    assert not (state / "objects.cfg").exists()


def test_a_payment_with_one_key_is_made_once(api: Api, state: Path) -> None:
    def pay(amount: str, key: str, status: int = 200, path: str = "acme/topup") -> Any:
        body = {"amount": amount, "note": "paid"}
        headers = {"Idempotency-Key": key}
        return api(
            "POST", f"/accounts/{path}", status, role="money", json=body, headers=headers
        )

    first = pay("10", "a")
    assert (first["balance"], first["durable"]) == ("15.000000", True)
    assert pay("10", "b")["balance"] == "25.000000"
    assert pay("10", "a") == first
    assert "used for another payment" in pay("11", "a", 422)["detail"]
    assert "used for another payment" in pay("10", "a", 422, "acme/adjust")["detail"]
    assert "did you mean" in pay("10", "c", 404, "acm/topup")["detail"]
    assert "adds nothing" in pay("0", "c", 422)["detail"]
    assert pay("-2.5", "c", path="acme/adjust")["balance"] == "22.500000"
    ledger = LmdbLedger(state / "ledger.lmdb", readonly=True)
    rows = list(ledger.rows("acme"))
    ledger.close()
    assert sorted(row.amount for row in rows) == [-2_500_000, 5_000_000, 10_000_000, 10_000_000]
    assert {row.who for row in rows if row.kind != "opening"} == {"token:money"}
    assert len([one for one in api("GET", "/audit")["items"] if one["command"] == "topup"]) == 2


def test_a_payment_needs_a_key(api: Api) -> None:
    problem = api("POST", "/accounts/acme/topup", 400, role="money", json={"amount": "1"})
    assert "Idempotency-Key" in problem["detail"]


def test_rates_are_loaded_whole_or_not_at_all(api: Api) -> None:
    def put(body: bytes, status: int = 200, deck: str = "retail", **params: Any) -> Any:
        return api("PUT", f"/decks/{deck}/rates", status, content=body, params=params)

    assert put(RATES.encode(), dry_run="true")["loaded"] is False
    assert api("GET", "/decks")["items"][0]["rates"] == 0
    problem = put(b"prefix,rate_per_min\n86,much\n", 422)
    assert problem["errors"][0]["line"] == 2
    assert put(gzip.compress(RATES.encode()))["rates"] == 1
    found = api("GET", "/decks/retail/rate", params={"number": "8613"})
    assert found["rate"]["rate_per_min"] == "0.6"
    put(RATES.encode(), 404, deck="retial")
    assert "did you mean" in api("GET", "/decks/retial/rate?number=1", 404)["detail"]


def test_a_call_is_decided_and_not_made(api: Api) -> None:
    asked = {"source": "127.0.0.1", "callee": "8613"}
    assert "out" in str(api("POST", "/decisions", role="read", json=asked)["gateways"])
    asked["source"] = "nowhere"
    assert "no IP address" in api("POST", "/decisions", 422, json=asked)["detail"]


def test_lists_come_in_pages(api: Api) -> None:
    for name in "abc":
        api("POST", "/gateways", 201, json={"name": name, "settings": {"address": "192.0.2.9"}})
    first = api("GET", "/gateways", params={"limit": 3})
    assert [one["name"] for one in first["items"]] == ["a", "b", "c"]
    rest = api("GET", "/gateways", params={"limit": 3, "cursor": first["next"]})
    assert [one["name"] for one in rest["items"]] == ["out"] and rest["next"] is None
    audit = api("GET", "/audit", params={"limit": 2})
    rest = api("GET", "/audit", params={"limit": 2, "cursor": audit["next"]})
    numbers = [row["number"] for row in audit["items"] + rest["items"]]
    assert numbers == sorted(numbers, reverse=True) and len(set(numbers)) == 4


def test_every_error_is_a_problem_with_a_help(api: Api) -> None:
    for method, path, status, more in (
        ("GET", "/nothing", 404, {}),
        ("PUT", "/gateways", 405, {}),
        ("GET", "/gateways?limit=0", 400, {}),
        ("POST", "/gateways", 400, {"content": b"{", "headers": JSON}),
        ("POST", "/gateways", 413, {"content": b"x" * 70_000}),
        ("GET", "/status", 503, {}),
        ("POST", "/reload", 409, {"json": {}}),
        ("GET", "/cdrs?since=whenever", 422, {}),
    ):
        problem = api(method, path, status, **more)
        assert problem["status"] == status and problem["title"] and problem["help"]
        assert "--" not in problem["detail"] and "Traceback" not in str(problem)


def test_a_body_that_is_late_or_broken_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.admin.api_bodies.BODY_S", 0.05)

    async def asked(*messages: Any) -> list[Any]:
        waiting = list(messages)
        got: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            while True:
                got.append(await receive())

        async def receive() -> Any:
            if not waiting:
                await asyncio.sleep(60)
            return waiting.pop(0)

        try:
            await BodyMiddleware(app)({"path": "/gateways"}, receive, None)  # type: ignore[arg-type]
        except Refusal as error:
            got.append(error.status)
        return got

    part = {"type": "http.request", "body": b"{", "more_body": True}
    assert asyncio.run(asked(part)) == [part, 408]
    assert asyncio.run(asked(part, {"type": "http.disconnect"})) == [part, 400]


def test_options_names_every_method(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.tokens['read']}"}
    answer = api.client.options("/gateways/out", headers=headers)
    assert answer.headers["allow"] == "DELETE, GET, OPTIONS, PATCH"


def test_a_fault_of_ours_is_logged_and_not_shown(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret place")

    monkeypatch.setattr("router.admin.api_router.read_audit", broken)
    problem = api("GET", "/audit", 500)
    assert "secret" not in str(problem) and "report it" in problem["help"]
    assert "a secret place" in str(api.log)


def test_who_guesses_tokens_is_stopped_and_others_are_not(state: Path) -> None:
    token = make_token(state, "me", [], "root")
    access = LmdbAccess(state / ACCESS_DIR)
    now = [0.0]
    gate = Gate(access, most_wrong=3, clock=lambda: now[0])

    def status(secret: str, source: str = "192.0.2.1") -> int:
        try:
            gate.admit(f"Bearer {secret}", source)
        except Refusal as error:
            return error.status
        return 200

    assert [status("x") for _ in range(5)] == [401, 401, 401, 429, 429]
    assert status("x", "192.0.2.2") == 401
    assert status(token) == 200  # of 256 random bits: nobody gets there by guessing
    now[0] = 61.0
    assert status("x") == 401
    access.close()
    remove_token(state, "me", "root")
    access = LmdbAccess(state / ACCESS_DIR)
    gate = Gate(access)
    assert status(token) == 401
    access.close()


def test_tokens_are_kept_as_hashes_only(state: Path) -> None:
    token = make_token(state, "ops", ["operate"], "root")
    assert token.encode() not in (state / ACCESS_DIR / "data.mdb").read_bytes()
    assert (state / ACCESS_DIR).stat().st_mode & 0o077 == 0
    tokens = read_tokens(state)
    assert tokens["ops"].roles == ("read", "operate")
    assert find_token(tokens, token) == ("ops", tokens["ops"])
    assert find_token(tokens, token + "x") is None
    with pytest.raises(Clash):
        make_token(state, "ops", [], "root")
    with pytest.raises(WrongValue):
        make_token(state, "a b", [], "root")
    with pytest.raises(WrongValue):
        make_token(state, "x", ["god"], "root")
    with pytest.raises(NotThere):
        remove_token(state, "nobody", "root")


def test_keys_are_forgotten_after_their_time(state: Path) -> None:
    access = LmdbAccess(state / ACCESS_DIR)
    first = Asked(f"{1:012x}-a", "one")
    assert access.ask("me", "k", first, 1) == first
    assert access.ask("me", "k", Asked(f"{2:012x}-b", "two"), 2) == first
    assert access.ask("you", "k", Asked(f"{2:012x}-c", "two"), 2).about == "two"
    late = KEEP_MS + 10
    assert access.ask("me", "k", Asked(f"{late:012x}-d", "three"), late).about == "three"
    access.close()
