"""The typed tree of a configuration: what the parser builds, the checker fills in, the rest reads.

Every node carries the span of its text. The checker writes two things into expressions: `type`,
and in names and facts `meaning`, which says what they turned out to stand for. A `Bad` node stands
where the parser had to skip text; it is of every type and ends no path, so that one mistake is
reported once.
"""

from __future__ import annotations

from typing import Any

import msgspec

from dsl.types import ANY, Type


class Span(msgspec.Struct, frozen=True, gc=False):
    """A stretch of a file; lines and columns count from 1, the end is the column behind it."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


class Node(msgspec.Struct):
    """Anything that has a place in the text."""

    span: Span


# ------------------------------------------------------------------------------- expressions


class Expression(Node):
    """Something with a value; `depth` is how many expressions are nested in it at most."""


class Bad(Expression):
    """Text that was skipped, wherever it stood: an expression, a statement or an item."""

    type: Type = ANY
    depth: int = 0


class Literal(Expression):
    """A string, int, decimal, duration (ms), bool, ip or network as a Python value."""

    value: Any
    type: Type
    depth: int = 0


class Pattern(Expression):
    """A regex literal; `flags` are the letters behind it, `index` its constant once folded."""

    pattern: str
    flags: str
    type: Type = ANY
    depth: int = 0


class ListOf(Expression):
    """A list literal."""

    items: list[Expression]
    type: Type = ANY
    depth: int = 0


class Name(Expression):
    """A bare name, with dots if it has several parts.

    `meaning` is "local", a kind of block ("gateway"), "word" (of an enumeration) or "route";
    `value` is what a word stands for.
    """

    parts: tuple[str, ...]
    type: Type = ANY
    meaning: str = ""
    value: Any = None
    depth: int = 0

    @property
    def text(self) -> str:
        """The name as it was written."""
        return ".".join(self.parts)


class Fact(Expression):
    """A `$` fact: `$name`, `$name.attribute` or `$name(argument)`.

    `meaning` is "fact", "object", "attribute", "variable" or "header"; `alias` is the name by which
    the context knows a fact.
    """

    name: str
    attribute: str = ""
    argument: str | None = None
    type: Type = ANY
    meaning: str = ""
    alias: str = ""
    depth: int = 0

    @property
    def text(self) -> str:
        """The fact as it was written."""
        attribute = f".{self.attribute}" if self.attribute else ""
        argument = "" if self.argument is None else f"({self.argument})"
        return f"${self.name}{attribute}{argument}"


class Argument(Node):
    """An argument; `name` is "" for one that stands by its place."""

    name: str
    value: Expression


class Call(Expression):
    """A call by name: of a function of the table, of a route, or of an imported function.

    `hook` says that it is one of a Python file, `waits` that this is an async one.
    """

    parts: tuple[str, ...]
    name_span: Span
    arguments: list[Argument]
    type: Type = ANY
    depth: int = 0
    hook: bool = False
    waits: bool = False

    @property
    def text(self) -> str:
        """The name that is called, as it was written."""
        return ".".join(self.parts)

    @property
    def route(self) -> str:
        """The route that `route(X)` calls; "" if this is another call, or a malformed one."""
        if self.parts == ("route",) and len(self.arguments) == 1:
            value = self.arguments[0].value
            if isinstance(value, Name) and len(value.parts) == 1:
                return value.parts[0]
        return ""


class Unary(Expression):
    """`!x` or `-x`."""

    operator: str
    operand: Expression
    type: Type = ANY
    depth: int = 0


class Binary(Expression):
    """Two operands with an operator other than `&&` and `||`."""

    operator: str
    left: Expression
    right: Expression
    operator_span: Span
    type: Type = ANY
    depth: int = 0


class Logical(Expression):
    """A row of operands joined by `&&`, or by `||`."""

    operator: str
    operands: list[Expression]
    type: Type = ANY
    depth: int = 0


class RangeOf(Expression):
    """`low .. high`, both ends included."""

    low: Expression
    high: Expression
    type: Type = ANY
    depth: int = 0


# -------------------------------------------------------------------------------- statements


class Let(Node):
    """`let name = value;`"""

    name: str
    name_span: Span
    value: Expression


class Assign(Node):
    """`target = value;`"""

    target: Expression
    value: Expression


class Evaluate(Node):
    """An expression as a statement: a call."""

    value: Expression


class Return(Node):
    """`return;` or `return value;`"""

    value: Expression | None


class Stop(Node):
    """`drop;`, `exit;` or `break;`"""

    word: str


class Group(Node):
    """Statements in braces."""

    body: list[Node]
    depth: int = 0


class If(Node):
    """`if`, its `else if`s and its `else`; each branch is a condition with its statements."""

    branches: list[tuple[Expression, list[Node]]]
    otherwise: list[Node] | None
    depth: int = 0


class Case(Node):
    """One `case` of a switch; `default` has no values. `label` spans the part up to the colon."""

    values: list[Expression]
    body: list[Node]
    label: Span
    default: bool
    depth: int = 0


class Switch(Node):
    """A switch; `head` spans the word itself."""

    subject: Expression
    cases: list[Case]
    head: Span
    depth: int = 0


class For(Node):
    """`for name in iterable { … }`"""

    name: str
    name_span: Span
    iterable: Expression
    body: list[Node]
    depth: int = 0


class While(Node):
    """`while (condition) { … }`"""

    condition: Expression
    body: list[Node]
    depth: int = 0


# ------------------------------------------------------------------------------------- items


class Value(Node):
    """One value of a setting, as text; `form` is "word", "string" or "env"."""

    text: str
    form: str


class Setting(Node):
    """`name = value, value …`"""

    name: str
    name_span: Span
    values: list[Value]


class BlockNode(Node):
    """`kind name { … }`"""

    kind: str
    kind_span: Span
    name: str
    name_span: Span
    members: list[Node]


class RouteNode(Node):
    """`kind[label] { … }`; `broken` says that text had to be skipped inside it."""

    kind: str
    kind_span: Span
    label: str | None
    label_span: Span
    body: list[Node]
    calls: list[Call]
    broken: bool = False

    @property
    def name(self) -> str:
        """The name in the brackets; for an event the event, without its period."""
        words = (self.label or "").split()
        return words[0] if words else ""

    @property
    def title(self) -> str:
        """The route as messages call it: `route[CALL]`, `request_route`."""
        return self.kind if self.label is None else f"{self.kind}[{self.label}]"


class Include(Node):
    """`include "pattern"`"""

    pattern: str


class ImportPython(Node):
    """`import python "file" as name`"""

    path: str
    name: str
    name_span: Span


class Test(Node):
    """`test "title" { … }`; each line is its words, strings without their quotes."""

    title: str
    lines: list[list[Value]]
    title_span: Span
