"""Findings for people: as text, in colour on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.text import Text

from dsl.findings import ERROR, HINT, WARNING, Finding, render_finding
from dsl.outcome import Outcome

_COLOURS = {ERROR: "bold red", WARNING: "bold yellow", HINT: "bold cyan"}


def show_outcome(outcome: Outcome, console: Console) -> None:
    """Print all findings and the line that sums them up."""
    show_findings(outcome.findings, outcome.unit.texts, console)
    console.print(Text(outcome.summary()))


def show_findings(findings: Iterable[Finding], texts: Mapping[str, str], console: Console) -> None:
    """Print findings, a blank line behind each; `texts` are the files that they stand in."""
    for finding in findings:
        source = texts.get(finding.file, "")
        if console.is_terminal:
            console.print(_coloured(finding, source))
        else:
            # Untouched: rich would make blanks of the tabs of a source line.
            print(render_finding(finding, source), file=console.file)
        console.print()


def _coloured(finding: Finding, source: str) -> Text:
    # As Text and not as markup: what stands in brackets in routes.cfg is no style.
    text = Text(render_finding(finding, source))
    place = f"{finding.file}:{finding.line}:{finding.column}: "
    text.stylize(_COLOURS[finding.severity], len(place), len(place) + len(finding.severity))
    return text
