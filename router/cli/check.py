"""`trunkline check`: everything that can be said about a routes.cfg before a call meets it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from dsl.findings import ERROR, HINT, WARNING, Finding, findings_json, render_finding
from dsl.outcome import Outcome
from dsl.sources import SourceError
from router.runtime.routes_file import check_file

_COLOURS = {ERROR: "bold red", WARNING: "bold yellow", HINT: "bold cyan"}


def check(
    file: Annotated[Path, Parameter(help="The configuration.")] = Path("routes.cfg"),
    *,
    json: Annotated[
        bool, Parameter(negative="", help="One JSON object with the findings instead of text.")
    ] = False,
) -> int:
    """Check a configuration and show everything that is found in it.

    The exit code is 1 if there is an error, 0 if there are only warnings.
    """
    try:
        outcome = check_file(file)
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    if json:
        print(findings_json(outcome.findings))
    else:
        show_outcome(outcome, Console(highlight=False, soft_wrap=True))
    return 1 if outcome.errors else 0


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
