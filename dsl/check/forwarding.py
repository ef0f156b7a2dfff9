"""Phones that forward in a circle: a call to one of them would never ring."""

from __future__ import annotations

from collections.abc import Iterator

from dsl.check.report import Report, link
from dsl.check.settings import CheckedBlock

ALWAYS = "forward_always"
PHONE = "phone"


def check_forwarding(blocks: list[CheckedBlock], report: Report) -> None:
    """Report each circle of `forward_always` once, at its first phone."""
    phones = {phone.node.name: phone for phone in phones_of(blocks)}
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
