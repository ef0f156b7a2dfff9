"""Message ladders: who sent what to whom and when, drawn for a terminal.

       ms caller            trunkline                gateway1    CSeq
        0    │───── INVITE ─────►│                      │        1 INVITE
        2    │                   │────── INVITE ───────►│        1 INVITE

Knows messages by their start line and CSeq only; whose they are is decided by addresses.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from rich.text import Text

from router.core.network import Wire
from router.sip.errors import SipError
from router.sip.message import Request, Response, parse_message
from router.store.cdr_lines import plain

TIME_WIDTH: Final = 5
AROUND_LABEL: Final = 6
"""A lifeline, the shortest bits of line and blanks beside the label, the arrow's head."""
NARROWEST: Final = 10
WIDEST: Final = 44
_ASCII = str.maketrans("│─┼►◄…", "|-+><~")


class Lane(NamedTuple):
    """A party: the name above its lifeline, and the address (host, port) it is known by."""

    name: str
    address: tuple[str, int]


class Arrow(NamedTuple):
    """One message: lanes by index, the time in ms since the first one, and what is written."""

    source: int
    target: int
    at_ms: int
    label: str
    cseq: str
    style: str

    @property
    def span(self) -> range:
        """The gaps it crosses; gap i lies between lane i and lane i + 1."""
        return range(min(self.source, self.target), max(self.source, self.target))


def wires_of(wires: Sequence[Wire], call_ids: Collection[str]) -> list[Wire]:
    """The messages with one of these Call-IDs: a call has one for each of its legs."""
    found = []
    for wire in wires:
        message = _parsed(wire)
        if message is not None and message.call_id in call_ids:
            found.append(wire)
    return found


def render_ladder(
    wires: Sequence[Wire], lanes: Sequence[Lane], width: int, *, ascii_only: bool = False
) -> Text:
    """The ladder, at most `width` columns where that is possible at all; "" when nothing was said.

    Messages to or from an address that is no lane are left out. Labels that do not fit are cut.
    """
    return draw_ladder(_arrows(wires, lanes), lanes, width, ascii_only=ascii_only)


def draw_ladder(
    arrows: Sequence[Arrow], lanes: Sequence[Lane], width: int, *, ascii_only: bool = False,
    aside_title: str = "CSeq",
) -> Text:
    """The same of arrows that are known already; what stands beside them has a title."""
    if not arrows:
        return Text()
    columns = _columns(arrows, lanes, width)
    aside = columns[-1] + _aside(lanes)
    lines = [_header(lanes, columns, aside, aside_title)]
    lines += [_row(arrow, columns, aside) for arrow in arrows]
    ladder = Text("\n").join(lines)
    if ascii_only:
        ladder.plain = ladder.plain.translate(_ASCII)
    return ladder


class LiveLadder:
    """A ladder that grows while messages come: the lifelines stand still, `width` columns in all.

    `rows` gives the header first, then what is new each time it is asked.
    """

    def __init__(self, lanes: Sequence[Lane], width: int, *, ascii_only: bool = False) -> None:
        self._lanes = lanes
        first = TIME_WIDTH + 1 + len(lanes[0].name) // 2
        room = width - first - _aside(lanes) - len("00 INVITE")
        gap = max(NARROWEST, min(WIDEST, room // max(1, len(lanes) - 1)))
        self._columns = [first + at * gap for at in range(len(lanes))]
        self._ascii_only = ascii_only
        self._shown = -1

    def rows(self, wires: Sequence[Wire]) -> list[Text]:
        """The lines for what has come since the last time; `wires` is all so far."""
        aside = self._columns[-1] + _aside(self._lanes)
        arrows = _arrows(wires, self._lanes)
        lines = []
        if self._shown < 0 and arrows:
            self._shown = 0
            lines.append(_header(self._lanes, self._columns, aside, "CSeq"))
        if self._shown >= 0:
            lines += [_row(arrow, self._columns, aside) for arrow in arrows[self._shown :]]
            self._shown = len(arrows)
        if self._ascii_only:
            for line in lines:
                line.plain = line.plain.translate(_ASCII)
        return lines


def _parsed(wire: Wire) -> Request | Response | None:
    try:
        return parse_message(wire.data)
    except SipError:
        return None


def _arrows(wires: Sequence[Wire], lanes: Sequence[Lane]) -> list[Arrow]:
    index = {lane.address: at for at, lane in enumerate(lanes)}
    arrows: list[Arrow] = []
    seen: set[tuple[tuple[str, int], bytes]] = set()
    start_ms = 0
    for wire in wires:
        source, target = index.get(wire.source), index.get(wire.target)
        message = _parsed(wire)
        if source is None or target is None or source == target or message is None:
            continue
        start_ms = start_ms or wire.at_ms
        label, style = _label(message)
        if (wire.target, wire.data) in seen:
            label += ", again"
        seen.add((wire.target, wire.data))
        cseq = f"{message.cseq} {message.cseq_method}"
        arrows.append(Arrow(source, target, wire.at_ms - start_ms, label, cseq, style))
    return arrows


def _label(message: Request | Response) -> tuple[str, str]:
    if isinstance(message, Request):
        return message.method, "bold"
    if message.status < 200:
        style = "cyan"
    else:
        style = "green" if message.status < 300 else "red"
    return plain(f"{message.status} {message.reason}".rstrip()), style


def _columns(arrows: Sequence[Arrow], lanes: Sequence[Lane], width: int) -> list[int]:
    """Where each lifeline stands: as near to the others as names and labels allow."""
    names = [len(lane.name) for lane in lanes]
    gaps = [max(NARROWEST, left // 2 + right // 2 + 3) for left, right in pairwise(names)]
    # Short spans first: what they need also serves the long ones.
    for arrow in sorted(arrows, key=lambda arrow: len(arrow.span)):
        needed = len(arrow.label) + AROUND_LABEL
        if max(gaps[gap] for gap in arrow.span) < needed:
            gaps[arrow.span[0]] = needed
    first = TIME_WIDTH + 1 + names[0] // 2
    aside = _aside(lanes) + max(len(arrow.cseq) for arrow in arrows)
    excess = first + sum(gaps) + aside - width
    while excess > 0 and max(gaps) > NARROWEST:
        gaps[gaps.index(max(gaps))] -= 1
        excess -= 1
    columns = [first]
    for gap in gaps:
        columns.append(columns[-1] + gap)
    return columns


def _aside(lanes: Sequence[Lane]) -> int:
    """How far right of the last lifeline the CSeq stands: behind the name above it."""
    return (len(lanes[-1].name) + 1) // 2 + 1


def _header(
    lanes: Sequence[Lane], columns: Sequence[int], aside: int, aside_title: str
) -> Text:
    line = "ms".rjust(TIME_WIDTH)
    for lane, column in zip(lanes, columns, strict=True):
        line = line.ljust(column - len(lane.name) // 2) + lane.name
    return Text((line.ljust(aside) + aside_title).rstrip(), style="bold")


def _row(arrow: Arrow, columns: Sequence[int], aside: int) -> Text:
    cells = list(str(arrow.at_ms).rjust(TIME_WIDTH).ljust(aside))
    for column in columns:
        cells[column] = "│"
    left, right = (columns[lane] for lane in sorted((arrow.source, arrow.target)))
    for column in range(left + 1, right):
        cells[column] = "┼" if cells[column] == "│" else "─"
    if arrow.target > arrow.source:
        cells[right - 1] = "►"
    else:
        cells[left + 1] = "◄"
    # Within one gap if it fits there, so that no lifeline is written over.
    gap = max(arrow.span, key=lambda gap: columns[gap + 1] - columns[gap])
    start, end = columns[gap], columns[gap + 1]
    label = arrow.label
    room = end - start - AROUND_LABEL
    if len(label) > room:
        label = label[: room - 1] + "…"
    at = start + 1 + (end - start - 2 - len(label)) // 2
    if arrow.target < arrow.source:
        at += 1  # the head stands on the other side
    cells[at - 1 : at + len(label) + 1] = f" {label} "
    row = Text("".join(cells) + arrow.cseq)
    row.stylize("dim", 0, TIME_WIDTH)
    row.stylize(arrow.style, at, at + len(label))
    row.stylize("dim", aside)
    return row
