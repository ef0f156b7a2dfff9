"""What Python functions give back, held against the types that their annotations promise.

Python itself does not look at annotations; a route was checked by them, so what does not keep the
promise must not get into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, NamedTuple

from dsl.types import (
    BOOL,
    DECIMAL,
    DURATION,
    INT,
    IP,
    NETWORK,
    STRING,
    VOID,
    Type,
)
from router.routing.objects import Account, Gateway, Phone, Trunk
from router.routing.surface_functions import ACCOUNT, GATEWAY, PHONE, TRUNK

CLASSES_OF_OBJECTS: Mapping[Type, type] = {
    GATEWAY: Gateway, ACCOUNT: Account, TRUNK: Trunk, PHONE: Phone,
}

_CLASSES: dict[Type, tuple[Any, ...]] = {
    STRING: (str,),
    INT: (int,),
    BOOL: (bool,),
    DECIMAL: (Decimal, int),
    DURATION: (int,),
    IP: (IPv4Address, IPv6Address),
    NETWORK: (IPv4Network, IPv6Network),
    VOID: (type(None),),
    **{kind: (one,) for kind, one in CLASSES_OF_OBJECTS.items()},
}
_MILLISECOND = timedelta(milliseconds=1)


class WrongValue(TypeError):
    """A value that is not of the type it should be; the text says what it is."""


class Taker(NamedTuple):
    """Whose instances pass as they are, and what looks at everything else: WrongValue."""

    exact: type
    take: Callable[[Any], Any]


def make_taker(type_: Type, gives_timedelta: bool = False) -> Taker:
    """What takes values of a type of routes."""
    if gives_timedelta:
        return Taker(_Never, _milliseconds)
    if type_.element is not None:
        inner = make_taker(type_.element)
        return Taker(_Never, lambda value: _list(value, type_, inner))
    exact = _Never if type_ in (DECIMAL, DURATION) else _CLASSES[type_][0]
    return Taker(exact, lambda value: take_value(value, type_))


class _Never:
    """Has no instances: every value is looked at."""


def take_value(value: Any, type_: Type) -> Any:
    """The value as routes have it; raises WrongValue."""
    classes = _CLASSES[type_]
    if not isinstance(value, classes) or (isinstance(value, bool) and bool not in classes):
        raise WrongValue(f"{shown(value)}, and not {named(type_)}")
    if type_ == DECIMAL:
        number = Decimal(value)
        if not number.is_finite():
            raise WrongValue(f"{shown(value)}, and not a number")
        return number
    if type_ == DURATION and value < 0:
        raise WrongValue(f"{shown(value)}, and a duration is not negative")
    return value


def _list(value: Any, type_: Type, inner: Taker) -> list[Any]:
    if not isinstance(value, list):
        raise WrongValue(f"{shown(value)}, and not a {type_}")
    for item in value:
        if item.__class__ is not inner.exact:
            try:
                inner.take(item)
            except WrongValue as error:
                raise WrongValue(f"a list that holds {error}") from None
    return value


def _milliseconds(value: Any) -> int:
    if not isinstance(value, timedelta):
        raise WrongValue(f"{shown(value)}, and not a timedelta")
    if value < timedelta():
        raise WrongValue(f"{shown(value)}, and a duration is not negative")
    return value // _MILLISECOND


def shown(value: Any) -> str:
    """A value with its class, cut short: for sentences."""
    text = repr(value)
    if len(text) > 60:
        text = text[:57] + "…"
    return text if value is None else f"{type(value).__name__} {text}"


def named(type_: Type) -> str:
    """A type by the class that Python has for it."""
    if type_ == VOID:
        return "None"
    if type_ in (IP, NETWORK):
        return "an ip address" if type_ == IP else "an ip network"
    if type_ == DURATION:
        return "an int of milliseconds"
    name: str = _CLASSES[type_][0].__name__
    return name
