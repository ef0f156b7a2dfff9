"""Who calls, as a target is told: From, and the headers of asserted identity (RFC 3323, RFC 3325).

    the caller wants privacy   target           From         P-Asserted-Identity or Remote-Party-ID
    no                         any              the caller   where `header` says so
    yes                        trusted          anonymous    the caller, with Privacy: id
    yes                        not trusted      anonymous    none, nor other headers that name him

Identity headers are never passed on as they came: they are each leg's own statement. What a route
sets itself stands, whoever it is for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from router.core.headers import IDENTITY
from router.sip.message import Message
from router.sip.uri import escape_user

if TYPE_CHECKING:
    from router.core.attempt import Attempt
    from router.core.call import Call

PAI, RPID = "P-Asserted-Identity", "Remote-Party-ID"
ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'
_INVALID = "@anonymous.invalid"
_NOBODY = frozenset(("", "anonymous"))

PERSONAL = frozenset((
    "reply-to", "organization", "call-info", "subject", "in-reply-to", "user-agent", "identity",
    "identity-info", "p-access-network-info", "referred-by",
))
"""What may name a caller who wants privacy (RFC 3323 §5.3); targets that are not trusted do not
get it."""


class Identity(NamedTuple):
    """How a target is told who calls.

    `trusted`: it belongs to our trust domain (RFC 3324). `header` carries the caller besides From,
    "" for none.
    """

    trusted: bool = False
    header: str = ""


FROM_ONLY = Identity()


def sender(call: Call, attempt: Attempt, host: str) -> str:
    """The From of an attempt, without its tag."""
    if call.privacy:
        return ANONYMOUS
    number = f"{escape_user(attempt.caller)}@" if attempt.caller else ""
    display = f"{attempt.display} " if attempt.display else ""
    return f"{display}<sip:{number}{host}>"


def assertion(call: Call, attempt: Attempt, host: str) -> str:
    """The header lines that say who calls, besides From."""
    identity, added = attempt.target.identity, attempt.added.lower()
    header = identity.header
    if call.privacy:
        if not identity.trusted:
            return ""
        header = header or PAI
    if not header or attempt.caller.lower() in _NOBODY or f"{header.lower()}:" in added:
        return ""
    display = f"{attempt.display} " if attempt.display else ""
    line = f"{header}: {display}<sip:{escape_user(attempt.caller)}@{host}>"
    if header == RPID:
        line += f";party=calling;screen=yes;privacy={'full' if call.privacy else 'off'}"
    if not call.privacy or "privacy:" in added:
        return f"{line}\r\n"
    return f"{line}\r\nPrivacy: id\r\n"


def withheld(call: Call, attempt: Attempt) -> frozenset[str]:
    """The headers of the caller's that do not go to this target, by canonical name."""
    if call.privacy and not attempt.target.identity.trusted:
        return attempt.removed | PERSONAL
    return attempt.removed


def withheld_inside(message: Message, remote: str) -> frozenset[str]:
    """The same for a message inside a call: `remote` is the From of the leg that it goes out on.

    There the statement of who somebody is passes, unless he wants privacy.
    """
    if _INVALID in remote or message.has("privacy"):
        return IDENTITY
    return frozenset()
