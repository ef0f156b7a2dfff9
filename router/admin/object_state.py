"""What live state and operators say of objects, and how settings are shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dsl import ast
from dsl.check.settings import CheckedBlock
from router.store.boot import LIVE_DIR, live_is_current
from router.store.interface import Usage
from router.store.live import LmdbLive
from router.store.objects import OBJECTS_DIR, LmdbObjects, Lock
from router.store.records import GatewayState

HIDDEN = "***"
UNLIMITED = "unlimited"


class LiveFacts(NamedTuple):
    """Lines in use, health and locks, all by key; empty where no router has run."""

    usages: Mapping[str, Usage]
    health: Mapping[str, GatewayState]
    locks: Mapping[str, Lock]


def read_live(state: Path) -> LiveFacts:
    """What a state folder says now; StoreError when it cannot be read."""
    locks: dict[str, Lock] = {}
    if (state / OBJECTS_DIR / "data.mdb").exists():
        objects = LmdbObjects(state / OBJECTS_DIR, readonly=True)
        try:
            locks = objects.locks()
        finally:
            objects.close()
    if not live_is_current(state / LIVE_DIR):
        return LiveFacts({}, {}, locks)
    live = LmdbLive(state / LIVE_DIR, readonly=True)
    try:
        return LiveFacts(live.usages(""), live.gateway_states(), locks)
    finally:
        live.close()


def settings_lines(block: CheckedBlock) -> list[tuple[str, str]]:
    """The settings of a block as they were written; a password is not shown."""
    return [
        (name, HIDDEN if name == "password" else ", ".join(map(_written, node.values)))
        for name, node in block.given.nodes.items()
    ]


def used_of(used: int, limit: int | None) -> str:
    """Lines in use, of how many."""
    return f"{used}/{limit_words(limit)}"


def limit_words(limit: int | None) -> str:
    """A limit, or that there is none, as every command says it."""
    return UNLIMITED if limit is None else str(limit)


def _written(value: ast.Value) -> str:
    return f'env("{value.text}")' if value.form == "env" else value.text
