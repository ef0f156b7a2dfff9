"""docs/language.md: the whole language for people who write routes, made of the function table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dsl.surface import ROUTE_KINDS, BlockSchema, Fact, Function, Setting, Surface
from router.cli.reference import prose
from router.cli.reference.examples import EXAMPLES
from router.cli.reference.signatures import (
    enumeration_text,
    function_signature,
    kinds_text,
    legality,
    object_fact,
    setting_default,
    value_type_text,
)
from router.cli.reference.words import ITEMS, KINDS, OPERATORS, STATEMENTS, TEST_LINES, TYPES, Word
from router.core.end_reasons import EndReason

UNLIMITED = "unlimited"


def language_page(surface: Surface) -> str:
    """The reference as Markdown."""
    parts = [
        prose.HEAD,
        prose.LATER_NOTE if _has_later(surface) else "",
        prose.BUILT,
        _words(ITEMS),
        "## Kinds of route\n",
        _kinds(surface),
        "## Statements\n",
        _words(STATEMENTS),
        prose.VALUES,
        _words(TYPES, ("type", "written", "")),
        prose.OPERATORS,
        _words(OPERATORS, ("operator", "example", "")),
        prose.FACTS,
        _facts(surface.facts),
        _objects(surface),
        prose.VARIABLES,
        "## Functions\n",
        *_functions(surface),
        _words_of_lists(surface),
        _end_reasons(),
        prose.SETTINGS,
        "### Global settings\n",
        _settings(surface.settings, {}),
        *(_block(schema, surface.settings) for schema in surface.blocks.values()),
        prose.RULES,
        prose.TESTS,
        _words(TEST_LINES, ("line", "", ""), named=False),
        prose.LIMITS,
    ]
    return "\n".join(part.strip("\n") + "\n" for part in parts if part)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`"


def _words(
    words: Iterable[Word], head: tuple[str, str, str] = ("word", "written", ""), named: bool = True
) -> str:
    if not named:
        return _table(head[:2], ((_code(word.form), word.doc) for word in words))
    return _table(head, ((_code(word.name), _code(word.form), word.doc) for word in words))


def _mark(ready: bool) -> str:
    return "" if ready else f" {prose.LATER}"


def _has_later(surface: Surface) -> bool:
    entries: list[Function | Fact | Setting | BlockSchema] = [
        *surface.functions.values(),
        *surface.facts,
        *surface.settings.values(),
        *surface.blocks.values(),
        *(one for schema in surface.blocks.values() for one in schema.settings.values()),
    ]
    return not all(one.ready for one in entries) or surface.ready_kinds < set(ROUTE_KINDS)


# ------------------------------------------------------------------------------------- routes


def _kinds(surface: Surface) -> str:
    rows = (
        (_code(word.form) + _mark(word.name in surface.ready_kinds), word.doc) for word in KINDS
    )
    return _table(("route", "runs for"), rows)


def _facts(facts: Iterable[Fact]) -> str:
    rows = (
        (
            _code(f"${fact.name}") + _mark(fact.ready),
            _code(f"${fact.alias}"),
            str(fact.type),
            fact.doc,
            kinds_text(fact.kinds),
            kinds_text(fact.assignable),
        )
        for fact in facts
    )
    return _table(("fact", "or", "type", "", "read", "assigned"), rows)


def _objects(surface: Surface) -> str:
    parts = ["### Objects\n"]
    for object_ in surface.objects.values():
        parts.append(f"`${object_.name}`: {object_.doc} Read {_where(object_.kinds)}.\n")
        rows = (
            (
                _code(object_fact(object_, one.name)) + _mark(one.ready),
                str(one.type),
                one.doc,
            )
            for one in object_.attributes.values()
        )
        parts.append(_table(("attribute", "type", ""), rows))
    return "\n".join(parts)


def _where(kinds: frozenset[str]) -> str:
    text = kinds_text(kinds)
    return text if text.startswith("everywhere") else f"in {text}"


def _functions(surface: Surface) -> Iterable[str]:
    actions = [one for one in surface.functions.values() if one.terminal]
    others = [one for one in surface.functions.values() if not one.terminal]
    others.sort(key=lambda one: one.name)
    for what, functions in (("Actions", actions), ("Others", others)):
        links = ", ".join(f"[{one.name}](#{one.name})" for one in functions)
        yield f"{what}: {links}.\n"
    yield "### Actions that end the route\n"
    for function in actions:
        yield _function(function)
    yield "### Functions that go on\n"
    for function in others:
        yield _function(function)


def _function(function: Function) -> str:
    later = [one.name for one in function.parameters if not one.ready]
    # Without the mark, so that links to it hold.
    lines = [f"#### {function.name}\n", "```", function_signature(function), "```"]
    lines += ["", f"{function.doc} {legality(function)}{_mark(function.ready)}"]
    if function.name in EXAMPLES:
        lines += ["", f"Example: `{EXAMPLES[function.name]}`"]
    if later and function.ready:
        lines.append(f"\nNot yet: {', '.join(map(_code, later))} {prose.LATER}")
    return "\n".join(lines) + "\n"


def _words_of_lists(surface: Surface) -> str:
    rows = (
        (one.noun, enumeration_text(one))
        for one in surface.enumerations.values()
        if one.noun != "end reason"
    )
    return "### Bare words\n\n" + _table(("what", "words"), rows)


def _end_reasons() -> str:
    rows = (
        (
            _code(reason.name),
            reason.chinese,
            str(reason.status or ""),
            str(reason.q850),
            reason.diagnosis,
        )
        for reason in EndReason
    )
    head = (
        "## End reasons\n\nWhy a call ended: on every CDR, and what `end(…)` takes; what to do "
        "about each stands in\n[end-reasons.md](end-reasons.md). SIP is the status that the caller "
        "gets; a reason without one ends\nanswered calls.\n\n"
    )
    return head + _table(("reason", "中文", "SIP", "Q.850", ""), rows)


# ----------------------------------------------------------------------------------- settings


def _settings(settings: Mapping[str, Setting], outer: Mapping[str, Setting]) -> str:
    rows = (
        (
            _code(one.name) + _mark(one.ready),
            value_type_text(one.type),
            "the global one" if _is_inherited(one, outer) else setting_default(one),
            one.doc,
            ", ".join(map(_code, one.aliases)),
        )
        for one in settings.values()
    )
    return _table(("setting", "value", "default", "", "VOS3000"), rows)


def _is_inherited(setting: Setting, outer: Mapping[str, Setting]) -> bool:
    """Whether the global setting of this name holds in its place; limits stand side by side."""
    return setting.name in outer and setting.default != UNLIMITED and not setting.apart


def _block(schema: BlockSchema, outer: Mapping[str, Setting]) -> str:
    doc = schema.doc
    if schema.children:
        doc += f" Inside it: {' and '.join(map(_code, schema.children))}."
    head = f"### {schema.kind}\n\n`{schema.kind} NAME {{ … }}`{_mark(schema.ready)}: {doc}\n\n"
    return head + _settings(schema.settings, outer)
