"""What is known of gateways, trunks and phones: their settings, and how they are now."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from dsl.ast import Span
from dsl.check.settings import CheckedBlock
from router.admin.gateway_health import is_up
from router.admin.object_state import LiveFacts, settings_lines
from router.admin.phones_online import Online
from router.routing.surface import OBJECTS_FILE


class GatewayFacts(msgspec.Struct):
    """One gateway; `lines` None is no limit, `state` is up, down, aside or locked."""

    name: str
    address: str
    prefixes: list[str]
    priority: int
    state: str
    lines_used: int
    lines: int | None
    handed: int
    defined: str
    lock_note: str = ""


def gateway_facts(name: str, block: CheckedBlock, live: LiveFacts) -> GatewayFacts:
    """A gateway as its block and live state say."""
    values = block.given.values
    key = f"gateway:{name}"
    usage = live.usages.get(key)
    lock = live.locks.get(key)
    settings = dict(settings_lines(block))
    return GatewayFacts(
        name,
        settings.get("address", ""),
        [str(one) for one in values.get("prefixes", ())],
        values.get("priority", 1),
        _state(key, live),
        usage.in_use if usage is not None else 0,
        values.get("lines"),
        usage.handed if usage is not None else 0,
        place_of(block.node.kind_span),
        lock.note if lock is not None else "",
    )


def _state(key: str, live: LiveFacts) -> str:
    if key in live.locks:
        return "locked"
    health = live.health.get(key)
    return "up" if is_up(health, time.time_ns() // 1_000_000) else "down"


def serves(one: GatewayFacts, number: str) -> bool:
    """Whether it has a prefix of this number, or one that begins with it."""
    return any(
        number.startswith(prefix) or prefix.startswith(number) for prefix in one.prefixes
    )


class TrunkFacts(msgspec.Struct):
    """One trunk, ACCOUNT/NAME; `lines` None is no limit of its own."""

    name: str
    networks: list[str]
    caller_prefix: str
    state: str
    lines_used: int
    lines: int | None
    defined: str


def trunk_facts(name: str, block: CheckedBlock, live: LiveFacts) -> TrunkFacts:
    """A trunk as its block and live state say."""
    values = block.given.values
    key = f"trunk:{name}"
    usage = live.usages.get(key)
    return TrunkFacts(
        name,
        [str(one) for one in values.get("ips", ())],
        values.get("caller_prefix", ""),
        "locked" if key in live.locks else "active",
        usage.in_use if usage is not None else 0,
        values.get("lines"),
        place_of(block.node.kind_span),
    )


class PhoneFacts(msgspec.Struct):
    """One phone, ACCOUNT/NUMBER; `contacts` is where it is online, none: nowhere."""

    name: str
    state: str
    lines_used: int
    lines: int | None
    contacts: list[Online]
    defined: str


def phone_facts(
    name: str, block: CheckedBlock, live: LiveFacts, contacts: list[Online]
) -> PhoneFacts:
    """A phone as its block and live state say."""
    key = f"phone:{block.node.name}"
    usage = live.usages.get(key)
    return PhoneFacts(
        name,
        "locked" if key in live.locks else "active",
        usage.in_use if usage is not None else 0,
        block.given.values.get("lines"),
        contacts,
        place_of(block.node.kind_span),
    )


def place_of(span: Span) -> str:
    """Where something is defined, in words."""
    where = f"in {span.file}:{span.line}"
    return f"by command ({where})" if Path(span.file).name == OBJECTS_FILE else where
