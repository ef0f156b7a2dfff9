"""The TextMate grammar of routes.cfg: how editors colour it, made of the table and the grammar."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from dsl.surface import ROUTE_KINDS, Surface
from router.cli.reference.words import TEST_LINES, grammar_keywords

SCOPE = "source.trunkline"
FILE_TYPES = ("cfg",)

_CONTROL = frozenset(
    {"if", "else", "switch", "case", "default", "for", "while", "in"}
    | {"return", "drop", "exit", "break"}
)
_CONSTANTS = frozenset({"true", "false"})
_AT_THE_TOP = frozenset({"include", "import", "python", "as", "test", "env"})

_REGEX = r"/(?![*/])(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)+\])+/[a-z]*"

Rule = dict[str, Any]


def textmate_grammar(surface: Surface) -> str:
    """The grammar as JSON text."""
    grammar = {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "Trunkline routes",
        "scopeName": SCOPE,
        "fileTypes": list(FILE_TYPES),
        "patterns": [
            {"include": f"#{name}"} for name in ("comments", "routes", "tests", "items", "blocks")
        ],
        "repository": _repository(surface),
    }
    return json.dumps(grammar, indent=2, ensure_ascii=False) + "\n"


def _repository(surface: Surface) -> Mapping[str, Rule]:
    return {
        "comments": _patterns(
            {"name": "comment.line.number-sign.trunkline", "match": "#.*$"},
            {"name": "comment.line.double-slash.trunkline", "match": "//.*$"},
            {"name": "comment.block.trunkline", "begin": r"/\*", "end": r"\*/"},
        ),
        "strings": {
            "name": "string.quoted.double.trunkline",
            "begin": '"',
            "end": '"|$',
            "patterns": [
                {"name": "constant.character.escape.trunkline", "match": r'\\[nt"\\]'},
                {"name": "invalid.illegal.escape.trunkline", "match": r"\\."},
            ],
        },
        "items": _items(),
        "settings": _settings(surface),
        "values": _values(),
        "blocks": _blocks(surface),
        "routes": _routes(),
        "tests": _tests(surface),
        "braces": {
            "begin": r"\{",
            "end": r"\}",
            "patterns": _include("comments", "braces", "statements"),
        },
        "statements": _statements(surface),
    }


def _patterns(*rules: Rule) -> Rule:
    return {"patterns": list(rules)}


def _include(*names: str) -> list[Rule]:
    return [{"include": f"#{name}"} for name in names]


def _one_of(words: Iterable[str]) -> str:
    return r"\b(?:" + "|".join(sorted(map(re.escape, words))) + r")\b"


# -------------------------------------------------------------------------- outside of routes


def _items() -> Rule:
    words = grammar_keywords() & _AT_THE_TOP
    return _patterns(
        {
            "match": rf"{_one_of(words - {'env', 'test'})}(?!\s*=)",
            "name": "keyword.control.import.trunkline",
        },
        *_include("settings"),
    )


def _settings(surface: Surface) -> Rule:
    """`name = value`: known names, VOS3000's, and any other."""
    settings = [*surface.settings.values()]
    settings += [one for schema in surface.blocks.values() for one in schema.settings.values()]
    names = {one.name for one in settings}
    aliases = {alias for one in settings for alias in one.aliases}
    return _patterns(
        {
            "match": rf"({_one_of(names)})\s*(=)(?!=)",
            "captures": {
                "1": {"name": "support.type.property-name.trunkline"},
                "2": {"name": "keyword.operator.assignment.trunkline"},
            },
        },
        {
            "match": rf"({_one_of(aliases)})\s*(=)(?!=)",
            "captures": {
                "1": {"name": "support.type.property-name.vos3000.trunkline"},
                "2": {"name": "keyword.operator.assignment.trunkline"},
            },
        },
        {
            "match": r"\b([A-Za-z_]\w*)\s*(=)(?!=)",
            "captures": {
                "1": {"name": "variable.other.property.trunkline"},
                "2": {"name": "keyword.operator.assignment.trunkline"},
            },
        },
        *_include("values"),
    )


def _values() -> Rule:
    return _patterns(
        *_include("comments", "strings"),
        {"name": "support.function.env.trunkline", "match": r"\benv(?=\s*\()"},
        {"name": "constant.language.trunkline", "match": _one_of(_CONSTANTS)},
        {
            "name": "constant.other.address.trunkline",
            "match": r"(?:\b(?:udp|tcp|tls|wss?):)?"
            r"(?:\b\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\])"
            r"(?::\d+|/\d+)?(?:;transport=[a-z]+)?",
        },
        {"name": "constant.numeric.duration.trunkline", "match": r"\b\d+(?:\.\d+)?(?:ms|[smhd])\b"},
        {"name": "constant.numeric.range.trunkline", "match": r"\b\d+(?:-|\.\.)\d+\b"},
        {"name": "constant.numeric.trunkline", "match": r"\b\d+(?:\.\d+)?\b"},
    )


def _blocks(surface: Surface) -> Rule:
    return {
        "begin": rf"({_one_of(surface.blocks)})[ \t]+(\"[^\"]*\"|[\w.+-]+)?\s*(\{{)",
        "beginCaptures": {
            "1": {"name": "storage.type.block.trunkline"},
            "2": {"name": "entity.name.type.trunkline"},
            "3": {"name": "punctuation.section.block.begin.trunkline"},
        },
        "end": r"\}",
        "endCaptures": {"0": {"name": "punctuation.section.block.end.trunkline"}},
        "patterns": _include("comments", "blocks", "settings"),
    }


# ------------------------------------------------------------------------------------- routes


def _routes() -> Rule:
    return {
        "begin": rf"({_one_of(ROUTE_KINDS)})\s*(?:(\[)([^\]\n]*)(\]))?\s*(?=\{{|$)",
        "beginCaptures": {
            "1": {"name": "storage.type.route.trunkline"},
            "3": {"name": "entity.name.function.trunkline"},
        },
        "end": r"(?<=\})",
        "patterns": _include("comments", "braces"),
    }


def _tests(surface: Surface) -> Rule:
    words = {word.name for word in TEST_LINES}
    return {
        "begin": r'\b(test)\s*("(?:[^"\\]|\\.)*")\s*(\{)',
        "beginCaptures": {
            "1": {"name": "storage.type.test.trunkline"},
            "2": {"name": "string.quoted.double.trunkline"},
            "3": {"name": "punctuation.section.block.begin.trunkline"},
        },
        "end": r"\}",
        "endCaptures": {"0": {"name": "punctuation.section.block.end.trunkline"}},
        "patterns": [
            *_include("comments"),
            {
                "match": rf"(?:^|(?<=[;{{]))\s*{_one_of(words)}",
                "name": "keyword.control.test.trunkline",
            },
            {"name": "support.constant.trunkline", "match": _one_of(_bare_words(surface))},
            *_include("values"),
        ],
    }


def _bare_words(surface: Surface) -> set[str]:
    return {word for one in surface.enumerations.values() for word in one.values}


def _statements(surface: Surface) -> Rule:
    keywords = grammar_keywords()
    functions = set(surface.functions) - keywords
    facts = {name for fact in surface.facts for name in (fact.name, fact.alias)}
    return _patterns(
        *_include("comments", "strings"),
        {"name": "keyword.control.trunkline", "match": _one_of(keywords & _CONTROL)},
        {"name": "storage.type.let.trunkline", "match": r"\blet\b"},
        {
            "match": r"\b(route)\s*\(\s*([A-Za-z_]\w*)\s*\)",
            "captures": {
                "1": {"name": "keyword.control.route.trunkline"},
                "2": {"name": "entity.name.function.trunkline"},
            },
        },
        {
            "match": r"\b(on_\w+)\s*(=)(?!=)\s*([A-Za-z_]\w*)?",
            "captures": {
                "1": {"name": "variable.parameter.trunkline"},
                "2": {"name": "keyword.operator.assignment.trunkline"},
                "3": {"name": "entity.name.function.trunkline"},
            },
        },
        {"name": "support.function.trunkline", "match": rf"{_one_of(functions)}(?=\s*\()"},
        {
            "name": "support.variable.fact.trunkline",
            "match": rf"\$(?:hdr\([^()\n]*\)|{_one_of(facts)})",
        },
        {
            "name": "support.variable.object.trunkline",
            "match": rf"\$(?:call|{_one_of(surface.objects)})(?:\.\w+)*",
        },
        {"name": "invalid.illegal.fact.trunkline", "match": r"\$\w*"},
        {
            "match": rf"([=!]~)\s*({_REGEX})",
            "captures": {
                "1": {"name": "keyword.operator.match.trunkline"},
                "2": {"name": "string.regexp.trunkline"},
            },
        },
        {
            "match": rf"(?:(?<=[(,:])|(?<=case))\s*({_REGEX})",
            "captures": {"1": {"name": "string.regexp.trunkline"}},
        },
        {"name": "support.constant.trunkline", "match": _one_of(_bare_words(surface))},
        *_include("values"),
        {"name": "keyword.operator.trunkline", "match": r"\|\||&&|[=!<>]=|[<>!+\-*/]|\.\."},
        {"name": "keyword.operator.assignment.trunkline", "match": "="},
    )
