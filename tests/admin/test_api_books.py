"""Books, exports and figures over HTTP, on a state that has calls and money."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from api_client import Api

from router.store.ledger import LmdbLedger
from router.store.records import Cdr, encode_cdr
from router.store.state import prepare_state

CDRS = 1_200
RATES = (
    "prefix,name,rate_per_min,connect_fee,first_s,cycle_s\n"
    "852,Hong Kong,0.30,0,1,1\n"
    "86,,0.6,0.05,60,60\n"
)


@pytest.fixture
def used(api: Api, state: Path) -> Api:
    """The API of a state with CDRs, payments and rates."""
    prepare_state(state)
    ledger = LmdbLedger(state / "ledger.lmdb")
    cdrs = [Cdr(id=f"{n:012x}00aa", account="acme", callee_in="=1+1") for n in range(CDRS)]
    ledger.store([(one.id.encode(), encode_cdr(one)) for one in cdrs], 1)
    ledger.close()
    for number in range(3):
        api(
            "POST", "/accounts/acme/topup", role="money", json={"amount": "1", "note": "paid"},
            headers={"Idempotency-Key": f"k{number}"},
        )
    api("PUT", "/decks/retail/rates", content=RATES.encode())
    return api


def text(api: Api, path: str) -> str:
    answer = api.client.get(path, headers={"Authorization": f"Bearer {api.tokens['read']}"})
    assert answer.status_code == 200, answer.text
    return answer.text


def test_all_cdrs_are_exported_as_csv_and_as_json_lines(used: Api) -> None:
    lines = text(used, "/cdrs/export").splitlines()
    assert len(lines) == CDRS + 1 and lines[0].startswith("id,")
    assert "'=1+1" in lines[1]  # for a spreadsheet it is no formula
    found = [json.loads(line) for line in text(used, "/cdrs/export?format=jsonl").splitlines()]
    assert [one["id"] for one in found] == [f"{n:012x}00aa" for n in reversed(range(CDRS))]
    assert text(used, "/cdrs/export?account=other&format=jsonl") == ""
    assert "did you mean" in used("GET", "/cdrs/export?reason=UserBussy", 422)["detail"]
    assert used("GET", "/cdrs/export?format=xml", 400)["errors"]


def test_an_export_that_nobody_reads_holds_nothing(used: Api) -> None:
    headers = {"Authorization": f"Bearer {used.tokens['read']}"}
    for _ in range(5):
        with used.client.stream("GET", "/cdrs/export", headers=headers) as answer:
            assert next(answer.iter_text()).startswith("id,")
    assert len(used("GET", "/cdrs?limit=500")["items"]) == 500


def test_a_deck_comes_out_as_it_went_in(used: Api) -> None:
    exported = text(used, "/decks/retail/rates")
    assert exported.splitlines()[1].startswith("852,Hong Kong,0.3,0,1,1,0,")
    result = used("PUT", "/decks/retail/rates", content=exported.encode())
    assert (result["new"], result["changed"], result["gone"]) == (0, 0, 0)
    used("GET", "/decks/retial/rates", 404)
    (one,) = used("GET", "/rates?number=8613")["items"]
    assert (one["deck"], one["rate"]["rate_per_min"]) == ("retail", "0.6")
    assert used("GET", "/rates?number=1")["items"][0]["rate"] is None


def test_the_book_of_an_account_is_read_page_by_page(used: Api) -> None:
    first = used("GET", "/accounts/acme/rows?limit=3")
    assert [row["balance"] for row in first["items"]] == ["8.000000", "7.000000", "6.000000"]
    rest = used("GET", f"/accounts/acme/rows?limit=3&cursor={first['next']}")
    assert [row["kind"] for row in rest["items"]] == ["opening"] and rest["next"] is None
    assert "did you mean" in used("GET", "/accounts/acm/rows", 404)["detail"]
    (balance,) = used("GET", "/ledger/balances")["items"]
    assert balance == {"account": "acme", "balance": "8.000000"}
    found = used("GET", "/ledger/verify")
    assert found == {"sound": True, "accounts": 1, "rows": 4, "cdrs": CDRS, "problems": []}


@pytest.mark.parametrize(
    "path",
    [
        "/cdrs?cursor=nonsense",
        "/cdrs?cursor=" + "f" * 200,
        "/cdrs?cursor=%00%00%00%00%00%00%00%00%00%00%00%00%00",
        "/accounts/acme/rows?cursor=-1",
        "/accounts/acme/rows?cursor=9007199254740993",
        "/audit?cursor=x",
    ],
)
def test_a_cursor_that_no_page_has_given_is_refused(used: Api, path: str) -> None:
    status = used.client.get(path, headers={"Authorization": f"Bearer {used.tokens['read']}"})
    assert status.status_code in (400, 422)


def test_a_cursor_of_a_name_is_only_a_place_in_the_list(used: Api) -> None:
    # It is a name, not a secret: whatever it says, what follows is what everybody may read.
    for cursor in ("../../etc", "%00", "zzz", "o" * 200):
        found: Any = used("GET", "/gateways", params={"cursor": cursor})
        assert all(one["name"] > cursor for one in found["items"])


def test_the_python_of_the_routes_is_shown(api: Api) -> None:
    found = api("GET", "/compiled", role="read")
    compile(found["python"], "routes", "exec")
    assert "IllegalCall" in found["python"] and len(found["hash"]) == 12


def test_figures_and_test_calls_need_a_router(api: Api, state: Path) -> None:
    assert "no router has run" in api("GET", "/figures", 503)["detail"]
    prepare_state(state)
    assert api("GET", "/figures")["running"] is False
    asked = {"number": "8613", "trunk": "acme/office"}
    problem = api("POST", "/test-calls", 403, role="money", json=asked)
    assert "needs the role operate" in problem["detail"]
    assert "no router is running" in api("POST", "/test-calls", 503, json=asked)["detail"]
    for wrong in ({"phone": "100"}, {"trunk": ""}, {"number": "a b"}, {"codecs": "mp3"}):
        api("POST", "/test-calls", 422, json={**asked, **wrong})
    api("POST", "/test-calls", 404, json={**asked, "trunk": "acme/offce"})
    for wrong_type in ({"hold_ms": 10**9}, {"give_up_ms": 0}, {"number": "1" * 200}):
        api("POST", "/test-calls", 400, json={**asked, **wrong_type})
