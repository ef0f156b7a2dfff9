"""Requests whose route waits for a function of Python's: kept, resumed, or given up.

    event                      what happens                                            next
    the policy says Wait       100 to an INVITE, its record stored; a limit is set     waiting
    the route has ended        its verdict is carried out, in a turn of its own        over
    the limit is reached       the route is cancelled; 500, ServerFailure              over
    the call ends              CANCEL, BYE, stop: the route is cancelled               over

Who drives the engine runs the routes, as it sends the messages: it takes them with `take_waits`,
and tells the engine of their end with `on_waited`. Nothing here knows of asyncio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from router.core.end_reasons import EndReason, failure_header
from router.core.wheel import Timer, cancel

if TYPE_CHECKING:
    from router.core.call import Call
    from router.core.engine import Engine
    from router.core.transactions.server_invite import InviteServer
    from router.core.transactions.server_request import RequestServer
    from router.core.verdicts import Wait

MAX_WAITING = 10_000
"""Requests of one worker that may wait at once; further ones are refused."""


class LimitReached(Exception):
    """A route waited for longer than it may; the policy says for what."""


class Waiting:
    """A request that waits; `call` is None if it is no INVITE.

    The driver runs `wait.route` as a coroutine and leaves in `stop` what cancels it.
    """

    __slots__ = ("_engine", "_go_on", "_timer", "call", "over", "server", "stop", "wait")

    def __init__(
        self, engine: Engine, wait: Wait, call: Call | None,
        server: InviteServer | RequestServer | None, go_on: Callable[[Any, Any], None],
    ) -> None:
        self._engine = engine
        self._go_on = go_on
        self.wait = wait
        self.call = call
        self.server = server
        self.over = False
        self.stop: Callable[[], None] | None = None
        layer = engine.layer
        self._timer: Timer | None = layer.wheel.at(
            layer.now + wait.limit_ms, Waiting._on_limit, self
        )

    def resume(self, error: BaseException | None) -> None:
        """The route has ended: what it decided is carried out. Raises what it raised."""
        call, server = self.call, self.server
        self._let_go()
        verdict = self.wait.conclude(error)
        self._go_on(call if call is not None else server, verdict)

    def abandon(self) -> None:
        """Nobody waits for the route any more."""
        if self.over:
            return
        self._let_go()
        if self.stop is not None:
            self.stop()
        else:
            self.wait.route.close()

    def _on_limit(self) -> None:
        engine = self._engine
        stop = self.stop
        engine.on_waited(self, LimitReached(), engine.layer.now)
        if stop is not None:
            stop()

    def _let_go(self) -> None:
        # No reference cycle may survive the request.
        self.over = True
        cancel(self._timer)
        self._timer = None
        self._engine.waiting.discard(self)
        if self.call is not None:
            self.call.waiting = None
        self.call = self.server = None


def suspend(
    engine: Engine, wait: Wait, call: Call | None, server: InviteServer | RequestServer | None,
    go_on: Callable[[Any, Any], None],
) -> None:
    """Keeps a request until its route has ended; then `go_on(call or server, verdict)`."""
    if len(engine.waiting) >= MAX_WAITING:
        wait.route.close()
        if call is not None:
            call.reject(EndReason.Overloaded, extra="Retry-After: 5\r\n")
        elif server is not None:
            server.respond(503, "", "Retry-After: 5\r\n" + failure_header(server, 503))
        return
    waiting = Waiting(engine, wait, call, server, go_on)
    engine.waiting.add(waiting)
    engine.new_waits.append(waiting)
    if call is not None:
        call.waiting = waiting
