"""Every name in a configuration: where it is declared, and where it is used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import normpath
from typing import NamedTuple

from dsl import ast
from dsl.check.values import is_name
from dsl.outcome import Outcome
from dsl.surface import NAMED, Setting, Surface

LOCAL = "local"
ROUTE = "route"
BLOCK = "block"
VARIABLE = "variable"
IMPORT = "import"


class Symbol(NamedTuple):
    """What a name stands for: `sort` is one of the constants above.

    `kind` is the kind of route or of block; `place` tells locals of one name from each other.
    """

    sort: str
    kind: str
    name: str
    place: tuple[str, int, int] = ("", 0, 0)


class Occurrence(NamedTuple):
    """A name in the text, on one line; columns count from 0, `end` is behind it."""

    symbol: Symbol
    file: str
    line: int
    column: int
    end: int
    declares: bool


@dataclass(slots=True)
class Declared:
    """A declaration with the node that makes it."""

    occurrence: Occurrence
    node: ast.Node


@dataclass(slots=True)
class Symbols:
    """The names of one configuration."""

    occurrences: dict[Symbol, list[Occurrence]] = field(default_factory=dict)
    declared: dict[Symbol, Declared] = field(default_factory=dict)
    visible: list[tuple[str, int, int, Symbol]] = field(default_factory=list)
    """locals: the file, and the first and the last line of the block that they are known in"""
    _by_line: dict[tuple[str, int], list[Occurrence]] = field(default_factory=dict)

    def add(self, occurrence: Occurrence, node: ast.Node | None = None) -> None:
        """Enter a name; `node` is what declares it, if this place does."""
        self.occurrences.setdefault(occurrence.symbol, []).append(occurrence)
        self._by_line.setdefault((occurrence.file, occurrence.line), []).append(occurrence)
        if node is not None:
            self.declared.setdefault(occurrence.symbol, Declared(occurrence, node))

    def at(self, file: str, line: int, column: int) -> Occurrence | None:
        """The name at a place, also right behind it."""
        for found in self._by_line.get((file, line), ()):
            if found.column <= column <= found.end:
                return found
        return None

    def of_kind(self, sort: str, kind: str = "") -> list[Symbol]:
        """What is declared of a sort, in the order of the text."""
        return [one for one in self.declared if one.sort == sort and kind in ("", one.kind)]

    def locals_at(self, file: str, line: int) -> list[Symbol]:
        """The locals that are known on a line, inner ones first."""
        found = [one for one in self.visible if one[0] == file and one[1] <= line <= one[2]]
        found.sort(key=lambda one: one[1], reverse=True)
        return [one[3] for one in found]


def collect_symbols(outcome: Outcome, surface: Surface) -> Symbols:
    """All names of a checked configuration."""
    walker = _Walker(outcome.unit.texts, surface)
    for item in outcome.unit.items:
        walker.item(item)
    return walker.symbols


class _Walker:
    def __init__(self, texts: Mapping[str, str], surface: Surface) -> None:
        self.symbols = Symbols()
        self._lines = {file: text.split("\n") for file, text in texts.items()}
        self._paths = {file: normpath(file) for file in texts}
        self._surface = surface
        self._scopes: list[tuple[dict[str, Symbol], ast.Span]] = []
        self._expressions_of = {
            kind for kind, schema in surface.blocks.items() if schema.expression is not None
        }

    # ------------------------------------------------------------------------------- adding

    def _add(
        self, symbol: Symbol, span: ast.Span, skip: int = 0, node: ast.Node | None = None
    ) -> None:
        """Enter a name that begins `skip` characters behind the start of a span."""
        column = span.column - 1 + skip
        end = column + len(symbol.name)
        file = self._paths[span.file]
        found = Occurrence(symbol, file, span.line - 1, column, end, node is not None)
        self.symbols.add(found, node)

    def _add_text(self, symbol: Symbol, value: ast.Value, node: ast.Node | None = None) -> None:
        """Enter a name that stands as a word or in quotes."""
        self._add(symbol, value.span, 1 if value.form == "string" else 0, node)

    # -------------------------------------------------------------------------------- items

    def item(self, item: ast.Node) -> None:
        match item:
            case ast.BlockNode():
                self._block(item, "")
            case ast.Setting():
                self._setting(item, self._surface.settings)
            case ast.RouteNode():
                self._route(item)
            case ast.ImportPython():
                symbol = Symbol(IMPORT, "", item.name)
                self._add(symbol, item.name_span, node=item)
            case ast.Test():
                for line in item.lines:
                    self._test_line(line)

    def _block(self, node: ast.BlockNode, outer: str) -> None:
        schema = self._surface.blocks.get(node.kind)
        if node.name:
            name = Symbol(BLOCK, node.kind, node.name, (outer, 0, 0))
            quoted = self._char(node.name_span) == '"'
            self._add(name, node.name_span, 1 if quoted else 0, node)
        settings = schema.settings if schema is not None else {}
        for member in node.members:
            if isinstance(member, ast.Setting):
                self._setting(member, settings)
            elif isinstance(member, ast.BlockNode):
                self._block(member, node.name)

    def _char(self, span: ast.Span) -> str:
        return self._lines[span.file][span.line - 1][span.column - 1 : span.column]

    def _setting(self, node: ast.Setting, settings: Mapping[str, Setting]) -> None:
        setting = settings.get(node.name)
        if setting is None or not setting.type.refers:
            return
        for value in node.values:
            if value.form != "env" and (setting.type.name == "reference" or is_name(value.text)):
                self._add_text(Symbol(BLOCK, setting.type.refers, value.text), value)

    def _test_line(self, words: Sequence[ast.Value]) -> None:
        texts = [word.text if word.form == "word" else "" for word in words]
        at = 1 if texts[:1] == ["expect"] else 0
        if len(words) > at + 1 and texts[at] in ("gateway", "account") and texts[at + 1]:
            self._add_text(Symbol(BLOCK, texts[at], texts[at + 1]), words[at + 1])

    # ------------------------------------------------------------------------------- routes

    def _route(self, node: ast.RouteNode) -> None:
        if node.name:
            end = node.label_span
            line = self._lines[end.file][end.end_line - 1]
            column = line.rfind("[", 0, end.end_column - 1) + 1
            column += len(line[column:]) - len(line[column:].lstrip())
            span = ast.Span(end.file, end.end_line, column + 1, end.end_line, end.end_column)
            self._add(Symbol(ROUTE, node.kind, node.name), span, node=node)
        self._body(node.body, node.span)

    def _body(self, body: Iterable[ast.Node], span: ast.Span) -> None:
        self._scopes.append(({}, span))
        for statement in body:
            self._statement(statement)
        self._scopes.pop()

    def _declare(self, name: str, span: ast.Span, node: ast.Node) -> None:
        symbol = Symbol(LOCAL, "", name, (span.file, span.line, span.column))
        scope, block = self._scopes[-1]
        self._add(symbol, span, node=node)
        scope[name] = symbol
        self.symbols.visible.append(
            (self._paths[span.file], span.line - 1, block.end_line - 1, symbol)
        )

    def _statement(self, node: ast.Node) -> None:
        match node:
            case ast.Evaluate():
                self._expression(node.value)
            case ast.Let():
                self._expression(node.value)
                self._declare(node.name, node.name_span, node)
            case ast.Assign():
                self._expression(node.value)
                self._target(node)
            case ast.Return():
                if node.value is not None:
                    self._expression(node.value)
            case ast.If():
                for condition, body in node.branches:
                    self._expression(condition)
                    self._body(body, node.span)
                self._body(node.otherwise or (), node.span)
            case ast.Switch():
                self._expression(node.subject)
                for case in node.cases:
                    for value in case.values:
                        self._expression(value)
                    self._body(case.body, case.span)
            case ast.For():
                self._expression(node.iterable)
                self._scopes.append(({}, node.span))
                self._declare(node.name, node.name_span, node)
                self._body(node.body, node.span)
                self._scopes.pop()
            case ast.While():
                self._expression(node.condition)
                self._body(node.body, node.span)
            case ast.Group():
                self._body(node.body, node.span)

    def _target(self, node: ast.Assign) -> None:
        target = node.target
        if isinstance(target, ast.Fact) and target.name == "call" and target.attribute:
            symbol = Symbol(VARIABLE, "", target.attribute)
            first = symbol not in self.symbols.declared
            self._add(symbol, target.span, len("$call."), node if first else None)
        else:
            self._expression(target)

    # -------------------------------------------------------------------------- expressions

    def _expression(self, node: ast.Expression) -> None:
        match node:
            case ast.Name():
                self._name(node)
            case ast.Fact():
                if node.name == "call" and node.attribute:
                    self._add(Symbol(VARIABLE, "", node.attribute), node.span, len("$call."))
            case ast.Call():
                self._call(node)
            case ast.Binary():
                self._expression(node.left)
                self._expression(node.right)
            case ast.Logical():
                for operand in node.operands:
                    self._expression(operand)
            case ast.Unary():
                self._expression(node.operand)
            case ast.ListOf():
                for item in node.items:
                    self._expression(item)
            case ast.RangeOf():
                self._expression(node.low)
                self._expression(node.high)

    def _name(self, node: ast.Name) -> None:
        name = node.parts[0]
        for scope, _ in reversed(self._scopes):
            if name in scope:
                self._add(scope[name], node.span)
                return
        if node.meaning in self._expressions_of:
            self._add(Symbol(BLOCK, node.meaning, name), node.span)

    def _call(self, node: ast.Call) -> None:
        if node.route:
            self._add(Symbol(ROUTE, NAMED, node.route), node.arguments[0].value.span)
            return
        if len(node.parts) > 1:
            self._add(Symbol(IMPORT, "", node.parts[0]), node.name_span)
        function = self._surface.functions.get(node.text)
        by_place = [one for one in function.parameters if not one.keyword_only] if function else []
        by_name = {one.name: one for one in function.parameters} if function else {}
        place = 0
        for argument in node.arguments:
            if argument.name:
                parameter = by_name.get(argument.name)
            else:
                parameter = by_place[place] if place < len(by_place) else None
                place += 1
            value = argument.value
            wanted = parameter.types[0] if parameter is not None else None
            if wanted is not None and wanted.sort == "route":
                if isinstance(value, ast.Name) and len(value.parts) == 1:
                    self._add(Symbol(ROUTE, wanted.name, value.parts[0]), value.span)
            elif wanted is None or wanted.sort != "enumeration":
                self._expression(value)
