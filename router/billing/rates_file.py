"""Rates files: CSV, also gzipped, into a deck, or into everything that is wrong with them.

A file is read whole or not at all: one fault, and there is no deck. Takes bytes or lines and opens
nothing itself.

    prefix,name,rate_per_min,connect_fee,first_s,cycle_s,free_s,kind,enabled,valid_from,valid_to
    8613,China mobile,0.12,,1,1,,national,yes,2026-01-01,

Columns are known by their header and may stand in any order; `prefix` and `rate_per_min` have to be
there. An empty field means the default. Empty lines and those that begin with `#` are passed over.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from router.billing.deck import Deck
from router.billing.rate import KINDS, MAX_DECIMALS, MILLIONTHS, Rate

MAX_BYTES = 256 * 1024 * 1024
"""of a file, packed or not"""
MAX_PREFIX = 32
MAX_AMOUNT = 1_000_000 * MILLIONTHS
MAX_SECONDS = 86_400
COLUMNS = (
    "prefix", "name", "rate_per_min", "connect_fee", "first_s", "cycle_s", "free_s", "kind",
    "enabled", "valid_from", "valid_to",
)
MAX_KNOWN = 10_000
"""how many fields of a column are remembered"""
_REQUIRED = ("prefix", "rate_per_min")
_GZIP = b"\x1f\x8b"
_NUMBER = frozenset("0123456789+*#")
_YES = frozenset(("true", "1", "yes"))
_NO = frozenset(("false", "0", "no"))


class Problem(NamedTuple):
    """A fault of a rates file; lines count from 1. `code` is that of the finding."""

    line: int
    message: str
    code: str = "bad-rates"


class ParsedRates(NamedTuple):
    """The deck of a file, or None and what is wrong with it, in the order of the lines."""

    deck: Deck | None
    problems: list[Problem]


_Column = tuple[str, Callable[[str], Any], dict[str, Any]]


class _Fault(Exception):
    def __init__(self, message: str, code: str = "bad-rates") -> None:
        super().__init__(message)
        self.problem = message, code


def read_rates(raw: bytes) -> ParsedRates:
    """The rates of a file's bytes, gzipped or plain."""
    try:
        text = _unpacked(raw).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = bytes(error.object).count(b"\n", 0, error.start) + 1
        return ParsedRates(None, [Problem(line, "is not UTF-8 text")])
    except _Fault as fault:
        return ParsedRates(None, [Problem(1, *fault.problem)])
    return parse_rates(io.StringIO(text, newline=""))


def parse_rates(lines: Iterable[str]) -> ParsedRates:
    """The rates of the lines of a CSV file, the header among them."""
    deck = Deck()
    problems: list[Problem] = []
    for line, faults, rate in read_lines(lines):
        problems += faults
        if rate is not None and not deck.add(rate):
            problems.append(twice(line, rate))
    return ParsedRates(None if problems else deck, problems)


def read_lines(lines: Iterable[str]) -> Iterator[tuple[int, Sequence[Problem], Rate | None]]:
    """The rates of the lines of a CSV file one by one: line number, what is wrong, the rate.

    A header that is wrong ends it. Nothing is kept: a file may be of any length.
    """
    reader = csv.reader(_plain(lines), strict=True)
    try:
        header = next((row for row in reader if row), None)
        if header is None:
            yield 1, [Problem(1, "is empty: there is no header")], None
            return
        columns = [name.strip().lower() for name in header]
        faults = [Problem(reader.line_num, why) for why in _header_faults(columns)]
        if faults:
            yield reader.line_num, faults, None
            return
        readers: list[_Column] = [(name, _READERS[name], {}) for name in columns]
        for row in reader:
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
            line = reader.line_num
            found, rate = _row(readers, row)
            yield line, [Problem(line, *fault) for fault in found] if found else (), rate
    except csv.Error as error:
        line = reader.line_num
        yield line, [Problem(line, f"is not CSV: {error}")], None


def twice(line: int, rate: Rate) -> Problem:
    """What is wrong with a second rate of a prefix for the same time."""
    return Problem(line, f"prefix {rate.prefix} has a rate already")


def _plain(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        # A NUL is an error for csv of some versions of Python only.
        yield "\n" if line.startswith("#") else line.replace("\0", "\ufffd")


def _unpacked(raw: bytes) -> bytes:
    if raw[:2] != _GZIP:
        if len(raw) > MAX_BYTES:
            raise _Fault(f"is larger than {MAX_BYTES >> 20} MiB")
        return raw
    parts: list[bytes] = []
    room = MAX_BYTES
    while raw[:2] == _GZIP:  # gzip files may be joined
        unpacker = zlib.decompressobj(wbits=31)
        try:
            parts.append(unpacker.decompress(raw, room + 1))
        except zlib.error as error:
            raise _Fault(f"is not a gzip file: {error}") from None
        room -= len(parts[-1])
        if room < 0:
            raise _Fault(f"is larger than {MAX_BYTES >> 20} MiB unpacked")
        if not unpacker.eof:
            raise _Fault("is a gzip file that ends too early")
        raw = unpacker.unused_data
    return b"".join(parts)


def _header_faults(columns: list[str]) -> Iterator[str]:
    for name in columns:
        if name not in COLUMNS:
            yield f"unknown column `{name}`: the columns are {', '.join(COLUMNS)}"
    for name in sorted({name for name in columns if columns.count(name) > 1}):
        yield f"the column `{name}` stands there twice"
    for name in _REQUIRED:
        if name not in columns:
            yield f"the column `{name}` is missing"


def _row(readers: list[_Column], row: list[str]) -> tuple[list[tuple[str, str]], Rate | None]:
    if len(row) > len(readers):
        return [(f"has {len(row)} fields, the header has {len(readers)}", "bad-rates")], None
    faults: list[tuple[str, str]] = []
    given: dict[str, Any] = {}
    for (name, read, known), raw in zip(readers, row, strict=False):
        value = known.get(raw)
        if value is None:
            text = raw.strip()
            if not text and name != "prefix":
                continue
            try:
                value = read(text)
            except _Fault as fault:
                message, code = fault.problem
                faults.append((f"{name}: {message}", code))
                continue
            # Columns but the first repeat themselves.
            if name != "prefix" and len(known) < MAX_KNOWN:
                known[raw] = value
        given[name] = value
    # A field that is wrong is there all the same.
    faulty = {message.partition(":")[0] for message, _ in faults}
    for name in _REQUIRED:
        if name not in given and name not in faulty:
            faults.append((f"{name} is missing", "bad-rates"))
    since, until = given.get("valid_from", 0), given.get("valid_to", 0)
    if since and until and since >= until:
        faults.append(("valid_to lies before valid_from", "bad-rates"))
    return (faults, None) if faults else ([], Rate(**given))


# --------------------------------------------------------------------------------- the fields


def _prefix(text: str) -> str:
    if not _NUMBER.issuperset(text):
        raise _Fault(f'"{text}" is not a beginning of numbers')
    if len(text) > MAX_PREFIX:
        raise _Fault(f"is longer than {MAX_PREFIX}")
    return text


def _name(text: str) -> str:
    return text


def _amount(text: str) -> int:
    whole, point, part = text.removeprefix("-").partition(".")
    if not (whole + part).isdecimal() or not text.isascii() or (point and not part):
        raise _Fault(f'"{text}" is not an amount')
    if len(part.rstrip("0")) > MAX_DECIMALS:
        raise _Fault(f"{text} has more than {MAX_DECIMALS} decimals")
    if len(whole) > 12:
        raise _Fault(f"{text} is more than {MAX_AMOUNT // MILLIONTHS}")
    amount = int(whole or "0") * MILLIONTHS + int(part[:MAX_DECIMALS].ljust(MAX_DECIMALS, "0"))
    if amount and text[0] == "-":
        raise _Fault(f"{text} is negative", "negative-price")
    if amount > MAX_AMOUNT:
        raise _Fault(f"{text} is more than {MAX_AMOUNT // MILLIONTHS}")
    return amount


def _seconds(minimum: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or len(text) > 9:
            raise _Fault(f'"{text}" is not a number of seconds')
        seconds = int(text)
        if not minimum <= seconds <= MAX_SECONDS:
            raise _Fault(f"{seconds} is not between {minimum} and {MAX_SECONDS}")
        return seconds

    return read


def _kind(text: str) -> str:
    kind = text.lower()
    if kind not in KINDS:
        raise _Fault(f'"{text}" is none of {", ".join(KINDS)}')
    return kind


def _enabled(text: str) -> bool:
    word = text.lower()
    if word not in _YES and word not in _NO:
        raise _Fault(f'"{text}" is neither yes nor no')
    return word in _YES


def _moment(*, last: bool) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            if len(text) == 10:
                day = datetime.combine(date.fromisoformat(text), time(), UTC)
                moment = day + timedelta(days=1) if last else day
            else:
                moment = datetime.fromisoformat(text)
                if moment.tzinfo is None:
                    moment = moment.replace(tzinfo=UTC)
            return max(1, (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1))
        except (ValueError, OverflowError):
            raise _Fault(f'"{text}" is not a date as 2026-12-31 or 2026-12-31T08:00') from None

    return read


_READERS: dict[str, Callable[[str], Any]] = {
    "prefix": _prefix,
    "name": _name,
    "rate_per_min": _amount,
    "connect_fee": _amount,
    "first_s": _seconds(0),
    "cycle_s": _seconds(1),
    "free_s": _seconds(0),
    "kind": _kind,
    "enabled": _enabled,
    "valid_from": _moment(last=False),
    "valid_to": _moment(last=True),
}
