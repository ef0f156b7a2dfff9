"""Names in generated Python: handlers, and locals that must not hide anything else."""

from __future__ import annotations

import keyword

from dsl.constants import NAMESPACE_NAMES, is_constant_name
from dsl.surface import ROUTE_KINDS, Surface

CONTEXT = "c"
SUBJECT = "subject_"
"""the value of a switch; no local is called so, for one that ends in `_` gets another"""


def handler_name(kind: str, name: str) -> str:
    """The Python function of a route."""
    return f"{kind}_{name.replace(':', '_')}" if name else kind


def local_name(name: str, surface: Surface) -> str:
    """The Python name of a local: its own where it hides nothing, else with a `_` behind it."""
    taken = (
        name == CONTEXT
        or name == "Stop"
        or name.endswith("_")
        or keyword.iskeyword(name)
        or name in NAMESPACE_NAMES
        or name in surface.functions
        or is_constant_name(name)
        or name.startswith(tuple(f"{kind}_" for kind in ROUTE_KINDS))
        or name in ROUTE_KINDS
    )
    return f"{name}_" if taken else name
