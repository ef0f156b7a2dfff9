"""`$` facts: which exist, where they may be read, which may be assigned."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dsl import ast
from dsl.check import kamailio
from dsl.check.report import article, did_you_mean
from dsl.check.world import Variable
from dsl.surface import ENTRY_KINDS, EVENT
from dsl.types import ANY, STRING, Type, fits

if TYPE_CHECKING:
    from dsl.check.expressions import ExpressionChecker

_IN_TEXT = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)(?:\([^()]*\)|(?:\.[A-Za-z_]\w*)+)?")
_WITH_NAMES = frozenset({"call", "hdr", "var", "avp", "xavp", "dlg_var"})
_SIGNS = frozenset("-_.!%*+`'~")


class FactChecker:
    """Checks the facts in one route's expressions."""

    def __init__(self, checker: ExpressionChecker) -> None:
        self._checker = checker
        self._world = checker.world
        self._report = checker.report

    def read(self, node: ast.Fact) -> Type:
        """The type of a fact that is read."""
        if node.name == "hdr":
            return self._header(node)
        if node.argument is not None:
            self._unknown(node)
            return ANY
        if node.name == "call":
            return self._variable(node)
        surface = self._world.surface
        object_ = surface.objects.get(node.name)
        if object_ is not None:
            return self._object(node)
        fact = surface.by_dollar.get(node.name)
        if fact is None:
            self._unknown(node)
            return ANY
        if node.attribute:
            self._report.add(
                "unknown-attribute",
                node.span,
                f"`${node.name}` is {article(str(fact.type))}, which has no attributes",
            )
            return ANY
        node.meaning, node.alias = "fact", fact.alias
        self._checker.use(node.span, f"`${node.name}`", fact.kinds)
        if not fact.ready:
            self._checker.not_supported(node.span, f"`${node.name}`")
        return fact.type

    def _header(self, node: ast.Fact) -> Type:
        name = node.argument or ""
        if not name or node.attribute:
            self._report.add(
                "bad-header-name",
                node.span,
                "`$hdr` takes the name of a header",
                "write `$hdr(User-Agent)`",
            )
            return STRING
        if not all(char.isascii() and (char.isalnum() or char in _SIGNS) for char in name):
            self._report.add(
                "bad-header-name",
                node.span,
                f"`{name}` is no name of a header",
                "the name stands without quotes: `$hdr(User-Agent)`",
            )
        node.meaning = "header"
        self._checker.use(node.span, "`$hdr(…)`", ENTRY_KINDS - {EVENT})
        return STRING

    def _variable(self, node: ast.Fact) -> Type:
        node.meaning = "variable"
        if not node.attribute:
            self._report.add(
                "unknown-fact",
                node.span,
                "`$call` alone is no value",
                "a variable of the call is `$call.name`",
            )
            return ANY
        self._checker.use(node.span, f"`${node.text[1:]}`", ENTRY_KINDS - {EVENT})
        variable = self._world.variables.get(node.attribute)
        if variable is None:
            names = [f"$call.{name}" for name in self._world.variables]
            self._report.unknown(
                "unknown-variable",
                node.span,
                f"`{node.text}` is never assigned",
                node.attribute,
                (),
                did_you_mean(node.text, names),
            )
            return ANY
        variable.read = True
        return variable.type

    def _object(self, node: ast.Fact) -> Type:
        object_ = self._world.surface.objects[node.name]
        self._checker.use(node.span, f"`${node.name}`", object_.kinds)
        if not node.attribute:
            node.meaning = "object"
            return object_.type
        node.meaning = "attribute"
        attribute = object_.attributes.get(node.attribute)
        if attribute is None:
            self._report.unknown(
                "unknown-attribute",
                node.span,
                f"{article(node.name)} has no attribute `{node.attribute}`",
                node.attribute,
                object_.attributes,
            )
            return ANY
        if not attribute.ready:
            self._checker.not_supported(node.span, f"`{node.text}`")
        return attribute.type

    def _unknown(self, node: ast.Fact) -> None:
        surface = self._world.surface
        help = kamailio.FACTS.get(node.name, "")
        if not help and self._checker.scope.find(node.name) is not None:
            help = f"a local has no dollar: `{node.name}`"
        candidates = [f"${name}" for name in (*surface.by_dollar, *surface.objects, "call", "hdr")]
        self._report.unknown(
            "unknown-fact",
            node.span,
            f"there is no fact `{node.text}`",
            node.name,
            (),
            help or did_you_mean(f"${node.name}", candidates),
        )

    def look_into(self, node: ast.Literal) -> None:
        """Warn of a fact inside a string, where it is a text like any other."""
        surface = self._world.surface
        for found in _IN_TEXT.finditer(node.value):
            name = found.group(1)
            if name in surface.by_dollar or name in surface.objects or name in _WITH_NAMES:
                self._report.warn(
                    "no-substitution",
                    node.span,
                    f"`{found.group()}` inside a string is text: no value takes its place",
                    f"join strings with `+`: {_joined(node.value, found)}",
                )
                return

    # --------------------------------------------------------------------------- assignment

    def assign(self, target: ast.Fact, value: Type) -> None:
        """A fact that is given a value of this type."""
        if target.name == "call" and target.attribute and target.argument is None:
            self._assign_variable(target, value)
            return
        fact = self._world.surface.by_dollar.get(target.name)
        if fact is None or target.argument is not None or target.attribute:
            if target.name == "hdr" or target.name in self._world.surface.objects:
                help = "write `set_header(name, value);`" if target.name == "hdr" else ""
                self._report.add(
                    "not-assignable", target.span, f"`{target.text}` cannot be assigned", help
                )
            else:
                self._unknown(target)
            return
        target.meaning, target.alias, target.type = "fact", fact.alias, fact.type
        if not fact.assignable:
            names = ", ".join(f"${one.name}" for one in self._world.surface.facts if one.assignable)
            self._report.add(
                "not-assignable",
                target.span,
                f"`${target.name}` cannot be assigned",
                f"those that can: {names}",
            )
            return
        self._checker.use(target.span, f"assigning `${target.name}`", fact.assignable)
        if not fits(value, fact.type):
            self._report.add(
                "wrong-type",
                target.span,
                f"`${target.name}` is {article(str(fact.type))} and cannot be "
                f"{article(str(value))}",
                "write `str(…)`" if fact.type == STRING else "",
            )

    def _assign_variable(self, target: ast.Fact, value: Type) -> None:
        target.meaning = "variable"
        self._checker.use(target.span, f"assigning `{target.text}`", ENTRY_KINDS - {EVENT})
        if value.name not in ("string", "int", "bool", "decimal", "duration", "anything"):
            self._report.add(
                "wrong-type",
                target.span,
                f"a variable of the call cannot be {article(str(value))}",
                "it is written to the CDR: string, int, bool, decimal or duration",
            )
            return
        variable = self._world.variables.get(target.attribute)
        if variable is None or (
            self._world.collecting
            and (variable.type == ANY or (value != ANY and _earlier(target.span, variable.span)))
        ):
            self._world.variables[target.attribute] = Variable(value, target.span)
            target.type = value
            return
        target.type = variable.type
        if not fits(value, variable.type):
            place = f"line {variable.span.line}"
            self._report.add(
                "type-changed",
                target.span,
                f"`{target.text}` is {article(str(variable.type))} since {place} and cannot "
                f"become {article(str(value))}",
            )


def _joined(text: str, found: re.Match[str]) -> str:
    """The beginning of the string as it was meant."""
    before = text[: found.start()].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    rest = " + …" if found.end() < len(text) else ""
    return f'`"{before}" + {found.group()}{rest}`' if before else f"`{found.group()}{rest}`"


def _earlier(one: ast.Span, other: ast.Span) -> bool:
    return (one.file, one.line, one.column) < (other.file, other.line, other.column)
