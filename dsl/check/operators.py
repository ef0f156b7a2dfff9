"""Which operand types an operator takes, and what comes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsl import ast
from dsl.check.report import article, written
from dsl.regexes import is_anchored
from dsl.types import (
    ANY,
    BOOL,
    DECIMAL,
    DURATION,
    INT,
    IP,
    NETWORK,
    NUMBERS,
    ORDERED,
    RANGE,
    REGEX,
    STRING,
    Type,
    fits,
)

if TYPE_CHECKING:
    from dsl.check.expressions import ExpressionChecker

_DIGITS = frozenset("0123456789")


class OperatorChecker:
    """Checks the operators in one route's expressions."""

    def __init__(self, checker: ExpressionChecker) -> None:
        self._checker = checker
        self._report = checker.report

    def logical(self, node: ast.Logical) -> Type:
        """`&&` and `||`: every operand is a condition."""
        for operand in node.operands:
            type_ = self._checker.value(operand)
            if not fits(type_, BOOL):
                self._report.add(
                    "wrong-type",
                    operand.span,
                    f"`{node.operator}` joins conditions, and this is {article(str(type_))}",
                    _not_empty_help(operand, type_),
                )
        return BOOL

    def unary(self, node: ast.Unary) -> Type:
        """`!` of a bool, `-` of a number or a duration."""
        type_ = self._checker.value(node.operand)
        if node.operator == "!":
            if not fits(type_, BOOL):
                help = ""
                if isinstance(node.operand, ast.Fact):
                    text = node.operand.text
                    help = f"write `!(…)` around the whole condition, or `{text} != …`"
                self._report.add(
                    "wrong-type",
                    node.span,
                    f"`!` turns a condition round, and this is {article(str(type_))}",
                    help,
                )
                return ANY
            return BOOL
        if type_ == ANY or type_ in ORDERED:
            return type_
        self._report.add(
            "wrong-type", node.span, f"`-` needs a number, and this is {article(str(type_))}"
        )
        return ANY

    def binary(self, node: ast.Binary) -> Type:
        """Any other operator."""
        left = self._checker.value(node.left)
        right = self._checker.value(node.right)
        match node.operator:
            case "==" | "!=":
                self._equality(node, left, right)
                return BOOL
            case "<" | "<=" | ">" | ">=":
                self._order(node, left, right)
                return BOOL
            case "=~" | "!~":
                self._match(node, left, right)
                return BOOL
            case "in":
                self._membership(node, left, right)
                return BOOL
            case _:
                return self._arithmetic(node, left, right)

    # -------------------------------------------------------------------------- comparisons

    def _equality(self, node: ast.Binary, left: Type, right: Type) -> None:
        if fits(left, right) or fits(right, left):
            if left.name in ("list", "range", "regex") and right != ANY:
                self._report.add(
                    "wrong-type", node.span, f"`{node.operator}` does not compare {left.name}s"
                )
            return
        if self._string_with_number(node, left, right):
            return
        help = ""
        if {left, right} == {IP, NETWORK} or "list" in (left.name, right.name):
            help = "whether something is in a list or network is asked with `in`"
        elif REGEX in (left, right):
            help = "a regex is compared with `=~`"
        elif {left, right} == {IP, STRING}:
            help = "an address stands without quotes: 192.0.2.1"
        self._report.add(
            "wrong-type",
            node.span,
            f"{article(str(left))} cannot equal {article(str(right))}",
            help,
        )

    def _string_with_number(self, node: ast.Binary, left: Type, right: Type) -> bool:
        kinds = {left, right}
        if STRING not in kinds or not kinds & ORDERED:
            return False
        help = ""
        for side in (node.left, node.right):
            if not isinstance(side, ast.Literal):
                continue
            if side.type == STRING and _is_number(side.value):
                help = f"did you mean `{side.value}`?"
            elif side.type in NUMBERS:
                help = f'did you mean "{side.value}"?'
        help = help or "`int(text, default)` reads a number, `str(x)` writes one"
        self._report.add(
            "string-with-number",
            node.span,
            f"{article(str(left))} is compared with {article(str(right))}: they are never equal"
            if node.operator in ("==", "!=")
            else f"{article(str(left))} and {article(str(right))} have no order",
            help,
        )
        return True

    def _order(self, node: ast.Binary, left: Type, right: Type) -> None:
        ordered = all(side == ANY or side in ORDERED for side in (left, right))
        if ordered and (fits(left, right) or fits(right, left)):
            return
        if self._string_with_number(node, left, right):
            return
        help = ""
        if left == right == STRING:
            help = "strings have no order; `len(…)` and `int(…, 0)` are numbers"
        self._report.add(
            "wrong-type",
            node.span,
            f"`{node.operator}` does not compare {article(str(left))} with {article(str(right))}",
            help,
        )

    def _match(self, node: ast.Binary, left: Type, right: Type) -> None:
        if not fits(left, STRING):
            self._report.add(
                "wrong-type",
                node.left.span,
                f"`{node.operator}` looks into a string, and this is {article(str(left))}",
            )
        if not fits(right, REGEX):
            help = ""
            if isinstance(node.right, ast.Literal) and right == STRING:
                inner = node.right.value.replace("/", "\\/")
                help = f"did you mean `/{inner}/`?"
            self._report.add(
                "wrong-type",
                node.right.span,
                f"`{node.operator}` needs a regex, and this is {article(str(right))}",
                help,
            )
        elif isinstance(node.right, ast.Pattern):
            self.check_anchor(node.left, node.right)

    def check_anchor(self, subject: ast.Expression, pattern: ast.Pattern) -> None:
        """Warn of a test of a telephone number that would match anywhere in it."""
        facts = self._checker.world.surface.by_dollar
        fact = facts.get(subject.name) if isinstance(subject, ast.Fact) else None
        if fact is None or not fact.number or not _DIGITS & set(pattern.pattern):
            return
        if not is_anchored(pattern.pattern) and "\\d" not in pattern.pattern[:2]:
            self._report.warn(
                "unanchored-regex",
                pattern.span,
                "this matches anywhere in the number, not only at its beginning",
                f"did you mean `/^{pattern.pattern}/{pattern.flags}`?",
            )

    def _membership(self, node: ast.Binary, left: Type, right: Type) -> None:
        if ANY in (left, right):
            return
        if right == NETWORK:
            wanted = IP
        elif right == RANGE:
            wanted = INT
        elif right.element is not None:
            wanted = IP if right.element == NETWORK else right.element
        else:
            help = "`=~` looks for a regex in a text" if right == STRING else ""
            if left == IP and isinstance(node.right, ast.Literal) and right == STRING:
                help = f"a network stands without quotes: {node.right.value}"
            self._report.add(
                "wrong-type",
                node.right.span,
                f"`in` needs a list, a range or a network, and this is {article(str(right))}",
                help,
            )
            return
        if not fits(left, wanted):
            code = "wrong-type"
            if STRING in (left, wanted) and {left, wanted} & NUMBERS:
                code = "string-with-number"
            self._report.add(
                code,
                node.left.span,
                f"{article(str(left))} is in no {right}"
                if right.element is None
                else f"{article(str(left))} is in no list of {right.element}s",
            )

    # --------------------------------------------------------------------------- arithmetic

    def _arithmetic(self, node: ast.Binary, left: Type, right: Type) -> Type:
        if ANY in (left, right):
            known = left if right == ANY else right
            return known if self._checker.world.guessing and known.sort == "value" else ANY
        sign = node.operator
        if left in NUMBERS and right in NUMBERS:
            if sign == "/":
                self._check_zero(node)
            return DECIMAL if DECIMAL in (left, right) else INT
        if sign == "+" and left == right == STRING:
            return STRING
        if sign in "+-" and left == right == DURATION:
            return DURATION
        if sign == "*" and {left, right} == {DURATION, INT}:
            return DURATION
        if sign == "/" and left == DURATION and right in (INT, DURATION):
            self._check_zero(node)
            return DURATION if right == INT else INT
        help = ""
        if sign == "+" and STRING in (left, right):
            other = node.right if left == STRING else node.left
            text = written(other) or "…"
            help = f"did you mean `str({text})`?"
        self._report.add(
            "wrong-type",
            node.span,
            f"`{sign}` does not go with {article(str(left))} and {article(str(right))}",
            help,
        )
        return ANY

    def _check_zero(self, node: ast.Binary) -> None:
        if isinstance(node.right, ast.Literal) and node.right.value == 0:
            self._report.add("division-by-zero", node.span, "this divides by zero")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _not_empty_help(node: ast.Expression, type_: Type) -> str:
    text = written(node)
    return f'did you mean `{text} != ""`?' if text and type_ == STRING else ""
