"""What the checks of one configuration share."""

from __future__ import annotations

from dataclasses import dataclass, field

from dsl import ast
from dsl.check.declarations import Declarations
from dsl.check.report import Report
from dsl.surface import Surface
from dsl.types import Type


@dataclass(slots=True)
class Variable:
    """A `$call` variable: its type comes from the first assignment in the text."""

    type: Type
    span: ast.Span
    read: bool = False


@dataclass(slots=True)
class Metric:
    """A metric of the script's own, as it was counted first."""

    labels: tuple[str, ...]
    span: ast.Span


@dataclass(slots=True)
class World:
    """The table, what is declared, and where findings go.

    `collecting` marks the passes before the last one, in which the types of `$call` variables are
    learnt; `guessing` those of them in which an operand of unknown type is taken to be of the
    other one's.
    """

    surface: Surface
    report: Report
    declarations: Declarations
    variables: dict[str, Variable] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    collecting: bool = False
    guessing: bool = False
