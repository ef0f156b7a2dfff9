"""The Python files that a configuration imports: read, run, and what is wrong with them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import dirname, join, relpath

from dsl import ast
from dsl.check.report import Report, link
from dsl.findings import ChainLink
from dsl.imports import Offer, PythonFile, read_offer
from dsl.signatures import Problem
from dsl.sources import Files, SourceError, Unit, read_text
from dsl.surface import PythonSide, Surface


@dataclass(slots=True)
class Import:
    """A Python file under the name that the configuration gives it."""

    node: ast.ImportPython
    path: str
    text: str
    offer: Offer
    used: bool = False

    @property
    def alias(self) -> str:
        """What its functions are called by."""
        return self.node.name

    def file(self) -> PythonFile:
        """The file as it was checked."""
        hooks = tuple(signature.hook for signature in self.offer.hooks.values())
        return PythonFile(self.path, self.text, self.alias, hooks)


class Offers:
    """What Python files offered when they were run, for one who checks again and again.

    A file is run anew when its text has changed, or that of a file beside it that it imports.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], tuple[Offer, dict[str, str]]] = {}

    def read(self, path: str, text: str, alias: str, side: PythonSide, files: Files) -> Offer:
        """What a file offers to routes."""
        offer, beside = self._known.get((path, text, alias), (None, {}))
        if offer is None or beside != _texts(list(beside), files):
            offer = read_offer(path, text, alias, side)
            self._known[path, text, alias] = (offer, _texts(offer.beside, files))
        return offer


def _texts(paths: Sequence[str], files: Files) -> dict[str, str]:
    """The texts of files, "" for one that has none."""
    texts = dict.fromkeys(paths, "")
    for path in paths:
        with contextlib.suppress(SourceError):
            texts[path] = read_text(path, files)
    return texts


def read_imports(
    unit: Unit, surface: Surface, files: Files, report: Report, offers: Offers
) -> dict[str, Import]:
    """Read and run every imported file; by alias. What was read is added to the unit's texts."""
    found: dict[str, Import] = {}
    for node in unit.items:
        if not isinstance(node, ast.ImportPython):
            continue
        first = found.get(node.name)
        if first is not None:
            report.add(
                "duplicate-import",
                node.name_span,
                f"there is an import named `{node.name}` already",
                chain=(link(first.node.name_span, "the first one"),),
            )
            continue
        found[node.name] = _read(node, unit, surface, files, report, offers)
    return found


def _read(
    node: ast.ImportPython,
    unit: Unit,
    surface: Surface,
    files: Files,
    report: Report,
    offers: Offers,
) -> Import:
    path = join(dirname(node.span.file), node.path)
    nothing = Import(node, path, "", Offer(broken=True))
    if surface.python is None:
        report.add("not-supported", node.span, "nothing written in Python can be imported here")
        return nothing
    try:
        text = read_text(path, files)
    except SourceError as error:
        report.add("unreadable-file", node.span, str(error))
        return nothing
    offer = offers.read(path, text, node.name, surface.python, files)
    unit.texts.setdefault(path, text)
    for beside in offer.beside:
        # Part of what decides: the configuration's hash changes with them.
        _add_text(join(dirname(path), relpath(beside, dirname(path) or ".")), unit, files)
    for problem in offer.problems:
        _report(problem, node, path, report)
    return Import(node, path, text, offer)


def _add_text(path: str, unit: Unit, files: Files) -> None:
    try:
        unit.texts.setdefault(path, read_text(path, files))
    except SourceError:
        return  # no text: a module in C


def _report(problem: Problem, node: ast.ImportPython, path: str, report: Report) -> None:
    place = f"{path}:{problem.line}" if problem.line else path
    there = (ChainLink(path, problem.line, 1, "the line in question"),) if problem.line else ()
    report.add("bad-python", node.span, f"{place}: {problem.text}", chain=there)


def check_imports_used(imports: dict[str, Import], report: Report) -> None:
    """Report the imports that no route calls a function of."""
    for one in imports.values():
        if not one.used and one.alias not in report.skipped:
            report.warn(
                "unused-import", one.node.name_span, f"nothing of `{one.alias}` is ever called"
            )
