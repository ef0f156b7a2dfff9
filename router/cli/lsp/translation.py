"""Places and findings as the Language Server Protocol has them."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import normpath

from lsprotocol import types
from pygls.uris import from_fs_path, to_fs_path

from dsl import ast
from dsl.findings import ERROR, WARNING, Finding
from router.cli.lsp.completion import Sort, Suggestion
from router.cli.lsp.outline import Entry

SOURCE = "trunkline"
_SEVERITIES = {
    ERROR: types.DiagnosticSeverity.Error,
    WARNING: types.DiagnosticSeverity.Warning,
}
_UNNECESSARY = ("unused-", "unreachable")
_ITEM_KINDS = {
    Sort.KEYWORD: types.CompletionItemKind.Keyword,
    Sort.FUNCTION: types.CompletionItemKind.Function,
    Sort.FACT: types.CompletionItemKind.Variable,
    Sort.SETTING: types.CompletionItemKind.Property,
    Sort.BLOCK: types.CompletionItemKind.Struct,
    Sort.ROUTE: types.CompletionItemKind.Method,
    Sort.LOCAL: types.CompletionItemKind.Variable,
    Sort.MODULE: types.CompletionItemKind.Module,
    Sort.WORD: types.CompletionItemKind.EnumMember,
}
_SYMBOL_KINDS = {
    "route": types.SymbolKind.Function,
    "block": types.SymbolKind.Struct,
    "import": types.SymbolKind.Module,
    "test": types.SymbolKind.Event,
}


def uri_of(path: str) -> str:
    """The URI of a file; what is no file, such as a document without a name, has its own."""
    return path if path.startswith("untitled:") else from_fs_path(path) or path


def path_of(uri: str) -> str:
    """The path of a document."""
    path = to_fs_path(uri) if uri.startswith("file:") else None
    return normpath(path) if path else uri


class Lines:
    """The lines of one text, for places counted in characters and in the client's units."""

    def __init__(self, text: str, encoding: str) -> None:
        self._lines = text.split("\n")
        self._encoding = encoding

    def line(self, line: int) -> str:
        """A line of the text; "" if there is none."""
        return self._lines[line] if 0 <= line < len(self._lines) else ""

    def position(self, line: int, column: int) -> types.Position:
        """A place counted in characters as the client counts it."""
        text = self.line(line)
        if line >= len(self._lines):
            # Findings at the end of a file may stand behind its last line.
            line, text = len(self._lines) - 1, self._lines[-1]
            column = len(text)
        before = text[:column]
        if before.isascii() or self._encoding == "utf-32":
            units = len(before)
        else:
            units = sum(map(self._size, before))
        return types.Position(line, units)

    def place(self, position: types.Position) -> tuple[int, int]:
        """Line and column in characters of a client's position."""
        text = self.line(position.line)
        if text.isascii() or self._encoding == "utf-32":
            return position.line, min(position.character, len(text))
        units = 0
        for column, char in enumerate(text):
            if units >= position.character:
                return position.line, column
            units += self._size(char)
        return position.line, len(text)

    def _size(self, char: str) -> int:
        if self._encoding == "utf-8":
            return len(char.encode("utf-8", "surrogatepass"))
        return 2 if ord(char) > 0xFFFF else 1

    def offset(self, line: int, column: int) -> int:
        """The offset of a place into the text."""
        return sum(len(one) + 1 for one in self._lines[:line]) + column

    def range(self, line: int, column: int, end_line: int, end_column: int) -> types.Range:
        """A stretch of the text."""
        return types.Range(self.position(line, column), self.position(end_line, end_column))

    def span(self, span: ast.Span) -> types.Range:
        """A span of the tree."""
        return self.range(span.line - 1, span.column - 1, span.end_line - 1, span.end_column - 1)


def diagnostic(finding: Finding, lines: Lines, lines_of: dict[str, Lines]) -> types.Diagnostic:
    """A finding; its help stands on a line below its message."""
    tags = [types.DiagnosticTag.Unnecessary] if finding.code.startswith(_UNNECESSARY) else None
    related = [
        types.DiagnosticRelatedInformation(
            types.Location(
                uri_of(normpath(link.file)), _point(link.line, link.column, lines_of.get(link.file))
            ),
            link.message,
        )
        for link in finding.chain
    ]
    return types.Diagnostic(
        range=lines.range(
            finding.line - 1, finding.column - 1, finding.end_line - 1, finding.end_column - 1
        ),
        message=f"{finding.message}\n{finding.help}" if finding.help else finding.message,
        severity=_SEVERITIES.get(finding.severity, types.DiagnosticSeverity.Information),
        code=finding.code,
        source=SOURCE,
        tags=tags,
        related_information=related or None,
    )


def _point(line: int, column: int, lines: Lines | None) -> types.Range:
    if lines is None:
        place = types.Position(line - 1, column - 1)
        return types.Range(place, place)
    return lines.range(line - 1, column - 1, line - 1, column - 1)


def completion_item(
    suggestion: Suggestion, at: int, replaced: types.Range, snippets: bool
) -> types.CompletionItem:
    """A suggestion as the `at`th of a list, in place of what is replaced."""
    snippet = suggestion.snippet if snippets else ""
    return types.CompletionItem(
        label=suggestion.label,
        kind=_ITEM_KINDS[suggestion.sort],
        detail=suggestion.detail or None,
        documentation=_markdown(suggestion.doc) if suggestion.doc else None,
        sort_text=f"{at:05}",
        filter_text=suggestion.label,
        text_edit=types.TextEdit(replaced, snippet or suggestion.label),
        insert_text_format=types.InsertTextFormat.Snippet
        if snippet
        else types.InsertTextFormat.PlainText,
    )


def _markdown(text: str) -> types.MarkupContent:
    return types.MarkupContent(types.MarkupKind.Markdown, text)


def hover(text: str, where: types.Range) -> types.Hover:
    """Markdown about a stretch of text."""
    return types.Hover(_markdown(text), where)


def document_symbols(entries: Sequence[Entry], lines: Lines) -> list[types.DocumentSymbol]:
    """The outline of a file."""
    return [
        types.DocumentSymbol(
            name=entry.label or "?",
            detail=entry.detail or None,
            kind=_SYMBOL_KINDS[entry.sort],
            range=lines.span(entry.span),
            selection_range=lines.span(entry.name),
            children=document_symbols(entry.children, lines),
        )
        for entry in entries
    ]


def replacement(before: str, after: str, lines: Lines) -> list[types.TextEdit]:
    """The edit that makes the one text the other, without the lines that stay as they are."""
    if before == after:
        return []
    old, new = before.split("\n"), after.split("\n")
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    last = len(old) - end
    text = "\n".join(new[start : len(new) - end])
    if last < len(old):
        # Up to the start of the first line that stays.
        where = lines.range(start, 0, last, 0)
        return [types.TextEdit(where, text + "\n" if len(new) - end > start else "")]
    first = (start, 0)
    if start == len(new) and start > 0:
        # Only lines at the end go away, with the line end before them.
        first = (start - 1, len(old[start - 1]))
    elif start == len(old):
        first, text = (start - 1, len(old[start - 1])), "\n" + text
    return [types.TextEdit(lines.range(*first, len(old) - 1, len(old[-1])), text)]
