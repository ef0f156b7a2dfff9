"""Expressions at random, each of a type that is wanted, along the function table."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from dsl.surface import BRANCH, EVENT, FAILURE, REPLY, REQUEST, Function, Parameter, Surface
from dsl.types import (
    ANY,
    BOOL,
    DECIMAL,
    DURATION,
    INT,
    IP,
    NETWORK,
    RANGE,
    REGEX,
    STRING,
    Type,
    list_of,
    object_type,
)

GATEWAY = object_type("gateway")
GATEWAYS = list_of(GATEWAY)
PHONE = object_type("phone")
PLAIN = (STRING, INT, BOOL, DECIMAL, DURATION)
LISTS = (list_of(STRING), list_of(INT), list_of(IP), list_of(NETWORK), GATEWAYS)

TEXTS = ('""', '"86"', '"1000"', '"gold"', '"a \\"b\\" \\\\ c"', '"长途"', '"00"', '"x\\ny"')
NUMBERS = ("0", "1", "2", "7", "86", "480", "603", "-1", "-30")
REGEXES = ("/^86/", "/^(49|44)[0-9]+$/", "/a\\/b|[/#]+/i", "/scanner/i", "/^\\+?[0-9]{3,}/")
DURATIONS = ("500ms", "1s", "30s", "5m", "1.5s", "2h")
DECIMALS = ("0.0", "0.12", "1.50", "100.00", "-2.5")
ADDRESSES = ("127.0.0.1", "192.0.2.7", "[2001:db8::1]")
NETWORKS = ("10.0.0.0/8", "192.0.2.0/24", "[2001:db8::]/32")
HEADERS = ("X-A", "X-B", "Subject", "P-Asserted-Identity", "User-Agent")

# Texts that have to be of a form of their own, by what they are read as.
READ_AS = {
    "rules": ('"0086:86, 0:86"', '"*:9*"', '"86:"', '"??:0|1"'),
    "times": ('"Mo-Fr 08:00-18:00"', '"Sa,Su 00:00-24:00; Fr 22:00-06:00"'),
    "zone": ('"Asia/Shanghai"', '"UTC"'),
    "metric": ('"calls"',),
    "uri": ('"sip:1@192.0.2.9"', '"sip:example.com;transport=tcp"'),
}
NAMES = tuple(f'"{name}"' for name in HEADERS)
FORMS = {
    ("group", "name"): ('"cheap"',),
    ("set_header", "name"): NAMES,
    ("add_header", "name"): NAMES,
    ("remove_header", "name"): NAMES,
    ("match", "group"): ("0",),
}
LABEL = "label"
"""the one label that every metric has"""


class TypedExpressions:
    """Grows expressions of a wanted type that are legal where the program stands just now."""

    def __init__(self, random: Random, surface: Surface) -> None:
        self._random = random
        self._surface = surface
        self._functions = [one for one in surface.functions.values() if one.ready]
        self._gateways = [f"g{number}" for number in range(self._up_to(1, 4))]
        self._variables = {f"v{n}": self._pick(PLAIN) for n in range(self._up_to(0, 3))}
        self._named: list[tuple[str, Type, frozenset[str]]] = []
        """the named routes that later ones may call: name, type and kinds that it is legal in"""
        self._entries = {kind: f"{kind[0].upper()}1" for kind in (BRANCH, REPLY, FAILURE)}
        self._kind = REQUEST
        self._scope: list[tuple[str, Type]] = []
        self._loops = 0

    # --------------------------------------------------------------------------- chances

    def _up_to(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def _chance(self, percent: int) -> bool:
        return self._random.randrange(100) < percent

    def _pick(self, choices: Sequence[Any]) -> Any:
        return self._random.choice(choices)

    # ---------------------------------------------------------------------- expressions

    def _legal(self) -> list[Function]:
        return [one for one in self._functions if self._kind in one.kinds]

    def _call(self, function: Function, deep: int = 0) -> str:
        written = []
        by_name = False
        for parameter in function.parameters:
            needed = parameter.required or self._kind not in (function.bare_kinds or {self._kind})
            if not parameter.ready or (not needed and self._chance(50)):
                by_name = True  # what follows a gap is given by its name
                continue
            value = self._argument(function, parameter, deep)
            if not value:
                by_name = True
                continue
            named = by_name or parameter.keyword_only or self._chance(10)
            by_name = by_name or named
            written.append(f"{parameter.name} = {value}" if named else value)
            while parameter.many and not named and self._chance(40):
                written.append(self._argument(function, parameter, deep))
        if function.labels:
            written.append(f"{LABEL} = {self._expression(STRING, deep + 1)}")
        return f"{function.name}({', '.join(written)})"

    def _argument(self, function: Function, parameter: Parameter, deep: int) -> str:
        forms = FORMS.get((function.name, parameter.name)) or READ_AS.get(parameter.reads)
        if forms is not None:
            return str(self._pick(forms))
        types = [one for one in parameter.types if self._can_make(one)]
        if not types:
            return ""
        type_ = self._pick(types)
        if type_.sort == "enumeration":
            return str(self._pick(sorted(self._surface.enumerations[type_].values)))
        if type_.sort == "route":
            return self._entries[type_.name]
        if type_.sort == "object" and type_ != GATEWAY:
            return f"${type_.name}"
        if type_ == INT and parameter.minimum is not None:
            high = parameter.minimum + 9 if parameter.maximum is None else parameter.maximum
            return str(self._up_to(parameter.minimum, high))
        if type_.element == ANY:
            type_ = self._pick(LISTS)
        return self._expression(type_, deep + 1)

    def _known(self) -> list[tuple[str, Type]]:
        """The variables of the call, where there is one."""
        return [] if self._kind == EVENT else list(self._variables.items())

    def _can_make(self, type_: Type) -> bool:
        if type_.sort == "route":
            return type_.name in self._entries
        if type_.sort != "object" or type_ == GATEWAY:
            return True
        return type_.name != "phone" and self._kind in self._surface.objects[type_.name].kinds

    def _expression(self, type_: Type, deep: int = 0) -> str:
        made: list[str] = [name for name, known in self._scope if known == type_]
        made += [f"$call.{name}" for name, known in self._known() if known == type_]
        if made and self._chance(35):
            return str(self._pick(made))
        if deep > 3 or self._chance(25):
            return self._literal(type_)
        if self._chance(30) and (read := self._read(type_)):
            return read
        if self._chance(40) and (value := self._value_of(type_, deep)):
            return value
        return self._operation(type_, deep + 1)

    def _value_of(self, type_: Type, deep: int) -> str:
        """What a function or a named route gives."""
        routes = [
            name for name, known, kinds in self._named if known == type_ and self._kind in kinds
        ]
        if routes and self._loops == 0 and self._chance(40):
            return f"route({self._pick(routes)})"
        known = [one for one in self._legal() if one.returns == type_]
        return self._call(self._pick(known), deep) if known else ""

    def _read(self, type_: Type) -> str:
        """A fact, a header or an attribute of this type."""
        known = [
            f"${name}"
            for fact in self._surface.facts
            if fact.type == type_ and fact.ready and self._kind in fact.kinds
            for name in (fact.name, fact.alias)
        ]
        for object_ in self._surface.objects.values():
            known += [
                f"${object_.name}.{attribute.name}"
                for attribute in object_.attributes.values()
                if attribute.type == type_ and attribute.ready and self._kind in object_.kinds
            ]
        if type_ == STRING:
            known += [f"$hdr({name})" for name in HEADERS if self._kind != EVENT]
            known += [f"{name}.id" for name in self._gateways]
        return str(self._pick(known)) if known else ""

    def _literal(self, type_: Type) -> str:
        if type_.element is not None:
            count = self._up_to(0 if type_ != GATEWAYS else 1, 3)
            return f"[{', '.join(self._literal(type_.element) for _ in range(max(1, count)))}]"
        written: dict[Type, object] = {
            STRING: TEXTS, INT: NUMBERS, BOOL: ("true", "false"), DECIMAL: DECIMALS,
            DURATION: DURATIONS, IP: ADDRESSES, NETWORK: NETWORKS, REGEX: REGEXES,
            RANGE: ("1..3", "500..599"), GATEWAY: self._gateways,
            PHONE: ('phone("1001")', "$phone"),
        }
        return str(self._pick(written[type_]))

    def _operation(self, type_: Type, deep: int) -> str:
        def some(wanted: Type) -> str:
            return self._expression(wanted, deep)

        if type_ == BOOL:
            return self._condition(deep)
        if type_ == STRING:
            return f"{some(STRING)} + {some(STRING)}"
        if type_ in (INT, DECIMAL):
            other = type_ if type_ == INT or self._chance(50) else INT
            return str(self._pick((
                f"({some(type_)} + {some(other)})", f"{some(type_)} - {some(other)}",
                f"({some(type_)}) / {self._pick(('2', '7', '-3'))}",
                f"{self._literal(type_)} * {self._pick(NUMBERS)}", f"-({some(type_)})",
            )))
        if type_ == DURATION:
            return str(self._pick((
                f"({some(DURATION)} + {some(DURATION)})", f"{some(DURATION)} - {some(DURATION)}",
                f"{self._pick(NUMBERS)} * {self._literal(DURATION)}", f"({some(DURATION)}) / 2",
            )))
        if type_ == GATEWAYS and self._kind in self._surface.functions["without"].kinds:
            return f"without({some(GATEWAYS)}, {some(GATEWAY)})"
        return self._literal(type_)

    def _condition(self, deep: int) -> str:
        def some(wanted: Type) -> str:
            return self._expression(wanted, deep)

        equal = self._pick((*PLAIN, IP, GATEWAY))
        ordered = self._pick((INT, DECIMAL, DURATION))
        element = self._pick((STRING, INT, IP))
        return str(self._pick((
            f"({some(equal)} {self._pick(('==', '!='))} {some(equal)})",
            f"({some(ordered)} {self._pick(('<', '<=', '>', '>='))} {some(ordered)})",
            f"({some(STRING)} {self._pick(('=~', '!~'))} {self._pick(REGEXES)})",
            f"({some(INT)} in {self._literal(RANGE)})", f"({some(IP)} in {self._literal(NETWORK)})",
            f"({some(IP)} in {self._literal(list_of(NETWORK))})",
            f"({some(element)} in {some(list_of(element))})",
            f"({some(BOOL)} && {some(BOOL)})", f"({some(BOOL)} || {some(BOOL)} || {some(BOOL)})",
            f"!({some(BOOL)})",
        )))
