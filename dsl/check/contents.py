"""What blocks say together: twins among gateways, timers in the wrong order, unused blocks."""

from __future__ import annotations

from collections.abc import Container
from itertools import pairwise
from os.path import dirname, join
from typing import Any

from dsl import ast
from dsl.check.report import Report, link
from dsl.check.settings import CheckedBlock, Given
from dsl.literals import read_duration
from dsl.sources import Files, Unit
from dsl.surface import EVENT, Surface

_TIMERS = ("invite_timeout", "trying_timeout", "ringing_timeout", "max_duration")
LEAST_SESSION_MS = 90_000
"""RFC 4028 §4: peers may refuse less, and then each call costs an INVITE more"""
_PAIRS = (*pairwise(_TIMERS), ("session_expires", "max_duration"))


def check_twins(gateways: list[CheckedBlock], report: Report) -> None:
    """Warn of two gateways that are alike in everything, address included."""
    first_of: dict[str, CheckedBlock] = {}
    for gateway in gateways:
        values = gateway.given.values
        if "address" not in values:
            continue
        first = first_of.setdefault(repr(sorted(values.items())), gateway)
        if first is not gateway:
            report.warn(
                "identical-gateways",
                gateway.node.name_span,
                f"`{gateway.node.name}` is in everything as `{first.node.name}`",
                "a call that one of them refused would go to the same place again",
                chain=(link(first.node.name_span, f"gateway {first.node.name}"),),
            )


def check_timers(
    surface: Surface, settings: Given, blocks: list[CheckedBlock], report: Report
) -> None:
    """Warn of timers that run out before those they have to outlast, after inheritance."""
    defaults: dict[str, Any] = {}
    for name in {*_TIMERS, "session_expires"}:
        setting = surface.settings.get(name)
        if setting is not None and setting.ready:
            defaults[name] = read_duration(setting.default)
    everywhere = {**defaults, **settings.values}
    _check_level(settings, everywhere, report)
    for block in blocks:
        _check_block(block, everywhere, report)


def _check_block(block: CheckedBlock, around: dict[str, Any], report: Report) -> None:
    values = {**around, **block.given.values}
    _check_level(block.given, values, report)
    for child in block.children:
        _check_block(child, values, report)


def _check_level(given: Given, values: dict[str, Any], report: Report) -> None:
    session = given.values.get("session_expires")
    if isinstance(session, int) and 0 < session < LEAST_SESSION_MS:
        report.warn(
            "short-session",
            given.nodes["session_expires"].span,
            f"a session of {_seconds(session)} is shorter than most peers accept",
            "RFC 4028 asks for 90s at least; `0s` turns session timers off",
        )
    for shorter, longer in _PAIRS:
        short, long = values.get(shorter), values.get(longer)
        if not isinstance(short, int) or not isinstance(long, int) or short <= long:
            continue
        nodes = [given.nodes[name] for name in (shorter, longer) if name in given.values]
        if not nodes:
            # It was wrong already where it was set.
            continue
        node = max(nodes, key=lambda one: (one.span.line, one.span.column))
        report.warn(
            "timers-out-of-order",
            node.span,
            f"`{shorter}` ({_seconds(short)}) is longer than `{longer}` ({_seconds(long)})",
            "each phase of a call should outlast the one before it",
        )


def _seconds(milliseconds: int) -> str:
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole}s" if not rest else f"{milliseconds}ms"


def check_companions(
    unit: Unit, surface: Surface, settings: Given, files: Files, report: Report
) -> None:
    """Report global settings without the one that they need, and files that cannot be read."""
    for name, node in settings.nodes.items():
        schema = surface.settings.get(name)
        if schema is None:
            continue
        if schema.beside and schema.beside not in settings.nodes:
            report.add("missing-setting", node.name_span, f"`{name}` without `{schema.beside}`")
        if schema.file and isinstance(value := settings.values.get(name), str):
            path = join(dirname(unit.path), value)
            try:
                files.read(path)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                report.add("unreadable-file", node.span, f"{path}: cannot be read: {reason}")


def check_events(
    surface: Surface, blocks: list[CheckedBlock], routes: Container[tuple[str, str]], report: Report
) -> None:
    """Warn of settings that are about an event for which there is no route."""
    for block in blocks:
        schema = surface.blocks[block.node.kind]
        for name, node in block.given.nodes.items():
            event = schema.settings[name].event
            if event and (EVENT, event) not in routes:
                report.warn(
                    "idle-setting",
                    node.name_span,
                    f"`{name}` does nothing: there is no event_route[{event}]",
                )


def check_references(
    surface: Surface,
    blocks: dict[str, dict[str, CheckedBlock]],
    references: list[tuple[str, str, ast.Span]],
    report: Report,
) -> None:
    """Report references to blocks that do not exist, warn of blocks that nothing refers to."""
    referred: set[tuple[str, str]] = set()
    for kind, name, span in references:
        referred.add((kind, name))
        if name not in blocks.get(kind, {}):
            report.unknown(
                f"unknown-{kind}", span, f"there is no {kind} `{name}`", name, blocks.get(kind, {})
            )
    for kind, schema in surface.blocks.items():
        if not schema.unused or not schema.ready:
            continue
        for name, block in blocks.get(kind, {}).items():
            if name and (kind, name) not in referred and name not in report.skipped:
                report.warn(
                    "unused-block", block.node.name_span, f"nothing refers to {kind} `{name}`"
                )
