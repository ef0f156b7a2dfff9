"""A CDR as a line of CSV or JSON: what exports and the streaming file write, and scripts read.

A line never holds a line break, whatever a peer has put into its numbers, and no cell of a CSV is
taken for a formula by the spreadsheet that opens it.
"""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import datetime
from typing import Any, Final

import msgspec

from router.store.records import Cdr, Charge

AMOUNTS: Final = frozenset({"rate", "charge", "cost"})
INSTANTS: Final = frozenset({"started", "ringing", "answered", "ended"})
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Spreadsheets run what begins like this; +86138… and -5 are numbers to them, and harmless.
_FORMULA: Final = re.compile(r"[=@|]|[+-](?![0-9.]*$)")


def json_line(cdr: Cdr) -> str:
    """The CDR as one line of JSON; times epoch ms, amounts decimals in quotes."""
    return json.dumps(cdr_data(cdr), ensure_ascii=False, separators=(",", ":")) + "\n"


def cdr_data(cdr: Cdr) -> dict[str, Any]:
    """The CDR for programs, as plain data; times epoch ms, amounts decimals in quotes."""
    fields = cdr_fields(cdr)
    fields.update((name, decimal(fields[name])) for name in AMOUNTS)
    return fields


def csv_header() -> str:
    """The first line of a CSV: the names of the fields."""
    return ",".join(Cdr.__struct_fields__) + "\n"


def csv_line(cdr: Cdr) -> str:
    """All fields; times ISO with offset, amounts decimals, what is a list as JSON in its cell."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(
        [_cell(name, value) for name, value in cdr_fields(cdr).items()]
    )
    return line.getvalue()


def cdr_fields(cdr: Cdr) -> dict[str, Any]:
    """The fields by name, with what is inside of them as plain data."""
    fields = msgspec.structs.asdict(cdr)
    fields["attempts"] = [msgspec.structs.asdict(attempt) for attempt in cdr.attempts]
    fields["charges"] = [_charge(charge) for charge in cdr.charges]
    fields["cost_terms"] = [_charge(charge) for charge in cdr.cost_terms]
    return fields


def _charge(charge: Charge) -> dict[str, Any]:
    return {
        "account": charge.account,
        "kind": charge.kind,
        "amount": decimal(charge.amount),
        "rate_prefix": charge.rate_prefix,
        "rate": decimal(charge.rate),
        "billed_s": charge.billed_s,
    }


def _cell(name: str, value: Any) -> Any:
    if name in AMOUNTS:
        return decimal(value)
    if name in INSTANTS:
        return iso(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False) if value else ""
    if isinstance(value, str):
        text = plain(value)
        return f"'{text}" if _FORMULA.match(text) else text
    return value


def plain(text: str) -> str:
    """The text without what would move a terminal's cursor or end a line: peers choose it."""
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def iso(ms: int) -> str:
    """Local time with offset, to the millisecond; "" for never."""
    if not ms:
        return ""
    return datetime.fromtimestamp(ms / 1000).astimezone().isoformat(timespec="milliseconds")


def decimal(millionths: int) -> str:
    """An amount with six decimals, exactly."""
    whole, rest = divmod(abs(millionths), 1_000_000)
    return f"{'-' if millionths < 0 else ''}{whole}.{rest:06}"
