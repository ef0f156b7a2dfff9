"""The cases of a switch: constants of the subject's type, none behind one that takes it all."""

from __future__ import annotations

import re

from dsl import ast
from dsl.check.expressions import ExpressionChecker
from dsl.check.operators import OperatorChecker
from dsl.check.report import article, link
from dsl.regexes import RegexError, compile_regex
from dsl.types import ANY, INT, RANGE, REGEX, STRING, Type

_FITTING = {STRING: (STRING, REGEX), INT: (INT, RANGE)}


def check_cases(node: ast.Switch, subject: Type, expressions: ExpressionChecker) -> None:
    """Check the values of all cases and that each of them can be reached."""
    report = expressions.report
    operators = OperatorChecker(expressions)
    earlier: list[tuple[object, ast.Span]] = []
    default: ast.Case | None = None
    for case in node.cases:
        if default is not None:
            what = "a second `default`" if case.default else "a case behind `default`"
            report.add(
                "shadowed-case",
                case.label,
                f"{what} is never reached",
                "`default` stands last",
                chain=(link(default.label, "the `default`"),),
            )
        if case.default:
            default = default or case
        for value in case.values:
            type_ = expressions.infer(value)
            if type_ == ANY:
                continue
            constant = _constant(value)
            if constant is None:
                report.add(
                    "not-constant",
                    value.span,
                    "a case is a string, a number, a range or a regex, written out",
                    "other conditions are asked with `if`",
                )
                continue
            if subject != ANY and type_ not in _FITTING[subject]:
                _report_misfit(value, type_, subject, expressions)
                continue
            if isinstance(value, ast.Pattern):
                operators.check_anchor(node.subject, value)
            hidden = next((span for known, span in earlier if _covers(known, constant)), None)
            if hidden is not None:
                report.add(
                    "shadowed-case",
                    value.span,
                    "an earlier case takes this already",
                    chain=(link(hidden, "the earlier case"),),
                )
            earlier.append((constant, value.span))


def _report_misfit(
    value: ast.Expression, type_: Type, subject: Type, expressions: ExpressionChecker
) -> None:
    code = "string-with-number" if {type_, subject} == {STRING, INT} else "wrong-type"
    help = ""
    if code == "string-with-number" and isinstance(value, ast.Literal):
        help = f'did you mean "{value.value}"?' if subject == STRING else ""
        if subject == INT and str(value.value).isdigit():
            help = f"did you mean `{value.value}`?"
    expressions.report.add(
        code,
        value.span,
        f"the switch is over {article(str(subject))}, and this is {article(str(type_))}",
        help,
    )


def _constant(value: ast.Expression) -> object | None:
    if isinstance(value, ast.Literal):
        known: object = value.value
        return known
    if isinstance(value, ast.Pattern):
        try:
            return compile_regex(value.pattern, value.flags)
        except RegexError:
            # Reported already; such a case takes nothing.
            return range(0)
    if isinstance(value, ast.RangeOf):
        low, high = value.low, value.high
        if not (isinstance(low, ast.Literal) and isinstance(high, ast.Literal)):
            return None
        if low.type == high.type == INT:
            return range(low.value, high.value + 1)
        return range(0)
    return None


def _covers(known: object, other: object) -> bool:
    """Whether whatever the one constant takes is taken by the earlier one."""
    if isinstance(known, re.Pattern):
        if isinstance(other, re.Pattern):
            return known == other
        return isinstance(other, str) and known.search(other) is not None
    if isinstance(known, range):
        if isinstance(other, range):
            return len(other) > 0 and other[0] in known and other[-1] in known
        return type(other) is int and other in known
    return type(known) is type(other) and known == other
