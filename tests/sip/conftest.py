"""A plain INVITE and what makes variations of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

INVITE = """\
INVITE sip:8613800138000@192.0.2.1:5060 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bKone;rport
Max-Forwards: 70
From: "Alice" <sip:1001@192.0.2.2>;tag=a1
To: <sip:8613800138000@192.0.2.1>
Call-ID: call-1@192.0.2.2
CSeq: 1 INVITE
Contact: <sip:1001@192.0.2.2:5070>
Content-Type: application/sdp
Content-Length: 5

v=0
"""


@pytest.fixture
def invite() -> Callable[..., bytes]:
    """The INVITE with lines replaced: `invite(("From: ...", "From: other"), ...)`.

    A replaced line is found by its beginning; None takes it out. Line ends become CRLF.
    """

    def build(*changes: tuple[str, str | None]) -> bytes:
        lines = INVITE.split("\n")
        for beginning, line in changes:
            (at,) = [i for i, old in enumerate(lines) if old.startswith(beginning)]
            lines[at : at + 1] = [] if line is None else line.split("\n")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape")

    return build
