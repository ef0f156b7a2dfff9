"""Tables for people: columns as wide as their widest cell, numbers to the right."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from router.store.cdr_lines import plain


def show_columns(columns: Mapping[str, Sequence[str]], right: Collection[str] = ()) -> None:
    """Print the columns by their titles; those in `right` are aligned to the right.

    Not rich's Table, which takes a millisecond for each row.
    """
    console = Console(highlight=False, markup=False)
    padded = [_padded(title, cells, title in right) for title, cells in columns.items()]
    for number, cells in enumerate(zip(*padded, strict=True)):
        line = Text("  ".join(cells).rstrip(), style="" if number else "bold")
        console.print(line, no_wrap=True, crop=False, soft_wrap=True)


def _padded(title: str, cells: Sequence[str], to_the_right: bool) -> list[str]:
    rows = [title, *(plain(cell) or "-" for cell in cells)]
    width = max(map(cell_len, rows))
    if to_the_right:
        return [" " * (width - cell_len(row)) + row for row in rows]
    return [row + " " * (width - cell_len(row)) for row in rows]
