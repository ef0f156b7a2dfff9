"""What happened in a call, in order, from its CDR alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from router.admin.story import Story
from router.store.records import Attempt, Cdr


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


def story_data(story: Story, cdr: Cdr) -> dict[str, Any]:
    """The story and what happened when, as plain data."""
    told: dict[str, Any] = msgspec.structs.asdict(story)
    told["ladder"] = [event._asdict() for event in events_of(cdr)]
    return told
