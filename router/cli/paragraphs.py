"""Sentences on a terminal: wrapped within a width and an indent, with nothing behind their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.store.cdr_lines import plain

if TYPE_CHECKING:
    from rich.console import Console


def print_wrapped(
    console: Console, sentence: str, width: int, indent: int = 0, style: str = ""
) -> None:
    """Print a sentence; what peers have put into it cannot move the cursor."""
    from rich.text import Text

    for line in Text(plain(sentence)).wrap(console, max(width - indent, 1)):
        line.rstrip()
        line.stylize(style)
        console.print(Text(" " * indent) + line, no_wrap=True, crop=False)
