"""Gateways, accounts, trunks and phones over HTTP: listed, shown, changed and locked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from litestar import Request, delete, get, patch, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from dsl.check.report import article
from router.admin.account_facts import as_fields, read_accounts
from router.admin.api_desk import Desk
from router.admin.api_gate import Caller, needs
from router.admin.api_problems import documented
from router.admin.api_shapes import (
    Changed,
    Cursor,
    Limit,
    Locked,
    Locking,
    Name,
    NewObject,
    Page,
    Settings,
    Word,
    page,
)
from router.admin.api_tokens import OPERATE
from router.admin.object_changes import Known
from router.admin.object_facts import gateway_facts, place_of, serves, trunk_facts
from router.admin.object_orders import order, order_lock
from router.admin.object_state import read_live, settings_lines
from router.admin.phones_online import read_phones
from router.admin.wrong_value import WrongValue
from router.runtime.added_blocks import INNER
from router.store.boot import LIVE_DIR, live_is_current

Ask = Request[Any, Caller, Any]
OPERATORS = [needs(OPERATE)]


def object_routes(desk: Desk) -> list[HTTPRouteHandler]:
    """The operations of all four kinds."""
    found = _lists(desk)
    for kind in ("gateway", "account", "trunk", "phone"):
        found += _of_kind(desk, kind)
    return found


def _lists(desk: Desk) -> list[HTTPRouteHandler]:
    tell: Mapping[str, Any] = {"responses": documented(409, 422), "sync_to_thread": None}

    @get("/gateways", tags=["gateways"], summary="List the gateways", **tell)
    async def list_gateways(prefix: Word = "", limit: Limit = 50, cursor: Cursor = "") -> Page:
        def work() -> Page:
            known = desk.known()
            live = read_live(known.state)
            facts = [gateway_facts(*one, live) for one in known.all("gateway").items()]
            wanted = [one for one in facts if not prefix or serves(one, prefix)]
            return page(wanted, lambda one: one.name, limit, cursor, msgspec.to_builtins)

        return await desk.objects.do(work)

    @get("/accounts", tags=["accounts"], summary="List the accounts and their money", **tell)
    async def list_accounts(limit: Limit = 50, cursor: Cursor = "") -> Page:
        def work() -> Page:
            facts = read_accounts(desk.config, desk.state).facts.values()
            return page(facts, lambda one: one.name, limit, cursor, as_fields)

        return await desk.objects.do(work)

    @get("/trunks", tags=["trunks"], summary="List the trunks", **tell)
    async def list_trunks(account: Word = "", limit: Limit = 50, cursor: Cursor = "") -> Page:
        def work() -> Page:
            known = desk.known()
            live = read_live(known.state)
            facts = [trunk_facts(*one, live) for one in known.all("trunk").items()]
            wanted = [one for one in facts if account in ("", one.name.partition("/")[0])]
            return page(wanted, lambda one: one.name, limit, cursor, msgspec.to_builtins)

        return await desk.objects.do(work)

    @get("/phones", tags=["phones"], summary="List the phones and where they are online", **tell)
    async def list_phones(account: Word = "", limit: Limit = 50, cursor: Cursor = "") -> Page:
        def work() -> Page:
            known = desk.known()
            names = [one for one in known.all("phone") if account in ("", one.partition("/")[0])]
            contacts = _contacts(desk)
            return page(names, str, limit, cursor, lambda one: _phone(known, one, contacts))

        return await desk.objects.do(work)

    return [list_gateways, list_accounts, list_trunks, list_phones]


def _of_kind(desk: Desk, kind: str) -> list[HTTPRouteHandler]:
    def show(full: str) -> dict[str, Any]:
        known = desk.known()
        if kind == "account":
            accounts = read_accounts(desk.config, desk.state)
            fields = as_fields(accounts.named(full))
            block = known.all(kind).get(full)
            fields["settings"] = dict(settings_lines(block)) if block is not None else {}
            return fields
        block = known.find(kind, full)
        if kind == "phone":
            return {
                **_phone(known, full, _contacts(desk)), "settings": dict(settings_lines(block))
            }
        live = read_live(known.state)
        facts: Any = (gateway_facts if kind == "gateway" else trunk_facts)(full, block, live)
        return {**msgspec.to_builtins(facts), "settings": dict(settings_lines(block))}

    def change(full: str, command: str, settings: Mapping[str, str], who: str) -> Changed:
        if any(value.strip().startswith("env(") for value in settings.values()):
            raise WrongValue("what comes from the environment is set in routes.cfg only")
        words = [f"{name}={value}" for name, value in settings.items()]
        return Changed(full, order(desk.known(), kind, full, command, words, who))

    def lock(full: str, note: str, who: str, *, locked: bool) -> Locked:
        return Locked(order_lock(desk.known(), kind, full, note, who, lock=locked), locked)

    a = article(kind)
    tell: Mapping[str, Any] = {"tags": [f"{kind}s"], "responses": documented(409, 422)}
    order_of: Mapping[str, Any] = {**tell, "guards": OPERATORS}

    @post(f"/{kind}s", summary=f"Add {a}", operation_id=f"add_{kind}", **order_of)
    async def add(request: Ask, data: JSONBody[NewObject]) -> Changed:
        who = request.auth.who
        return await desk.orders.do(lambda: change(data.name, "add", data.settings, who))

    make = _inner if kind in INNER else _plain
    return [add, *make(desk, kind, a, tell, order_of, show, change, lock)]


Show = Callable[[str], dict[str, Any]]
Change = Callable[[str, str, Mapping[str, str], str], Changed]


def _plain(
    desk: Desk, kind: str, a: str, tell: Mapping[str, Any], order_of: Mapping[str, Any],
    show: Show, change: Change, lock: Callable[..., Locked],
) -> Sequence[HTTPRouteHandler]:
    at = f"/{kind}s/{{name:str}}"

    @get(at, summary=f"Show {a}", operation_id=f"show_{kind}", **tell)
    async def show_one(name: Name) -> dict[str, Any]:
        return await desk.objects.do(lambda: show(name))

    @patch(at, summary=f"Change settings of {a}", operation_id=f"set_{kind}", **order_of)
    async def set_one(request: Ask, name: Name, data: JSONBody[Settings]) -> Changed:
        return await desk.orders.do(lambda: change(name, "set", data.settings, request.auth.who))

    @delete(
        at, status_code=200, summary=f"Remove {a}", operation_id=f"remove_{kind}", **order_of
    )
    async def remove_one(request: Ask, name: Name) -> Changed:
        return await desk.orders.do(lambda: change(name, "remove", {}, request.auth.who))

    @put(f"{at}/lock", summary=f"Lock {a}", operation_id=f"lock_{kind}", **order_of)
    async def lock_one(request: Ask, name: Name, data: JSONBody[Locking]) -> Locked:
        return await desk.objects.do(lambda: lock(name, data.note, request.auth.who, locked=True))

    @delete(
        f"{at}/lock", status_code=200, summary=f"Lift the lock of {a}",
        operation_id=f"unlock_{kind}", **order_of,
    )
    async def unlock_one(request: Ask, name: Name) -> Locked:
        return await desk.objects.do(lambda: lock(name, "", request.auth.who, locked=False))

    return [show_one, set_one, remove_one, lock_one, unlock_one]


def _inner(
    desk: Desk, kind: str, a: str, tell: Mapping[str, Any], order_of: Mapping[str, Any],
    show: Show, change: Change, lock: Callable[..., Locked],
) -> Sequence[HTTPRouteHandler]:
    at = f"/{kind}s/{{account:str}}/{{name:str}}"

    @get(at, summary=f"Show {a}", operation_id=f"show_{kind}", **tell)
    async def show_one(account: Name, name: Name) -> dict[str, Any]:
        return await desk.objects.do(lambda: show(f"{account}/{name}"))

    @patch(at, summary=f"Change settings of {a}", operation_id=f"set_{kind}", **order_of)
    async def set_one(request: Ask, account: Name, name: Name, data: JSONBody[Settings]) -> Changed:
        full, who = f"{account}/{name}", request.auth.who
        return await desk.orders.do(lambda: change(full, "set", data.settings, who))

    @delete(
        at, status_code=200, summary=f"Remove {a}", operation_id=f"remove_{kind}", **order_of
    )
    async def remove_one(request: Ask, account: Name, name: Name) -> Changed:
        full, who = f"{account}/{name}", request.auth.who
        return await desk.orders.do(lambda: change(full, "remove", {}, who))

    @put(f"{at}/lock", summary=f"Lock {a}", operation_id=f"lock_{kind}", **order_of)
    async def lock_one(request: Ask, account: Name, name: Name, data: JSONBody[Locking]) -> Locked:
        full, who = f"{account}/{name}", request.auth.who
        return await desk.objects.do(lambda: lock(full, data.note, who, locked=True))

    @delete(
        f"{at}/lock", status_code=200, summary=f"Lift the lock of {a}",
        operation_id=f"unlock_{kind}", **order_of,
    )
    async def unlock_one(request: Ask, account: Name, name: Name) -> Locked:
        full, who = f"{account}/{name}", request.auth.who
        return await desk.objects.do(lambda: lock(full, "", who, locked=False))

    return [show_one, set_one, remove_one, lock_one, unlock_one]


def _contacts(desk: Desk) -> dict[str, Any]:
    if not live_is_current(desk.state / LIVE_DIR):
        return {}
    online = read_phones(desk.state, time.time_ns() // 1_000_000)
    return {one.number: msgspec.to_builtins(one.contacts) for one in online}


def _phone(known: Known, full: str, contacts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": full,
        "defined": place_of(known.find("phone", full).node.kind_span),
        "contacts": contacts.get(full.partition("/")[2], []),
    }
