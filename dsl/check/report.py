"""Where every check puts what it finds."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from dsl import ast
from dsl.findings import ERROR, HINT, WARNING, ChainLink, Finding


class Report:
    """Collects findings.

    `skipped` are words in text that the parser had to skip: a name that is missing may have been
    declared there, so that it is not reported. `broken` says that there is such text.
    """

    def __init__(self, skipped: Iterable[str] = (), broken: bool = False) -> None:
        self.findings: list[Finding] = []
        self.skipped = frozenset(skipped)
        self.broken = broken

    def add(
        self,
        code: str,
        span: ast.Span,
        message: str,
        help: str = "",
        severity: str = ERROR,
        chain: tuple[ChainLink, ...] = (),
    ) -> None:
        """Add a finding, an error unless said otherwise."""
        self.findings.append(
            Finding(
                span.file,
                span.line,
                span.column,
                span.end_line,
                span.end_column,
                severity,
                code,
                message,
                help,
                chain,
            )
        )

    def warn(
        self,
        code: str,
        span: ast.Span,
        message: str,
        help: str = "",
        chain: tuple[ChainLink, ...] = (),
    ) -> None:
        """Add a warning."""
        self.add(code, span, message, help, WARNING, chain)

    def hint(self, code: str, span: ast.Span, message: str, help: str = "") -> None:
        """Add a hint."""
        self.add(code, span, message, help, HINT)

    def unknown(
        self,
        code: str,
        span: ast.Span,
        message: str,
        name: str,
        candidates: Iterable[str],
        help: str = "",
    ) -> None:
        """Add an unknown name, unless it may have been declared in skipped text.

        The help names the closest candidate if there is one, else is `help`.
        """
        if name not in self.skipped:
            self.add(code, span, message, did_you_mean(name, candidates) or help)


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A help line that names the candidate closest to the name; "" if none is close."""
    by_lower: dict[str, str] = {}
    for candidate in candidates:
        by_lower.setdefault(candidate.lower(), candidate)
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"did you mean `{by_lower[close[0]]}`?" if close else ""


def link(span: ast.Span, message: str) -> ChainLink:
    """A step of a finding's chain."""
    return ChainLink(span.file, span.line, span.column, message)


def article(word: str) -> str:
    """The word with its indefinite article."""
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def written(node: ast.Expression) -> str:
    """An expression as a help line shows it, "" if it is too long for that."""
    text: str = getattr(node, "text", "")
    return f"{text}(…)" if isinstance(node, ast.Call) else text
