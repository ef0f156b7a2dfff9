"""From checked routes to Python: syntax trees that carry routes.cfg's own lines.

So a traceback points into routes.cfg without any map of lines, and `ast.unparse` shows readable
code. Each file becomes a module of its own, because a module has one file name; all of them run in
one namespace. The same configuration gives the same code, to the letter.

A handler takes the context `c`. It returns True where a terminal action has decided, and a route
that calls it then returns as well. A route that gives a value cannot: where it ends the request it
raises Stop, which the entry routes that can reach it catch. A route that reaches an async function
of a Python file is a coroutine, and awaited by those that call it.
"""

from __future__ import annotations

import ast as python
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType

from dsl.check.declarations import Route
from dsl.check.flow import ANSWER, SILENT
from dsl.constants import Constants
from dsl.generate_statements import RouteGenerator
from dsl.image import run_code
from dsl.imports import PythonFile
from dsl.naming import handler_name
from dsl.outcome import Outcome
from dsl.places import Places
from dsl.program import Handler
from dsl.surface import NAMED, Surface
from dsl.types import VOID


@dataclass(slots=True)
class Generated:
    """The Python of a configuration: constants, and a module for each file that has routes."""

    path: str
    constants: python.Module
    modules: list[tuple[str, python.Module]]
    names: dict[tuple[str, str], str]
    texts: Mapping[str, str]
    imports: tuple[PythonFile, ...] = ()

    def source(self) -> str:
        """The code as text, for people."""
        parts = [_HEADER.format(path=self.path)]
        parts += [f"# {file.alias}: {file.path}" for file in self.imports]
        if self.constants.body:
            parts.append(python.unparse(self.constants))
        for file, module in self.modules:
            parts.append(f"# {file}\n")
            parts += [python.unparse(one) + "\n" for one in module.body]
        return "\n".join(part.rstrip("\n") + "\n" for part in parts)

    def code(self) -> list[CodeType]:
        """The modules as byte code, in the order in which they are to run."""
        constants = f"<constants of {self.path}>"
        return [
            compile(module, file, "exec", dont_inherit=True)
            for file, module in ((constants, self.constants), *self.modules)
        ]

    def run(self, surface: Surface) -> dict[tuple[str, str], Handler]:
        """Compile and run the modules; the handlers by kind and name."""
        namespace = run_code(self.code(), self.texts, surface, self.imports)
        return {key: namespace[name] for key, name in self.names.items()}


_HEADER = '''"""The routes of {path}, as Python.

`c` is the context of the request. A handler returns True where a terminal action has decided.
Functions without `c.` are those of the function table.
"""
'''


def generate(outcome: Outcome, surface: Surface) -> Generated:
    """The Python of a configuration without errors."""
    constants = Constants()
    unit = outcome.unit
    places = Places(unit.texts)
    raising = _raising(outcome.routes)
    waiting = _waiting(outcome.routes)
    by_file: dict[str, list[python.stmt]] = {}
    names: dict[tuple[str, str], str] = {}
    for route in outcome.routes:
        generator = RouteGenerator(
            route, surface, outcome.declarations, constants, places, waiting, unit.path
        )
        names[route.key] = handler_name(*route.key)
        catches = route.node.kind != NAMED and route.key in raising
        function = generator.function(names[route.key], catches)
        by_file.setdefault(route.node.span.file, []).append(function)
    body = constants.assignments
    module = python.fix_missing_locations(python.Module(body, []))
    modules = [(file, python.Module(functions, [])) for file, functions in by_file.items()]
    imports = tuple(one.file() for one in outcome.declarations.imports.values())
    return Generated(unit.path, module, modules, names, unit.texts, imports)


def _waiting(routes: list[Route]) -> set[tuple[str, str]]:
    """The routes that reach an async function, by themselves or through one that they call."""
    waiting: set[tuple[str, str]] = set()
    for route in routes:
        if route.waits or any(target.key in waiting for target, _ in route.calls):
            waiting.add(route.key)
    return waiting


def _raising(routes: list[Route]) -> set[tuple[str, str]]:
    """The routes in which Stop may be raised, by themselves or by one that they call."""
    raising: set[tuple[str, str]] = set()
    for route in routes:
        ends = route.outcomes & (ANSWER | SILENT)
        if (route.returns != VOID and ends) or any(
            target.key in raising for target, _ in route.calls
        ):
            raising.add(route.key)
    return raising
