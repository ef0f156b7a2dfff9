"""What a function of an imported Python file takes and gives, in the types of routes.

Read from its annotations. Anything the language has no type for is a fault of the file, said in
one sentence with its line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from dsl.surface import (
    BRANCH,
    ENTRY_KINDS,
    EVENT,
    FAILURE,
    REQUEST,
    REQUIRED,
    Function,
    Parameter,
    PythonSide,
)
from dsl.types import BOOL, DECIMAL, DURATION, INT, IP, NETWORK, STRING, VOID, Type, list_of

WAITING_KINDS = frozenset({REQUEST, BRANCH, FAILURE, EVENT})
"""Where a route may wait: the others are over before anything else happens in the call."""

_PLAIN: dict[Any, Type] = {
    str: STRING,
    int: INT,
    bool: BOOL,
    Decimal: DECIMAL,
    timedelta: DURATION,
}
_UNIONS: dict[frozenset[Any], Type] = {
    frozenset({IPv4Address, IPv6Address}): IP,
    frozenset({IPv4Network, IPv6Network}): NETWORK,
}
_HALVES: dict[Any, str] = {
    IPv4Address: "IPv4Address | IPv6Address",
    IPv6Address: "IPv4Address | IPv6Address",
    IPv4Network: "IPv4Network | IPv6Network",
    IPv6Network: "IPv4Network | IPv6Network",
}
_HINTS: dict[Any, str] = {
    float: "write `Decimal`: a route has no numbers with rounding errors",
    bytes: "write `str`",
    list: "say what it holds: `list[str]`",
}
_KNOWN = "str, int, bool, Decimal, timedelta, ip addresses and networks, lists of these"


class Problem(NamedTuple):
    """A fault of a Python file: its line, 0 if unknown, and a sentence."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Hook:
    """A function of an imported file that routes may call, as plain data that can travel.

    `takes_call` says that its first parameter is the call, which the route does not write; `waits`
    that it is an `async def`. `durations` are the parameters, by place and by name, that take a
    timedelta where the route has milliseconds; `gives_timedelta` the same of what it returns.
    """

    alias: str
    name: str
    takes_call: bool
    waits: bool
    returns: Type
    durations: frozenset[int | str] = frozenset()
    gives_timedelta: bool = False

    @property
    def title(self) -> str:
        """The function as routes call it."""
        return f"{self.alias}.{self.name}"


class HookSignature(NamedTuple):
    """A hook, and its entry in the function table."""

    hook: Hook
    function: Function


class _Fault(Exception):
    """Why a function cannot be called from a route."""


def read_signature(
    function: Callable[..., Any], alias: str, name: str, side: PythonSide
) -> HookSignature | Problem:
    """What routes need to know of a function that is marked for them."""
    try:
        return _Reader(function, alias, name, side).read()
    except _Fault as fault:
        code = getattr(inspect.unwrap(function), "__code__", None)
        return Problem(code.co_firstlineno if code is not None else 0, f"`{name}`: {fault}")


class _Reader:
    def __init__(
        self, function: Callable[..., Any], alias: str, name: str, side: PythonSide
    ) -> None:
        self._function = function
        self._alias = alias
        self._name = name
        self._side = side
        self._durations: set[int | str] = set()

    def read(self) -> HookSignature:
        function = self._function
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise _Fault("it has a `yield`: a route calls functions that return")
        try:
            hints = get_type_hints(function, include_extras=True)
            signature = inspect.signature(function)
        except Exception as error:  # whatever evaluating the annotations comes to
            raise _Fault(
                f"its annotations cannot be read: {type(error).__name__}: {error}"
            ) from None
        given = list(signature.parameters.values())
        takes_call = bool(given) and hints.get(given[0].name) is self._side.call
        if takes_call and given[0].kind is inspect.Parameter.KEYWORD_ONLY:
            raise _Fault("the parameter for the call comes first, before the `*`")
        parameters = tuple(self._parameters(given[takes_call:], hints))
        waits = inspect.iscoroutinefunction(function)
        returns = self._returns(signature, hints)
        hook = Hook(
            self._alias,
            self._name,
            takes_call,
            waits,
            returns,
            frozenset(self._durations),
            hints.get("return") is timedelta,
        )
        kinds = WAITING_KINDS if waits else ENTRY_KINDS
        doc = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")
        return HookSignature(
            hook, Function(hook.title, parameters, returns, kinds, self._name, doc)
        )

    def _parameters(
        self, given: list[inspect.Parameter], hints: dict[str, Any]
    ) -> Iterator[Parameter]:
        for place, one in enumerate(given):
            if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
                stars = "*" if one.kind is one.VAR_POSITIONAL else "**"
                raise _Fault(
                    f"it takes any number of arguments: name them, not `{stars}{one.name}`"
                )
            if one.name not in hints:
                raise _Fault(f"its parameter `{one.name}` has no annotation")
            annotation = hints[one.name]
            if annotation is self._side.call:
                raise _Fault("the parameter for the call comes first")
            parts = list(_parts(annotation))
            if one.default is None:
                # `x: str | None = None`: a route that has no value leaves it out.
                parts = [part for part in parts if part is not NoneType]
            types = self._alternatives(one.name, parts)
            if timedelta in parts:
                if len(types) > 1:
                    raise _Fault(f"its parameter `{one.name}` takes a timedelta or something else")
                self._durations |= {place, one.name}
            yield Parameter(
                one.name,
                types,
                REQUIRED if one.default is one.empty else one.default,
                keyword_only=one.kind is one.KEYWORD_ONLY,
            )

    def _alternatives(self, name: str, parts: list[Any]) -> tuple[Type, ...]:
        """The types that a parameter takes: several for a union."""
        types: list[Type] = []
        for group, type_ in _UNIONS.items():
            if group <= set(parts):
                types.append(type_)
                parts = [part for part in parts if part not in group]
        for part in parts:
            type_of_part = self._type(part)
            if type_of_part is None:
                raise _Fault(f"its parameter `{name}` {self._unknown(part)}")
            types.append(type_of_part)
        return tuple(types)

    def _returns(self, signature: inspect.Signature, hints: dict[str, Any]) -> Type:
        if "return" not in hints:
            raise _Fault("it does not say what it returns: write `-> None` if it is nothing")
        annotation = hints["return"]
        if annotation is NoneType or annotation is None:
            return VOID
        type_ = self._type(annotation)
        if type_ is None and annotation in _HALVES:
            type_ = IP if annotation in (IPv4Address, IPv6Address) else NETWORK
        if type_ is None:
            raise _Fault(f"what it returns {self._unknown(annotation)}")
        return type_

    def _type(self, annotation: Any) -> Type | None:
        """The one type of an annotation; None if it has none, or several."""
        if get_origin(annotation) is list:
            (inner,) = get_args(annotation)
            # What a list holds is not looked at again on its way: no timedeltas in it.
            element = None if inner is timedelta else self._type(inner)
            return list_of(element) if element is not None else None
        if get_origin(annotation) in (Union, UnionType):
            return _UNIONS.get(frozenset(get_args(annotation)))
        for known in (_PLAIN, self._side.types):
            try:
                if annotation in known:
                    return known[annotation]
            except TypeError:  # an annotation that cannot be hashed
                return None
        return None

    def _unknown(self, annotation: Any) -> str:
        written = inspect.formatannotation(annotation)
        if annotation in _HALVES:
            return f"is `{written}`, and routes may have either: write `{_HALVES[annotation]}`"
        hint = _HINTS.get(annotation) if isinstance(annotation, type) else None
        more = ", ".join(sorted(one.__name__ for one in self._side.types if isinstance(one, type)))
        return f"is `{written}`, which routes have no type for: " + (
            hint or f"they have {_KNOWN}, {more}"
        )


def _parts(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (Union, UnionType):
        yield from get_args(annotation)
    else:
        yield annotation
