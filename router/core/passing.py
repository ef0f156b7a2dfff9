"""The header lines that pass between the legs of a call that is being set up.

Requests inside a call, and their answers, are `relay`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.headers import IDENTITY, NOT_PASSED
from router.core.session_headers import without_timer
from router.sip.message import Response

if TYPE_CHECKING:
    from router.core.attempt import Attempt
    from router.core.call import Call

_NONE: frozenset[str] = frozenset()
_OWN = NOT_PASSED | IDENTITY


def passed_to_gateway(call: Call, removed: frozenset[str]) -> str:
    """The caller's header lines that go on to a gateway, as they came."""
    request = call.request
    assert request is not None
    if removed:
        return without_timer(request, _OWN | removed)
    if not call.passed:
        call.passed = without_timer(request, _OWN)
    return call.passed


def passed_to_caller(call: Call, attempt: Attempt, response: Response) -> str:
    """Runs reply_route; the header lines of a gateway's response that go on to the caller."""
    dial = call.dial
    drop = _OWN if response.has("privacy") else NOT_PASSED
    if dial is None or not dial.on_reply:
        return without_timer(response, drop)
    attempt.reply_removed = _NONE
    attempt.reply_added = ""
    call.policy.replied(call, attempt, response)
    return without_timer(response, drop | attempt.reply_removed) + attempt.reply_added
