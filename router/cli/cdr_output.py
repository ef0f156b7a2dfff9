"""How a CDR looks: a line of JSON or CSV for programs, a table or a page for people."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.cells import cell_len, set_cell_size

from router.admin.advice import advice
from router.cli.paragraphs import print_wrapped
from router.core.decision import sentences
from router.core.end_reasons import EndReason, reason_named
from router.core.reason_guide import GUIDE
from router.store.cdr_lines import (
    AMOUNTS,
    INSTANTS,
    cdr_fields,
    csv_header,
    csv_line,
    decimal,
    iso,
    plain,
)
from router.store.records import Attempt, Cdr, Charge

if TYPE_CHECKING:
    from rich.console import RenderableType

TAIL_DIGITS: Final = 8
"""How much of an id the narrow table shows; `cdr show` takes the end of an id."""
WIDE_COLUMNS: Final = 120
RIGHT: Final = frozenset({"TALK", "CODE", "TRY"})
CUTS: Final = (
    ("CALLER", 8),
    ("GATEWAY", 8),
    ("ACCOUNT", 8),
    ("REASON", 17),
    ("CALLEE", 11),
    ("REASON", 12),
    ("CALLER", 4),
    ("GATEWAY", 5),
    ("CALLEE", 6),
)
"""Which columns give way to a narrow terminal, in order, and what is left of them."""
LISTS: Final = frozenset(
    {"attempts", "variables", "decision", "charges", "cost_terms", "route_lines"}
)
"""What `show` gives a title of its own."""


def write_csv(cdrs: Iterable[Cdr]) -> None:
    """All CDRs under a line with the names of the fields."""
    sys.stdout.write(csv_header())
    for cdr in cdrs:
        sys.stdout.write(csv_line(cdr))


# For people


def show_table(cdrs: list[Cdr], limit: int, now: datetime) -> None:
    """A table no wider than the terminal, and a line that says what it leaves out."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    if not cdrs:
        console.print("No CDR matches.")
        return
    wide = console.width >= WIDE_COLUMNS
    today = all(clock(cdr.started, "%x") == now.strftime("%x") for cdr in cdrs)
    columns: dict[str, list[str]] = {
        "ID": [cdr.id if wide else cdr.id[-TAIL_DIGITS:] for cdr in cdrs],
        "TIME": [clock(cdr.started, _clock_form(wide, today)) for cdr in cdrs],
        "ACCOUNT": [plain(cdr.account) or "-" for cdr in cdrs],
        "CALLER": [plain(cdr.caller_in) for cdr in cdrs],
        "CALLEE": [plain(cdr.callee_in) for cdr in cdrs],
        "GATEWAY": [plain(_gateway(cdr)) or "-" for cdr in cdrs],
        "TALK": [talk(cdr.duration_ms, cdr.answered) for cdr in cdrs],
        "CODE": [str(cdr.sip_code or "-") for cdr in cdrs],
        "REASON": [plain(cdr.end_reason) for cdr in cdrs],
        "TRY": [str(len(cdr.attempts)) for cdr in cdrs],
    }
    if not wide:
        del columns["ACCOUNT"]
    _fit(columns, console.width)
    # Not rich's Table: it measures every cell again and takes a millisecond for each row.
    padded = [_padded(title, cells) for title, cells in columns.items()]
    reason = list(columns).index("REASON")
    for cdr, cells in zip([None, *cdrs], zip(*padded, strict=True), strict=True):
        line = Text(" ".join(cells[:reason]) + " ", style="" if cdr else "bold")
        line.append(cells[reason], style=_colour(cdr) if cdr else "")
        line.append(" " + " ".join(cells[reason + 1 :]))
        console.print(line, no_wrap=True, crop=False)
    if limit and len(cdrs) == limit:
        console.print(f"The newest {limit}; --limit 0 shows all.", style="dim")


def _clock_form(wide: bool, today: bool) -> str:
    if today:
        return "%H:%M:%S"
    return "%m-%d %H:%M:%S" if wide else "%m-%d %H:%M"


def _fit(columns: dict[str, list[str]], width: int) -> None:
    """Cut the columns that may be cut, the less telling ones first, until all fit."""
    widths = {title: max(map(cell_len, (title, *cells))) for title, cells in columns.items()}
    excess = sum(widths.values()) + len(widths) - 1 - width
    for title, least in CUTS:
        if excess > 0 and title in widths:
            cut = min(excess, max(0, widths[title] - least))
            excess -= cut
            widths[title] -= cut
    for title, cells in columns.items():
        keep = widths[title]
        columns[title] = [
            cell if cell_len(cell) <= keep else set_cell_size(cell, keep - 1).rstrip() + "…"
            for cell in cells
        ]


def _padded(title: str, cells: list[str]) -> list[str]:
    """The title and the cells, all as wide as the widest."""
    rows = [title, *cells]
    width = max(map(cell_len, rows))
    if title in RIGHT:
        return [" " * (width - cell_len(row)) + row for row in rows]
    return [row + " " * (width - cell_len(row)) for row in rows]


def show_cdr(cdr: Cdr) -> None:
    """Every field with a name, the attempts as a table, and what the end reason means."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True, style="dim")
    facts.add_column(overflow="fold")
    for name, value in cdr_fields(cdr).items():
        if name not in LISTS:
            facts.add_row(name, Text(_readable(name, value)))
    console.print(facts)
    for title, lines in (
        ("variables", [f"{name} = {value}" for name, value in cdr.variables.items()]),
        ("route_lines", [", ".join(cdr.route_lines)] if cdr.route_lines else []),
        ("decision", sentences(cdr.decision)),
        ("charges", [_charge(charge) for charge in cdr.charges]),
        ("cost_terms", [_charge(charge) for charge in cdr.cost_terms]),
    ):
        console.print(f"\n{title}" if lines else f"\n{title}: none", style="bold")
        for line in lines:
            print_wrapped(console, line, console.width, 2)
    console.print("\nattempts" if cdr.attempts else "\nattempts: none", style="bold")
    for number, attempt in enumerate(cdr.attempts, 1):
        console.print(_attempt(number, attempt))
    reason = reason_named(cdr.end_reason)
    if reason is not None:
        console.print(f"\n{reason.name} ({reason.chinese}): {reason.diagnosis}", style="bold")
        console.print(GUIDE[reason].chinese)
        for line in advice(cdr, reason):
            print_wrapped(console, line, console.width)


def _charge(charge: Charge) -> str:
    who = f"{charge.account} ({charge.kind}) pays" if charge.account else "the vendor asks"
    return (
        f"{who} {decimal(charge.amount)}: {charge.billed_s} s at "
        f"{decimal(charge.rate)} a minute, prefix {charge.rate_prefix or '*'}"
    )


def _attempt(number: int, attempt: Attempt) -> RenderableType:
    """One attempt: its gateway and end on the first line, the rest below it."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    table.add_row(
        f"  {number}", Text(f"{plain(attempt.gateway)}: {plain(attempt.reason) or 'open'}")
    )
    for name, value in msgspec.structs.asdict(attempt).items():
        if name not in ("gateway", "reason"):
            table.add_row(f"    {name}", Text(_readable(name, value)))
    return table


def _readable(name: str, value: Any) -> str:
    if name in INSTANTS:
        return iso(value) or "never"
    if name in AMOUNTS:
        return decimal(value)
    if name == "duration_ms" or (name == "pdd_ms" and value >= 0):
        return f"{value} ({value / 1000:.1f} s)"
    if name == "mos_hundredths":
        return f"{value} ({value / 100:.2f})" if value else "-"
    return plain(str(value)) or "-"


def _gateway(cdr: Cdr) -> str:
    return cdr.gateway or (cdr.attempts[-1].gateway if cdr.attempts else "")


def _colour(cdr: Cdr) -> str:
    if cdr.end_reason == EndReason.Normal.name:
        return "green"
    return "yellow" if cdr.end_reason in ("Cancelled", "UserBusy") else "red"


def clock(ms: int, form: str) -> str:
    """Local time of day, or what else `form` says; "-" for never."""
    return time.strftime(form, time.localtime(ms / 1000)) if ms else "-"


def talk(duration_ms: int, answered: int) -> str:
    """How long was talked: 4.2s, 1:05, 1:00:05; "-" when it was never answered."""
    if not answered:
        return "-"
    if duration_ms < 60_000:
        return f"{duration_ms // 100 / 10:.1f}s"
    minutes, seconds = divmod(duration_ms // 1000, 60)
    if minutes < 60:
        return f"{minutes}:{seconds:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
