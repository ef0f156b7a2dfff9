"""docs/cdr.md names every field of a CDR in its order, and what exports have is what it says."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from router.cli.reference.cdr_page import (
    ATTEMPT_FIELDS,
    CDR_FIELDS,
    CHARGE_FIELDS,
    HIDDEN,
    Field,
    cdr_page,
)
from router.store.cdr_lines import AMOUNTS, INSTANTS, cdr_fields
from router.store.records import Attempt, Cdr, Charge


@pytest.mark.parametrize(
    ("record", "fields"),
    [(Cdr, CDR_FIELDS), (Attempt, ATTEMPT_FIELDS), (Charge, CHARGE_FIELDS)],
)
def test_every_field_is_described(record: type, fields: Mapping[str, Field]) -> None:
    assert tuple(fields) == record.__struct_fields__  # type: ignore[attr-defined]
    for one in fields.values():
        assert one.unit and one.empty and one.doc.endswith(".")


def test_units_are_those_of_the_exports() -> None:
    instants = {name for name, one in CDR_FIELDS.items() if one.unit == "instant"}
    amounts = {name for name, one in CDR_FIELDS.items() if one.unit.startswith("amount")}
    assert (instants, amounts) == (set(INSTANTS), set(AMOUNTS))
    for name, one in {**CDR_FIELDS, **ATTEMPT_FIELDS, **CHARGE_FIELDS}.items():
        unit = name.rpartition("_")[2]
        assert unit not in ("ms", "s") or one.unit == unit, "units last in names"


def test_exports_have_what_the_page_says() -> None:
    fields = cdr_fields(Cdr(attempts=[Attempt()], charges=[Charge("acme")]))
    assert set(fields) == set(CDR_FIELDS)
    assert set(fields["attempts"][0]) == set(ATTEMPT_FIELDS)
    assert set(fields["charges"][0]) == set(CHARGE_FIELDS) - HIDDEN


def test_each_field_has_a_row() -> None:
    page = cdr_page()
    for name in (*CDR_FIELDS, *ATTEMPT_FIELDS, *CHARGE_FIELDS):
        assert f"| `{name}` | " in page
