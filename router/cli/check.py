"""`trunkline check`: everything that can be said about a routes.cfg before a call meets it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dsl.findings import count_errors, findings_json, render_finding
from router.runtime.check_cache import Found, recall


def check(
    file: Annotated[Path, Parameter(help="The configuration.")] = Path("routes.cfg"),
    *,
    json: Annotated[
        bool, Parameter(negative="", help="One JSON object with the findings instead of text.")
    ] = False,
) -> int:
    """Check a configuration and show everything that is found in it.

    The exit code is 1 if there is an error, 0 if there are only warnings. What was found is kept
    under $XDG_CACHE_HOME/trunkline and shown again while nothing has changed.
    """
    found = recall(str(file)) or _check_anew(str(file))
    if found is None:
        return 1
    if json:
        print(findings_json(found.findings))
    else:
        _show(found)
    return 1 if count_errors(found.findings) else 0


def _check_anew(path: str) -> Found | None:
    # Loaded here: the parser and the table take longer to load than an answer that was kept.
    from dsl.sources import SourceError
    from router.runtime.routes_file import check_and_keep

    try:
        return check_and_keep(path)
    except SourceError as error:
        print(error, file=sys.stderr)
        return None


def _show(found: Found) -> None:
    if found.findings and sys.stdout.isatty():
        from rich.console import Console

        from router.cli.findings_text import show_findings

        console = Console(highlight=False, soft_wrap=True)
        show_findings(found.findings, found.texts, console)
    else:
        for finding in found.findings:
            print(render_finding(finding, found.texts.get(finding.file, "")), end="\n\n")
    print(found.summary)
