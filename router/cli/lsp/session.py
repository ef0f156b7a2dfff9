"""The open documents, the configurations that they belong to, and what is known of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os.path import normpath

from dsl.check.python_files import Offers
from dsl.findings import ERROR, Finding
from dsl.load import check_routes
from dsl.outcome import Outcome
from dsl.sources import SourceError
from dsl.surface import ENTRY_KINDS, NAMED, Function, Surface
from router.cli.lsp.roots import find_root
from router.cli.lsp.symbols import Symbols, collect_symbols
from router.runtime.routes_file import DiskFiles


class OpenFiles(DiskFiles):
    """The files of the disk, with the text of those that are open in the editor."""

    def __init__(self) -> None:
        self.open: dict[str, str] = {}

    def read(self, path: str) -> bytes:
        """The bytes of a file; raises OSError."""
        text = self.open.get(normpath(path))
        return super().read(path) if text is None else text.encode("utf-8", "surrogatepass")

    def text(self, path: str) -> str | None:
        """The text of a file, if it can be read."""
        try:
            return self.read(path).decode("utf-8-sig", "replace")
        except OSError:
            return None


@dataclass(frozen=True, slots=True)
class Analysis:
    """A configuration as it was when it was last checked.

    `outcome` is None if it could not be read at all; `texts` are those of its files by their paths.
    """

    root: str
    outcome: Outcome | None
    texts: Mapping[str, str]
    symbols: Symbols
    findings: tuple[Finding, ...]

    @property
    def is_broken(self) -> bool:
        """Whether text had to be skipped, so that names may be in it that nobody knows of."""
        return self.outcome is None or self.outcome.unit.broken

    def hooks(self) -> dict[str, Function]:
        """The functions of imported Python files, by the name that routes call them by."""
        if self.outcome is None:
            return {}
        return {
            signature.hook.title: signature.function
            for imported in self.outcome.declarations.imports.values()
            for signature in imported.offer.hooks.values()
        }

    def kinds_of(self, kind: str, name: str) -> frozenset[str]:
        """The kinds of route in which one runs: its own, or those that reach a named one.

        Empty if nothing reaches it.
        """
        if kind != NAMED or self.outcome is None:
            return frozenset({kind}) if kind in ENTRY_KINDS else frozenset()
        found = set()
        for entry in self.outcome.declarations.routes.values():
            waiting, seen = [entry], {entry.key}
            while waiting:
                route = waiting.pop()
                if route.key == (NAMED, name) and entry is not route:
                    found.add(entry.node.kind)
                new = [one for one, _ in route.calls if one.key not in seen]
                seen.update(one.key for one in new)
                waiting += new
        return frozenset(found) & ENTRY_KINDS


class Session:
    """What one editor has open. Paths are absolute and normal."""

    def __init__(self, surface: Surface) -> None:
        self.surface = surface
        self.files = OpenFiles()
        self.folders: list[str] = []
        self._roots: dict[str, str] = {}
        self._analyses: dict[str, Analysis] = {}
        self._stale: set[str] = set()
        # Python files are run to be checked: once, and not with every key.
        self._offers = Offers()

    def put(self, path: str, text: str) -> None:
        """A document was opened or changed."""
        known = path in self.files.open
        before = self.files.open.get(path, "")
        self.files.open[path] = text
        if not known or before.count("include") != text.count("include"):
            # Who includes whom may be another now.
            self._roots.clear()
        self._outdate(path)

    def close(self, path: str) -> None:
        """A document was closed: what is on the disk holds."""
        self.files.open.pop(path, None)
        self._outdate(path)

    def refresh(self) -> None:
        """Files changed on the disk."""
        self._roots.clear()
        self._stale.update(self._analyses)

    def _outdate(self, path: str) -> None:
        self._stale.add(self.root_of(path))
        self._stale |= {root for root, analysis in self._analyses.items() if path in analysis.texts}

    def root_of(self, path: str) -> str:
        """The configuration that a file belongs to."""
        if path not in self._roots:
            self._roots[path] = find_root(path, self.files.text, self.folders)
        return self._roots[path]

    def open_roots(self) -> list[str]:
        """The configurations of all open documents."""
        return list(dict.fromkeys(map(self.root_of, self.files.open)))

    def latest(self, path: str) -> Analysis:
        """What was last known of a file's configuration, which may be older than its text."""
        root = self.root_of(path)
        return self._analyses.get(root) or self.analysis(path)

    def analysis(self, path: str) -> Analysis:
        """What is known of a file's configuration now."""
        root = self.root_of(path)
        if root not in self._analyses or root in self._stale:
            self._analyses[root] = self._analyse(root)
            self._stale.discard(root)
        return self._analyses[root]

    def forget(self) -> list[Analysis]:
        """Drop the configurations of which no document is open; what was known of them."""
        roots = set(self.open_roots())
        return [self._analyses.pop(root) for root in list(self._analyses) if root not in roots]

    def _analyse(self, root: str) -> Analysis:
        try:
            outcome = check_routes(root, self.surface, self.files, offers=self._offers)
        except SourceError as error:
            found = Finding(root, 1, 1, 1, 2, ERROR, "unreadable-file", str(error))
            return Analysis(root, None, {}, Symbols(), (found,))
        symbols = collect_symbols(outcome, self.surface)
        texts = {normpath(path): text for path, text in outcome.unit.texts.items()}
        return Analysis(root, outcome, texts, symbols, tuple(outcome.findings))
