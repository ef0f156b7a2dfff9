"""A CDR is one line of CSV or JSON, whatever peers have put into it, and reads back."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from router.store.cdr_lines import csv_header, csv_line, decimal, iso, json_line
from router.store.records import Attempt, Cdr, decode_cdr, encode_cdr

TEXT = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ('=1+1', '+86138', "-2+3", "@x", "a,b", 'a"b', "x\r\ny", "\u2028", "|cmd", "'=x", "\x00")
)


@given(TEXT, TEXT, TEXT, TEXT)
def test_any_text_makes_one_line_that_reads_back(
    number: str, name: str, value: str, entry: str
) -> None:
    cdr = Cdr(
        id="1", callee_in=number, account=name, variables={name: value}, decision=[entry],
        attempts=[Attempt(name, callee_out=number)], charge=-1_500_000, pdd_ms=-1,
    )
    cdr = decode_cdr(encode_cdr(cdr))
    line = csv_line(cdr)
    assert line.count("\n") == 1 and "\r" not in line and line.endswith("\n")
    (row,) = csv.DictReader(io.StringIO(csv_header() + line, newline=""))
    assert None not in row and None not in row.values(), "as many cells as names"
    assert row["callee_in"][:1] not in ("=", "@", "|")
    assert row["charge"] == "-1.500000" and row["pdd_ms"] == "-1"
    assert json.loads(row["decision"]) == [entry]
    text = json_line(cdr)
    assert text.count("\n") == 1
    assert json.loads(text)["callee_in"] == number
    assert json.loads(text)["attempts"][0]["callee_out"] == number


def test_amounts_and_times_are_exact() -> None:
    assert [decimal(one) for one in (0, 1, -1, 1_234_567)] == [
        "0.000000", "0.000001", "-0.000001", "1.234567",
    ]
    assert iso(0) == ""
    assert iso(1_767_225_600_123).startswith("20") and ".123" in iso(1_767_225_600_123)
