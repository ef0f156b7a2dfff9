"""How `trunkline top` writes what it shows: bars, columns and lines for a given width."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from rich.text import Text

from router.admin.gateway_health import span
from router.admin.live_figures import CALLS, ENDED, FAILURES, Row, Snapshot
from router.core.end_reasons import reason_named
from router.store.cdr_lines import plain
from router.store.records import CallRecord, Cdr

EIGHTHS: Final = " ▏▎▍▌▋▊▉"
SPARKS: Final = "▁▂▃▄▅▆▇█"
NEARLY_FULL: Final = 0.8
FULL: Final = 0.95
TITLES: Final = {
    FAILURES: "Last failures", ENDED: "Last calls", CALLS: "Calls in progress",
}
GATEWAY_COLUMNS: Final = ("GATEWAY", "LINES", "IN USE", "CALLS", "ASR", "PDD", "STATE")
ENDED_COLUMNS: Final = ("TIME", "CALLER", "CALLEE", "GATEWAY", "END", "WHAT IT MEANS")
NARROW_COLUMNS: Final = ("TIME", "CALLEE", "GATEWAY", "END", "WHAT IT MEANS")
NARROW: Final = 100
CALL_COLUMNS: Final = ("SINCE", "CALLER", "CALLEE", "GATEWAY", "STATE", "ACCOUNT")


def bar(share: float, width: int) -> Text:
    """A bar of this many columns; its colour says how near to full it is."""
    share = min(1.0, max(0.0, share))
    eighths = round(share * width * 8)
    if share and not eighths:
        eighths = 1  # a line in use is seen
    whole, rest = divmod(eighths, 8)
    filled = "█" * whole + (EIGHTHS[rest] if rest else "")
    colour = "red" if share >= FULL else "yellow" if share >= NEARLY_FULL else "green"
    return Text(filled, style=colour).append("·" * (width - len(filled)), style="dim")


def spark(values: Sequence[float], width: int) -> str:
    """The newest values as a line of little columns."""
    shown = values[-width:]
    most = max(shown, default=0.0)
    if most <= 0:
        return SPARKS[0] * len(shown)
    return "".join(SPARKS[min(7, int(8 * value / most))] for value in shown)


def summary(snapshot: Snapshot, width: int) -> Text:
    """Three lines: whether it runs, the figures, and how calls ended in the last minute."""
    good = "bold green" if snapshot.running else "bold red"
    lines = [Text.assemble(("Trunkline ", "bold"), (plain(snapshot.headline), good))]
    figures = Text()
    status = snapshot.status
    if status is not None:
        quality = snapshot.quality
        asr = 100 * quality.answered / quality.attempts if quality.attempts else None
        cps = "-" if snapshot.cps is None else f"{snapshot.cps:.1f}"
        parts = [
            ("calls ", str(status.active_calls)), ("per second ", cps),
            ("ASR ", percent(asr)), ("PDD ", pdd(quality.pdd_ms)),
            ("CDRs waiting ", str(status.cdr_backlog)),
        ]
        for name, value in parts:
            figures.append(name, "dim").append(value, "bold").append("   ")
        figures.append(spark(snapshot.per_s, max(0, width - figures.cell_len)), "cyan")
    lines.append(figures)
    ends = Text("ended in the last minute: ", style="dim")
    if status is None:
        ends = Text()
    elif snapshot.reasons:
        for at, (reason, count) in enumerate(snapshot.reasons):
            ends.append(", " if at else "").append(f"{plain(reason)} {count}", reason_style(reason))
    else:
        ends.append("none")
    lines.append(ends)
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n").join(lines)


def reason_style(reason: str) -> str:
    """Green for a good end, red for one of ours or the network's, yellow for the callee's own."""
    if reason == "Normal":
        return "green"
    return "yellow" if reason in ("Cancelled", "UserBusy", "ResponseTimeout") else "red"


def percent(value: float | None) -> str:
    """A ratio for people."""
    return "-" if value is None else f"{value:.1f} %"


def pdd(ms: int) -> str:
    """A post-dial delay for people, "-" for none."""
    return "-" if ms < 0 else f"{ms / 1000:.2f} s"


def gateway_cells(row: Row, width: int) -> list[Text]:
    """One gateway under GATEWAY_COLUMNS, `width` columns in all."""
    gateway = row.gateway
    name_width, bar_width = (16, 8) if width < 100 else (24, 24) if width < 140 else (32, 40)
    used = f"{gateway.lines_used}"
    if not gateway.lines_known:
        lines = bars = "?"
    elif gateway.lines is None:
        lines = bars = "no limit"
    else:
        lines, bars = str(gateway.lines), ""
    return [
        cut(gateway.name, name_width),
        bar(row.share, bar_width) if not bars else Text(bars.ljust(bar_width)[:bar_width], "dim"),
        Text(f"{used}/{lines}" if not bars else used, justify="right"),
        Text(str(gateway.handed), justify="right"),
        Text(percent(row.asr), justify="right"),
        Text(pdd(row.quality.pdd_ms), justify="right"),
        cut(gateway.state, max(10, width - name_width - bar_width - 49),
            "green" if gateway.up else "bold red"),
    ]


def ended_columns(width: int) -> tuple[str, ...]:
    """The titles above `ended_cells`."""
    return NARROW_COLUMNS if width < NARROW else ENDED_COLUMNS


def ended_cells(cdr: Cdr, now_ms: int, width: int) -> list[Text]:
    """One ended call under `ended_columns`."""
    narrow = width < NARROW
    number, end, name = (13, 23, 11) if narrow else (18, 26, 20)
    numbers = [cut(cdr.caller_in, number), cut(cdr.callee_in, number)]
    taken = 8 + number + end + name + 11 if narrow else 8 + 2 * number + end + name + 13
    return [
        Text(clock(cdr.ended or cdr.started, now_ms)),
        *(numbers[1:] if narrow else numbers),
        cut(cdr.gateway or "-", name),
        cut(cdr.end_reason, end, reason_style(cdr.end_reason)),
        cut(meaning(cdr), max(12, width - taken), "dim"),
    ]


def meaning(cdr: Cdr) -> str:
    """The diagnosis of a call's end reason."""
    reason = reason_named(cdr.end_reason)
    return reason.diagnosis if reason is not None else ""


def call_cells(record: CallRecord, now_ms: int, width: int) -> list[Text]:
    """One call in progress under CALL_COLUMNS."""
    cdr = record.cdr
    number = 13 if width < 100 else 18
    state = "talking" if record.answered else "ringing" if cdr.ringing else "calling"
    return [
        Text(span(now_ms - (cdr.answered or cdr.started))),
        cut(cdr.caller_in, number), cut(cdr.callee_in, number), cut(cdr.gateway or "-", 16),
        Text(state, "green" if record.answered else "yellow"), cut(cdr.account, 20),
    ]


def cut(text: str, width: int, style: str = "") -> Text:
    """Peers' text made harmless, at most so wide."""
    made = Text(plain(text), style=style)
    made.truncate(width, overflow="ellipsis")
    return made


def call_facts(record: CallRecord, now_ms: int) -> Text:
    """All about a call in progress."""
    cdr = record.cdr
    rows = [
        ("id", record.id), ("Call-ID", record.call_id), ("caller", cdr.caller_in),
        ("callee", cdr.callee_in), ("source", cdr.source),
        ("account", cdr.account), ("trunk", cdr.trunk), ("phone", cdr.phone),
        ("gateway", cdr.gateway), ("tried", ", ".join(one.gateway for one in cdr.attempts)),
        ("since", span(now_ms - (cdr.answered or cdr.started))),
        ("holds", ", ".join(record.holds)), ("worker", str(record.slot)),
        *(("decision" if not at else "", line) for at, line in enumerate(cdr.decision)),
    ]
    text = Text()
    for name, value in rows:
        if value:
            text.append(f"{name:<10}", "bold").append(f"{plain(value)}\n")
    text.append(f"\nTo end it: trunkline calls kill {record.id[-8:]}", "dim")
    return text


def gateway_facts(row: Row, cdrs: list[Cdr], now_ms: int) -> Text:
    """All about a gateway, and its last calls."""
    gateway = row.gateway
    lines = "no limit" if gateway.lines is None else str(gateway.lines)
    text = Text.assemble(
        (f"{plain(gateway.name)}\n\n", "bold"),
        ("state     ", "bold"), f"{plain(gateway.state)}\n",
        ("lines     ", "bold"), f"{gateway.lines_used} in use of {lines}\n",
        ("calls     ", "bold"), f"{gateway.handed} so far\n",
        ("quality   ", "bold"), f"ASR {percent(row.asr)}, PDD {pdd(row.quality.pdd_ms)}, "
        f"of its last {row.quality.attempts} attempts\n",
        ("\nLast calls that were tried on it\n", "bold"),
    )
    for cdr in cdrs:
        numbers = (cut(one, 18).plain for one in (cdr.caller_in, cdr.callee_in))
        text.append("  ".join((clock(cdr.started, now_ms), *(f"{one:<18}" for one in numbers))))
        text.append("  ").append_text(cut(cdr.end_reason, 26, reason_style(cdr.end_reason)))
        text.append("\n")
    if not cdrs:
        text.append("none\n")
    return text


def clock(ms: int, now_ms: int) -> str:
    """A time of today, or a day."""
    moment = time.localtime(ms / 1000)
    if moment[:3] == time.localtime(now_ms / 1000)[:3]:
        return time.strftime("%H:%M:%S", moment)
    return time.strftime("%m-%d %H:%M", moment)
