"""One SIP message as it came, taken apart just enough for a test to ask about it.

It shares no code with `router.sip`, so that the two cannot be wrong together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "c": "content-type",
    "l": "content-length",
    "k": "supported",
    "s": "subject",
    "e": "content-encoding",
}


@dataclass(slots=True)
class Heard:
    """One message as it came: start line, header lines in order, body, sender, time."""

    raw: bytes
    source: tuple[str, int]
    at: float
    start: str = ""
    lines: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def __post_init__(self) -> None:
        head, _, self.body = self.raw.partition(b"\r\n\r\n")
        first, *rest = head.decode("utf-8", "surrogateescape").split("\r\n")
        self.start = first
        for line in rest:
            name, _, value = line.partition(":")
            self.lines.append((name.rstrip(), value.strip()))

    @property
    def status(self) -> int:
        """The status code; 0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """The method; "" for a response."""
        return "" if self.status else self.start.split()[0]

    @property
    def uri(self) -> str:
        """The request's URI."""
        return self.start.split()[1]

    def all(self, name: str) -> list[str]:
        """The values of every line with this name, short or long, in order."""
        wanted = name.lower()
        return [
            value for key, value in self.lines if COMPACT.get(key.lower(), key.lower()) == wanted
        ]

    def get(self, name: str) -> str:
        """The value of the first line with this name; "" if there is none."""
        values = self.all(name)
        return values[0] if values else ""

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method of CSeq."""
        number, method = self.get("CSeq").split()
        return int(number), method

    @property
    def contact_uri(self) -> str:
        """What stands between the angle brackets of Contact, or all of it."""
        value = self.get("Contact")
        return value.partition("<")[2].partition(">")[0] or value

    @property
    def to_tag(self) -> str:
        """The tag of To; "" if there is none."""
        return tag_of(self.get("To"))

    @property
    def from_tag(self) -> str:
        """The tag of From."""
        return tag_of(self.get("From"))

    def names(self) -> list[str]:
        """Header names in order, as they were spelled."""
        return [name for name, _ in self.lines]

    def __str__(self) -> str:
        return f"{self.at:.3f} from {self.source[1]}:\n{self.raw.decode('utf-8', 'replace')}"


def tag_of(value: str) -> str:
    """The tag parameter behind the address of a From or To value."""
    rest = value.rpartition(">")[2] if ">" in value else value
    for part in rest.split(";")[1:]:
        name, _, tag = part.partition("=")
        if name.strip().lower() == "tag":
            return tag.strip()
    return ""


def describes(message: Heard, wanted: Iterable[str | int]) -> bool:
    """Whether the message is one of the wanted: a method, a status, or "200 BYE"."""
    for each in wanted:
        if isinstance(each, int):
            if message.status == each:
                return True
        elif " " in each:
            code, method = each.split()
            if message.status == int(code) and message.cseq[1] == method:
                return True
        elif message.method == each:
            return True
    return False
