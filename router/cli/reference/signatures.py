"""Entries of the function table as text: signatures, types, where something is legal."""

from __future__ import annotations

from dsl.check.report import article
from dsl.surface import (
    ENTRY_KINDS,
    ROUTE_KINDS,
    Enumeration,
    Function,
    ObjectType,
    Parameter,
    Setting,
    ValueType,
)
from dsl.types import VOID, Type

_MAX_COLUMNS = 90
_WITHOUT_PARENTHESES = frozenset({"drop", "exit"})
_VALUE_NOUNS = {
    "string": "text in quotes",
    "int": "whole number",
    "bool": "true or false",
    "decimal": "decimal",
    "amount": "amount",
    "duration": "duration",
    "network": "network",
    "address": "address of a peer",
    "listener": "transport and address",
    "endpoint": "address and port",
    "relay": "address and port",
    "codes": "status or range of them",
    "prefix": "prefix",
    "rules": "rewrite rules",
    "times": "times of the week",
    "file_by_time": "file name in quotes, with the time in it",
    "code_pair": "code:code",
    "code_reason": "code:EndReason",
    "lengths": "length or range of them",
    "date": "date",
}
_PLURALS = {
    "network": "networks",
    "prefix": "prefixes",
    "codes": "statuses and ranges of them",
    "code_pair": "pairs code:code",
    "code_reason": "pairs code:EndReason",
    "address": "addresses of peers",
    "listener": "transports with addresses",
}


def function_signature(function: Function, title: str = "") -> str:
    """`reply(code: int, reason: string = "")`, with `→ bool` behind if it gives a value.

    One that is too long for a line has its parameters below each other. `title` is what it is
    called by if that is not its name.
    """
    title = title or function.name
    if function.name in _WITHOUT_PARENTHESES:
        return f"{title};"
    parameters = [parameter_text(one) for one in function.parameters]
    if function.labels:
        parameters.append(f"LABEL = {' | '.join(map(type_text, function.labels))}, …")
    returns = "" if function.returns == VOID else f" → {function.returns}"
    line = f"{title}({', '.join(parameters)}){returns}"
    if len(line) <= _MAX_COLUMNS:
        return line
    inner = ",\n".join(f"    {one}" for one in parameters)
    return f"{title}(\n{inner}\n){returns}"


def parameter_text(parameter: Parameter) -> str:
    """`code: int`, `reason: string = ""`."""
    types = " | ".join(map(type_text, parameter.types))
    more = ", …" if parameter.many else ""
    return f"{parameter.name}: {types}{_default(parameter)}{more}"


def type_text(type_: Type) -> str:
    """A type as a signature names it."""
    if type_.sort == "route":
        return f"name of {article(type_.name)}"
    return str(type_)


def _default(parameter: Parameter) -> str:
    if parameter.required:
        return ""
    if parameter.default is None or parameter.types[0].sort == "route":
        return " = …"
    if parameter.types[0].sort == "enumeration":
        return f" = {parameter.default or '…'}"
    if isinstance(parameter.default, str):
        return f' = "{parameter.default}"'
    return f" = {parameter.default}"


def kinds_text(kinds: frozenset[str]) -> str:
    """The kinds of route in the order in which the reference has them."""
    if kinds >= ENTRY_KINDS:
        return "everywhere"
    missing = ENTRY_KINDS - kinds
    if kinds and len(missing) <= 2:
        return f"everywhere but in {_listed(missing)}"
    return _listed(kinds)


def _listed(kinds: frozenset[str]) -> str:
    names = [kind for kind in ROUTE_KINDS if kind in kinds]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def legality(function: Function) -> str:
    """A sentence on where the function is legal and whether it ends the route."""
    where = kinds_text(function.kinds)
    sentences = [f"Legal {'' if where.startswith('everywhere') else 'in '}{where}."]
    if function.bare_kinds is not None:
        sentences.append(f"Without an argument in {kinds_text(function.bare_kinds)} only.")
    if function.terminal and "ends the route" not in function.doc.lower():
        sentences.append("Ends the route.")
    return " ".join(sentences)


def value_type_text(kind: ValueType) -> str:
    """What may stand behind the `=` of a setting."""
    if kind.name == "word":
        words = ", ".join(kind.choices)
        return f"some of {words}" if kind.many else f"one of {words}"
    if kind.name == "reference":
        return f"names of {kind.refers}s" if kind.many else f"name of {article(kind.refers)}"
    if kind.name == "count":
        return f"{', '.join(kind.choices)} or a whole number{_bounds(kind)}"
    if kind.refers:
        return f"prefixes and names of {kind.refers}s"
    if kind.many:
        return _PLURALS.get(kind.name, f"{_VALUE_NOUNS.get(kind.name, kind.name)}s")
    return f"{_VALUE_NOUNS.get(kind.name, kind.name)}{_bounds(kind)}"


def _bounds(kind: ValueType) -> str:
    if kind.minimum is not None and kind.maximum is not None:
        return f" from {kind.minimum} to {kind.maximum}"
    if kind.minimum is not None:
        return f" from {kind.minimum}"
    return f" up to {kind.maximum}" if kind.maximum is not None else ""


def setting_default(setting: Setting) -> str:
    """The default of a setting, or that it has to be given."""
    if not setting.required:
        return setting.default
    return f"has to be given, unless `{setting.unless}` is" if setting.unless else "has to be given"


def object_fact(object_: ObjectType, attribute: str) -> str:
    """`$account.id`."""
    return f"${object_.name}.{attribute}"


def enumeration_text(enumeration: Enumeration) -> str:
    """All words of a closed list."""
    return ", ".join(f"`{word}`" for word in enumeration.values)
