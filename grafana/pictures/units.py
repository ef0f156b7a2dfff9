"""Values as Grafana writes them: the units that the dashboards use.

Knows no panel. A value that is not there is a dash, as Grafana shows it.
"""

from __future__ import annotations

import math
from typing import Final

_SHORT: Final = ("", " K", " Mil", " Bil", " Tri")
_BYTES: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_RATES: Final = {"cps": "c/s", "ops": "ops/s", "reqps": "req/s", "pps": "p/s"}
_PAST: Final = (("year", 31_536_000), ("month", 2_592_000), ("day", 86_400), ("hour", 3_600),
                ("minute", 60), ("second", 1))


def written(value: float | None, unit: str, decimals: int | None = None) -> str:
    """The value with its unit; `decimals` None: as many as it is worth."""
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if unit == "percentunit":
        return plain(value * 100, decimals) + "%"
    if unit == "bool_yes_no":
        return "Yes" if value else "No"
    if unit == "s":
        return _seconds(value, decimals)
    if unit == "bytes":
        number, name = _scaled(value, 1024, _BYTES)
        return f"{plain(number, decimals)} {name}"
    number, name = _scaled(value, 1000, _SHORT)
    text = plain(number, decimals) + name
    return f"{text} {_RATES[unit]}" if unit in _RATES else text


def ago(seconds: float) -> str:
    """How long ago something was, as people say it."""
    for name, size in _PAST:
        count = round(seconds / size)
        if seconds >= size and count:
            if count == 1:
                return f"{'an' if name == 'hour' else 'a'} {name} ago"
            return f"{count} {name}s ago"
    return "a few seconds ago"


def plain(value: float, decimals: int | None = None) -> str:
    """A number: 4.27, 31.5, 482; whole ones without a point."""
    if decimals is None:
        size = abs(value)
        if size == 0 or (size >= 1 and value == int(value)):
            decimals = 0
        elif size < 1:
            decimals = min(4, 1 - math.floor(math.log10(size)))
        else:
            decimals = 2 if size < 10 else 1 if size < 100 else 0
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if not float(text) else text


def _seconds(value: float, decimals: int | None) -> str:
    size = abs(value)
    for limit, factor, name in ((1e-3, 1e6, "µs"), (1, 1e3, "ms"), (60, 1, "s"),
                                (3600, 1 / 60, "mins"), (86_400, 1 / 3600, "hours")):
        if size < limit and size:
            return f"{plain(value * factor, decimals)} {name}"
    return f"{plain(value / 86_400, decimals)} days" if size else "0 s"


def _scaled(value: float, base: int, names: tuple[str, ...]) -> tuple[float, str]:
    number, index = value, 0
    while abs(number) >= base and index + 1 < len(names):
        number, index = number / base, index + 1
    return number, names[index]
