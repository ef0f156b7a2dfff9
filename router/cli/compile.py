"""`trunkline compile`: the Python that the routes of a routes.cfg become."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from dsl.load import compile_routes as compile_outcome
from dsl.sources import SourceError
from router.cli.findings_text import show_outcome
from router.routing.surface import SURFACE
from router.runtime.routes_file import check_file


def compile_routes(
    file: Annotated[Path, Parameter(help="The configuration.")] = Path("routes.cfg"),
) -> int:
    """Show the Python made of a configuration, readable.

    Lines in it are not those of the configuration, but a traceback's are. With errors in the
    configuration they are shown instead, and the exit code is 1.
    """
    try:
        outcome = check_file(file)
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    if outcome.errors:
        show_outcome(outcome, Console(stderr=True, highlight=False, soft_wrap=True))
        return 1
    print(compile_outcome(outcome, SURFACE).source(), end="")
    return 0
