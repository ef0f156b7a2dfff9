"""Counts of calls in groups, largest first, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsl.check.report import did_you_mean
from router.admin.call_counts import FORMULAS, KEYS, Counts
from router.admin.wrong_value import WrongValue
from router.store.cdr_lines import decimal

Row = tuple[tuple[str, ...], Counts]


def parse_by(text: str) -> list[str]:
    """The names of groups in a list with commas; WrongValue when one is none."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in KEYS:
            hint = did_you_mean(name, KEYS) or f"they are {', '.join(KEYS)}"
            raise WrongValue(f'--by "{name}" is nothing to group by; {hint}')
    if not names or len(set(names)) < len(names):
        raise WrongValue(f'--by "{text}": give each of {", ".join(KEYS)} once, with commas')
    return names


def ordered(rows: list[Row], names: Sequence[str]) -> list[Row]:
    """The largest group first; hours in their order."""
    if names[0] == "hour":
        return sorted(rows, key=lambda row: (row[0][0], -row[1].attempts, row[0]))
    return sorted(rows, key=lambda row: (-row[1].attempts, row[0]))


def stats_data(names: Sequence[str], rows: Sequence[Row], total: Counts) -> dict[str, Any]:
    """The groups and their sum as plain data."""
    return {
        "by": list(names),
        "unit": unit_of(names),
        "rows": [{**dict(zip(names, key, strict=True)), **_figures(one)} for key, one in rows],
        "total": _figures(total),
        "formulas": FORMULAS,
    }


def _figures(counts: Counts) -> dict[str, Any]:
    return {
        "attempts": counts.attempts,
        "answered": counts.answered,
        "asr_percent": counts.asr,
        "ser_percent": counts.ser,
        "ner_percent": counts.ner,
        "acd_s": counts.acd_s,
        "pdd_ms": counts.mean_pdd_ms,
        "talk_s": round(counts.talk_ms / 1000, 3),
        "charge": decimal(counts.charge),
        "cost": decimal(counts.cost),
    }


def unit_of(names: Sequence[str]) -> str:
    """What is counted in these groups."""
    return "attempt" if "gateway" in names else "call"
