"""Spans of routes.cfg as the places of Python's syntax trees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from dsl import ast

Placed = TypeVar("Placed", bound=Any)


class Places:
    """Gives Python nodes the places of the text that they come from."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        # Python counts columns in bytes; only a file with other characters needs its lines.
        self._lines = {file: text.split("\n") for file, text in texts.items() if not text.isascii()}

    def put(self, node: Placed, span: ast.Span) -> Placed:
        """Place a node, and what is in it without a place of its own; returns the node."""
        node.lineno, node.end_lineno = span.line, span.end_line
        node.col_offset = self._offset(span.file, span.line, span.column)
        node.end_col_offset = self._offset(span.file, span.end_line, span.end_column)
        return node

    def _offset(self, file: str, line: int, column: int) -> int:
        lines = self._lines.get(file)
        if lines is None or line > len(lines):
            return column - 1
        return len(lines[line - 1][: column - 1].encode("utf-8", "surrogatepass"))
