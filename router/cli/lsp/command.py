"""`trunkline lsp`: starts the language server on the standard input and output."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Annotated

from cyclopts import Parameter

from router.routing.surface import SURFACE


def lsp(
    *,
    stdio: Annotated[
        bool, Parameter(negative="", help="Some editors pass it; nothing else is spoken anyway.")
    ] = True,
) -> int:
    """Serve an editor over the standard input and output (Language Server Protocol).

    An editor starts this by itself; docs/editor tells how.
    """
    if find_spec("pygls") is None:
        print(
            "The language server needs pygls, which is not installed: pip install 'trunkline[lsp]'",
            file=sys.stderr,
        )
        return 1
    from router.cli.lsp.server import make_server

    if sys.stdin.isatty():
        print("This talks to editors, not to people: docs/editor tells how.", file=sys.stderr)
    sys.stdout.flush()
    # The editor reads the output: nothing else may get there, whoever prints it.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    server = make_server(SURFACE)
    server.start_io(sys.stdin.buffer, out)
    return 0 if server.is_shut_down else 1
