"""What differs between two versions of a deck, counted and with the prices that rise most."""

from __future__ import annotations

from router.admin.rates_compare import Changes
from router.billing.amounts import amount
from router.cli.tables import show_columns


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
    show_columns(
        {
            "PREFIX": [one.prefix or "*" for one in changes.rises],
            "BEFORE": [amount(one.before) for one in changes.rises],
            "AFTER": [amount(one.after) for one in changes.rises],
            "RISE": [
                "from 0" if one.percent < 0 else f"+{one.percent:.1f} %" for one in changes.rises
            ],
        },
        {"BEFORE", "AFTER", "RISE"},
    )
    if changes.over > len(changes.rises):
        print(f"and {changes.over - len(changes.rises):,} more.")
