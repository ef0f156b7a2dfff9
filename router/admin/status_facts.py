"""Is it running, who is up, how many lines are in use, does anything wait?"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from router.admin.capture_orders import RunningCapture, read_captures, running_capture
from router.admin.gateway_health import health_words, is_up, registered_until
from router.runtime.run_record import RunRecord, read_run_record
from router.store.boot import LIVE_DIR, live_is_current
from router.store.errors import StoreError
from router.store.interface import Usage
from router.store.live import LmdbLive
from router.store.ops import UNLIMITED

GATEWAY_KEY: Final = "gateway:"
HEARTBEAT_MAX_AGE_MS: Final = 5_000


class Worker(msgspec.Struct):
    """One worker slot; `heartbeat_age_ms` is None when it never had a heartbeat."""

    slot: int
    up: bool
    heartbeat_age_ms: int | None


class Gateway(msgspec.Struct):
    """One gateway; `lines` None means unlimited, and `lines_known` whether that was read."""

    name: str
    up: bool
    lines_used: int
    lines: int | None
    lines_known: bool
    handed: int
    """Calls handed to it since live state began."""
    up_again_in_ms: int
    """0 also while nobody can tell when."""
    why: str = ""
    """What went wrong there last, in words."""
    why_age_ms: int = 0
    registered_until_ms: int | None = None
    """Epoch ms; 0: not registered; None: it wants no registration."""
    state: str = ""
    """All of that in words."""


class Status(msgspec.Struct):
    """Everything the command shows."""

    running: bool
    pid: int | None
    started_ms: int | None
    config_hash: str | None
    python: str | None
    python_version: str | None
    metrics: str | None
    active_calls: int
    cdr_backlog: int
    live_map_used_bytes: int
    live_map_bytes: int
    workers: list[Worker]
    gateways: list[Gateway]
    captures: list[RunningCapture] = msgspec.field(default_factory=list)
    """Of SIP messages: somebody may have forgotten one."""


def read_status(state: Path, now_ms: int) -> Status:
    """What the state folder says at `now_ms`; StoreError, in one line, when it says nothing."""
    live_path = state / LIVE_DIR
    if not live_is_current(live_path):
        raise StoreError(
            f'no router has run with state folder "{state}" since this machine was started: '
            "start one with trunkline run, or name its folder with --state"
        )
    live = LmdbLive(live_path, readonly=True)
    try:
        found = _read(live, read_run_record(state), now_ms)
    finally:
        live.close()
    found.captures = [running_capture(one) for one in read_captures(state, now_ms)]
    return found


def _read(live: LmdbLive, run: RunRecord | None, now_ms: int) -> Status:
    heartbeats = live.heartbeats()
    slots = range(run.slots) if run else sorted(heartbeats)
    workers = [_worker(slot, heartbeats.get(slot), now_ms) for slot in slots]
    running = any(worker.up for worker in workers)
    size = live.stat()
    return Status(
        running=running,
        pid=run.pid if run and running else None,
        started_ms=run.started_ms if run else None,
        config_hash=run.config_hash if run else None,
        python=run.python if run else None,
        python_version=run.python_version if run else None,
        metrics=run.metrics or None if run else None,
        active_calls=live.active_calls(),
        cdr_backlog=live.backlog(),
        live_map_used_bytes=size["used_bytes"],
        live_map_bytes=size["map_bytes"],
        workers=workers,
        gateways=_gateways(live, run, now_ms),
    )


def _worker(slot: int, heartbeat_ms: int | None, now_ms: int) -> Worker:
    if heartbeat_ms is None:
        return Worker(slot, False, None)
    age_ms = abs(now_ms - heartbeat_ms)
    return Worker(slot, age_ms < HEARTBEAT_MAX_AGE_MS, age_ms)


def _gateways(live: LmdbLive, run: RunRecord | None, now_ms: int) -> list[Gateway]:
    """Those of the running configuration in its order, then others that still hold a call."""
    usages = live.usages(GATEWAY_KEY)
    states = live.gateway_states()
    limits = dict(run.gateways) if run else {}
    names = list(limits)
    for key, usage in usages.items():
        name = key.removeprefix(GATEWAY_KEY)
        if name not in limits and (usage.in_use or run is None):
            names.append(name)
    found = []
    for name in names:
        usage = usages.get(GATEWAY_KEY + name, Usage(0, 0))
        state = states.get(GATEWAY_KEY + name)
        aside_ms = max(0, state.down_until_ms - now_ms) if state else 0
        limit = limits.get(name, UNLIMITED)
        found.append(
            Gateway(
                name=name,
                up=is_up(state, now_ms),
                lines_used=usage.in_use,
                lines=limit if limit != UNLIMITED else None,
                lines_known=name in limits,
                handed=usage.handed,
                up_again_in_ms=aside_ms,
                why=state.trouble if state else "",
                why_age_ms=now_ms - state.trouble_ms if state and state.trouble_ms else 0,
                registered_until_ms=registered_until(state),
                state=health_words(state, now_ms),
            )
        )
    return found
