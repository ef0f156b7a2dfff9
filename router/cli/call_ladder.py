"""The ladder of one call drawn from the times on its CDR: what is known without any message."""

from __future__ import annotations

from typing import Final, NamedTuple

from rich.text import Text

from router.cli.ladder import Arrow, Lane, draw_ladder
from router.store.cdr_lines import plain
from router.store.records import Attempt, Cdr

CALLER: Final = 0
US: Final = 1
MOST_LANES: Final = 4
"""With more gateways than fit beside caller and router they share a lane."""


class Event(NamedTuple):
    """Something that went from one lane to another, `at_ms` after the call came in."""

    at_ms: int
    source: str
    target: str
    what: str
    note: str = ""


def events_of(cdr: Cdr) -> list[Event]:
    """What the CDR's times tell, in order; the peers are "caller" and the gateways' names."""
    found = [Event(cdr.started, "caller", "trunkline", f"INVITE {cdr.callee_in}")]
    for number, attempt in enumerate(cdr.attempts, 1):
        found += _attempt_events(cdr, attempt, f"attempt {number}")
    if cdr.ringing:
        found.append(Event(cdr.ringing, "trunkline", "caller", "180 or 183"))
    if cdr.answered:
        found.append(Event(cdr.answered, "trunkline", "caller", "200"))
        found += _hang_up_events(cdr)
    elif cdr.end_side == "caller":
        found.append(Event(cdr.ended, "caller", "trunkline", "CANCEL"))
        found.append(Event(cdr.ended, "trunkline", "caller", str(cdr.sip_code or 487)))
    elif cdr.sip_code:
        found.append(Event(cdr.ended, "trunkline", "caller", str(cdr.sip_code), cdr.end_reason))
    found.sort(key=lambda event: event.at_ms)  # stable: what caused another stands before it
    return [event._replace(at_ms=max(event.at_ms - cdr.started, 0)) for event in found]


def _attempt_events(cdr: Cdr, attempt: Attempt, note: str) -> list[Event]:
    name = attempt.gateway
    found = [Event(attempt.started, "trunkline", name, f"INVITE {attempt.callee_out}", note)]
    if attempt.ringing:
        found.append(Event(attempt.ringing, name, "trunkline", "180 or 183"))
    if attempt.answered:
        found.append(Event(attempt.answered, name, "trunkline", "200"))
    elif attempt.ended and attempt.sip_code:
        found.append(Event(attempt.ended, name, "trunkline", str(attempt.sip_code), attempt.reason))
    elif attempt.ended and cdr.end_side != "caller":
        found.append(Event(attempt.ended, "trunkline", name, "given up", attempt.reason))
    elif attempt.ended:
        found.append(Event(attempt.ended, "trunkline", name, "CANCEL"))
    return found


def _hang_up_events(cdr: Cdr) -> list[Event]:
    gateway = cdr.gateway
    to_caller = Event(cdr.ended, "trunkline", "caller", "BYE", cdr.end_reason)
    to_gateway = Event(cdr.ended, "trunkline", gateway, "BYE", cdr.end_reason)
    if cdr.end_side == "caller":
        return [Event(cdr.ended, "caller", "trunkline", "BYE"), to_gateway]
    if cdr.end_side == "callee":
        return [Event(cdr.ended, gateway, "trunkline", "BYE"), to_caller]
    return [to_caller, to_gateway]


def draw_call(cdr: Cdr, width: int, *, ascii_only: bool = False) -> Text:
    """The ladder, at most `width` columns where that is possible at all."""
    gateways = list(dict.fromkeys(one.gateway for one in cdr.attempts))
    share = len(gateways) + 2 > MOST_LANES
    names = ["caller", "trunkline", *(["gateways"] if share else gateways)]
    lanes = [Lane(plain(name), ("", at)) for at, name in enumerate(names)]
    index = {name: at for at, name in enumerate(names)}
    arrows = []
    for event in events_of(cdr):
        source, target = index.get(event.source, 2), index.get(event.target, 2)
        if source == target or max(source, target) >= len(lanes):
            continue
        note = event.note
        if share and 2 in (source, target):
            gateway = event.target if target == 2 else event.source
            note = f"{gateway}: {note}" if note else gateway
        arrows.append(
            Arrow(source, target, event.at_ms, plain(event.what), plain(note), _style(event.what))
        )
    return draw_ladder(arrows, lanes, width, ascii_only=ascii_only, aside_title="")


def _style(what: str) -> str:
    if not what[:1].isdigit():
        return "bold"
    return "cyan" if what[0] == "1" else "green" if what[0] == "2" else "red"
