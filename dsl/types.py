"""The types of the route language: what they are called, and which value fits where.

A type is a plain value that can be compared. What a value looks like while a route runs:

    string str      int int           bool bool       decimal Decimal    duration int (ms)
    ip     IPv4Address/IPv6Address    network IPv4Network/IPv6Network     regex re.Pattern
    list   list     range  range      objects (gateway, account …): what routing hands out
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Type:
    """A type by name; `element` is the type of what a list holds.

    `sort` tells what an expression of the type may be: "value" any expression, "object" one with
    attributes, "enumeration" a bare word out of a closed list, "route" the bare name of a route
    whose kind is the type's name.
    """

    name: str
    element: Type | None = None
    sort: str = "value"

    def __str__(self) -> str:
        if self.element is not None and self.element != ANY:
            return f"list of {self.element}s"
        return self.name


ANY = Type("anything")
"""The type of what is already known to be wrong, and of parameters that take every value."""
VOID = Type("nothing")
STRING = Type("string")
INT = Type("int")
BOOL = Type("bool")
DECIMAL = Type("decimal")
DURATION = Type("duration")
IP = Type("ip")
NETWORK = Type("network")
REGEX = Type("regex")
RANGE = Type("range")

NUMBERS = frozenset({INT, DECIMAL})
ORDERED = frozenset({INT, DECIMAL, DURATION})


def list_of(element: Type) -> Type:
    """The type of a list whose values are all of one type."""
    return Type("list", element)


def object_type(name: str) -> Type:
    """The type of an object with attributes, such as a gateway."""
    return Type(name, None, "object")


def route_type(kind: str) -> Type:
    """The type of a parameter that takes the name of a route of this kind."""
    return Type(kind, None, "route")


def enumeration_type(name: str) -> Type:
    """The type of a parameter that takes a bare word out of a closed list."""
    return Type(name, None, "enumeration")


def fits(given: Type, wanted: Type) -> bool:
    """Whether a value of the one type may stand where the other is wanted.

    The only silent widening is from int to decimal; what is known to be wrong fits everywhere, so
    that one mistake gives one finding.
    """
    if given in (wanted, ANY) or wanted == ANY:
        return True
    if given == INT and wanted == DECIMAL:
        return True
    if given.element is not None and wanted.element is not None:
        return ANY in (given.element, wanted.element) or given.element == wanted.element
    return False
