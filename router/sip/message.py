"""Messages: indexed once when they are parsed, interpreted only when asked (RFC 3261 §7).

Knows which headers must be there and what a few of them mean; everything else is lines that pass
through in order and unchanged. No line ever contains CR or LF.
"""

from __future__ import annotations

from router.sip.errors import SipError
from router.sip.grammar import is_token, parse_digits
from router.sip.head import (
    DEFAULT_LIMITS,
    LONG_NAMES,
    Limits,
    canonical_key,
    find_blank_line,
    index_lines,
    split_lines,
    unfold,
)
from router.sip.name_addr import header_tag, header_uri
from router.sip.quoting import WHITESPACE, is_closed, split_outside_quotes
from router.sip.start_line import METHODS, parse_cseq, parse_request_line, parse_status_line
from router.sip.via import Via, parse_via

# The headers a peer may give only once; a second one has no defined meaning (RFC 3261 §7.3.1).
SINGLE_HEADERS = ("from", "to", "call-id", "cseq", "max-forwards", "content-length")


class Message:
    """What requests and responses share.

    `lines` are the header lines, unfolded, otherwise as received, in order; `keys` the canonical
    lower-case long name of each; `body` the bytes that Content-Length counts. `call_id`, `cseq`
    and `cseq_method` were checked when the message was parsed.
    """

    __slots__ = (
        "_first",
        "_from_tag",
        "_to_tag",
        "_top_via",
        "body",
        "call_id",
        "cseq",
        "cseq_method",
        "keys",
        "lines",
    )

    def __init__(
        self,
        lines: list[str],
        keys: list[str],
        first: dict[str, int],
        body: bytes,
        call_id: str,
        cseq: int,
        cseq_method: str,
    ) -> None:
        self.lines = lines
        self.keys = keys
        self._first = first  # key -> index of its first line
        self.body = body
        self.call_id = call_id
        self.cseq = cseq
        self.cseq_method = cseq_method
        self._from_tag: str | None = None
        self._to_tag: str | None = None
        self._top_via: Via | None = None

    def get(self, key: str, default: str = "") -> str:
        """The value of the first such header, stripped; `key` is a canonical name."""
        at = self._first.get(key)
        if at is None:
            return default
        line = self.lines[at]
        return line[line.find(":") + 1 :].strip(WHITESPACE)

    def get_all(self, key: str) -> list[str]:
        """The value of every such header line, stripped, in order, not split at commas."""
        if key not in self._first:
            return []
        return [
            line[line.find(":") + 1 :].strip(WHITESPACE)
            for line, name in zip(self.lines, self.keys, strict=True)
            if name == key
        ]

    def has(self, key: str) -> bool:
        """Whether there is such a header."""
        return key in self._first

    def has_either(self, key: str, other: str) -> bool:
        """Whether there is one of two headers."""
        first = self._first
        return key in first or other in first

    def values(self, key: str) -> list[str]:
        """The values of all such headers, split at commas outside quotes and brackets."""
        if key not in self._first:
            return []
        values: list[str] = []
        for value in self.get_all(key):
            values += split_outside_quotes(value, ",")
        return values

    def passthrough(self, drop: frozenset[str]) -> str:
        r"""The header lines whose canonical name is not in `drop`, each ending with CRLF."""
        return "".join(
            [
                line + "\r\n"
                for line, key in zip(self.lines, self.keys, strict=True)
                if key not in drop
            ]
        )

    @property
    def from_tag(self) -> str:
        """The tag of From, "" when there is none."""
        tag = self._from_tag
        if tag is None:
            tag = self._from_tag = header_tag(self.get("from"))
        return tag

    @property
    def to_tag(self) -> str:
        """The tag of To, "" when there is none."""
        tag = self._to_tag
        if tag is None:
            tag = self._to_tag = header_tag(self.get("to"))
        return tag

    @property
    def top_via(self) -> Via:
        """The first Via value; raises SipError 400 (without request: nobody to answer)."""
        via = self._top_via
        if via is None:
            via = self._top_via = parse_via(self.get("via"))
        return via

    @property
    def top_branch(self) -> str:
        """The branch of the first Via value, found without reading the rest where that is safe."""
        line = self.lines[self._first["via"]]
        at = line.find(";branch=")
        if at < 0 or '"' in line or "," in line:
            return self.top_via.branch
        end = line.find(";", at + 8)
        return (line[at + 8 :] if end < 0 else line[at + 8 : end]).strip(WHITESPACE)

    @property
    def vias(self) -> list[str]:
        """All Via values, topmost first."""
        return self.values("via")

    @property
    def from_uri(self) -> str:
        """The URI of From, "" when there is none."""
        return header_uri(self.get("from"))

    @property
    def to_uri(self) -> str:
        """The URI of To, "" when there is none."""
        return header_uri(self.get("to"))

    @property
    def contact_uri(self) -> str:
        """The URI of the first Contact, "" when there is none, "*" as it is."""
        value = self.get("contact")
        return header_uri(value) if value else ""

    @property
    def record_routes(self) -> list[str]:
        """All Record-Route values, topmost first."""
        return self.values("record-route")

    @property
    def routes(self) -> list[str]:
        """All Route values, topmost first."""
        return self.values("route")

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, None when absent or not a number of up to ten digits.

        lenient: RFC 3261 §20.22 says 0 to 255; what is larger or odd still ends at our own limit.
        """
        value = self.get("max-forwards")
        return parse_digits(value, 9_999_999_999) if value else None


class Request(Message):
    """A request."""

    __slots__ = ("method", "uri")

    def __init__(
        self,
        method: str,
        uri: str,
        lines: list[str],
        keys: list[str],
        first: dict[str, int],
        body: bytes = b"",
        call_id: str = "",
        cseq: int = 0,
        cseq_method: str = "",
    ) -> None:
        super().__init__(lines, keys, first, body, call_id, cseq, cseq_method)
        self.method = method
        self.uri = uri

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri} {self.call_id}>"


class Response(Message):
    """A response."""

    __slots__ = ("reason", "status")

    def __init__(
        self,
        status: int,
        reason: str,
        lines: list[str],
        keys: list[str],
        first: dict[str, int],
        body: bytes,
        call_id: str,
        cseq: int,
        cseq_method: str,
    ) -> None:
        super().__init__(lines, keys, first, body, call_id, cseq, cseq_method)
        self.status = status
        self.reason = reason

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.cseq_method} {self.call_id}>"


def is_keepalive(data: bytes) -> bool:
    """Whether a datagram is only CR, LF and NUL, or empty: sent to keep a NAT open (RFC 5626)."""
    return not data.lstrip(b"\r\n\0")


def parse_message(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Request | Response:
    """Parses one whole message; raises SipError 400, 413, 414 or 505, and nothing else.

    What is checked: the sizes, the start line, that Via, From, To, Call-ID and CSeq are there,
    that none of the single headers is there twice, that quotes close in From and To, CSeq, and
    Content-Length against the size (a longer datagram is cut, RFC 3261 §18.3). Line breaks before
    the start line are skipped.
    """
    try:
        return _parse(data, limits)
    except SipError as error:
        raise SipError(error.status, error.reason, _addressable(data, limits)) from None


def _parse(data: bytes, limits: Limits) -> Request | Response:
    if len(data) > limits.message_bytes:
        raise SipError(413, "Request Entity Too Large")
    end = data.find(b"\r\n\r\n")
    body_start = end + 4
    head = data[:end].decode("utf-8", "surrogateescape") if end > 0 else ""
    lines = head.split("\r\n")
    text = "".join(lines)
    if "\n" in text or "\r" in text or not lines[0]:
        data, lines, end, body_start = _split_irregular(data)

    # A method is a token and cannot contain "/", so this begins responses only.
    start_line = lines.pop(0)
    method = uri = reason = ""
    status = 0
    if start_line.startswith(("SIP/", "sip/")):
        status, reason = parse_status_line(start_line)
    else:
        method, uri = parse_request_line(start_line, limits.uri_chars)

    if len(lines) > limits.header_count:
        raise SipError(400, "Too many header lines")
    lines, keys = index_lines(lines)
    # Backwards, so that the first line of a name is the one that stays.
    count = len(keys)
    first = dict(zip(reversed(keys), range(count - 1, -1, -1)))  # noqa: B905 - strict costs 0.1 us
    if len(first) != count:
        _refuse_duplicates(keys)
    if end > limits.line_chars:
        _refuse_long_lines(start_line, lines, limits.line_chars)
    try:
        first["via"]
        from_line = lines[first["from"]]
        to_line = lines[first["to"]]
        call_id_line = lines[first["call-id"]]
        cseq_line = lines[first["cseq"]]
    except KeyError as missing:
        raise SipError(400, f"Missing {LONG_NAMES[missing.args[0]]} header") from None
    call_id = call_id_line[call_id_line.find(":") + 1 :].strip(WHITESPACE)
    if not call_id:
        raise SipError(400, "Malformed Call-ID header")
    if '"' in from_line or '"' in to_line:
        _refuse_open_quotes(from_line, to_line)
    digits, _, cseq_method = cseq_line[cseq_line.find(":") + 1 :].lstrip(WHITESPACE).partition(" ")
    if (
        (cseq_method == method or (not method and cseq_method in METHODS))
        and len(digits) < 10
        and digits.isdigit()
        and digits.isascii()
    ):
        cseq = int(digits)
    else:
        cseq, cseq_method = parse_cseq(cseq_line[cseq_line.find(":") + 1 :])
        if method and cseq_method != method:
            raise SipError(400, "CSeq method does not match")

    at = first.get("content-length")
    body = data[body_start:] if at is None else _cut_body(data, body_start, lines[at])
    if method:
        return Request(method, uri, lines, keys, first, body, call_id, cseq, cseq_method)
    return Response(status, reason, lines, keys, first, body, call_id, cseq, cseq_method)


def _split_irregular(data: bytes) -> tuple[bytes, list[str], int, int]:
    """Data without leading line ends, lines, end of the head and start of the body."""
    data = data.lstrip(b"\r\n")
    end, body_start = find_blank_line(data)
    if end < 0:
        raise SipError(400, "Missing blank line after the headers")
    return data, split_lines(data[:end]), end, body_start


def _refuse_long_lines(start_line: str, lines: list[str], line_chars: int) -> None:
    if len(start_line) > line_chars:
        raise SipError(400, "Start line too long")
    if max(map(len, lines), default=0) > line_chars:
        raise SipError(400, "Header line too long")


def _refuse_open_quotes(from_line: str, to_line: str) -> None:
    """An open quote would swallow the tag that we add."""
    for name, line in (("From", from_line), ("To", to_line)):
        if '"' in line and not is_closed(line):
            raise SipError(400, f"Malformed {name} header")


def _refuse_duplicates(keys: list[str]) -> None:
    for key in SINGLE_HEADERS:
        if keys.count(key) > 1:
            raise SipError(400, f"More than one {LONG_NAMES[key]} header")


def _cut_body(data: bytes, start: int, line: str) -> bytes:
    """The bytes that a Content-Length line counts."""
    available = len(data) - start
    # Digits that count more than a body can ever have are too long a body, not a bad number.
    length = parse_digits(line[line.find(":") + 1 :].strip(WHITESPACE), 9_999_999_999)
    if length is None:
        raise SipError(400, "Malformed Content-Length header")
    if length > available:
        raise SipError(400, "Body shorter than Content-Length")
    return data[start : start + length]


def _addressable(data: bytes, limits: Limits) -> Request | None:
    """As much of a refused request as a response to it needs; None when that is not there.

    Lines that cannot be read are left out, and so is the body.
    """
    data = data[: limits.message_bytes].lstrip(b"\r\n")
    end, _ = find_blank_line(data)
    text = (data if end < 0 else data[:end]).decode("utf-8", "surrogateescape")
    start_line, *lines = text.replace("\r\n", "\n").split("\n", limits.header_count + 1)
    method, _, rest = start_line.partition(" ")
    # ACK is never answered, whatever is wrong with it (RFC 3261 §17).
    if not is_token(method) or method == "ACK":
        return None
    if len(lines) > limits.header_count:
        lines.pop()
    kept: list[str] = []
    keys: list[str] = []
    for line in unfold(lines):
        name, colon, _ = line.partition(":")
        name = name.rstrip(WHITESPACE)
        if colon and is_token(name) and "\r" not in line and len(line) <= limits.line_chars:
            kept.append(line)
            keys.append(canonical_key(name))
    first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
    request = Request(method, rest.rpartition(" ")[0][: limits.uri_chars], kept, keys, first)
    if not all(request.get(key) for key in ("via", "from", "to", "call-id", "cseq")):
        return None
    request.call_id = request.get("call-id")
    try:
        request.top_via  # noqa: B018 - a Via that cannot be read tells nowhere to answer
        request.cseq, request.cseq_method = parse_cseq(request.get("cseq"))
    except SipError as error:
        if "CSeq" not in error.reason:
            return None
    return request
