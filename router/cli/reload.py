"""`trunkline reload`: the running router takes routes.cfg as it is now, or says why it does not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from router.admin.reload_text import PATIENCE_S, lines_of
from router.runtime.reload_control import NoRouter, Request, ask
from router.runtime.reload_report import (
    APPLIED,
    SOUND,
)


def reload(
    *,
    state: Path = Path("state"),
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Let the running router take its routes.cfg as it is now, without a call noticing.

    It is checked and its tests are run first; if anything is wrong everything found is shown, the
    exit code is 1 and the old configuration runs on. Calls in progress keep the configuration they
    began with. SIGHUP to the router does the same and tells the log.

    Parameters
    ----------
    state
        The router's state folder, as `state` in routes.cfg says.
    dry_run
        Check only, and show what would change.
    as_json
        Print one JSON object instead of text.
    """
    try:
        answer = ask(state, Request(dry_run=dry_run), PATIENCE_S)
    except NoRouter as error:
        print(f"trunkline: {error}", file=sys.stderr)
        return 1
    well = answer.result in (APPLIED, SOUND)
    if as_json:
        fields: Any = msgspec.to_builtins(answer)
        print(json.dumps(fields, indent=2, ensure_ascii=False))
    else:
        shown = "\n".join(lines_of(answer))
        print(shown, file=sys.stdout if well else sys.stderr)
    return 0 if well else 1
