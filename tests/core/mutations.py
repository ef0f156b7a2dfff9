"""SIP messages spoilt at random: what fuzzers, broken stacks and attackers send."""

from __future__ import annotations

import random

NASTY_VALUES = (
    "", " ", ",", ",,,", ";", ";;;=", "<", ">", "<>", "<sip:>", "sip:", "sip:@", "*", '"', '"a',
    "\\",
    "<sip:a@b", "sip:a@[::1", "sip:a@[::1]:99999", "0", "-1", "99999999999999999999", "²", "٣",
    "1 2 3", "4294967296 INVITE", "1  INVITE", "a" * 3_000, "%", "%00", "\x7f", "\udcff\udc80",
    "北京", "<sip:x@y;lr>, <sip:z", "SIP/2.0/UDP", "SIP/2.0/UDP :5060;branch=", "SIP/2.0/UDP a:b",
    "SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK;rport=x;received=y;maddr=z", "application/sdp;;",
    "z9hG4bK", "tel:", "tel:+1;ext=", "Digest", "timer, , 100rel", "Q.850;cause=",
    "<sip:a@b>;tag=", ";tag=x", "<sip:a@b>;tag=x;tag=y", "\t", "a\tb",
)
NASTY_NAMES = (
    "Via", "v", "From", "f", "To", "t", "Call-ID", "i", "CSeq", "Contact", "m", "Max-Forwards",
    "Record-Route", "Route", "Content-Length", "l", "Content-Type", "c", "Require", "RAck", "RSeq",
    "Proxy-Require", "Retry-After", "Reason", "Timestamp", "Expires", "Session-Expires", "Event",
    "X-" + "y" * 500, ":", "", " ", "X Y", "Ünïcode",
)
METHODS = (
    "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "UPDATE", "INFO", "REFER",
    "NOTIFY", "SUBSCRIBE", "MESSAGE", "PUBLISH", "invite", "FROB", "", " ", "SIP/2.0",
)


class Mutator:
    """Spoils messages, deterministically by its random source."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._ways = (
            self._flip_bits, self._cut, self._drop_line, self._swap_lines, self._double_line,
            self._nasty_value, self._nasty_value, self._nasty_value, self._nasty_line,
            self._other_method, self._other_status, self._other_number, self._insert_bytes,
            self._odd_line_ends, self._fold, self._lie_about_length, self._glue,
        )

    def spoil(self, data: bytes) -> bytes:
        """The message with one to four things wrong."""
        for _ in range(self._rng.choice((1, 1, 1, 2, 4))):
            data = self._rng.choice(self._ways)(data)
        return data[:65_000]

    def _lines(self, data: bytes) -> tuple[list[bytes], bytes]:
        head, blank, body = data.partition(b"\r\n\r\n")
        return head.split(b"\r\n"), blank + body

    def _flip_bits(self, data: bytes) -> bytes:
        spoilt = bytearray(data or b"x")
        for _ in range(self._rng.randint(1, 8)):
            spoilt[self._rng.randrange(len(spoilt))] ^= 1 << self._rng.randrange(8)
        return bytes(spoilt)

    def _cut(self, data: bytes) -> bytes:
        return data[: self._rng.randint(0, len(data))]

    def _drop_line(self, data: bytes) -> bytes:
        lines, rest = self._lines(data)
        del lines[self._rng.randrange(len(lines))]
        return b"\r\n".join(lines) + rest

    def _swap_lines(self, data: bytes) -> bytes:
        lines, rest = self._lines(data)
        a, b = self._rng.randrange(len(lines)), self._rng.randrange(len(lines))
        lines[a], lines[b] = lines[b], lines[a]
        return b"\r\n".join(lines) + rest

    def _double_line(self, data: bytes) -> bytes:
        lines, rest = self._lines(data)
        lines.insert(self._rng.randrange(len(lines)), self._rng.choice(lines))
        return b"\r\n".join(lines) + rest

    def _nasty_value(self, data: bytes) -> bytes:
        lines, rest = self._lines(data)
        at = self._rng.randrange(len(lines))
        value = self._rng.choice(NASTY_VALUES).encode("utf-8", "surrogateescape")
        lines[at] = lines[at].partition(b":")[0] + b": " + value
        return b"\r\n".join(lines) + rest

    def _nasty_line(self, data: bytes) -> bytes:
        lines, rest = self._lines(data)
        line = f"{self._rng.choice(NASTY_NAMES)}: {self._rng.choice(NASTY_VALUES)}"
        lines.insert(self._rng.randint(1, len(lines)), line.encode("utf-8", "surrogateescape"))
        return b"\r\n".join(lines) + rest

    def _other_method(self, data: bytes) -> bytes:
        method = self._rng.choice(METHODS).encode()
        first, space, rest = data.partition(b" ")
        old = b" " + first + b"\r\n"
        if self._rng.random() < 0.7:
            rest = rest.replace(old, b" " + method + b"\r\n")
        return method + space + rest

    def _other_status(self, data: bytes) -> bytes:
        status = str(self._rng.choice((0, 100, 101, 183, 199, 200, 202, 299, 300, 399, 401, 481,
                                       491, 503, 600, 699, 700, 999, 1000, -1))).encode()
        if not data.startswith(b"SIP/2.0 "):
            return data
        return b"SIP/2.0 " + status + data[11:]

    def _other_number(self, data: bytes) -> bytes:
        number = self._rng.choice((0, 1, 2, 5, 1_000, 2**31 - 1, 2**31, 2**63))
        lines, rest = self._lines(data)
        lines = [
            b"CSeq: %d %s" % (number, line.rpartition(b" ")[2]) if line[:5] == b"CSeq:" else line
            for line in lines
        ]
        return b"\r\n".join(lines) + rest

    def _insert_bytes(self, data: bytes) -> bytes:
        at = self._rng.randint(0, len(data))
        return data[:at] + self._rng.randbytes(self._rng.randint(1, 20)) + data[at:]

    def _odd_line_ends(self, data: bytes) -> bytes:
        end = self._rng.choice((b"\n", b"\r", b"\r\r\n", b"\n\n", b"\0", b"\r\n\r\n"))
        return data.replace(b"\r\n", end, self._rng.choice((1, 2, 100)))

    def _fold(self, data: bytes) -> bytes:
        at = data.find(b" ", self._rng.randint(0, max(1, len(data) - 1)))
        return data if at < 0 else data[:at] + b"\r\n " + data[at:]

    def _lie_about_length(self, data: bytes) -> bytes:
        lines, rest = self._lines(data)
        length = self._rng.choice((b"0", b"1", b"10000", b"-5", b"x", b"", b"9" * 30))
        lines = [b"Content-Length: " + length if b"ontent-Length" in x else x for x in lines]
        return b"\r\n".join(lines) + rest

    def _glue(self, data: bytes) -> bytes:
        return data + data
