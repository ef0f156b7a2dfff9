"""Metrics of a script's own: each name with the same labels wherever it is counted."""

from __future__ import annotations

import re

from dsl import ast
from dsl.check.report import article, link
from dsl.check.world import Metric, World
from dsl.surface import Function
from dsl.types import ANY, STRING, Type, fits

MAX_LABELS = 5
_LABEL = re.compile(r"[a-z][a-z0-9_]{0,31}")


def check_labels(
    world: World, node: ast.Call, labels: list[tuple[ast.Argument, Type]], function: Function
) -> None:
    """Check the labels of one call that counts, and that they are those of the others."""
    for argument, type_ in labels:
        if _LABEL.fullmatch(argument.name) is None:
            world.report.add(
                "bad-name",
                argument.span,
                f"`{argument.name}` is no name of a label",
                "a label is named in small letters, digits and `_`, and begins with a letter",
            )
        if type_ != ANY and not any(fits(type_, one) for one in function.labels):
            names = ", ".join(str(one) for one in function.labels)
            world.report.add(
                "wrong-type",
                argument.value.span,
                f"a label is one of {names}, and this is {article(str(type_))}",
            )
    if len(labels) > MAX_LABELS:
        what = f"{len(labels)} labels are too many: the most is {MAX_LABELS}"
        world.report.add("too-many-arguments", labels[MAX_LABELS][0].span, what)
    first = node.arguments[0].value if node.arguments else None
    if first is None or isinstance(first, ast.Bad):
        return
    if not isinstance(first, ast.Literal) or first.type != STRING:
        if not isinstance(first, ast.Literal):
            world.report.add(
                "not-constant",
                first.span,
                "the name of a metric is written out",
                "what changes from call to call is the value of a label",
            )
        return
    _declare(world, node, first, tuple(sorted(argument.name for argument, _ in labels)))


def _declare(
    world: World, node: ast.Call, name: ast.Literal, labels: tuple[str, ...]
) -> None:
    if world.collecting:
        return
    first = world.metrics.setdefault(name.value, Metric(labels, name.span))
    if first.labels != labels:
        world.report.add(
            "metric-labels",
            node.span,
            f"`{name.value}` has {_told(labels)} here and {_told(first.labels)} elsewhere",
            "a metric has the same labels wherever it is counted",
            chain=(link(first.span, f"`{name.value}` with {_told(first.labels)}"),),
        )


def _told(labels: tuple[str, ...]) -> str:
    if not labels:
        return "no labels"
    names = " and ".join(f"`{label}`" for label in labels)
    return f"the label{'' if len(labels) == 1 else 's'} {names}"
