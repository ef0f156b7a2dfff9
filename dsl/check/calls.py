"""Calls: which functions exist, how many arguments they take, and of which types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsl import ast
from dsl.check import kamailio
from dsl.check.metrics import check_labels
from dsl.check.report import article, did_you_mean, written
from dsl.check.values import read_value
from dsl.literals import LiteralError
from dsl.regexes import RegexError, compile_regex
from dsl.signatures import HookSignature
from dsl.surface import NAMED, Enumeration, Function, Parameter, ValueType
from dsl.types import ANY, INT, REGEX, STRING, VOID, Type, fits

if TYPE_CHECKING:
    from dsl.check.expressions import ExpressionChecker


class CallChecker:
    """Checks the calls in one route's expressions."""

    def __init__(self, checker: ExpressionChecker) -> None:
        self._checker = checker
        self._world = checker.world
        self._report = checker.report

    def check(self, node: ast.Call) -> Type:
        """The type of what a call gives, VOID for nothing."""
        if node.parts == ("route",):
            return self._route(node)
        if len(node.parts) > 1:
            return self._dotted(node)
        function = self._world.surface.functions.get(node.text)
        if function is None:
            self._unknown(node)
            for argument in node.arguments:
                self._loose(argument.value)
            return ANY
        kinds = function.kinds
        what = f"`{function.name}()`"
        if function.bare_kinds is not None:
            if node.arguments:
                what = f"`{function.name}(…)`"
            else:
                kinds = function.bare_kinds
                what = f"`{function.name}()` without an argument"
        self._checker.use(node.name_span, what, kinds)
        if not function.ready:
            self._checker.not_supported(node.name_span, f"`{function.name}()`")
        self._arguments(node, function)
        return function.returns

    # ------------------------------------------------------------------------ which function

    def _unknown(self, node: ast.Call) -> None:
        name = node.text
        functions = self._world.surface.functions
        help = kamailio.FUNCTIONS.get(name, "")
        self._world.declarations.mention(
            one.value.value for one in node.arguments if isinstance(one.value, ast.Literal)
        )
        if not help and (NAMED, name) in self._world.declarations.routes:
            help = f"a route is called with `route({name})`"
        close = did_you_mean(name, functions)
        self._report.unknown(
            "unknown-function",
            node.name_span,
            f"there is no function `{name}`",
            name,
            (),
            help or close,
        )

    def _dotted(self, node: ast.Call) -> Type:
        """A call of a function of a Python file."""
        signature = self._signature(node)
        if signature is None:
            for argument in node.arguments:
                self._loose(argument.value)
            return ANY
        function, waits = signature.function, signature.hook.waits
        node.hook, node.waits = True, waits
        what = f"`{function.name}()`" + (", which waits," if waits else "")
        self._checker.use(node.name_span, what, function.kinds)
        self._checker.route.waits |= waits
        self._arguments(node, function)
        return function.returns

    def _signature(self, node: ast.Call) -> HookSignature | None:
        """What is called; None if that is unknown, which is then reported."""
        imports = self._world.declarations.imports
        alias, name = node.parts[0], ".".join(node.parts[1:])
        imported = imports.get(alias)
        if imported is None:
            close = did_you_mean(alias, imports).replace("`?", f".{name}`?")
            self._report.unknown(
                "unknown-function",
                node.name_span,
                f"there is no function `{node.text}`",
                alias,
                (),
                close or f"nothing is imported as `{alias}`",
            )
            return None
        imported.used = True
        offer = imported.offer
        signature = offer.hooks.get(name)
        if signature is None and not offer.broken and name not in offer.faulty:
            help = did_you_mean(name, offer.hooks).replace("mean `", f"mean `{alias}.")
            if name in offer.others:
                help = f"`{name}` of {imported.node.path} has no @route_function above it"
            self._report.add(
                "unknown-function",
                node.name_span,
                f"{imported.node.path} has no function `{name}` for routes",
                help or (f"it has {', '.join(offer.hooks)}" if offer.hooks else ""),
            )
        return signature

    def _loose(self, value: ast.Expression) -> None:
        """An argument of a call that nothing is known of: a bare name may mean anything."""
        if not isinstance(value, ast.Name) or self._checker.scope.find(value.parts[0]):
            self._checker.infer(value)

    def _route(self, node: ast.Call) -> Type:
        routes = self._world.declarations.routes_of(NAMED)
        first = node.arguments[0].value if node.arguments else None
        if len(node.arguments) != 1 or not isinstance(first, ast.Name) or node.arguments[0].name:
            help = "write `route(NAME)`"
            if isinstance(first, ast.Literal) and first.type == STRING:
                help = f"did you mean `route({first.value})`?"
            self._report.add(
                "wrong-type",
                node.span,
                "`route` takes the name of a route, and nothing else",
                help,
            )
            return ANY
        name = first.text
        target = routes.get(name)
        if target is None and name in self._world.declarations.unplaced:
            return ANY
        if target is None:
            other = [kind for kind, one in self._world.declarations.routes if one == name]
            help = (
                f"`{name}` is {article(other[0])}: only a route[…] can be called" if other else ""
            )
            self._report.unknown(
                "unknown-route", first.span, f"there is no route[{name}]", name, routes, help
            )
            return ANY
        first.meaning, first.type = "route", ANY
        return ANY if target.recursive else target.returns

    # ----------------------------------------------------------------------------- arguments

    def _arguments(self, node: ast.Call, function: Function) -> None:
        by_place = [one for one in function.parameters if not one.keyword_only]
        by_name = {one.name: one for one in function.parameters}
        given: dict[str, ast.Argument] = {}
        bound: list[tuple[ast.Argument, Parameter]] = []
        labels: list[tuple[ast.Argument, Type]] = []
        place = 0
        for argument in node.arguments:
            if argument.name:
                parameter = by_name.get(argument.name)
                if parameter is None and function.labels:
                    labels.append((argument, self._checker.value(argument.value)))
                    continue
                if parameter is None:
                    self._unknown_argument(argument, function)
                    continue
            elif place < len(by_place):
                parameter = by_place[place]
                place += not parameter.many
            else:
                self._too_many(argument, function, by_place)
                self._loose(argument.value)
                continue
            if parameter.name in given and not parameter.many:
                self._report.add(
                    "duplicate-argument", argument.span, f"`{parameter.name}` is given twice"
                )
            given[parameter.name] = argument
            bound.append((argument, parameter))
        missing = [one.name for one in function.parameters if one.required]
        missing = [name for name in missing if name not in given]
        for argument, parameter in bound:
            if missing:  # and what is there may be meant for another place
                self._loose(argument.value)
            else:
                self._argument(argument, parameter, function)
        if missing:
            names = " and ".join(f"`{name}`" for name in missing)
            self._report.add(
                "missing-argument",
                node.span,
                f"`{function.name}` needs {names}",
                signature(function),
            )

        self._check_group(given)
        if function.labels:
            check_labels(self._world, node, labels, function)

    def _check_group(self, given: dict[str, ast.Argument]) -> None:
        """A group that is written out has to be in the regex that is written out with it."""
        regex = given["regex"].value if "regex" in given else None
        group = given["group"].value if "group" in given else None
        if not isinstance(regex, ast.Pattern) or not isinstance(group, ast.Literal):
            return
        try:
            groups = compile_regex(regex.pattern, regex.flags).groups
        except RegexError:
            return
        if group.type == INT and group.value > groups:
            self._report.add(
                "out-of-range",
                group.span,
                f"the regex has no group {group.value}",
                f"its groups are 1 to {groups}" if groups else "a group stands in parentheses",
            )

    def _unknown_argument(self, argument: ast.Argument, function: Function) -> None:
        names = [one.name for one in function.parameters]
        self._report.add(
            "unknown-argument",
            argument.span,
            f"`{function.name}` has no argument `{argument.name}`",
            did_you_mean(argument.name, names) or signature(function),
        )
        self._loose(argument.value)

    def _too_many(
        self, argument: ast.Argument, function: Function, by_place: list[Parameter]
    ) -> None:
        count = len(by_place)
        keywords = [one.name for one in function.parameters if one.keyword_only]
        message = f"`{function.name}` takes {count or 'no'} argument{'' if count == 1 else 's'}"
        if keywords:
            message += " without a name"
        self._report.add("too-many-arguments", argument.span, message, signature(function))

    def _argument(self, argument: ast.Argument, parameter: Parameter, function: Function) -> None:
        value = argument.value
        if not parameter.ready:
            self._checker.not_supported(argument.span, f"`{parameter.name}`")
        wanted = parameter.types[0]
        if wanted.sort == "enumeration":
            self._word(value, self._world.surface.enumerations[wanted], function)
            return
        if wanted.sort == "route":
            self._route_name(value, wanted.name, parameter)
            return
        type_ = self._checker.value(value)
        if not any(fits(type_, one) for one in parameter.types):
            names = " or ".join(str(one) for one in parameter.types)
            self._report.add(
                "wrong-type",
                value.span,
                f"`{parameter.name}` of `{function.name}` is {article(names)}, and this is "
                f"{article(str(type_))}",
                self._conversion(value, type_, parameter),
            )
        elif isinstance(value, ast.Literal) and type_ == INT:
            self._bounds(value, parameter, function)
        elif isinstance(value, ast.Literal) and type_ == STRING:
            self._text(value, parameter)

    def _conversion(self, value: ast.Expression, type_: Type, parameter: Parameter) -> str:
        """How a value of this type could be what is wanted."""
        text = value.value if isinstance(value, ast.Literal) and type_ == STRING else None
        if text is not None:
            if parameter.types == (REGEX,):
                return f"did you mean `/{text}/`?"
            if parameter.types == (INT,) and text.isdecimal():
                return f"did you mean `{text}`?"
        if STRING in parameter.types and type_ not in (VOID, ANY) and type_.sort == "value":
            return "`str(…)` makes a string of it"
        if parameter.types == (INT,) and type_ == STRING:
            return "`int(text, default)` reads a number"
        gateways = self._world.declarations.blocks.get("gateway", {})
        if type_ == STRING and any(str(one) == "gateway" for one in parameter.types):
            if text in gateways:
                return f"a gateway is named without quotes: `{text}`"
            return f"`gateways({written(value) or '$rU'})` gives those that serve a number"
        return ""

    def _text(self, value: ast.Literal, parameter: Parameter) -> None:
        """A string that is written out where it has to mean something."""
        if parameter.reads:
            try:
                kind = ValueType(parameter.reads, choices=parameter.choices)
                read_value(value.value, True, kind)
            except LiteralError as error:
                self._report.add(error.code, value.span, error.message, error.help)
        refers = parameter.refers
        blocks = self._world.declarations.blocks.get(refers, {})
        if refers and value.value not in blocks:
            message = f"there is no {refers} `{value.value}`"
            self._report.unknown(f"unknown-{refers}", value.span, message, value.value, blocks)

    def _bounds(self, value: ast.Literal, parameter: Parameter, function: Function) -> None:
        low, high = parameter.minimum, parameter.maximum
        if (low is not None and value.value < low) or (high is not None and value.value > high):
            bounds = f"{low} to {high}" if high is not None else f"at least {low}"
            self._report.add(
                "out-of-range",
                value.span,
                f"`{parameter.name}` of `{function.name}` is {bounds}",
            )

    def _word(self, value: ast.Expression, enumeration: Enumeration, function: Function) -> None:
        noun = enumeration.noun
        if isinstance(value, ast.Bad):
            return
        if not isinstance(value, ast.Name) or len(value.parts) > 1:
            help = ""
            if isinstance(value, ast.Literal) and value.value in enumeration.values:
                help = f"did you mean `{value.value}`?"
            elif isinstance(value, ast.Literal) and value.type == INT and function.name == "end":
                help = f"`reply({value.value})` answers with a status"
            self._report.add(
                "wrong-type",
                value.span,
                f"`{function.name}` takes {article(noun)} here, written as a bare word",
                help,
            )
            return
        word = value.parts[0]
        if word not in enumeration.values:
            code = "unknown-end-reason" if noun == "end reason" else "unknown-word"
            known = list(enumeration.values)
            help = "" if len(known) > 8 else f"they are: {', '.join(known)}"
            self._report.unknown(
                code, value.span, f"there is no {noun} `{word}`", word, known, help
            )
            return
        value.meaning, value.type = "word", enumeration.type
        value.value = enumeration.values[word]

    def _route_name(self, value: ast.Expression, kind: str, parameter: Parameter) -> None:
        if isinstance(value, ast.Bad):
            return
        if not isinstance(value, ast.Name) or len(value.parts) > 1:
            help = ""
            if isinstance(value, ast.Literal) and value.type == STRING:
                help = f"did you mean `{value.value}`?"
            elif isinstance(value, ast.Literal) and value.type == INT:
                help = f"a name begins with a letter: `{kind}[R{value.value}]`"
            self._report.add(
                "wrong-type",
                value.span,
                f"`{parameter.name}` takes the name of {article(kind)}",
                help,
            )
            return
        name = value.parts[0]
        route = self._world.declarations.routes.get((kind, name))
        if route is not None:
            route.referenced = True
            value.meaning, value.type, value.value = "route", Type(kind, None, "route"), name
            return
        if name in self._world.declarations.unplaced:
            return
        others = [one for one, other in self._world.declarations.routes if other == name]
        help = f"`{name}` is {article(others[0])}" if others else ""
        candidates = [] if others else self._world.declarations.routes_of(kind)
        self._report.unknown(
            "unknown-route", value.span, f"there is no {kind}[{name}]", name, candidates, help
        )


def signature(function: Function) -> str:
    """How a function is called: `reply(code, reason = "")`."""
    parts = []
    for one in function.parameters:
        if one.required:
            parts.append(f"{one.name}, …" if one.many else one.name)
        elif one.default in ("", None) or one.keyword_only:
            parts.append(f"{one.name} = …")
        else:
            parts.append(f"{one.name} = {one.default}")
    return f"{function.name}({', '.join(parts)})"
