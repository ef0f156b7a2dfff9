"""What a check comes to: the findings, and what they were found in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from dsl.check.declarations import Declarations, Route
from dsl.check.settings import CheckedBlock, Given
from dsl.findings import WARNING, Finding, count_errors
from dsl.sources import Unit
from dsl.trials import Trial
from dsl.types import Type


@dataclass(slots=True)
class Outcome:
    """A checked configuration; loadable if `errors` is 0.

    `routes` are in an order in which each comes behind those that it calls; `variables` are the
    types of the `$call` variables, `tables` what the data files of blocks hold, by the
    block's name.
    """

    unit: Unit
    findings: list[Finding]
    settings: Given
    blocks: list[CheckedBlock]
    routes: list[Route]
    declarations: Declarations
    trials: list[Trial]
    variables: dict[str, Type]
    tables: dict[str, Any]

    @property
    def errors(self) -> int:
        """How many findings stop a load."""
        return count_errors(self.findings)

    @property
    def warnings(self) -> int:
        """How many are warnings."""
        return sum(found.severity == WARNING for found in self.findings)

    def summary(self) -> str:
        """One line: what the configuration holds, and how many findings there are."""
        kinds = Counter(block.node.kind for block in self.blocks)
        parts = [_count(kinds[kind], kind) for kind in sorted(kinds, key=_rank)]
        routes = len(self.declarations.routes)
        parts.append(_count(routes, "route"))
        if self.trials:
            parts.append(_count(len(self.trials), "test"))
        hints = len(self.findings) - self.errors - self.warnings
        counts = [(self.errors, "error"), (self.warnings, "warning"), (hints, "hint")]
        found = ", ".join(_count(count, what) for count, what in counts if count)
        return f"{self.unit.path}: {', '.join(parts)}: {found or 'no findings'}"


def _rank(kind: str) -> tuple[bool, str]:
    # Where calls go comes first, as in the file.
    return kind != "gateway", kind


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
