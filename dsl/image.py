"""A checked and compiled configuration that can travel: one process makes it, others load it.

The process that checks a configuration hands on exactly what it has checked, whatever the files say
by then, and loading costs a hundredth of checking. The code is Python's own byte code, so an image
is for processes of the same interpreter that trust each other; it is never kept and never read
from anywhere else.
"""

from __future__ import annotations

import linecache
import marshal
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from ipaddress import ip_address, ip_network
from types import CodeType
from typing import Any

from dsl.imports import PythonFile, load_python
from dsl.naming import local_name
from dsl.program import Block, Position, Program
from dsl.running import NetworkSet, ShortRegex, Stop
from dsl.surface import Surface
from dsl.trials import Trial
from dsl.types import Type


@dataclass(slots=True)
class Image:
    """Everything that a Program is made from, as plain data; `names` are the handlers' names."""

    hash: str
    settings: dict[str, Any]
    blocks: list[Block]
    code: list[CodeType]
    names: dict[tuple[str, str], str]
    path: str
    texts: dict[str, str]
    places: Mapping[str, Position]
    tests: tuple[Trial, ...]
    imports: tuple[PythonFile, ...] = ()
    variables: Mapping[str, Type] = field(default_factory=dict)
    tables: Mapping[str, Any] = field(default_factory=dict)
    data_files: Mapping[str, str] = field(default_factory=dict)
    periods: Mapping[str, int] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The image to be sent."""
        fields = [getattr(self, name) for name in _FIELDS]
        return pickle.dumps((marshal.dumps(self.code), *fields), pickle.HIGHEST_PROTOCOL)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Image:
        """What `to_bytes` gave; only from a process that is trusted."""
        code, *fields = pickle.loads(raw)
        return cls(code=marshal.loads(code), **dict(zip(_FIELDS, fields, strict=True)))

    def load(self, surface: Surface) -> Program:
        """Run the code; the program with its handlers. PythonError: an import does not run."""
        namespace = run_code(self.code, self.texts, surface, self.imports)
        return Program(
            self.hash,
            self.settings,
            self.blocks,
            {key: namespace[name] for key, name in self.names.items()},
            self.texts[self.path],
            self.path,
            tuple(self.texts),
            self.places,
            self.tests,
            namespace,
            self.variables,
            {file.alias: file.text for file in self.imports},
            self.tables,
            self.data_files,
            self.periods,
        )


_FIELDS = (
    *("hash", "settings", "blocks", "names", "path", "texts", "places", "tests", "imports"),
    *("variables", "tables", "data_files", "periods"),
)


def run_code(
    code: Sequence[CodeType],
    texts: Mapping[str, str],
    surface: Surface,
    imports: Sequence[PythonFile] = (),
) -> dict[str, Any]:
    """Run compiled modules in one namespace, which is returned; `texts` are for tracebacks.

    The Python files are imported afresh; PythonError if one does not run.
    """
    namespace: dict[str, Any] = {
        "__name__": "routes",
        "re": re,
        "Decimal": Decimal,
        "ip_address": ip_address,
        "ip_network": ip_network,
        "NetworkSet": NetworkSet,
        "ShortRegex": ShortRegex,
        "Stop": Stop,
    }
    for alias, loaded in load_python(imports, surface.python, texts).items():
        namespace[local_name(alias, surface)] = loaded
    for name, function in surface.functions.items():
        if callable(function.target):
            namespace[name] = function.target
    for module in code:
        exec(module, namespace)
    for file, text in texts.items():
        # What was loaded is what a traceback shows, whatever the file says by then.
        lines = text.splitlines(keepends=True)
        linecache.cache[file] = (len(text), None, lines, file)
    return namespace
