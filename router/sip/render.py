"""Messages as bytes: responses, requests, and what was parsed, unchanged.

Invariant: what is rendered never carries a line break that its author did not mean. Everything
from a peer came as a line without CR or LF (`router.sip.head`); whatever a script or an operator
supplies goes through `render_header` or `clean`, which take line breaks out.
"""

from __future__ import annotations

from router.sip.grammar import is_token
from router.sip.message import Message, Request, Response

REASONS = {
    # RFC 3261 §21 and the registry of response codes
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    199: "Early Dialog Terminated",  # RFC 6228
    200: "OK",
    202: "Accepted",  # RFC 6665
    204: "No Notification",  # RFC 5839
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    412: "Conditional Request Failed",  # RFC 3903
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    417: "Unknown Resource-Priority",  # RFC 4412
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",  # RFC 4028
    423: "Interval Too Brief",
    424: "Bad Location Information",  # RFC 6442
    425: "Bad Alert Message",  # RFC 8876
    428: "Use Identity Header",  # RFC 8224
    429: "Provide Referrer Identity",  # RFC 3892
    430: "Flow Failed",  # RFC 5626
    433: "Anonymity Disallowed",  # RFC 5079
    436: "Bad Identity Info",  # RFC 8224
    437: "Unsupported Credential",  # RFC 8224
    438: "Invalid Identity Header",  # RFC 8224
    439: "First Hop Lacks Outbound Support",  # RFC 5626
    440: "Max-Breadth Exceeded",  # RFC 5393
    469: "Bad Info Package",  # RFC 6086
    470: "Consent Needed",  # RFC 5360
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",  # RFC 6665
    491: "Request Pending",
    493: "Undecipherable",
    494: "Security Agreement Required",  # RFC 3329
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    555: "Push Notification Service Not Supported",  # RFC 8599
    580: "Precondition Failure",  # RFC 3312
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
    607: "Unwanted",  # RFC 8197
    608: "Rejected",  # RFC 8688
}

_REPEATED = frozenset({"via", "record-route"})


def reply_head(request: Request, to_tag: str) -> str:
    r"""The lines every response to a request begins with, each ending with CRLF (RFC 3261 §8.2.6).

    All Via lines, all Record-Route lines, From, To, Call-ID, CSeq and, where the request has one,
    Timestamp. `to_tag` is added to a To that has no tag; "" adds none. Made once a transaction.
    """
    lines = request.lines
    first = request._first
    to = lines[first["to"]]
    if to_tag and not request.to_tag:
        to = f"{to.rstrip()};tag={to_tag}"
    if len(first) == len(lines):
        hops = lines[first["via"]]
        if "record-route" in first:
            hops = f"{hops}\r\n{lines[first['record-route']]}"
    else:
        keys = request.keys
        hops = "\r\n".join(
            [line for line, key in zip(lines, keys, strict=True) if key == "via"]
            + [line for line, key in zip(lines, keys, strict=True) if key == "record-route"]
        )
    timestamp = f"{lines[first['timestamp']]}\r\n" if "timestamp" in first else ""
    return (
        f"{hops}\r\n{lines[first['from']]}\r\n{to}\r\n{lines[first['call-id']]}\r\n"
        f"{lines[first['cseq']]}\r\n{timestamp}"
    )


def render_response(
    status: int, reason: str, head: str, extra: str = "", body: bytes = b""
) -> bytes:
    r"""A response: start line, `head` (see `reply_head`), `extra` and Content-Length, body.

    `head` and `extra` are zero or more lines that each end with CRLF.
    """
    return (
        f"SIP/2.0 {status} {reason}\r\n{head}{extra}Content-Length: {len(body)}\r\n\r\n".encode(
            "utf-8", "surrogateescape"
        )
        + body
    )


def render_request(method: str, uri: str, head: str, extra: str = "", body: bytes = b"") -> bytes:
    r"""A request: start line, `head`, `extra` and Content-Length, body.

    `head` and `extra` are zero or more lines that each end with CRLF.
    """
    return (
        f"{method} {uri} SIP/2.0\r\n{head}{extra}Content-Length: {len(body)}\r\n\r\n".encode(
            "utf-8", "surrogateescape"
        )
        + body
    )


def render_message(message: Message) -> bytes:
    """A parsed message as it came, except that folded lines are one line each."""
    if isinstance(message, Request):
        start = f"{message.method} {message.uri} SIP/2.0"
    else:
        assert isinstance(message, Response)
        start = f"SIP/2.0 {message.status} {message.reason}"
    head = "\r\n".join([start, *message.lines, "\r\n"])
    return head.encode("utf-8", "surrogateescape") + message.body


def clean(text: str) -> str:
    """The text on one line: every CR, LF and NUL is a space."""
    return text.replace("\r", " ").replace("\n", " ").replace("\0", " ")


def render_header(name: str, value: str) -> str:
    r"""`Name: value` and CRLF, the value on one line; raises ValueError when `name` is no token."""
    if not is_token(name):
        raise ValueError(f"not a header name: {name!r}")
    return f"{name}: {clean(value).strip()}\r\n"
