"""Start lines, and the CSeq that repeats the method (RFC 3261 §7.1, §7.2, §20.16)."""

from __future__ import annotations

from router.sip.errors import SipError
from router.sip.grammar import is_status, is_token, is_version, parse_digits

MAX_CSEQ = 2**31 - 1  # RFC 3261 §8.1.1.5

# RFC 3261 §27.4 and the registry; a method that is not here is checked to be a token.
METHODS = frozenset(
    {
        "ACK",
        "BYE",
        "CANCEL",
        "INFO",
        "INVITE",
        "MESSAGE",
        "NOTIFY",
        "OPTIONS",
        "PRACK",
        "PUBLISH",
        "REFER",
        "REGISTER",
        "SUBSCRIBE",
        "UPDATE",
    }
)


def parse_request_line(line: str, uri_chars: int) -> tuple[str, str]:
    """Method SP Request-URI SP SIP-Version: exactly two spaces (RFC 3261 §7.1)."""
    parts = line.split(" ")
    if len(parts) != 3:
        raise SipError(400, "Malformed request line")
    method, uri, version = parts
    if version != "SIP/2.0":
        _check_version(version)
    if method not in METHODS and not is_token(method):
        raise SipError(400, "Malformed method")
    if len(uri) > uri_chars:
        raise SipError(414, "Request-URI Too Long")
    # Brackets are the commonest mistake of those who copy a Contact into the request line.
    if uri[:1] == "<" or uri.find(":") < 1:
        raise SipError(400, "Malformed Request-URI")
    return method, uri


def parse_status_line(line: str) -> tuple[int, str]:
    """SIP-Version SP Status-Code SP Reason-Phrase; the phrase may be empty (RFC 3261 §7.2)."""
    # lenient: with an empty phrase some gateways leave the second space out.
    version, _, rest = line.partition(" ")
    if version != "SIP/2.0":
        _check_version(version)
    code, _, reason = rest.partition(" ")
    if not is_status(code):
        raise SipError(400, "Malformed status code")
    return int(code), reason


def _check_version(version: str) -> None:
    if not is_version(version):
        raise SipError(400, "Malformed SIP version")
    if version[4:] != "2.0":
        raise SipError(505, "Version Not Supported")


def parse_cseq(value: str) -> tuple[int, str]:
    """1*DIGIT LWS Method, the number below 2**31 (RFC 3261 §8.1.1.5)."""
    parts = value.replace("\t", " ").strip(" ").split(" ", 1)
    number = parse_digits(parts[0], MAX_CSEQ)
    if number is None or len(parts) != 2:
        raise SipError(400, "Malformed CSeq header")
    method = parts[1].lstrip(" ")
    if not is_token(method):
        raise SipError(400, "Malformed CSeq header")
    return number, method
