"""Reading a configuration: the file, what it includes, and what goes wrong on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from glob import escape
from os.path import dirname, join, normpath
from typing import Protocol

from dsl import ast
from dsl.findings import ERROR, WARNING, ChainLink, Finding
from dsl.parse import ParsedFile, parse_text

MAX_FILES = 1000
MAX_BYTES = 16 * 1024 * 1024
_MAGIC = frozenset("*?[")


class SourceError(Exception):
    """A file that cannot be read, in one line."""


class Files(Protocol):
    """How the language reaches what is outside of it: it opens nothing by itself."""

    def read(self, path: str) -> bytes:
        """The bytes of a file; raises OSError."""

    def matches(self, pattern: str) -> list[str]:
        """The files that a pattern with `*`, `?` and `[…]` matches, in any order."""

    def variable(self, name: str) -> str | None:
        """An environment variable, for `env("NAME")`."""


class Unit:
    """A configuration as it was read: all items, those of an include in its place.

    `texts` maps each file to its text, the first one first; `tables` maps each data
    file to a digest of its bytes; `findings` are those of reading and
    of syntax; `skipped` are the words of what had to be skipped.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.items: list[ast.Node] = []
        self.texts: dict[str, str] = {}
        self.tables: dict[str, str] = {}
        self.findings: list[Finding] = []
        self.skipped: set[str] = set()
        self.broken = False
        """whether something could not be read, so that what is missing may be there"""

    @property
    def hash(self) -> str:
        """Twelve hex digits that change with the text of any file."""
        digest = hashlib.sha256()
        for text in self.texts.values():
            digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
        for table in self.tables.values():
            digest.update(table.encode())
        return digest.hexdigest()[:12]


def read_text(path: str, files: Files) -> str:
    """The text of a file; raises SourceError."""
    try:
        raw = files.read(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SourceError(f"{path}: cannot be read: {reason}") from None
    if len(raw) > MAX_BYTES:
        raise SourceError(f"{path}: is larger than {MAX_BYTES // 1024 // 1024} MiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{path}:{line}: is not UTF-8 text") from None


def read_unit(
    path: str, block_kinds: frozenset[str], files: Files,
    additions: Callable[[Unit], str] = lambda unit: "",
) -> Unit:
    """Read and parse a configuration with its includes; raises SourceError for the first file.

    `additions` names, by what was read, a file that is read last if it is there.
    """
    unit = Unit(path)
    reader = _Reader(unit, block_kinds, files)
    reader.add(path, read_text(path, files), ())
    more = additions(unit)
    if more and files.matches(escape(more)):
        known = {normpath(seen) for seen in unit.texts}
        if normpath(more) not in known:
            reader.add(more, read_text(more, files), ())
    return unit


class _Reader:
    def __init__(self, unit: Unit, block_kinds: frozenset[str], files: Files) -> None:
        self._unit = unit
        self._block_kinds = block_kinds
        self._files = files

    def add(self, path: str, text: str, chain: tuple[ast.Include, ...]) -> None:
        """Add a file's items; `chain` are the includes that led to it."""
        unit = self._unit
        unit.texts[path] = text
        parsed: ParsedFile = parse_text(text, path, self._block_kinds)
        unit.findings += parsed.findings
        unit.skipped |= parsed.skipped
        unit.broken = unit.broken or bool(parsed.findings)
        for item in parsed.items:
            if isinstance(item, ast.Include):
                self._include(path, item, chain)
            else:
                unit.items.append(item)

    def _include(self, path: str, item: ast.Include, chain: tuple[ast.Include, ...]) -> None:
        pattern = join(dirname(path), item.pattern)
        globbed = bool(_MAGIC & set(item.pattern))
        found = sorted(self._files.matches(pattern)) if globbed else [pattern]
        if not found:
            self._report(item, "empty-glob", f'no file matches "{item.pattern}"', WARNING)
        for file in found:
            known = {normpath(seen): seen for seen in self._unit.texts}
            if normpath(file) in known:
                self._seen_before(item, file, chain)
                continue
            if len(self._unit.texts) >= MAX_FILES:
                self._report(item, "unreadable-file", f"more than {MAX_FILES} files are included")
                return
            try:
                text = read_text(file, self._files)
            except SourceError as error:
                self._unit.broken = True
                self._report(item, "unreadable-file", str(error))
                continue
            self.add(file, text, (*chain, item))

    def _seen_before(self, item: ast.Include, file: str, chain: tuple[ast.Include, ...]) -> None:
        open_files = {normpath(self._unit.path)}
        open_files |= {normpath(join(dirname(link.span.file), link.pattern)) for link in chain}
        open_files |= {normpath(link.span.file) for link in chain}
        open_files.add(normpath(item.span.file))
        if normpath(file) in open_files:
            message = f"{file} includes itself"
            links = tuple(
                ChainLink(
                    link.span.file, link.span.line, link.span.column, f'includes "{link.pattern}"'
                )
                for link in chain
            )
            self._report(item, "include-cycle", message, links=links)
        else:
            self._report(item, "included-twice", f"{file} is included already", WARNING)

    def _report(
        self,
        item: ast.Include,
        code: str,
        message: str,
        severity: str = ERROR,
        links: tuple[ChainLink, ...] = (),
    ) -> None:
        span = item.span
        self._unit.findings.append(
            Finding(
                span.file,
                span.line,
                span.column,
                span.end_line,
                span.end_column,
                severity,
                code,
                message,
                "",
                links,
            )
        )
