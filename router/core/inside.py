"""Requests inside a dialog, as a dialog_route sees them before they are passed on.

What the route decides holds for the request: an answer of its own, the end of the call, or nothing,
and then it passes. A BYE ends the call whatever the route says, also if it fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.end_reasons import EndReason, failure_header
from router.core.flow import Flow
from router.core.states import ENDED
from router.core.transactions.server_invite import InviteServer
from router.core.transactions.server_request import RequestServer
from router.core.verdicts import End, Respond, Verdict
from router.sip.errors import SipError
from router.sip.message import Request

if TYPE_CHECKING:
    from router.core.call import Call

FAULT: Verdict = Respond(500)
NOT_ACCEPTABLE_HERE = 488


def look_inside(call: Call, request: Request, flow: Flow) -> Verdict | None:
    """What dialog_route says of a request of the call; None: it passes. A fault costs it a 500."""
    # A gateway may speak to us still in the dialog of a call that has ended, and has no routes.
    run = call.policy.inside if call.state != ENDED else None
    if run is None:
        return None
    engine = call.engine
    found: list[Verdict | None] = [FAULT]

    def look() -> None:
        try:
            found[0] = run(call, request, flow)
        except SipError as error:  # the route asked for a part that the peer wrote wrong
            found[0] = Respond(error.status, error.reason)

    engine.run_apart(f"dialog_route of call {call.id}", look)
    return found[0]


def answer_inside(
    call: Call, request: Request, server: InviteServer | RequestServer, verdict: Verdict
) -> None:
    """Does what dialog_route decided of a request that is no BYE."""
    reason: EndReason | None = None
    status, phrase, extra = 500, "", ""
    if isinstance(verdict, End):
        reason = verdict.reason or EndReason.ServerFailure
        status = verdict.status or reason.status or 500
    elif isinstance(verdict, Respond):
        status, phrase, extra = verdict.status, verdict.reason, verdict.extra
    if status < 300 and request.method == "INVITE":
        # An answer without a description of media would be none (RFC 3264 §5).
        status, phrase = NOT_ACCEPTABLE_HERE, ""
    server.respond(status, phrase, extra + failure_header(server, status))
    if reason is not None:
        call.hang_up(reason)
