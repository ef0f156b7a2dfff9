"""What is said about the word under the pointer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dsl import ast
from dsl.surface import NAMED, Setting, Surface
from router.cli.lsp import entries
from router.cli.lsp.place import BLOCK, FILE, ROUTE, TEST, Piece, Place, piece_at, place_at
from router.cli.lsp.session import Analysis
from router.cli.lsp.symbols import BLOCK as BLOCK_SYMBOL
from router.cli.lsp.symbols import IMPORT, LOCAL, VARIABLE, Occurrence
from router.cli.lsp.symbols import ROUTE as ROUTE_SYMBOL

MAX_LINES = 15
"""So many lines of a block are shown."""


class Hover(NamedTuple):
    """Markdown, and the offsets of the word that it is about."""

    text: str
    start: int
    end: int


def hover_at(
    analysis: Analysis, surface: Surface, path: str, text: str, offset: int, line: int, column: int
) -> Hover | None:
    """What there is to say at a place of a file; None if that is nothing."""
    piece = piece_at(text, offset)
    if piece is None or piece.kind == "comment":
        return None
    found = analysis.symbols.at(path, line, column)
    if found is not None:
        shown = _symbol(analysis, surface, found)
        if shown:
            return Hover(shown, offset - column + found.column, offset - column + found.end)
    if piece.kind == "string":
        return None
    hook = analysis.hooks().get(piece.text)
    if hook is not None:
        return Hover(entries.function_entry(hook, piece.text), piece.start, piece.end)
    shown = _word(surface, place_at(text, piece.end), piece, text)
    return Hover(shown, piece.start, piece.end) if shown else None


# --------------------------------------------------------------------------- what has a name


def _symbol(analysis: Analysis, surface: Surface, found: Occurrence) -> str:
    symbol = found.symbol
    declared = analysis.symbols.declared.get(symbol)
    if declared is None:
        return ""
    node: Any = declared.node
    if symbol.sort == LOCAL:
        type_ = _type_of(node)
        return entries.code(f"{symbol.name}: {type_}") + "\nA local of the route."
    if symbol.sort == VARIABLE:
        return entries.code(f"$call.{symbol.name}: {_type_of(node)}") + (
            "\nA variable of the call: it lives as long as the call and stands on the CDR."
        )
    text = analysis.texts.get(declared.occurrence.file, "")
    lines = text.split("\n")
    comment = _comment_above(lines, node.span.line - 1)
    if symbol.sort == ROUTE_SYMBOL:
        label = f"[{node.label}]" if node.label else ""
        doc = "" if symbol.kind == NAMED else entries.kind_doc(symbol.kind)
        uses = len(analysis.symbols.occurrences[symbol]) - 1
        used = f"Named {uses} time{'' if uses == 1 else 's'}."
        return "\n\n".join(filter(None, (entries.code(f"{node.kind}{label}"), comment, doc, used)))
    if symbol.sort == BLOCK_SYMBOL:
        shown = lines[node.span.line - 1 : node.span.end_line]
        if len(shown) > MAX_LINES:
            shown = [*shown[:MAX_LINES], "    …"]
        schema = surface.blocks.get(symbol.kind)
        doc = schema.doc if schema is not None else ""
        return "\n\n".join(filter(None, (entries.code("\n".join(shown)), comment, doc)))
    if symbol.sort == IMPORT:
        return entries.code(f'import python "{node.path}" as {node.name}')
    return ""


def _type_of(node: Any) -> str:
    if isinstance(node, ast.For):
        element = getattr(node.iterable, "type", None)
        inner = getattr(element, "element", None)
        return str(inner) if inner is not None else "int"
    return str(getattr(node.value, "type", "unknown"))


def _comment_above(lines: list[str], line: int) -> str:
    """The comment that stands directly above a line, without its marks."""
    found: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith(("#", "//")):
        line -= 1
        text = lines[line].strip().lstrip("#/").strip()
        if not text.startswith("---"):
            found.insert(0, text)
    return " ".join(found)


# -------------------------------------------------------------------- what the table has


def _word(surface: Surface, place: Place, piece: Piece, text: str) -> str:
    if piece.kind == "fact":
        return _fact(surface, piece.text)
    word = piece.text
    if place.sort == ROUTE:
        return _in_a_route(surface, word, text[piece.end :].lstrip()[:1])
    if place.sort == TEST:
        if not place.before:
            return entries.test_line_entry(word)
        return entries.end_reason_entry(word)
    follower = text[piece.end :].lstrip()[:1]
    if follower == "=":
        schema = surface.blocks.get(place.frame.kind)
        settings = surface.settings if place.sort == FILE else schema.settings if schema else {}
        return _setting(settings, word)
    if place.sort in (FILE, BLOCK):
        return entries.block_entry(surface, word) or entries.word_entry(word)
    return ""


def _in_a_route(surface: Surface, word: str, follower: str) -> str:
    function = surface.functions.get(word)
    if function is not None and (follower == "(" or word in ("drop", "exit")):
        return entries.function_entry(function)
    return entries.end_reason_entry(word) or entries.word_entry(word)


def _fact(surface: Surface, text: str) -> str:
    name, dot, attribute = text[1:].partition(".")
    if name.startswith("hdr"):
        return entries.code("$hdr(Name): string") + '\nThe value of a header; "" if it is absent.'
    object_ = surface.objects.get(name)
    if object_ is not None:
        shown = entries.attribute_entry(object_, attribute) if dot else ""
        return shown or entries.object_entry(object_)
    fact = surface.by_dollar.get(name)
    return entries.fact_entry(fact) if fact is not None else ""


def _setting(settings: Mapping[str, Setting], name: str) -> str:
    setting = settings.get(name)
    if setting is None:
        setting = next((one for one in settings.values() if name in one.aliases), None)
    return entries.setting_entry(setting) if setting is not None else ""
