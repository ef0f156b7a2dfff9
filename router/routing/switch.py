"""The policy of the core: runs the compiled routes of one Program.

The Program and its objects are of one piece: a call keeps the Switch it began with.
"""

from __future__ import annotations

from collections.abc import Callable

from dsl.program import Handler, Program
from router.core.attempt import Attempt
from router.core.call import Call
from router.core.end_reasons import EndReason
from router.core.flow import Flow
from router.core.tally import Tally
from router.core.verdicts import Drop, End, Next, Target, Verdict
from router.routing.config import Config
from router.routing.context import Context
from router.routing.text_functions import text_of
from router.sip.message import Request, Response
from router.sip.name_addr import header_uri, parse_name_addr
from router.sip.uri import uri_user

NEXT: Verdict = Next()
DROP: Verdict = Drop()


class Switch:
    """Routes and objects of one Program, as the core's Policy.

    `stopwatch` gives seconds from any fixed point; `log(level, text, **fields)` takes the lines
    that routes write.
    """

    def __init__(
        self, program: Program, config: Config, tally: Tally, stopwatch: Callable[[], float],
        log: Callable[..., None],
    ) -> None:
        self.program = program
        self.config = config
        self._tally = tally
        self._stopwatch = stopwatch
        self._log = log
        self._request_route = program.routes.get(("request_route", ""))
        self._end_route = program.routes.get(("end_route", ""))
        self._request_times = tally.route_duration["request_route"]

    def invite(self, call: Call) -> Verdict:
        """Runs request_route for a new call."""
        request = call.request
        assert request is not None
        who = request.get("from")
        call.caller = uri_user(header_uri(who))
        if who[:1] not in "<s":  # neither "<sip:…>" nor "sip:…": a name stands before the URI
            call.display = parse_name_addr(who).display
        cdr = call.cdr
        cdr.caller_in = call.caller
        cdr.config = self.config.hash
        context = Context(self.config, self._log, request, call.flow, call)
        call.context = context
        started = self._stopwatch()
        if self._request_route is not None:
            self._request_route(context)
        self._request_times.observe(self._stopwatch() - started)
        verdict = context.verdict
        context.verdict = None
        # A path without an answer is a finding of `check`; if one is met all the same, the caller
        # must not wait.
        return verdict if verdict is not None else End(EndReason.ServerFailure)

    def request(self, request: Request, flow: Flow) -> Verdict:
        """Runs request_route for any other request outside a dialog."""
        context = Context(self.config, self._log, request, flow, None)
        started = self._stopwatch()
        if self._request_route is not None:
            self._request_route(context)
        self._request_times.observe(self._stopwatch() - started)
        return context.verdict or End(EndReason.ServerFailure)

    def branch(self, call: Call, attempt: Attempt) -> None:
        """Runs the call's branch_route."""
        dial = call.dial
        if dial is not None:
            self._run("branch_route", dial.on_branch, call, attempt, None)

    def replied(self, call: Call, attempt: Attempt, response: Response) -> None:
        """Runs the call's reply_route."""
        dial = call.dial
        if dial is not None:
            self._run("reply_route", dial.on_reply, call, attempt, response)

    def failed(self, call: Call, attempt: Attempt) -> Verdict:
        """Runs the call's failure_route; without a decision of it hunting goes on."""
        dial = call.dial
        if dial is None:
            return NEXT
        return self._run("failure_route", dial.on_failure, call, attempt, None) or NEXT

    def ended(self, call: Call) -> None:
        """Writes the call's variables to its CDR, after end_route has had its say."""
        context = call.context
        if context is None:
            return
        if self._end_route is not None:
            started = self._stopwatch()
            context.attempt = context.response = None
            self._end_route(context)
            self._tally.route_duration["end_route"].observe(self._stopwatch() - started)
        if context.variables:
            call.cdr.variables = {
                name: text_of(value) for name, value in context.variables.items()
            }

    def target(self, key: str) -> Target | None:
        """The gateway of a candidate's key, or None when it is no longer configured."""
        return self.config.gateways_by_key.get(key)

    def max_duration_ms(self, gateway: str) -> int:
        """How long an answered call through this gateway may last."""
        return self.config.max_duration_ms(gateway)

    def _run(
        self, kind: str, name: str, call: Call, attempt: Attempt, response: Response | None
    ) -> Verdict | None:
        handler: Handler = self.program.routes[(kind, name)]
        context: Context = call.context
        context.attempt = attempt
        context.response = response
        started = self._stopwatch()
        try:
            handler(context)
        finally:
            context.attempt = context.response = None
        self._tally.route_duration[f"{kind}[{name}]"].observe(self._stopwatch() - started)
        verdict = context.verdict
        context.verdict = None
        return verdict


def build_switch(
    program: Program, config: Config, *, tally: Tally, stopwatch: Callable[[], float],
    log: Callable[..., None],
) -> Switch:
    """The policy of a checked program."""
    return Switch(program, config, tally, stopwatch, log)
