"""The `$call` variables as text, as they stand on the CDR and in the record of a running call.

A successor of a dead worker finds the texts in the record; the types are those that its routes
declare.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dsl.types import BOOL, DECIMAL, DURATION, INT, STRING, Type
from router.routing.text_functions import text_of

_INT = re.compile(r"-?[0-9]{1,4000}")  # more is none that Python reads
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_BOOLS = {"true": True, "false": False}


def texts_of(variables: Mapping[str, Any]) -> dict[str, str]:
    """The variables with their values as text; a duration is its milliseconds."""
    return {name: text_of(value) for name, value in variables.items()}


def values_of(
    texts: Mapping[str, str], types: Mapping[str, Type]
) -> tuple[dict[str, Any], list[str]]:
    """The variables of these texts, and the names of those that do not have their type.

    What has no type in routes, as a Python function has set it, stays text.
    """
    values: dict[str, Any] = {}
    strange = []
    for name, text in texts.items():
        value = _value(text, types.get(name, STRING))
        if value is None:
            strange.append(name)
        else:
            values[name] = value
    return values, strange


def _value(text: str, type_: Type) -> Any:
    """The value of this type that `text_of` wrote so; None: it cannot have written it."""
    if type_ in (INT, DURATION):
        return int(text) if _INT.fullmatch(text) else None
    if type_ == DECIMAL:
        return Decimal(text) if _DECIMAL.fullmatch(text) else None
    if type_ == BOOL:
        return _BOOLS.get(text)
    return text
