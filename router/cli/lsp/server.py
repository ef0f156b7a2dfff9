"""The language server: what the editor sends, answered out of the session."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from glob import glob
from importlib.metadata import version
from os.path import dirname, join, normpath
from typing import Protocol

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from dsl.findings import Finding
from dsl.format import LayoutError, format_text
from dsl.surface import Surface
from router.cli.lsp import translation
from router.cli.lsp.completion import suggestions
from router.cli.lsp.hover import hover_at
from router.cli.lsp.outline import outline_of
from router.cli.lsp.place import piece_at, place_at
from router.cli.lsp.rename import RenameError, renameable, renamed
from router.cli.lsp.session import Analysis, Session
from router.cli.lsp.symbols import IMPORT, Occurrence
from router.cli.lsp.translation import Lines, path_of, uri_of
from router.cli.reference.signatures import function_signature, parameter_text

QUIET_S = 0.15
"""So long nothing must be typed before the text is checked."""
REQUEST_FAILED = -32803
_FILE_NAME = re.compile(r'\b(?:include|import[ \t]+python|file[ \t]*=)[ \t]*"([^"\n]*)"')


class AtPlace(Protocol):
    """The parameters of any request that is about a place in a document."""

    @property
    def text_document(self) -> types.TextDocumentIdentifier:
        """The document."""

    @property
    def position(self) -> types.Position:
        """The place."""


class RoutesServer(LanguageServer):
    """Serves one editor; `session` holds its documents."""

    def __init__(self, surface: Surface) -> None:
        # Whole texts, because what is a line is seen differently by client and server when odd
        # characters stand in a comment, and then every later change would go astray.
        super().__init__(
            "trunkline",
            version("trunkline"),
            text_document_sync_kind=types.TextDocumentSyncKind.Full,
        )
        self.session = Session(surface)
        self.is_shut_down = False
        self._waiting: asyncio.TimerHandle | None = None
        self._shown: dict[str, list[types.Diagnostic]] = {}

    # ------------------------------------------------------------------------------- places

    def lines(self, path: str) -> Lines:
        """The lines of a file as they are now."""
        text = self.session.files.text(path)
        encoding = self.workspace.position_encoding
        return Lines(text or "", str(getattr(encoding, "value", encoding)))

    def place(self, params: AtPlace) -> tuple[str, Lines, int, int]:
        """The path, its lines, and line and column of a request."""
        path = path_of(params.text_document.uri)
        lines = self.lines(path)
        return path, lines, *lines.place(params.position)

    def location(self, found: Occurrence) -> types.Location:
        """Where a name stands."""
        return types.Location(uri_of(found.file), self.range(found))

    def range(self, found: Occurrence) -> types.Range:
        """The stretch that a name takes."""
        lines = self.lines(found.file)
        return lines.range(found.line, found.column, found.line, found.end)

    # ---------------------------------------------------------------------------- documents

    def put(self, uri: str, delay_s: float) -> None:
        """A document has a new text: check it when nothing more was typed for so long."""
        text = self.workspace.get_text_document(uri).source
        self.session.put(path_of(uri), text)
        self.check_in(delay_s)

    def check_in(self, delay_s: float) -> None:
        """Check what has changed after a while; a check that is waiting waits anew."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = asyncio.get_running_loop().call_later(delay_s, self.check_now)

    def check_now(self) -> None:
        """Check all open configurations that have changed, and publish what is found."""
        self._waiting = None
        self.session.forget()
        analyses = [self.session.analysis(root) for root in self.session.open_roots()]
        found = self._diagnostics(analyses)
        for path in {*found, *self._shown}:
            diagnostics = found.get(path, [])
            document = self.workspace.text_documents.get(uri_of(path))
            # An editor that waits for the findings of a version is told that there are no others.
            if document is not None or diagnostics != self._shown.get(path, []):
                version = document.version if document is not None else None
                self.text_document_publish_diagnostics(
                    types.PublishDiagnosticsParams(uri_of(path), diagnostics, version)
                )
        self._shown = found

    def _diagnostics(self, analyses: Iterable[Analysis]) -> dict[str, list[types.Diagnostic]]:
        findings: dict[str, dict[Finding, None]] = {}
        for analysis in analyses:
            for path in analysis.texts:
                findings.setdefault(path, {})
            for finding in analysis.findings:
                findings.setdefault(normpath(finding.file), {})[finding] = None
        files = {path: self.lines(path) for path, found in findings.items() if found}
        return {
            path: [translation.diagnostic(finding, files[path], files) for finding in found]
            for path, found in findings.items()
        }


def make_server(surface: Surface) -> RoutesServer:
    """The server with all that it answers."""
    server = RoutesServer(surface)
    _serve_documents(server)
    _serve_writing(server)
    _serve_names(server)
    return server


def _serve_documents(server: RoutesServer) -> None:
    session = server.session

    @server.feature(types.INITIALIZED)
    def initialized(params: types.InitializedParams) -> None:
        folders = [path_of(uri) for uri in server.workspace.folders]
        session.folders = folders or [path_of(server.workspace.root_uri or "")]

    @server.feature(types.SHUTDOWN)
    def shutdown(params: None) -> None:
        server.is_shut_down = True

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenTextDocumentParams) -> None:
        server.put(params.text_document.uri, 0)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: types.DidChangeTextDocumentParams) -> None:
        server.put(params.text_document.uri, QUIET_S)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: types.DidSaveTextDocumentParams) -> None:
        server.check_in(0)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseTextDocumentParams) -> None:
        session.close(path_of(params.text_document.uri))
        server.check_in(0)

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def changed_on_disk(params: types.DidChangeWatchedFilesParams) -> None:
        session.refresh()
        server.check_in(QUIET_S)

    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def outline(params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        path = path_of(params.text_document.uri)
        outcome = session.analysis(path).outcome
        found = outline_of(outcome, path) if outcome is not None else []
        return translation.document_symbols(found, server.lines(path))

    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatted(params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        path = path_of(params.text_document.uri)
        text = session.files.text(path) or ""
        try:
            result = format_text(text, path, frozenset(session.surface.blocks))
        except LayoutError as error:
            raise JsonRpcException(f"{error}; it is left alone", REQUEST_FAILED) from None
        # With syntax errors there is nothing to change; they are shown anyway.
        return translation.replacement(text, result.text, server.lines(path))


def _serve_writing(server: RoutesServer) -> None:
    session = server.session

    @server.feature(
        types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=["$", ".", "("])
    )
    def completion(params: types.CompletionParams) -> types.CompletionList:
        path, lines, line, column = server.place(params)
        text = session.files.text(path) or ""
        place = place_at(text, lines.offset(line, column))
        # Names of the last check do: the text is in the middle of being changed.
        found = suggestions(place, path, line, session.surface, session.latest(path))
        replaced = lines.range(line, column - len(place.prefix), line, column)
        snippets = _takes_snippets(server.client_capabilities)
        items = [
            translation.completion_item(one, at, replaced, snippets) for at, one in enumerate(found)
        ]
        return types.CompletionList(is_incomplete=False, items=items)

    @server.feature(
        types.TEXT_DOCUMENT_SIGNATURE_HELP,
        types.SignatureHelpOptions(trigger_characters=["(", ","]),
    )
    def signature(params: types.SignatureHelpParams) -> types.SignatureHelp | None:
        path, lines, line, column = server.place(params)
        place = place_at(session.files.text(path) or "", lines.offset(line, column))
        call = place.call() if not place.quiet else None
        if call is None:
            return None
        functions = {**session.surface.functions, **session.latest(path).hooks()}
        function = functions.get(call.name)
        if function is None:
            return None
        names = [one.name for one in function.parameters]
        written = [piece.text for piece in call.argument]
        at = (
            names.index(written[0]) if written[1:2] == ["="] and written[0] in names else call.place
        )
        shown = types.SignatureInformation(
            " ".join(function_signature(function, call.name).split()),
            documentation=function.doc,
            parameters=[
                types.ParameterInformation(parameter_text(one)) for one in function.parameters
            ],
        )
        return types.SignatureHelp([shown], active_signature=0, active_parameter=at)

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> types.Hover | None:
        path, lines, line, column = server.place(params)
        text = session.files.text(path) or ""
        offset = lines.offset(line, column)
        found = hover_at(session.analysis(path), session.surface, path, text, offset, line, column)
        if found is None:
            return None
        start = column - (offset - found.start)
        where = lines.range(line, start, line, start + found.end - found.start)
        return translation.hover(found.text, where)


def _takes_snippets(capabilities: types.ClientCapabilities) -> bool:
    document = capabilities.text_document
    completion = document.completion if document is not None else None
    item = completion.completion_item if completion is not None else None
    return bool(item is not None and item.snippet_support)


def _serve_names(server: RoutesServer) -> None:
    session = server.session

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def definition(params: types.DefinitionParams) -> list[types.Location]:
        path, lines, line, column = server.place(params)
        symbols = session.analysis(path).symbols
        found = symbols.at(path, line, column)
        if found is not None:
            declared = symbols.declared.get(found.symbol)
            return [server.location(declared.occurrence)] if declared is not None else []
        return _named_files(path, lines.line(line), column) or _imported(
            server, path, lines, line, column
        )

    @server.feature(types.TEXT_DOCUMENT_REFERENCES)
    def references(params: types.ReferenceParams) -> list[types.Location]:
        path, _, line, column = server.place(params)
        symbols = session.analysis(path).symbols
        found = symbols.at(path, line, column)
        if found is None:
            return []
        declared = params.context.include_declaration
        places = symbols.occurrences[found.symbol]
        return [server.location(one) for one in places if declared or not one.declares]

    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)
    def highlights(params: types.DocumentHighlightParams) -> list[types.DocumentHighlight]:
        path, _, line, column = server.place(params)
        symbols = session.analysis(path).symbols
        found = symbols.at(path, line, column)
        places = symbols.occurrences[found.symbol] if found is not None else []
        return [types.DocumentHighlight(server.range(one)) for one in places if one.file == path]

    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepare_rename(params: types.PrepareRenameParams) -> types.Range:
        path, _, line, column = server.place(params)
        try:
            return server.range(renameable(session.analysis(path), path, line, column))
        except RenameError as error:
            raise JsonRpcException(str(error), REQUEST_FAILED) from None

    @server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    def rename(params: types.RenameParams) -> types.WorkspaceEdit:
        path, _, line, column = server.place(params)
        analysis = session.analysis(path)
        # A file that several open configurations include is renamed in all of them.
        others = [session.analysis(root) for root in session.open_roots()]
        try:
            found = renameable(analysis, path, line, column)
            sharing = [one for one in others if found.symbol in one.symbols.occurrences]
            places = renamed([analysis, *sharing], found.symbol, params.new_name, session.surface)
        except RenameError as error:
            raise JsonRpcException(str(error), REQUEST_FAILED) from None
        changes: dict[str, list[types.TextEdit]] = {}
        for one in places:
            edit = types.TextEdit(server.range(one), params.new_name)
            changes.setdefault(uri_of(one.file), []).append(edit)
        return types.WorkspaceEdit(changes=changes)


def _named_files(path: str, line: str, column: int) -> list[types.Location]:
    """The files that a string on the line names, if the column is in it."""
    start = types.Range(types.Position(0, 0), types.Position(0, 0))
    for match in _FILE_NAME.finditer(line):
        if match.start(1) <= column <= match.end(1):
            files = sorted(glob(join(dirname(path), match.group(1))))
            return [types.Location(uri_of(normpath(file)), start) for file in files]
    return []


def _imported(
    server: RoutesServer, path: str, lines: Lines, line: int, column: int
) -> list[types.Location]:
    """The function of a Python file that is called at a place."""
    text = server.session.files.text(path) or ""
    piece = piece_at(text, lines.offset(line, column))
    module, dot, name = piece.text.partition(".") if piece is not None else ("", "", "")
    for symbol, declared in server.session.analysis(path).symbols.declared.items():
        if dot and symbol.sort == IMPORT and symbol.name == module:
            node = declared.node
            file = normpath(join(dirname(declared.occurrence.file), getattr(node, "path", "")))
            source = server.session.files.text(file) or ""
            found = re.search(rf"^(?:async\s+)?def\s+({re.escape(name)})\b", source, re.MULTILINE)
            if found is not None:
                at = source.count("\n", 0, found.start(1))
                start = found.start(1) - source.rfind("\n", 0, found.start(1)) - 1
                where = server.lines(file).range(at, start, at, start + len(name))
                return [types.Location(uri_of(file), where)]
    return []
