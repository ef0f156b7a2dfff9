"""What the table says of a word, as Markdown: for hovers and beside completions."""

from __future__ import annotations

from dsl.surface import Fact, Function, ObjectType, Setting, Surface
from router.cli.reference.examples import EXAMPLES
from router.cli.reference.signatures import (
    function_signature,
    kinds_text,
    legality,
    setting_default,
    value_type_text,
)
from router.cli.reference.words import ITEMS, KINDS, STATEMENTS, TEST_LINES
from router.core.end_reasons import EndReason
from router.core.reason_guide import GUIDE

LANGUAGE = "trunkline"


def code(text: str) -> str:
    """Text of the route language in a fence."""
    return f"```{LANGUAGE}\n{text}\n```"


def not_yet(ready: bool) -> str:
    """A sentence for what this version cannot carry out."""
    return "" if ready else "\n\n*Not supported in this version.*"


def function_entry(function: Function, title: str = "") -> str:
    """A function: signature, meaning, where it is legal, an example."""
    text = f"{code(function_signature(function, title))}\n{function.doc} {legality(function)}"
    if function.name in EXAMPLES and not title:
        text += f"\n\nExample: `{EXAMPLES[function.name]}`"
    return text + not_yet(function.ready)


def fact_entry(fact: Fact) -> str:
    """A fact: both names, type, where it is read and assigned."""
    text = f"{code(f'${fact.name}: {fact.type}')}\n{fact.doc} Also `${fact.alias}`."
    text += f"\n\nRead {_where(fact.kinds)}."
    if fact.assignable:
        text += f" Assigned {_where(fact.assignable)}."
    return text + not_yet(fact.ready)


def _where(kinds: frozenset[str]) -> str:
    text = kinds_text(kinds)
    return text if text.startswith("everywhere") else f"in {text}"


def object_entry(object_: ObjectType) -> str:
    """An object and its attributes."""
    lines = [code(f"${object_.name}"), f"{object_.doc} Read {_where(object_.kinds)}.", ""]
    lines += [f"- `.{one.name}`: {one.type}. {one.doc}" for one in object_.attributes.values()]
    return "\n".join(lines)


def attribute_entry(object_: ObjectType, name: str) -> str:
    """An attribute of an object; "" if it has none of this name."""
    attribute = object_.attributes.get(name)
    if attribute is None:
        return ""
    head = code(f"${object_.name}.{name}: {attribute.type}")
    return f"{head}\n{attribute.doc}{not_yet(attribute.ready)}"


def setting_entry(setting: Setting) -> str:
    """A setting: what it takes, its default, VOS3000's name of it."""
    text = f"{code(f'{setting.name} = {value_type_text(setting.type)}')}\n{setting.doc}"
    default = setting_default(setting)
    if default:
        text += f"\n\nDefault: {default}." if not setting.required else f"\n\nIt {default}."
    if setting.aliases:
        text += f"\n\nVOS3000: {', '.join(f'`{alias}`' for alias in setting.aliases)}."
    return text + not_yet(setting.ready)


def block_entry(surface: Surface, kind: str) -> str:
    """A kind of block and its settings; "" if there is none of this name."""
    schema = surface.blocks.get(kind)
    if schema is None:
        return ""
    settings = ", ".join(f"`{name}`" for name in schema.settings)
    return f"{code(f'{kind} NAME {{ … }}')}\n{schema.doc}\n\nSettings: {settings}."


def end_reason_entry(name: str) -> str:
    """An end reason: what the caller gets and what it means; "" if there is none of this name."""
    reason = EndReason.__members__.get(name)
    if reason is None:
        return ""
    status = f"SIP {reason.status}" if reason.status else "no failure status"
    head = f"{code(name)}\n{reason.chinese}: {status}, Q.850 {reason.q850}."
    look = f"Look first at {GUIDE[reason].look}".rstrip("?") + "."
    return f"{head}\n\n{reason.diagnosis} {look}"


def word_entry(name: str) -> str:
    """A word of the grammar or a kind of route; "" if there is none of this name."""
    for word in (*STATEMENTS, *ITEMS, *KINDS):
        if word.name == name:
            return f"{code(word.form)}\n{word.doc}"
    return ""


def kind_doc(kind: str) -> str:
    """What a kind of route runs for."""
    return next((word.doc for word in KINDS if word.name == kind), "")


def test_line_entry(name: str) -> str:
    """The forms that a line of a test can have that begins with this word; "" if none has."""
    forms = [word for word in TEST_LINES if word.name == name]
    return "\n\n".join(f"{code(word.form)}\n{word.doc}" for word in forms)
