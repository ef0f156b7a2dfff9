"""What differs between two versions of a deck, counted and with the prices that rise most."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from router.admin.rates_compare import Changes
from router.billing.amounts import amount


def show_changes(changes: Changes, threshold: float) -> None:
    """The counts in one line, and a table of the rises."""
    print(
        f"{changes.new:,} new, {changes.changed:,} changed ({changes.raised:,} dearer, "
        f"{changes.lowered:,} cheaper), {changes.gone:,} gone."
    )
    if not changes.over:
        return
    one_or_more = "price rises" if changes.over == 1 else "prices rise"
    print(f"{changes.over:,} {one_or_more} by more than {threshold:g} %:")
    table = Table(box=None, pad_edge=False)
    table.add_column("PREFIX")
    for name in ("BEFORE", "AFTER", "RISE"):
        table.add_column(name, justify="right")
    for one in changes.rises:
        percent = "from 0" if one.percent < 0 else f"+{one.percent:.1f} %"
        table.add_row(one.prefix or "*", amount(one.before), amount(one.after), percent)
    Console(highlight=False).print(table)
    if changes.over > len(changes.rises):
        print(f"and {changes.over - len(changes.rises):,} more.")
