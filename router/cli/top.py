"""`trunkline top`: what the router does, as it does it."""

from __future__ import annotations

import sys
from pathlib import Path

from router.admin.wrong_value import WrongValue
from router.cli.cdr_query import State, obey

SHORTEST_S = 0.2
LONGEST_S = 60.0


def top(*, state: State = Path("state"), every: float = 1.0) -> int:
    """Watch calls, gateways and failures as they happen; q quits, ? shows the keys.

    Reads the state folder only: it asks nothing of the router, and shows what is left when none
    runs.

    Parameters
    ----------
    state
        The router's state folder, as `state` in routes.cfg says.
    every
        Seconds between two looks.
    """

    def run() -> None:
        if not SHORTEST_S <= every <= LONGEST_S:
            raise WrongValue(f"--every {every:g} is not within {SHORTEST_S:g} to {LONGEST_S:g} s")
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise WrongValue("top needs a terminal: trunkline status prints once, also --json")
        # Loaded here: it takes a good part of a second.
        from router.admin.live_figures import Reader
        from router.cli.top_app import TopApp

        TopApp(Reader(state), every).run(mouse=False)

    return obey(run)
