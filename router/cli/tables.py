"""Tables and pages of facts for people, as wide as the terminal and no wider.

What goes into a pipe or a file is cut nowhere: `grep` finds whole names there. COLUMNS, where it is
set, is the width of both. Colours are rich's business: on terminals only, and not with NO_COLOR.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size

from router.store.cdr_lines import plain

if TYPE_CHECKING:
    from rich.console import Console

GAP: Final = "  "
UNBOUND: Final = 1_000_000
LEAST: Final = 4
"""What is left of a cell at least when all has to give way."""
FACTS_WIDTH: Final = 100
NAMES: Final = frozenset({"ACCOUNT", "AGENT", "DECK", "GATEWAY", "PHONE", "TOKEN", "TRUNK"})
"""Columns whose cells differ at their ends as often as at their beginnings: cut in the middle."""
STATE_COLOURS: Final = {
    "up": "green", "active": "", "down": "red", "aside": "yellow", "locked": "yellow",
}

Cuts = Sequence[tuple[str, int]]


def make_console() -> Console:
    """A console on standard output that takes nothing for markup, as wide as `terminal_width`."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=terminal_width())


def terminal_width() -> int:
    """Columns of the terminal, or of COLUMNS; without bound where nobody looks."""
    told = os.environ.get("COLUMNS", "")
    if told.isascii() and told.isdigit() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or UNBOUND
    except (OSError, ValueError, AttributeError):
        return UNBOUND


def show_columns(
    columns: Mapping[str, Sequence[str]],
    right: Collection[str] = (),
    *,
    cuts: Cuts = (),
    drops: Sequence[str] = (),
    colours: Mapping[str, Sequence[str]] | None = None,
    footer: bool = False,
    console: Console | None = None,
    gap: str = GAP,
) -> None:
    """Print the columns by their titles; those in `right` are aligned to the right.

    Where the terminal is too narrow, the columns of `cuts` are shortened to so many cells, in this
    order, then those of `drops` left out, which a last line says. `colours` are the styles of a
    column's cells; with `footer` the last row is a sum, in bold. `gap` stands between columns.
    """
    # Not rich's Table, which takes a millisecond for each row.
    from rich.text import Text

    console = console or make_console()
    cells = {title: [plain(cell) or "-" for cell in column] for title, column in columns.items()}
    shown, left_out = fit(cells, right, console.width, cuts, drops, len(gap))
    padded = {title: _padded(rows, title in right) for title, rows in shown.items()}
    rows = len(next(iter(padded.values())))
    for number in range(rows):
        bold = not number or (footer and number == rows - 1)
        line = Text(style="bold" if bold else "")
        for title, column in padded.items():
            style = colours[title][number - 1] if colours and title in colours and not bold else ""
            line.append(column[number], style=style)
            line.append(gap)
        line.rstrip()
        console.print(line, no_wrap=True, crop=False, soft_wrap=True)
    if left_out:
        told = f"Too narrow for {', '.join(left_out)}; --json and a wider terminal show all."
        console.print(told, style="dim")


def fit(
    columns: Mapping[str, Sequence[str]],
    right: Collection[str],
    width: int,
    cuts: Cuts = (),
    drops: Sequence[str] = (),
    gap: int = len(GAP),
) -> tuple[dict[str, list[str]], list[str]]:
    """Titles and cells so that a line has at most `width` cells, and the titles of those left out.

    First the cuts, then the drops, then what is widest gives way, numbers last of all.
    """
    widths = {title: max(map(cell_len, (title, *cells))) for title, cells in columns.items()}

    def excess() -> int:
        return sum(widths.values()) + gap * (len(widths) - 1) - width

    for title, least in cuts:
        if title in widths and excess() > 0:
            widths[title] -= min(excess(), max(0, widths[title] - least))
    left_out = []
    for title in drops:
        if title in widths and excess() > 0:
            del widths[title]
            left_out.append(title)
    if left_out and excess() < 0:
        _give_back(columns, widths, -excess())
    while excess() > 0:
        wide = [title for title in widths if widths[title] > LEAST]
        if not wide:
            break
        widest = max(wide, key=lambda title: (title not in right, widths[title]))
        widths[widest] -= 1
    shown = {
        title: [_shortened(title, cell, kept) for cell in (title, *columns[title])]
        for title, kept in widths.items()
    }
    return shown, left_out


def _give_back(columns: Mapping[str, Sequence[str]], widths: dict[str, int], room: int) -> None:
    """What was cut gets the room that dropped columns have left."""
    for title in widths:
        whole = max(map(cell_len, (title, *columns[title])))
        more = min(room, whole - widths[title])
        widths[title] += more
        room -= more


def _shortened(title: str, cell: str, width: int) -> str:
    if cell_len(cell) <= width:
        return cell
    if title not in NAMES or width < 2 * LEAST:
        return set_cell_size(cell, width - 1).rstrip() + "…"
    end = (width - 1) // 2
    return f"{set_cell_size(cell, width - 1 - end)}…{_last(cell, end)}"


def _last(text: str, width: int) -> str:
    """As much of the end as has this width."""
    while cell_len(text) > width:
        text = text[1:]
    return text


def _padded(rows: Sequence[str], to_the_right: bool) -> list[str]:
    width = max(map(cell_len, rows))
    if to_the_right:
        return [" " * (width - cell_len(row)) + row for row in rows]
    return [row + " " * (width - cell_len(row)) for row in rows]


def show_facts(rows: Iterable[tuple[str, str]]) -> None:
    """Print lines of a name and a text; a long text goes on below where it began."""
    lines = [(plain(name), plain(text)) for name, text in rows]
    indent = max(cell_len(name) for name, _ in lines) + len(GAP)
    width = terminal_width()
    for name, text in lines:
        whole = name + " " * (indent - cell_len(name)) + text
        if cell_len(whole) <= width or width <= indent + LEAST:
            print(whole.rstrip())
            continue
        print(textwrap.fill(
            whole, min(width, max(FACTS_WIDTH, indent * 2)), subsequent_indent=" " * indent,
            drop_whitespace=True, break_on_hyphens=False,
        ))


def state_colours(states: Iterable[str]) -> list[str]:
    """The style of each state's word."""
    return [STATE_COLOURS.get(state.partition(" ")[0], "") for state in states]
