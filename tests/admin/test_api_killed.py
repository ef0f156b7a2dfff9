"""A payment whose process dies between any two of its steps: asked for again, it is booked once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from api_client import serving

from router.admin import api_money, paying
from router.admin.api_tokens import remove_token
from router.store.api_access import LmdbAccess
from router.store.draining import Draining
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive
from router.store.objects import LmdbObjects

KILLED = 77
BODY = {"amount": "10", "note": "invoice"}
KEY = {"Idempotency-Key": "invoice-1"}

STEPS: tuple[tuple[str, Any, str, bool], ...] = (
    ("before the key is kept", LmdbAccess, "ask", False),
    ("after the key is kept", LmdbAccess, "ask", True),
    ("before it is in the audit", LmdbObjects, "begin", False),
    ("after it is in the audit", LmdbObjects, "begin", True),
    ("before it is given", paying, "give_funds", False),
    ("before it is in live state", LmdbLive, "commit", False),
    ("after it is in live state", LmdbLive, "commit", True),
    ("before it moves to the ledger", Draining, "move", False),
    ("after it is in the ledger", LmdbLedger, "store", True),
    ("after it has moved", Draining, "move", True),
    ("after it is given", paying, "give_funds", True),
    ("after the audit is closed", LmdbObjects, "conclude", True),
    ("before it is answered", api_money, "pay", True),
)


def die_at(owner: Any, name: str, *, after: bool) -> None:
    """From now on this process dies there, as by kill -9: nothing is closed or written."""
    real: Callable[..., Any] = getattr(owner, name)

    def dying(*args: Any, **more: Any) -> Any:
        if after:
            real(*args, **more)
        os._exit(KILLED)

    setattr(owner, name, dying)


@pytest.mark.parametrize(
    ("owner", "name", "after"), [one[1:] for one in STEPS], ids=[one[0] for one in STEPS]
)
def test_a_payment_is_booked_once(state: Path, owner: Any, name: str, after: bool) -> None:
    child = os.fork()
    if child == 0:
        # The stores are opened here, after the fork, and die with the process.
        try:
            with serving(state) as api:
                die_at(owner, name, after=after)
                api("POST", "/accounts/acme/topup", role="money", json=BODY, headers=KEY)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED
    for role in ("read", "operate", "money"):
        remove_token(state, role, "me")
    with serving(state) as api:
        first = api("POST", "/accounts/acme/topup", role="money", json=BODY, headers=KEY)
        assert (first["balance"], first["durable"]) == ("15.000000", True)
        again = api("POST", "/accounts/acme/topup", role="money", json=BODY, headers=KEY)
        assert again == first
        assert api("GET", "/accounts/acme")["balance"] == "15.000000"
        rows = api("GET", "/accounts/acme/rows")["items"]
        assert [row["amount"] for row in rows] == ["10.000000", "5.000000"]
        assert api("GET", "/ledger/verify")["sound"]
