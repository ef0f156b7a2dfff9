"""A worker that stands still, from inside: it says where it is, and breaks off what holds it up.

Python's own fault handler writes the place down for the supervisor, whatever the worker is doing.
Then, if it is Python that runs there, a route that holds everything up is broken off: its request
ends with 500 and the worker lives. One that is stuck in code which is not Python's is killed later.
"""

from __future__ import annotations

import contextlib
import faulthandler
import signal
import traceback
from collections.abc import Callable
from types import FrameType

from router.routing.hook_errors import Stuck
from router.routing.route_runs import runs_a_route
from router.runtime.child import ROUSE

MAX_PLACES = 16


def hear_rousing(words: int, log: Callable[..., None]) -> None:
    """From now on say where this process is when it is roused, and break routes off.

    `words` is a descriptor to write it to, -1 for none; `log(level, event, **fields)`.
    """

    def rouse(_: int, frame: FrameType | None) -> None:
        places = [
            f"{at.filename}:{at.lineno} {at.name}"
            for at in reversed(traceback.extract_stack(frame)[-MAX_PLACES:])
        ]
        in_route = runs_a_route(frame)
        # What it stands in may be the log itself.
        with contextlib.suppress(Exception):
            log("error", "stood still", at=places, broken_off=in_route)
        if in_route:
            raise Stuck

    signal.signal(ROUSE, rouse)
    if words >= 0:
        faulthandler.register(ROUSE, file=words, all_threads=False, chain=True)
