"""Productions of RFC 3261 §25.1 that are checked off the hot path, each over its regex.

The hot path compares with dictionaries of what is common; only what is not in them comes here.
"""

from __future__ import annotations

import re

# token  =  1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" )
is_token = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+").fullmatch

# SIP-Version  =  "SIP" "/" 1*DIGIT "." 1*DIGIT     (the literal is case-insensitive, §7.1)
is_version = re.compile(r"[Ss][Ii][Pp]/[0-9]+\.[0-9]+").fullmatch

# Status-Code  =  Informational / Redirection / Success / Client-Error / Server-Error
#                 / Global-Failure / extension-code (3DIGIT)
# Only 1xx to 6xx have a meaning (§7.2), so an extension code outside them is refused.
is_status = re.compile(r"[1-6][0-9]{2}").fullmatch

# scheme  =  ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
is_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]*").fullmatch

# hostname       =  *( domainlabel "." ) toplabel [ "." ]
# IPv4address    =  1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT
# lenient: underscores and labels that begin or end with "-" are in many a provider's DNS and in
# names of Docker containers; non-ASCII letters are in internationalised names sent raw.
is_host = re.compile(r"[A-Za-z0-9\-._\x80-\U0010ffff]+").fullmatch

# IPv6reference  =  "[" IPv6address "]"
# lenient: a zone ("%eth0", RFC 6874) may follow the address.
is_ipv6 = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9\-._~%]+)?").fullmatch


def parse_digits(text: str, maximum: int) -> int | None:
    """1*DIGIT up to `maximum`; None when the text is anything else or the number is larger."""
    # isdigit() alone takes other scripts' digits too; the length check keeps int() cheap.
    if not text.isdigit() or not text.isascii():
        return None
    if len(text) > 10:
        text = text.lstrip("0") or "0"
        if len(text) > 10:
            return None
    number = int(text)
    return number if number <= maximum else None


def parse_port(text: str) -> int | None:
    """A port, 1 to 65535; None when the text is anything else."""
    return parse_digits(text, 65_535) or None
