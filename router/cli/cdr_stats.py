"""`trunkline cdr stats`: where the calls go and where the failures gather."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from router.admin.amounts import money
from router.admin.call_counts import FORMULAS, Counts, count_calls
from router.admin.cdr_figures import Row, ordered, parse_by, stats_data
from router.admin.cdr_search import parse_limit, read_cdrs
from router.admin.wrong_value import WrongValue
from router.cli.cdr_query import Filters, Json, State, obey
from router.cli.tables import make_console, show_columns

WIDTH = 100
TITLES = ("ANSWER", "ASR", "NER", "ACD", "PDD", "CHARGE", "COST")


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
    console = make_console()
    if not rows:
        console.print("No CDR matches.")
        return
    columns: dict[str, list[str]] = {}
    for at, name in enumerate(names):
        # Blank and not "-": nothing is missing there.
        columns[name.upper()] = [*(key[at] for key, _ in rows), " " if at else "total"]
    titles = ["TRIES" if "gateway" in names else "CALLS", *TITLES]
    if not (total.charge or total.cost):
        titles = titles[:-2]
    cells = [_cells(counts) for counts in (*(one for _, one in rows), total)]
    for at, title in enumerate(titles):
        columns[title] = [row[at] for row in cells]
    cuts = [(name.upper(), 17 if name == "reason" else 12) for name in reversed(names)]
    drops = ("ANSWER", "PDD", "ACD")
    show_columns(columns, titles, cuts=cuts, drops=drops, footer=True, console=console)
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
        money(counts.charge),
        money(counts.cost),
    ]


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{seconds:.1f}s" if seconds < 60 else f"{minutes}:{rest:02}"
