"""Whole messages out of a byte stream (RFC 3261 §18.3), sans-IO.

    where we are         bytes                          what happens
    between messages     CRLF                           dropped; each second in a row is a ping
    between messages     a token character              a message begins
    between messages     anything else                  400
    in the start line    a line end                     must look like SIP, else 400
    in the head          an empty line                  Content-Length is read, else 400
    in the body          Content-Length bytes           the message is handed out

The same bytes give the same messages, pings and failure however they are cut into chunks. After a
failure nobody knows where the next message begins: the connection has to be closed.
"""

from __future__ import annotations

from router.sip.errors import SipError
from router.sip.grammar import parse_digits
from router.sip.head import (
    DEFAULT_LIMITS,
    Limits,
    find_blank_line,
    index_lines,
    split_lines,
)
from router.sip.quoting import WHITESPACE

_TOKEN_BYTES = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~"
)


class StreamFramer:
    """Cuts one connection's bytes into messages.

    `pings` counts the double CRLFs so far, each of which wants a CRLF back (RFC 5626 §4.4.1).
    `error` is what ended the stream, None as long as it is sound.
    """

    __slots__ = ("_buffer", "_limits", "_line_breaks", "_searched", "_total", "error", "pings")

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.pings = 0
        self.error: SipError | None = None
        self._limits = limits
        self._buffer = bytearray()
        self._line_breaks = 0  # CRLFs in a row before the message that is to begin
        self._searched = 0  # how far the buffer holds no empty line
        self._total = 0  # bytes of the message at the front, 0 as long as its head is not whole

    def feed(self, data: bytes) -> list[bytes]:
        """Takes the next bytes and returns the messages they complete, in order.

        Raises SipError 400 or 413 when the stream cannot be followed. When messages were whole
        before that point they are returned, `error` is set, and the next call raises it.
        """
        if self.error is not None:
            raise self.error
        self._buffer += data
        messages: list[bytes] = []
        try:
            while self._advance():
                messages.append(bytes(self._buffer[: self._total]))
                del self._buffer[: self._total]
                self._total = 0
        except SipError as error:
            self.error = error
            self._buffer.clear()
            if not messages:
                raise
        return messages

    def _advance(self) -> bool:
        """Whether a whole message is at the front of the buffer, `_total` bytes long."""
        buffer = self._buffer
        if not self._total:
            if not self._searched and not self._begin():
                return False
            end, body_start = find_blank_line(buffer, self._searched)
            if end < 0:
                # An empty line may be half here: "\n" or "\n\r".
                self._searched = max(1, len(buffer) - 2)
                if len(buffer) > self._limits.message_bytes:
                    raise SipError(413, "Request Entity Too Large")
                return False
            self._searched = 0
            if body_start <= self._limits.message_bytes:
                self._total = body_start + self._content_length(end)
            if not 0 < self._total <= self._limits.message_bytes:
                raise SipError(413, "Request Entity Too Large")
        return len(buffer) >= self._total

    def _begin(self) -> bool:
        """Drops line breaks and looks at the start line; whether that is whole."""
        buffer = self._buffer
        at = 0
        while buffer.startswith(b"\r\n", at):
            at += 2
            self._line_breaks += 1
            if self._line_breaks % 2 == 0:
                self.pings += 1
        del buffer[:at]
        if not buffer or buffer == b"\r":
            return False
        self._line_breaks = 0
        if buffer[0] not in _TOKEN_BYTES:
            raise SipError(400, "Not a SIP message")
        end = buffer.find(b"\n")
        if (end if end >= 0 else len(buffer)) > self._limits.line_chars:
            raise SipError(400, "Start line too long")
        if end < 0:
            return False
        # Somebody speaking HTTP or the like is told apart by the first line, not after a time-out.
        line = bytes(buffer[:end]).upper()
        if not line.startswith(b"SIP/") and b" SIP/" not in line:
            raise SipError(400, "Not a SIP message")
        return True

    def _content_length(self, end: int) -> int:
        _, *lines = split_lines(bytes(self._buffer[:end]))
        if len(lines) > self._limits.header_count:
            raise SipError(400, "Too many header lines")
        lines, keys = index_lines(lines)
        count = keys.count("content-length")
        if count != 1:
            # Over a stream it is the only end of a message (RFC 3261 §18.3).
            lack = "More than one" if count else "Missing"
            raise SipError(400, f"{lack} Content-Length header")
        value = lines[keys.index("content-length")].partition(":")[2].strip(WHITESPACE)
        length = parse_digits(value, 9_999_999_999)
        if length is None:
            raise SipError(400, "Malformed Content-Length header")
        return length
