"""Which captures are ordered: begun, ended, told in words, whoever asks for it."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from router.admin.cdr_search import UNITS_S
from router.admin.wrong_value import Clash, NotThere, WrongValue
from router.store.capture_ring import CAPTURE_DIR, clear_ring, ring_bytes, segments
from router.store.cdr_lines import iso
from router.store.objects import (
    ALL_SHARES,
    DONE,
    MAX_CAPTURES,
    OBJECTS_DIR,
    AuditRow,
    CaptureOrder,
    LmdbObjects,
)

if TYPE_CHECKING:
    from router.admin.object_changes import Known

DEFAULT_SPAN: Final = "10m"
MAX_SPAN_MS: Final = 7 * 86_400_000
_NUMBER: Final = re.compile(r"\+?([0-9*#]{1,32})")
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?)%")
_ONE_OF: Final = re.compile(r"1/([0-9]{1,5})")
_SPAN: Final = re.compile(r"([0-9]{1,6})([smhdw])")


class CaptureWish(NamedTuple):
    """What an operator asks for, as people type it; "" where nothing is asked."""

    account: str = ""
    number: str = ""
    gateway: str = ""
    source: str = ""
    sample: str = ""
    span: str = DEFAULT_SPAN
    credentials: bool = False


class RunningCapture(msgspec.Struct):
    """A capture that runs; `told` is all of it in words, `sample` the share of calls it takes."""

    id: int
    told: str
    account: str
    number: str
    gateway: str
    source: str
    sample: str
    credentials: bool
    until_ms: int
    started_ms: int
    started_by: str


class CaptureStatus(msgspec.Struct):
    """What is captured now, and what the ring holds; `since_ms` is 0 while it is empty."""

    captures: list[RunningCapture]
    bytes: int
    since_ms: int


def start_capture(known: Known, wish: CaptureWish, who: str, now_ms: int) -> CaptureOrder:
    """Order a capture, in the audit too; WrongValue, or Clash when there are too many."""
    order = _order_of(known, wish, who, now_ms)
    row = AuditRow(now_ms, who, "start", "capture", "", told(order))
    objects = LmdbObjects(known.state / OBJECTS_DIR)
    try:
        started = objects.start_capture(order, row)
    finally:
        objects.close()
    if started is None:
        raise Clash(f"{MAX_CAPTURES} captures run already: stop one with trunkline capture stop")
    return started


def stop_captures(state: Path, id: int, who: str, now_ms: int) -> list[CaptureOrder]:
    """End one capture, or all of them for 0; those that ended. NotThere where it does not run."""
    running = read_captures(state, now_ms)
    ended = [one for one in running if id in (0, one.id)]
    if id and not ended:
        raise NotThere(f"no capture {id} is running: see trunkline capture status")
    if ended:
        what = "capture " + ", ".join(str(one.id) for one in ended)
        row = AuditRow(now_ms, who, "stop", what, "; ".join(map(told, ended)))
        objects = LmdbObjects(state / OBJECTS_DIR)
        try:
            objects.stop_captures({one.id for one in ended}, row)
        finally:
            objects.close()
    return ended


def clear_captured(state: Path, who: str, now_ms: int) -> int:
    """Delete what was captured; how many bytes. StoreError when that cannot be done."""
    objects = LmdbObjects(state / OBJECTS_DIR)
    try:
        number = objects.begin(AuditRow(now_ms, who, "clear", "captured messages"))
        gone = clear_ring(state / CAPTURE_DIR)
        objects.conclude(number, DONE, f"{gone} bytes")
    finally:
        objects.close()
    return gone


def read_captures(state: Path, now_ms: int) -> list[CaptureOrder]:
    """The captures that run now."""
    if not (state / OBJECTS_DIR / "data.mdb").exists():
        return []
    objects = LmdbObjects(state / OBJECTS_DIR, readonly=True)
    try:
        return objects.captures(now_ms)
    finally:
        objects.close()


def capture_status(state: Path, now_ms: int) -> CaptureStatus:
    """What is captured, and how much of it there is."""
    ring = state / CAPTURE_DIR
    found = segments(ring)
    since_ms = int(found[0].name.partition("-")[0], 16) // 1_000 if found else 0
    running = [running_capture(one) for one in read_captures(state, now_ms)]
    return CaptureStatus(running, ring_bytes(ring), since_ms)


def running_capture(order: CaptureOrder) -> RunningCapture:
    """An order as people and scripts see it."""
    return RunningCapture(
        order.id, told(order), order.account, order.number, order.gateway, order.source,
        _percent(order), order.credentials, order.until_ms, order.at_ms, order.who,
    )


def told(order: CaptureOrder) -> str:
    """A capture in words."""
    words = ["all calls" if order.share == ALL_SHARES else f"{_percent(order)} of calls"]
    if order.account:
        words.append(f"of account {order.account}")
    if order.number:
        words.append(f"from or to {order.number}…")
    if order.gateway:
        words.append(f"tried on gateway {order.gateway}")
    if order.source:
        words.append(f"from {order.source}")
    if order.credentials:
        words.append("with credentials")
    return f"{' '.join(words)}, until {iso(order.until_ms)}"


def _percent(order: CaptureOrder) -> str:
    return f"{order.share / 100:g}%"


def _order_of(known: Known, wish: CaptureWish, who: str, now_ms: int) -> CaptureOrder:
    for kind, name in (("account", wish.account), ("gateway", wish.gateway)):
        if name:
            known.find(kind, name)
    return CaptureOrder(
        0, wish.account, _number(wish.number), wish.gateway, _network(wish.source),
        _share(wish.sample), wish.credentials, now_ms + _span_ms(wish.span), who, now_ms,
    )


def _share(text: str) -> int:
    word = text.strip()
    if not word:
        return ALL_SHARES
    one_of, percent = _ONE_OF.fullmatch(word), _PERCENT.fullmatch(word)
    share = 0
    if one_of is not None and int(one_of[1]):
        share = round(ALL_SHARES / int(one_of[1]))
    elif percent is not None:
        share = round(float(percent[1]) * 100)
    if not 0 < share <= ALL_SHARES:
        raise WrongValue(
            f'--sample "{text}" is no share of calls: give 1/20, or a percentage such as 5%'
        )
    return share


def _number(text: str) -> str:
    word = text.strip()
    if not word:
        return ""
    found = _NUMBER.fullmatch(word)
    if found is None:
        raise WrongValue(f'--number "{text}" is not the beginning of a number, such as 86138')
    return found[1]


def _network(text: str) -> str:
    word = text.strip()
    if not word:
        return ""
    try:
        network = ip_network(word, strict=False)
    except ValueError:
        raise WrongValue(
            f'--source "{text}" is no address and no network: give 192.0.2.7 or 192.0.2.0/24'
        ) from None
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _span_ms(text: str) -> int:
    found = _SPAN.fullmatch(text.strip().lower())
    span_ms = int(found[1]) * UNITS_S[found[2]] * 1_000 if found is not None else 0
    if not 0 < span_ms <= MAX_SPAN_MS:
        raise WrongValue(f'--for "{text}" is no span up to a week: give 90s, 10m, 2h or 1d')
    return span_ms
