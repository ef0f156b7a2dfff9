"""The ladder of one call drawn from the times on its CDR: what is known without any message."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from router.admin.call_events import events_of
from router.cli.ladder import Arrow, Lane, draw_ladder
from router.store.cdr_lines import plain
from router.store.records import Cdr

CALLER: Final = 0
US: Final = 1
MOST_LANES: Final = 4
"""With more gateways than fit beside caller and router they share a lane."""


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
