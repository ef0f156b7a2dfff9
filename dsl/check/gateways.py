"""Settings of gateways, groups and phones that mean nothing without another, or beyond another."""

from __future__ import annotations

from typing import NamedTuple

from dsl.check.report import Report
from dsl.check.settings import CheckedBlock

MIN_PING_MS = 1_000


class _Needs(NamedTuple):
    """A setting that needs another one; `error`: nothing works without it."""

    setting: str
    other: str
    error: bool
    why: str


_NEEDS = {
    "gateway": (
        _Needs("register", "username", True, "the gateway knows us by it when we register"),
        _Needs("username", "password", True, "challenges are answered with both"),
        _Needs("password", "username", False, "it is the password of a user name"),
        _Needs("protect_delay", "protect", False, "only a gateway with `protect` joins later"),
    ),
    "group": (
        _Needs("reserved_lines", "lines", False, "of lines without a limit none can be kept"),
    ),
    "phone": (
        _Needs("forward_after", "forward_no_answer", False, "after that time nothing happens"),
    ),
}


def check_gateways(blocks: list[CheckedBlock], report: Report) -> None:
    """Report what cannot work of gateways and groups, warn of what does nothing, of phones too."""
    for block in [*blocks, *(child for outer in blocks for child in outer.children)]:
        for needs in _NEEDS.get(block.node.kind, ()):
            _check_needs(block, needs, report)
        if block.node.kind == "gateway":
            _check_ping(block, report)
        elif block.node.kind == "group":
            _check_reserve(block, report)


def _check_needs(block: CheckedBlock, needs: _Needs, report: Report) -> None:
    given = block.given
    node = given.nodes.get(needs.setting)
    # What was given and could not be read is reported already.
    if node is None or needs.other in given.nodes or given.values.get(needs.setting) is False:
        return
    report.add(
        "missing-setting" if needs.error else "idle-setting",
        node.name_span,
        f"`{needs.setting}` without `{needs.other}`",
        needs.why,
        severity="error" if needs.error else "warning",
    )


def _check_ping(block: CheckedBlock, report: Report) -> None:
    ping = block.given.values.get("ping")
    if isinstance(ping, int) and 0 < ping < MIN_PING_MS:
        report.add(
            "bad-value",
            block.given.nodes["ping"].values[0].span,
            f"a gateway is not asked every {ping}ms",
            "1s is the shortest; 0s is never",
        )


def _check_reserve(block: CheckedBlock, report: Report) -> None:
    values = block.given.values
    lines, reserved = values.get("lines"), values.get("reserved_lines")
    if isinstance(lines, int) and isinstance(reserved, int) and 0 < lines < reserved:
        report.add(
            "bad-value",
            block.given.nodes["reserved_lines"].values[0].span,
            f"{reserved} lines cannot be reserved of {lines}",
        )
