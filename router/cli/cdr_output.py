"""How a CDR looks: a line of JSON or CSV for programs, a table or a page for people."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.admin.advice import advice
from router.cli.paragraphs import print_wrapped
from router.cli.tables import GAP, make_console, show_columns
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
    console = make_console()
    if not cdrs:
        console.print("No CDR matches.")
        return
    wide = console.width >= WIDE_COLUMNS
    today = all(clock(cdr.started, "%x") == now.strftime("%x") for cdr in cdrs)
    columns: dict[str, list[str]] = {
        "ID": [cdr.id if wide else cdr.id[-TAIL_DIGITS:] for cdr in cdrs],
        "TIME": [clock(cdr.started, _clock_form(wide, today)) for cdr in cdrs],
        "ACCOUNT": [cdr.account for cdr in cdrs],
        "CALLER": [cdr.caller_in for cdr in cdrs],
        "CALLEE": [cdr.callee_in for cdr in cdrs],
        "GATEWAY": [_gateway(cdr) for cdr in cdrs],
        "TALK": [talk(cdr.duration_ms, cdr.answered) for cdr in cdrs],
        "CODE": [str(cdr.sip_code or "") for cdr in cdrs],
        "REASON": [cdr.end_reason for cdr in cdrs],
        "TRY": [str(len(cdr.attempts)) for cdr in cdrs],
    }
    if not wide:
        del columns["ACCOUNT"]
    colours = {"REASON": list(map(_colour, cdrs))}
    # On 80 columns the end reasons are worth more than wide gaps.
    gap = GAP if wide else " "
    show_columns(columns, RIGHT, cuts=CUTS, colours=colours, console=console, gap=gap)
    if limit and len(cdrs) == limit:
        console.print(f"The newest {limit}; --limit 0 shows all.", style="dim")


def _clock_form(wide: bool, today: bool) -> str:
    if today:
        return "%H:%M:%S"
    return "%m-%d %H:%M:%S" if wide else "%m-%d %H:%M"


def show_cdr(cdr: Cdr) -> None:
    """Every field with a name, the attempts as a table, and what the end reason means."""
    from rich.table import Table
    from rich.text import Text

    console = make_console()
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
