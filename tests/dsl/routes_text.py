"""Configurations as text: read from memory, checked, compiled, against the real table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from dsl.load import check_routes
from dsl.outcome import Outcome
from dsl.surface import ROUTE_KINDS, Surface
from router.routing.surface import SURFACE

PYTHON_FILES = {
    path.name: path.read_text() for path in sorted((Path(__file__).parent / "python").glob("*.py"))
}
"""the files of tests/dsl/python, to be imported by configurations"""
RATES = {
    path.name: path.read_text() for path in sorted((Path(__file__).parent / "rates").glob("*.csv"))
}
"""the files of tests/dsl/rates, to be named by decks and lists"""
RATES["rates/retail.csv"] = "prefix,rate_per_min,first_s,cycle_s\n86,0.06,60,60\n"
RATES["rates/vendor_cn.csv"] = "prefix,rate_per_min\n86,0.05\n"
ANSWERING = "\nrequest_route { reply(200); }\n"


class MemoryFiles:
    """Files and environment variables out of dictionaries."""

    def __init__(self, files: Mapping[str, str | bytes], variables: Mapping[str, str]) -> None:
        self.files = files
        self.variables = variables

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        found = self.files[path]
        return found.encode("utf-8", "surrogatepass") if isinstance(found, str) else found

    def matches(self, pattern: str) -> list[str]:
        return [path for path in self.files if fnmatch(path, pattern)]

    def variable(self, name: str) -> str | None:
        return self.variables.get(name)


def _ready(entry: Any) -> Any:
    return replace(entry, ready=True)


def whole_language() -> Surface:
    """The table as it will be when everything in it can be carried out."""
    functions = {
        name: replace(
            one, ready=True, parameters=tuple(_ready(parameter) for parameter in one.parameters)
        )
        for name, one in SURFACE.functions.items()
    }
    blocks = {
        kind: replace(
            one, ready=True, settings={name: _ready(it) for name, it in one.settings.items()}
        )
        for kind, one in SURFACE.blocks.items()
    }
    objects = {
        name: replace(one, attributes={key: _ready(it) for key, it in one.attributes.items()})
        for name, one in SURFACE.objects.items()
    }
    return Surface(
        settings={name: _ready(it) for name, it in SURFACE.settings.items()},
        blocks=blocks,
        functions=functions,
        facts=tuple(_ready(fact) for fact in SURFACE.facts),
        objects=objects,
        enumerations=SURFACE.enumerations,
        ready_kinds=frozenset(ROUTE_KINDS),
        python=SURFACE.python,
        tables=SURFACE.tables,
    )


WHOLE = whole_language()


def check_text(
    text: str,
    *,
    surface: Surface = SURFACE,
    more: Mapping[str, str | bytes] | None = None,
    variables: Mapping[str, str] | None = None,
    loading: bool = False,
) -> Outcome:
    """Check a configuration that is `routes.cfg` among these files."""
    beside = {**PYTHON_FILES, **RATES, **(more or {})}
    files = MemoryFiles({"routes.cfg": text, **beside}, variables or {})
    return check_routes("routes.cfg", surface, files, loading=loading)


def with_request_route(text: str) -> str:
    """The text, with a request_route that answers 200 if it never speaks of one."""
    return text if "request_route" in text else text + ANSWERING


def codes(outcome: Outcome) -> list[str]:
    """The codes of all findings, in order."""
    return [finding.code for finding in outcome.findings]
