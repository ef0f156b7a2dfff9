"""The functions of routes that work on values alone and need no call."""

from __future__ import annotations

import re
from decimal import Decimal
from zlib import crc32


def substr(text: str, start: int, length: int | None = None) -> str:
    """A part of the text; a negative start counts from the end, without a length: the rest."""
    if start < 0:
        start = max(0, len(text) + start)
    if length is None:
        return text[start:]
    return text[start : start + max(0, length)]


def strip(text: str, n: int) -> str:
    """The text without its first n characters; with a negative n without its last."""
    return text[n:] if n >= 0 else text[:n]


def match(text: str, regex: re.Pattern[str], group: int = 0) -> str:
    """What a group of the regex matched, "" if nothing did."""
    found = regex.search(text)
    return (found.group(group) or "") if found is not None else ""


def text_of(value: object) -> str:
    """The value as text: true and false as in routes.cfg, numbers without an exponent."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)


def int_of(text: str, default: int) -> int:
    """The number that the text writes in decimal digits, else the default."""
    digits = text[1:] if text.startswith("-") else text
    # int() would also take blanks, underscores and other scripts' digits.
    if digits.isascii() and digits.isdigit() and len(digits) <= 18:
        return int(text)
    return default


def hash_of(text: str) -> int:
    """A number from 0 to 4294967295 that is the same for the same text, on every machine."""
    return crc32(text.encode("utf-8", "surrogateescape"))
