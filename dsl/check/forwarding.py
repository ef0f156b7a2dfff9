"""Phones that forward in a circle: a call to one of them would never ring."""

from __future__ import annotations

from collections.abc import Iterator

from dsl.check.report import Report, link
from dsl.check.settings import CheckedBlock

ALWAYS = "forward_always"
OTHERWISE = ("forward_busy", "forward_no_answer", "forward_offline")
PHONE = "phone"


def check_forwarding(blocks: list[CheckedBlock], report: Report) -> None:
    """Report what forwards to itself, and each circle of `forward_always` at its first phone."""
    phones = {phone.node.name: phone for phone in phones_of(blocks)}
    for name, phone in phones.items():
        for setting in OTHERWISE:
            if phone.given.values.get(setting) == name:
                span = phone.given.nodes[setting].span
                report.add("forwarding-loop", span, f"phone `{name}` forwards to itself")
    told: set[str] = set()
    for name in phones:
        path = [name]
        while (onward := _onward(phones, path[-1])) in phones and onward not in path:
            path.append(onward)
        if onward != name or told.intersection(path):
            continue
        told.update(path)
        how = "itself" if len(path) == 1 else "itself through others"
        report.add(
            "forwarding-loop",
            phones[name].given.nodes[ALWAYS].span,
            f"phone `{name}` forwards to {how}: no call to it would ever ring",
            "leave `forward_always` out of one of them" if len(path) > 1 else "",
            chain=tuple(
                link(phones[one].given.nodes[ALWAYS].span, f"from `{one}`") for one in path[1:]
            ),
        )


def phones_of(blocks: list[CheckedBlock]) -> Iterator[CheckedBlock]:
    """The phones of all accounts."""
    for block in blocks:
        for child in block.children:
            if child.node.kind == PHONE:
                yield child


def _onward(phones: dict[str, CheckedBlock], name: str) -> str:
    number = phones[name].given.values.get(ALWAYS, "")
    return number if isinstance(number, str) else ""
