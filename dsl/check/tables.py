"""The data files that blocks name, such as rates: read, and compared with what the blocks say.

What such a file means is not known here: the function table brings who reads it and who compares.
"""

from __future__ import annotations

import hashlib
from os.path import dirname, join
from typing import Any

from dsl import ast
from dsl.check.report import Report, link
from dsl.check.settings import CheckedBlock
from dsl.sources import Files, Unit
from dsl.surface import Surface, TableSide


def read_tables(
    unit: Unit, blocks: list[CheckedBlock], surface: Surface, files: Files, report: Report
) -> dict[str, Any]:
    """The contents of the files that blocks name, by the block's name; faulty ones are missing.

    Paths are relative to the file that names them. What was read counts for the unit's hash.
    """
    found: dict[str, Any] = {}
    for side in surface.tables:
        _read_side(unit, blocks, side, files, report, found)
    return found


def _read_side(
    unit: Unit, blocks: list[CheckedBlock], side: TableSide, files: Files, report: Report,
    found: dict[str, Any],
) -> None:
    read: dict[str, Any] = {}
    for block in blocks:
        node = block.given.nodes.get(side.setting)
        name = block.given.values.get(side.setting)
        if block.node.kind != side.kind or node is None or not isinstance(name, str):
            continue
        if not block.node.name:
            continue  # reported, and nothing can refer to it
        path = join(dirname(node.span.file), name)
        if path not in read:
            read[path] = _read(unit, block, node, path, side, files, report)
        if read[path] is not None:
            found[side.key + block.node.name] = read[path]
    _compare(blocks, found, side, report)


def _read(
    unit: Unit,
    block: CheckedBlock,
    node: ast.Setting,
    path: str,
    side: TableSide,
    files: Files,
    report: Report,
) -> Any:
    try:
        raw = files.read(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        report.add("unreadable-file", node.span, f"{path}: cannot be read: {reason}")
        return None
    unit.tables[path] = hashlib.sha256(raw).hexdigest()
    table, faults = side.read(raw)
    chain = (link(block.node.name_span, f"{side.kind} {block.node.name}"),)
    for fault in faults:
        span = ast.Span(path, fault.line, 1, fault.line, 2)
        report.add(fault.code, span, fault.message, chain=chain)
    return table


def _compare(
    blocks: list[CheckedBlock], tables: dict[str, Any], side: TableSide, report: Report
) -> None:
    by_name = {(block.node.kind, block.node.name): block for block in blocks}
    for remark in side.compare([block.block() for block in blocks], tables):
        block = by_name[remark.kind, remark.name]
        report.warn(
            remark.code, block.given.nodes[remark.setting].span, remark.message, remark.help
        )
