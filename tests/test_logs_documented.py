"""docs/logs.md has every event that the program logs, and none that it does not."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from router.runtime.call_log import json_line
from router.store.records import Cdr

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "logs.md"
LEVELS = ("debug", "info", "warning", "error")
SAYERS = ("log", "_log", "line", "_emit", "emit")
ALWAYS = {"_on_fault": "error", "_name": "warning"}
"""Functions that log an event at one level."""


def text_of(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def events_of(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Level and event of each line that is logged with both in its place."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        first, second = (*map(text_of, node.args[:2]), "", "")[:2]
        if name in LEVELS and first:
            yield name, first
        elif name in SAYERS and first in LEVELS and second:
            yield first, second
        elif name in ALWAYS and first:
            yield ALWAYS[name], first


def logged() -> dict[str, str]:
    """Level by event."""
    found = {}
    for path in sorted((ROOT / "router").rglob("*.py")):
        if "cli/lsp" not in str(path):
            found |= {event: level for level, event in events_of(ast.parse(path.read_text()))}
    return found


def documented() -> dict[str, str]:
    """Level by event, of the page's tables."""
    rows = re.findall(r"^\| `(.+?)` \| (\w+) \| .+ \|$", PAGE.read_text(), re.MULTILINE)
    assert len(rows) == len({event for event, _ in rows}), "an event stands there twice"
    return dict(rows)


def test_every_event_of_the_log_is_documented_with_its_level() -> None:
    page = documented()
    assert {event: page.get(event) for event in logged()} == logged()


def test_what_is_documented_is_said_somewhere() -> None:
    texts = [path.read_text() for path in (ROOT / "router").rglob("*.py")]
    said = {
        node.value
        for text in texts
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(documented()) - said == set()


def test_the_fields_of_a_call_are_those_of_its_line() -> None:
    sample = re.search(r"^\{.*\"call ended\".*\}$", PAGE.read_text(), re.MULTILINE)
    assert sample is not None
    line = json.loads(json_line(Cdr(), 0))
    assert list(json.loads(sample[0])) == list(line)
