"""`trunkline explain`: the story of one call, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from router.admin.call_events import story_data
from router.admin.cdr_search import find_cdr, last_cdr, last_of_number
from router.admin.story import Story, tell
from router.admin.wrong_value import WrongValue
from router.cli.call_ladder import draw_call
from router.cli.cdr_query import Json, State, number_of, obey
from router.cli.paragraphs import print_wrapped
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
        if as_json:
            print(json.dumps(story_data(story, cdr), ensure_ascii=False))
        else:
            from rich.console import Console

            show_story(story, cdr, Console(highlight=False, markup=False))

    return obey(run)


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
