"""The outline of a file: its routes, blocks, imports and tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from os.path import normpath

from dsl import ast
from dsl.outcome import Outcome


@dataclass(slots=True)
class Entry:
    """An item with what is in it; `name` is the span of its name, which is inside `span`."""

    label: str
    detail: str
    sort: str
    span: ast.Span
    name: ast.Span
    children: list[Entry] = field(default_factory=list)


def outline_of(outcome: Outcome, path: str) -> list[Entry]:
    """The items of one file of a configuration in the order of the text."""
    return [
        entry
        for item in outcome.unit.items
        if normpath(item.span.file) == path and (entry := _entry(item)) is not None
    ]


def _entry(item: ast.Node) -> Entry | None:
    match item:
        case ast.RouteNode():
            return Entry(item.title, "", "route", item.span, item.label_span)
        case ast.BlockNode():
            label = item.name or item.kind
            children = [entry for member in item.members if (entry := _entry(member)) is not None]
            # A setting is no entry of its own: the outline would be the text again.
            return Entry(label, item.kind, "block", item.span, item.name_span, children)
        case ast.ImportPython():
            return Entry(item.name, item.path, "import", item.span, item.name_span)
        case ast.Test():
            return Entry(item.title, "test", "test", item.span, item.title_span)
    return None
