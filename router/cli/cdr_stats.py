"""`trunkline cdr stats`: where the calls go and where the failures gather."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from router.admin.call_counts import FORMULAS, Counts, count_calls
from router.admin.cdr_figures import Row, ordered, parse_by, stats_data
from router.admin.cdr_search import parse_limit, read_cdrs
from router.admin.wrong_value import WrongValue
from router.cli.cdr_query import Filters, Json, State, obey
from router.store.cdr_lines import decimal, plain

WIDTH = 100


def stats(
    *,
    by: str = "reason",
    filters: Filters | None = None,
    limit: str = "50",
    digits: int = 5,
    as_json: Json = False,
    state: State = Path("state"),
) -> int:
    """Count calls in groups, with ASR, ACD, NER and PDD of each.

    Counted are calls: one for each INVITE that came in. Grouped by gateway, attempts: one for each
    INVITE that went out. Retransmissions are never counted.

    ASR = answered / attempts (RFC 6076: SER). ACD = talk time / answered (SDT).
    NER = (answered + busy + rang unanswered + declined or absent) / attempts (SEER).
    PDD = INVITE until it rings, mean (SRD).

    Parameters
    ----------
    by
        What makes a group: reason, gateway, prefix, account, hour, trunk; several with commas.
    limit
        At most so many groups, the largest first; 0 for all.
    digits
        How many digits of the called number make its prefix.
    as_json
        Print one JSON object instead.
    """

    def run() -> None:
        names = parse_by(by)
        if not 1 <= digits <= 32:
            raise WrongValue(f"--digits {digits} makes no prefix: give 1 to 32")
        most = parse_limit(limit)
        query = (filters or Filters()).query(datetime.now().astimezone())
        rows = ordered(list(count_calls(read_cdrs(state, query), names, digits).items()), names)
        total = Counts()
        for _, counts in rows:
            total.add(counts)
        if as_json:
            print(json.dumps(stats_data(names, rows[: most or None], total), ensure_ascii=False))
        else:
            _show(names, rows[: most or None], len(rows), total)

    return obey(run)


def _show(names: Sequence[str], rows: Sequence[Row], groups: int, total: Counts) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    if not rows:
        console.print("No CDR matches.")
        return
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", show_footer=True)
    for at, name in enumerate(names):
        table.add_column(name.upper(), no_wrap=True, footer="" if at else "total")
    titles = ["TRIES" if "gateway" in names else "CALLS", "ANSWER", "ASR", "NER", "ACD", "PDD"]
    if console.width >= WIDTH and (total.charge or total.cost):
        titles += ["CHARGE", "COST"]
    shown = len(titles)
    for title, footer in zip(titles, _cells(total), strict=False):
        table.add_column(title, justify="right", no_wrap=True, footer=footer, min_width=6)
    for key, counts in rows:
        table.add_row(*map(plain, key), *_cells(counts)[:shown])
    console.print(table)
    if len(rows) < groups:
        console.print(f"The largest {len(rows)} of {groups} groups; --limit 0 shows all.")
    what = "attempts at a gateway" if "gateway" in names else "calls"
    console.print(f"\nCounted are {what}, never packets.", style="dim")
    for name, formula in FORMULAS.items():
        text = f"{name} = {formula}"
        width = min(console.width, WIDTH)
        console.print(textwrap.fill(text, width, subsequent_indent="  "), style="dim")


def _cells(counts: Counts) -> list[str]:
    return [
        f"{counts.attempts:,}",
        f"{counts.answered:,}",
        "-" if counts.asr is None else f"{counts.asr:.1f}%",
        "-" if counts.ner is None else f"{counts.ner:.1f}%",
        "-" if counts.acd_s is None else _span(counts.acd_s),
        "-" if counts.mean_pdd_ms is None else f"{counts.mean_pdd_ms / 1000:.2f}s",
        _money(counts.charge),
        _money(counts.cost),
    ]


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{seconds:.1f}s" if seconds < 60 else f"{minutes}:{rest:02}"


def _money(millionths: int) -> str:
    """With at least two decimals, and no zeros behind those."""
    text = decimal(millionths)
    return text if text[-1] != "0" else text[:-4] + text[-4:].rstrip("0")
