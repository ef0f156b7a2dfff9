"""A test call through the running router, as `trunkline call` and the HTTP API place it.

The caller is a simulated peer on a socket of its own; the router knows nothing of it, and routes,
counts and bills the call like any other. No media is sent: what the other side sends is left
unread. What is shown of it meanwhile is not known here.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from router.admin.call_as import Caller, session_description
from router.admin.cdr_search import find_cdr
from router.admin.status_facts import read_status
from router.admin.wrong_value import WrongValue
from router.core.agent import AgentCall
from router.core.flow import Flow
from router.core.network import Wire
from router.runtime.agent_driver import AgentDriver
from router.store.errors import StoreError
from router.store.records import Cdr

SETTLE_MS: Final = 200
"""For the last answers, so that the ladder is whole."""
CDR_WAIT_S: Final = 10.0
BYE_WAIT_MS: Final = 5_000
LONGEST_NUMBER: Final = 128

Watch = Callable[[int, Sequence[Wire], str], None]
"""The caller's port, what was sent and received so far, the Call-ID."""


class TestCall:
    """One call: `play` it, then `cdr` is what the router says of it, None where it says nothing."""

    def __init__(
        self, caller: Caller, router: Flow, state: Path, *, hold_ms: int, codecs: str
    ) -> None:
        self._caller = caller
        self._router = router
        self._state = state
        self._hold_ms = hold_ms
        self._codecs = codecs
        self.cdr: Cdr | None = None
        self.status = 0
        self.stopped = False

    def play(
        self, number: str, limit_ms: int, *,
        watch: Watch = lambda port, wires, call_id: None,
        stop_asked: Callable[[], bool] = lambda: False,
    ) -> None:
        """Call, tell `watch` each turn, hang up; OSError when there is no socket."""
        caller = self._caller
        with (
            AgentDriver() as driver,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media,
        ):
            agent = driver.add(caller.source)
            # Held, so that media for us meets a socket and nobody is told that nobody listens.
            media.bind((caller.source, 0))
            body = session_description(caller.source, media.getsockname()[1], self._codecs)
            placed: list[AgentCall] = []

            def turn(now_ms: int) -> bool:
                if not placed:
                    placed.append(agent.place(
                        number, caller.number, self._router, hang_up_after_ms=self._hold_ms,
                        body=body, login=caller.login,
                    ))
                call = placed[0]
                if stop_asked() and not self.stopped:
                    self.stopped = True
                    call.give_up()
                watch(agent.listener.port, driver.wires, call.leg.call_id)
                return bool(call.ended_ms) or self.stopped

            if not driver.run(turn, limit_ms):
                placed[0].give_up()
            driver.run(lambda now_ms: turn(now_ms) and bool(placed[0].ended_ms), BYE_WAIT_MS)
            self.status = placed[0].status
            self._await_cdr(driver, placed[0].leg.call_id, turn)

    def _await_cdr(
        self, driver: AgentDriver, call_id: str, turn: Callable[[int], bool]
    ) -> None:
        """Go on answering until the CDR is there; a challenge that was refused has none."""
        deadline = time.monotonic() + CDR_WAIT_S
        refused = self.status in (401, 407)
        while self.cdr is None:
            driver.run(lambda now_ms: turn(now_ms) and False, SETTLE_MS)
            try:
                self.cdr = find_cdr(self._state, call_id)
            except WrongValue:
                if refused or time.monotonic() > deadline:
                    return


def why_no_cdr(played: TestCall) -> str:
    """In words, with what to look at."""
    if played.status in (401, 407):
        return (
            "the router does not take the password of the configuration: was it reloaded since "
            "the password changed? trunkline reload"
        )
    if not played.status or played.status == 408:
        return "the router has not answered: trunkline status, and is --router its address?"
    return (
        f"the call ended with {played.status}, and the router wrote no CDR: routes answered it "
        "with reply(), or the ledger is behind (trunkline status)"
    )


def check_number(what: str, number: str) -> None:
    """WrongValue for a number that cannot be dialled."""
    allowed = "+*-_.~!"
    if not number or len(number) > LONGEST_NUMBER or not all(
        char.isascii() and (char.isalnum() or char in allowed) for char in number
    ):
        raise WrongValue(f'{what} "{number}" cannot be dialled: digits, letters and {allowed}')


def check_running(state: Path) -> None:
    """StoreError where no router runs."""
    if not read_status(state, time.time_ns() // 1_000_000).running:
        raise StoreError(f'no router is running with state folder "{state}": trunkline run')
