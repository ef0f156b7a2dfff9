"""The one exception that peers' input raises.

Anything else that escapes this package is our bug, never the peer's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.sip.message import Request


class SipError(Exception):
    """A message that breaks the rules, with the status its sender earns (RFC 3261 §21.4).

    `request` is set when a response can be addressed: a request other than ACK whose Via, From,
    To, Call-ID and CSeq are there and whose top Via can be read. It is None for responses and for
    all that must be met with silence; a stream that framed it is to be closed.
    """

    def __init__(self, status: int, reason: str, request: Request | None = None) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.request = request

    def __str__(self) -> str:
        return f"{self.status} {self.reason}"
