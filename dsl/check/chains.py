"""Blocks that name another one of their kind above them, as accounts their agents."""

from __future__ import annotations

from dsl import ast
from dsl.check.report import Report, link
from dsl.check.settings import CheckedBlock
from dsl.surface import Surface

MAX_LEVELS = 8
"""as many as may stand above each other"""


def check_chains(blocks: list[CheckedBlock], surface: Surface, report: Report) -> None:
    """Report blocks that stand above themselves, and those with too many above them."""
    for kind, schema in surface.blocks.items():
        for setting in schema.settings.values():
            if setting.type.name == "reference" and setting.type.refers == kind:
                by_name = {
                    block.node.name: block
                    for block in blocks
                    if block.node.kind == kind and block.node.name
                }
                _check(by_name, setting.name, report)


def _check(blocks: dict[str, CheckedBlock], setting: str, report: Report) -> None:
    told: set[str] = set()
    for name, block in blocks.items():
        path = [name]
        while (above := _above(blocks, path[-1], setting)) in blocks and above not in path:
            path.append(above)
        if above in path:
            cycle = path[path.index(above) :]
            if name in cycle and not told.intersection(cycle):
                told.update(cycle)
                _report_cycle(blocks, cycle, setting, report)
        elif len(path) == MAX_LEVELS + 2:
            # Those below it have more above them for the same reason.
            report.add(
                "too-deep",
                block.given.nodes[setting].span,
                f"more than {MAX_LEVELS} {block.node.kind}s stand above `{name}`",
            )


def _above(blocks: dict[str, CheckedBlock], name: str, setting: str) -> str:
    above = blocks[name].given.values.get(setting, "")
    return above if isinstance(above, str) else ""


def _report_cycle(
    blocks: dict[str, CheckedBlock], cycle: list[str], setting: str, report: Report
) -> None:
    first = blocks[cycle[0]]
    how = "itself" if len(cycle) == 1 else "itself through others"
    report.add(
        f"{setting}-cycle",
        _span(first, setting),
        f"{first.node.kind} `{cycle[0]}` stands above {how}",
        f"leave `{setting}` out of the topmost {first.node.kind}",
        chain=tuple(
            link(_span(blocks[name], setting), f"above `{name}`") for name in cycle[1:]
        ),
    )


def _span(block: CheckedBlock, setting: str) -> ast.Span:
    return block.given.nodes[setting].span
