"""Captured messages on a terminal: one line each, or whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from router.admin.captured import first_line, text_of, written
from router.store.capture_ring import Captured
from router.store.cdr_lines import iso, plain
from router.store.records import Cdr

NOT_CAPTURED: Final = (
    "No message of this call was captured, or they have been overwritten. Before the next call: "
    "trunkline capture start, with --account, --number, --gateway or --source for less than "
    "everything; it reaches the running router within a second."
)
_COLORS: Final = {"1": "cyan", "2": "green", "3": "yellow", "4": "red", "5": "red", "6": "red"}


def show_messages(messages: Sequence[Captured], console: Console, *, full: bool = False) -> None:
    """Print messages in order: since the first one, from, to, and the start line, or all of it."""
    if not messages:
        return
    began = messages[0].at_us
    ascii_only = console.options.ascii_only
    console.print(Text(f"  the first at {iso(began // 1_000)}", style="dim"))
    times = [f"+{(one.at_us - began) / 1e6:.3f}" for one in messages]
    ends = [(written(one.source), written(one.target)) for one in messages]
    widths = [max(map(len, column)) for column in (times, *zip(*ends, strict=True))]
    arrow = "->" if ascii_only else "→"
    for message, at, (source, target) in zip(messages, times, ends, strict=True):
        line = first_line(message)
        head = Text(f"  {at:>{widths[0]}}  {source:<{widths[1]}} {arrow} {target:<{widths[2]}}  ")
        if full:
            console.print()
            head.stylize("bold")
            head.append(message.transport)
            console.print(head, soft_wrap=True)
            console.print(Text(text_of(message)), soft_wrap=True)
            continue
        told = Text(line.removeprefix("SIP/2.0 ").removesuffix(" SIP/2.0"), style=_style(line))
        told.truncate(max(console.width - cell_len(head.plain), 16), overflow="ellipsis")
        if ascii_only:
            told.plain = told.plain.replace("…", "~")
        console.print(head + told, no_wrap=True, crop=False, soft_wrap=True)


def peers_of(messages: Sequence[Captured], cdr: Cdr) -> list[str]:
    """Who stands at which address: the caller, and each gateway by its name."""
    gateways = {one.b_call_id: one.gateway for one in cdr.attempts if one.b_call_id}
    found: dict[str, None] = {}
    for message in messages:
        name = "the caller" if _call_id(message) == cdr.call_id else ""
        gateway = gateways.get(_call_id(message))
        name = name or (f"gateway {gateway}" if gateway else "")
        if name:
            found[plain(f"{written(message.there)} is {name}")] = None
    return list(found)


def _call_id(message: Captured) -> str:
    from router.runtime.strays import find_call_id

    return find_call_id(message.data).decode("utf-8", "surrogateescape")


def _style(line: str) -> str:
    return _COLORS.get(line[8:9], "") if line.startswith("SIP/2.0 ") else "bold"
