"""The calls in progress, and the end of one by order."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from router.admin.wrong_value import Clash, NotThere, WrongValue
from router.store.boot import LIVE_DIR, live_is_current
from router.store.errors import StoreError
from router.store.live import LmdbLive
from router.store.objects import OBJECTS_DIR, AuditRow, LmdbObjects
from router.store.records import CallRecord

KILL_WAIT_S = 8.0
LOOK_S = 0.1


def read_calls(folder: Path) -> list[CallRecord]:
    """All calls in progress, oldest first."""
    live = LmdbLive(folder / LIVE_DIR, readonly=True)
    try:
        return list(live.calls())
    finally:
        live.close()


def find_call(folder: Path, id: str) -> CallRecord:
    """The only call whose id ends so, or with this Call-ID; WrongValue: none, or several."""
    if not id:
        raise WrongValue("which call? trunkline calls list shows the ids")
    calls = read_calls(folder)
    found = [record for record in calls if record.id.endswith(id)] or [
        record for record in calls if id in (record.call_id, record.b_call_id)
    ]
    if not found:
        raise NotThere(
            f"no call in progress has the Call-ID {id} or an id that ends so: see trunkline calls "
            "list"
        )
    if len(found) > 1:
        raise WrongValue(f"{len(found)} calls have an id that ends in {id}: give more of it")
    return found[0]


def live_folder(folder: Path) -> Path:
    """The state folder; StoreError when no router has run with it since the machine started."""
    if not live_is_current(folder / LIVE_DIR):
        raise StoreError(
            f'no router has run with state folder "{folder}" since this machine was started'
        )
    return folder


def end_call(folder: Path, id: str, note: str, who: str) -> str:
    """Order the end of a call, and wait for it; its id. WrongValue when it does not end."""
    record = find_call(folder, id)
    cdr = record.cdr
    numbers = f"{cdr.caller_in} to {cdr.callee_in} by {cdr.gateway or 'no gateway'}"
    row = AuditRow(
        time.time_ns() // 1_000_000, who, "kill", f"call {record.id}", numbers, "ended",
        why=note.strip()[:200],
    )
    objects = LmdbObjects(folder / OBJECTS_DIR)
    try:
        objects.kill(record.id, row)
        gone = _wait_until_gone(folder, record.id)
        objects.forget_kill(record.id)
    finally:
        objects.close()
    if not gone:
        raise Clash(
            f"call {record.id} has not ended within {KILL_WAIT_S:g} s: see trunkline status, "
            "whether the workers are up"
        )
    return record.id


def _wait_until_gone(folder: Path, id: str) -> bool:
    deadline = time.monotonic() + KILL_WAIT_S
    while time.monotonic() < deadline:
        time.sleep(LOOK_S)
        if not any(record.id == id for record in read_calls(folder)):
            return True
    return False


def call_fields(record: CallRecord, now_ms: int) -> dict[str, Any]:
    """A call as plain data; times in epoch ms."""
    cdr = record.cdr
    return {
        "id": record.id,
        "state": _state(record),
        "started": cdr.started,
        "answered": cdr.answered,
        "seconds": max(0, now_ms - (cdr.answered or cdr.started)) // 1000,
        "account": cdr.account,
        "trunk": cdr.trunk,
        "phone": cdr.phone,
        "source": cdr.source,
        "caller": cdr.caller_in,
        "callee": cdr.callee_in,
        "gateway": cdr.gateway,
        "attempts": [one.gateway for one in cdr.attempts],
        "call_id": record.call_id,
        "b_call_id": record.b_call_id,
        "holds": [*record.holds, *([record.gateway] if record.gateway else [])],
        "worker": record.slot,
        "decision": list(cdr.decision),
    }


def _state(record: CallRecord) -> str:
    if record.answered:
        return "talking"
    return "ringing" if record.cdr.ringing else "calling"
