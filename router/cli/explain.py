"""`trunkline explain`: the story of one call, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from router.admin.call_events import story_data
from router.admin.captured import as_data, messages_of_call
from router.admin.cdr_search import find_cdr, last_cdr, last_of_number
from router.admin.story import Story, tell
from router.admin.wrong_value import WrongValue
from router.cli.call_ladder import draw_call
from router.cli.captured_text import NOT_CAPTURED, peers_of, show_messages
from router.cli.cdr_query import Json, State, number_of, obey
from router.cli.paragraphs import print_wrapped
from router.store.capture_ring import Captured
from router.store.cdr_lines import iso
from router.store.records import Cdr

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100


def explain(
    id: str = "",
    /,
    *,
    last: Annotated[bool, Parameter(negative="")] = False,
    number: str = "",
    since: str = "1d",
    sip: Annotated[bool, Parameter(negative="")] = False,
    full: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
    state: State = Path("state"),
) -> int:
    """Tell the story of one call: who called, what was tried, why it ended, what to do.

    Parameters
    ----------
    id
        The CDR's id, or the end of it as trunkline cdr lists it, or a Call-ID.
    last
        The call that came in last, instead of an id.
    number
        The last call from or to this number, instead of an id. How it begins may be left out.
    since
        How far back to look for the number: 2026-05-01, 3d, 2w.
    sip
        Show the call's SIP messages too, a line each, if trunkline capture was on.
    full
        Show them whole.
    as_json
        Print one JSON object instead.
    """

    def run() -> None:
        if sum(map(bool, (last, id.strip(), number.strip()))) != 1:
            raise WrongValue(
                "give the id of a CDR, a Call-ID, --number for the last call from or to somebody, "
                "or --last for the newest of all"
            )
        if number.strip():
            cdr = last_of_number(state, number_of(number), since)
        else:
            cdr = last_cdr(state) if last else find_cdr(state, id)
        story = tell(cdr)
        messages = messages_of_call(state, cdr.id, cdr.call_id) if sip or full else None
        if as_json:
            told = story_data(story, cdr)
            if messages is not None:
                told["messages"] = [as_data(one) for one in messages]
            print(json.dumps(told, ensure_ascii=False))
            return
        from rich.console import Console

        console = Console(highlight=False, markup=False)
        show_story(story, cdr, console)
        if messages is not None:
            _show_sip(messages, cdr, console, full=full)

    return obey(run)


def _show_sip(messages: list[Captured], cdr: Cdr, console: Console, *, full: bool) -> None:
    console.print("\nSIP messages", style="bold")
    if not messages:
        print_wrapped(console, NOT_CAPTURED, min(console.width, WIDTH), 2)
        return
    show_messages(messages, console, full=full)
    console.print()
    for line in peers_of(messages, cdr):
        console.print(f"  {line}", style="dim", soft_wrap=True)


def show_story(story: Story, cdr: Cdr, console: Console) -> None:
    """Print a story for people, with its ladder."""
    width = min(console.width, WIDTH)

    def paragraph(title: str, lines: list[str]) -> None:
        if lines:
            console.print(f"\n{title}", style="bold")
            for line in lines:
                print_wrapped(console, line, width, 2)

    print_wrapped(console, f"{story.title}, {iso(cdr.started)}", width, style="bold")
    print_wrapped(console, f"id {story.id}, Call-ID {story.call_id}", width, style="dim")
    console.print()
    ended = "green" if story.reason == "Normal" else "red"
    print_wrapped(console, f"{story.reason}: {story.cause}", width, style=ended)
    print_wrapped(console, story.chinese, width)
    paragraph("What happened", story.happened)
    paragraph("Attempts", story.attempts)
    console.print("\nLadder", style="bold")
    ladder = draw_call(cdr, width, ascii_only=console.options.ascii_only)
    console.print(ladder, no_wrap=True, crop=False)
    paragraph("What to do", story.next)
    paragraph("Bill", story.bill)
