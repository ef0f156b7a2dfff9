"""The value of a setting out of its text, by the type that the table gives it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from dsl.check.report import article, did_you_mean
from dsl.literals import LiteralError, read_duration, read_ip, read_network
from dsl.program import Address
from dsl.rewriting import parse_rules
from dsl.surface import ValueType
from dsl.weekly import parse_week, zone_named

SIP_PORT = 5060
RELAY_PORT = 2223
"""Where the examples of rtpengine's documentation have its ng protocol."""
MAX_AMOUNT = 1_000_000_000
AMOUNT_DECIMALS = 6
"""Amounts are counted in millionths."""
_TRANSPORTS = ("udp", "tcp")
_LATER_TRANSPORTS = ("tls", "ws", "wss")
_PREFIX = re.compile(r"\+?[0-9*#]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.+-]*")
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_INT = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*")
_URI = re.compile(r"(sips?|tel):[^\s<>\"]+")
_METRIC = re.compile(r"[a-z][a-z0-9_]{0,47}")
_TIME_PARTS = ("%Y", "%m", "%d", "%H", "%M", "%%")
_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")


_QUOTED = frozenset(
    {
        "string", "rules", "times", "zone", "uri", "header", "metric", "prefix", "date",
        "file_by_time",
    }
)
"""kinds of value that may stand in quotes"""


class NotReadyError(LiteralError):
    """A value that the language has and this version cannot carry out."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__("not-supported", message, help)


def _bad(message: str, help: str = "") -> LiteralError:
    return LiteralError("bad-value", message, help)


def read_value(text: str, quoted: bool, kind: ValueType, bare_seconds: bool = False) -> Any:
    """The Python value of one value of a setting; raises LiteralError.

    `quoted` says that it stood in quotes or came from the environment; `bare_seconds`, that
    VOS3000's name of the setting was used, whose durations have no unit.
    """
    if quoted and kind.name not in _QUOTED:
        message = f"{article(_NOUNS.get(kind.name, kind.name))} is written without quotes"
        raise _bad(message, f"did you mean `{text}`?")
    if kind.name == "duration" and bare_seconds and _DECIMAL.fullmatch(text):
        text += "s"
    return _READERS[kind.name](text, quoted, kind)


def _string(text: str, quoted: bool, kind: ValueType) -> str:
    if not quoted:
        raise _bad("a text stands in double quotes", f'did you mean "{text}"?')
    return text


def _rules(text: str, quoted: bool, kind: ValueType) -> str:
    if not quoted:
        raise _bad("rewrite rules stand in double quotes", f'did you mean "{text}"?')
    parse_rules(text)
    return text


def _times(text: str, quoted: bool, kind: ValueType) -> str:
    if not quoted:
        raise _bad("times stand in double quotes", f'did you mean "{text}"?')
    parse_week(text)
    return text


def _file_by_time(text: str, quoted: bool, kind: ValueType) -> str:
    if not quoted:
        raise _bad("the name of a file stands in double quotes", f'did you mean "{text}"?')
    for part in re.findall("%.?", text):
        if part not in _TIME_PARTS:
            raise _bad(
                f"`{part}` is no part of a time", f"they are {', '.join(_TIME_PARTS)}; %% is a %"
            )
    if not text.endswith((".csv", ".jsonl")):
        raise _bad(
            f"`{text}` does not say what stands in it",
            "a file of CDRs ends in .csv, or in .jsonl for one JSON object a line",
        )
    if "\0" in text or text.rpartition("/")[2] in (".csv", ".jsonl"):
        raise _bad(f"`{text}` is no name of a file", 'write "cdrs/%Y%m%d-%H.csv"')
    return text


def _zone(text: str, quoted: bool, kind: ValueType) -> str:
    zone_named(text)
    return text


def _header(text: str, quoted: bool, kind: ValueType) -> str:
    if _TOKEN.fullmatch(text) is None:
        raise LiteralError(
            "bad-header-name", f"`{text}` is no name of a header", "a name is written X-Account"
        )
    if text.lower() in kind.choices:
        raise LiteralError(
            "bad-header-name",
            f"the header `{text}` is written by the router itself",
            "`$rU`, `$rd`, `$fU` and `$fn` can be assigned",
        )
    return text


def _uri(text: str, quoted: bool, kind: ValueType) -> str:
    if _URI.fullmatch(text) is None:
        help = f'did you mean "sip:{text}"?' if "@" in text and ":" not in text else ""
        raise _bad(f"`{text}` is no SIP address", help or "write sip:1000@192.0.2.9")
    return text


def _metric(text: str, quoted: bool, kind: ValueType) -> str:
    if _METRIC.fullmatch(text) is None:
        raise _bad(
            f"`{text}` is no name of a metric",
            "it is small letters, digits and `_`, begins with a letter, and has 48 at most",
        )
    if text.endswith("_total"):
        raise _bad(f"`{text}` ends in `_total`, which is added by itself")
    return text


def _code_pair(text: str, quoted: bool, kind: ValueType) -> tuple[int, int]:
    first, colon, second = text.partition(":")
    codes = [int(one) for one in (first, second) if re.fullmatch("[0-9]{1,4}", one)]
    if not colon or len(codes) != 2:
        raise _bad(f"`{text}` is no pair of codes", "a replaced code is written 503:480")
    if not all(300 <= code <= 699 for code in codes):
        raise _bad(f"`{text}` has a code that is no final failure status: they are 300 to 699")
    return codes[0], codes[1]


def _code_reason(text: str, quoted: bool, kind: ValueType) -> tuple[int, str]:
    code, colon, reason = text.partition(":")
    if not colon or re.fullmatch("[0-9]{1,4}", code) is None:
        raise _bad(
            f"`{text}` is no code with its end reason", "a reason of a code is written 480:UserBusy"
        )
    if not 300 <= int(code) <= 699:
        raise _bad(f"`{code}` is no final failure status: they are 300 to 699")
    if reason not in kind.choices:
        message = f"there is no end reason `{reason}` for a call that was not answered"
        raise _bad(message, did_you_mean(reason, kind.choices))
    return int(code), reason


def is_name(text: str) -> bool:
    """Whether a value among prefixes is the name of a block."""
    return _NAME.fullmatch(text) is not None


def _prefix(text: str, quoted: bool, kind: ValueType) -> str:
    if _PREFIX.fullmatch(text) is None and not (kind.refers and is_name(text)):
        raise _bad(
            f"`{text}` is no beginning of a number", "a prefix is digits, such as 86 or 0086"
        )
    return text


def _bounded(number: int, text: str, kind: ValueType) -> int:
    if kind.minimum is not None and number < kind.minimum:
        raise _bad(f"`{text}` is too small: the least is {kind.minimum}")
    if kind.maximum is not None and number > kind.maximum:
        raise _bad(f"`{text}` is too large: the most is {kind.maximum}")
    return number


def _int(text: str, quoted: bool, kind: ValueType) -> int:
    if _INT.fullmatch(text) is None:
        raise _bad(f"`{text}` is no whole number")
    return _bounded(int(text), text, kind)


def _count(text: str, quoted: bool, kind: ValueType) -> int | str:
    if text in kind.choices:
        return text
    if _INT.fullmatch(text) is None:
        words = " or ".join(f"`{choice}`" for choice in kind.choices)
        raise _bad(f"`{text}` is no whole number and not {words}")
    return _bounded(int(text), text, kind)


def _bool(text: str, quoted: bool, kind: ValueType) -> bool:
    if text not in ("true", "false"):
        yes = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false"}
        meant = yes.get(text.lower(), "false" if text == "0" else "")
        help = f"did you mean `{meant}`?" if meant else ""
        raise _bad(f"`{text}` is neither `true` nor `false`", help)
    return text == "true"


def _decimal(text: str, quoted: bool, kind: ValueType) -> Decimal:
    if _DECIMAL.fullmatch(text) is None:
        raise _bad(f"`{text}` is no decimal number", "a decimal is written 100.00")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise _bad(f"`{text}` is no decimal number") from None


def _amount(text: str, quoted: bool, kind: ValueType) -> Decimal:
    amount = _decimal(text, quoted, kind)
    if amount < 0:
        raise _bad(f"`{text}` is negative")
    most = kind.maximum if kind.maximum is not None else MAX_AMOUNT
    if amount > most:
        raise _bad(f"`{text}` is too large: the most is {most}")
    if amount != round(amount, AMOUNT_DECIMALS):
        raise _bad(f"`{text}` has more than {AMOUNT_DECIMALS} decimals")
    return amount


def _word(text: str, quoted: bool, kind: ValueType) -> str:
    if text not in kind.choices:
        choices = ", ".join(kind.choices)
        raise _bad(f"`{text}` is not one of: {choices}", did_you_mean(text, kind.choices))
    return text


def _codes(text: str, quoted: bool, kind: ValueType) -> tuple[int, int]:
    low, high = _pair(text, "a status or a range of them, such as 408 or 500-599")
    if low < 300 or high > 699:
        raise _bad(f"`{text}` is no final failure status: they are 300 to 699")
    return low, high


def _lengths(text: str, quoted: bool, kind: ValueType) -> tuple[int, int]:
    low, high = _pair(text, "a length or a range of them, such as 11 or 1-32")
    return _bounded(low, text, kind), _bounded(high, text, kind)


def _pair(text: str, what: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        help = f"did you mean `{text.replace('..', '-')}`?" if ".." in text else ""
        raise _bad(f"`{text}` is not {what}", help)
    low = int(match.group(1))
    high = int(match.group(2) or low)
    if low > high:
        raise _bad(f"`{text}` has its ends the wrong way round", f"did you mean `{high}-{low}`?")
    return low, high


def _date(text: str, quoted: bool, kind: ValueType) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _bad(f"`{text}` is no date", "a date is written 2026-12-31") from None


def _split_port(text: str, default: int) -> tuple[str, int]:
    """Host and port of `host[:port]`, an IPv6 host in its brackets."""
    host, port = text, ""
    if text.startswith("["):
        close = text.find("]")
        host, rest = text[: close + 1], text[close + 1 :]
        if close < 0 or (rest and not rest.startswith(":")):
            raise LiteralError("bad-address", f"`{text}` is no address", "write [2001:db8::1]:5060")
        port = rest[1:] if rest else ""
        if rest == ":":
            raise LiteralError("bad-address", f"`{text}` has no port behind the colon")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        if not port:
            raise LiteralError("bad-address", f"`{text}` has no port behind the colon")
    elif ":" in text:
        raise LiteralError(
            "bad-address",
            f"the IPv6 address in `{text}` needs brackets",
            "write [2001:db8::1]:5060",
        )
    if not port:
        return host, default
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:9]) <= 65535):
        raise LiteralError("bad-address", f"`{port}` is no port: they are 1 to 65535")
    return host, int(port)


def _ip_host(host: str, text: str) -> str:
    if not host:
        raise LiteralError("bad-address", f"`{text}` has no address before the port")
    return str(read_ip(host))


def _address(text: str, quoted: bool, kind: ValueType) -> Address:
    base, semicolon, parameter = text.partition(";")
    transport = "udp"
    if semicolon:
        transport = _transport(parameter.partition("=")[2], text)
    if base.partition(":")[0] in (*_TRANSPORTS, *_LATER_TRANSPORTS) and base.count(":") > 1:
        scheme, _, rest = base.partition(":")
        help = f"did you mean `{rest};transport={scheme}`?" if scheme != "udp" else ""
        raise LiteralError(
            "bad-address",
            "a gateway's transport stands behind its address",
            help or f"did you mean `{rest}`?",
        )
    host, port = _split_port(base, SIP_PORT)
    if host and not host.startswith("[") and not host.replace(".", "").isdigit():
        if _HOST_NAME.fullmatch(host) is None:
            raise LiteralError("bad-address", f"`{host}` is no address and no host name")
        raise NotReadyError(
            "names of hosts are not looked up in this version", "write the IP address"
        )
    return Address(transport, _ip_host(host, text), port)


def _transport(name: str, text: str) -> str:
    if name in _LATER_TRANSPORTS:
        raise NotReadyError(f"the transport `{name}` is not supported in this version")
    if name not in _TRANSPORTS:
        help = did_you_mean(name, _TRANSPORTS) or "the transports are udp and tcp"
        raise LiteralError("bad-address", f"`{name}` is no transport", help)
    return name


def _listener(text: str, quoted: bool, kind: ValueType) -> Address:
    transport, colon, rest = text.partition(":")
    if not colon or transport[:1].isdigit() or transport.startswith("["):
        raise LiteralError(
            "bad-address", f"`{text}` does not say which transport", f"did you mean `udp:{text}`?"
        )
    transport = _transport(transport, text)
    host, port = _split_port(rest, SIP_PORT)
    return Address(transport, _ip_host(host, text), port)


def _endpoint(text: str, quoted: bool, kind: ValueType) -> Address:
    host, port = _split_port(text, 0)
    address = _ip_host(host, text)
    if not port:
        raise LiteralError("bad-address", f"`{text}` has no port", f"did you mean `{text}:9464`?")
    return Address("tcp", address, port)


def _relay(text: str, quoted: bool, kind: ValueType) -> Address:
    host, port = _split_port(text, RELAY_PORT)
    return Address("udp", _ip_host(host, text), port)


def _reference(text: str, quoted: bool, kind: ValueType) -> str:
    return text


_NOUNS = {
    "codes": "status",
    "lengths": "length",
    "code_pair": "pair of codes",
    "code_reason": "code with its end reason",
    "count": "number",
    "word": "word",
    "listener": "address",
    "endpoint": "address",
    "relay": "address",
    "reference": "name",
}

_READERS: dict[str, Callable[[str, bool, ValueType], Any]] = {
    "string": _string,
    "rules": _rules,
    "times": _times,
    "zone": _zone,
    "file_by_time": _file_by_time,
    "code_pair": _code_pair,
    "code_reason": _code_reason,
    "uri": _uri,
    "header": _header,
    "metric": _metric,
    "prefix": _prefix,
    "int": _int,
    "count": _count,
    "bool": _bool,
    "decimal": _decimal,
    "amount": _amount,
    "duration": lambda text, quoted, kind: read_duration(text),
    "network": lambda text, quoted, kind: read_network(text),
    "address": _address,
    "listener": _listener,
    "endpoint": _endpoint,
    "relay": _relay,
    "codes": _codes,
    "lengths": _lengths,
    "date": _date,
    "word": _word,
    "reference": _reference,
}
