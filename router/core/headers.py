"""Which headers belong to one leg, and which pass from one leg to the other."""

from __future__ import annotations

from router.sip.head import COMPACT_FORMS

# What each leg writes into each of its messages: no route can set it, or take it away.
OWN = frozenset((
    "via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "record-route",
    "content-length", "session-expires", "min-se",
))

OWN_NAMES = OWN | {short for short, name in COMPACT_FORMS.items() if name in OWN}
"""the same with their compact forms"""

# Who somebody is and who may know it (RFC 3323, RFC 3325): what a peer says of its caller is its
# own word, and no other peer's.
IDENTITY = frozenset((
    "p-asserted-identity", "p-preferred-identity", "remote-party-id", "privacy",
))

# What each leg makes for itself (RFC 3261's dialog and routing headers), and what is spoken to the
# next hop alone. Everything else, known or not, passes unchanged and in order.
NOT_PASSED = frozenset((
    "via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "route", "record-route",
    "content-length", "authorization", "proxy-authorization", "www-authenticate",
    "proxy-authenticate", "authentication-info", "proxy-authentication-info", "proxy-require",
    "path", "service-route", "timestamp", "session-expires", "min-se",
))
