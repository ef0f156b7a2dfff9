"""The screens of `trunkline top`: keys in, tables out. What they show is `admin/live_figures`' and
`top_text`'s.
"""

from __future__ import annotations

import asyncio
import io
import signal
import textwrap
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

from rich.console import Console
from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import DataTable, Input, Static

from router.admin.live_figures import CALLS, VIEWS, Row, Snapshot
from router.admin.story import tell
from router.cli.explain import show_story
from router.cli.top_text import (
    CALL_COLUMNS,
    GATEWAY_COLUMNS,
    TITLES,
    call_cells,
    call_facts,
    ended_cells,
    ended_columns,
    gateway_cells,
    gateway_facts,
    meaning,
    reason_style,
    summary,
)
from router.store.cdr_lines import plain
from router.store.errors import StoreError
from router.store.records import CallRecord, Cdr

KEYS_BEGIN: Final = 16
ABOUT: Final = (
    "ASR and PDD are those of the attempts of the last five minutes, or since the router was "
    "started until top has run for so long. Lines turn yellow at 80 % and red at 95 %. Everything "
    "is read from the state folder; the router is asked nothing."
)
KEYS: Final = (
    ("q, Ctrl-C", "quit"),
    ("↑ ↓ PgUp PgDn", "move in a table"),
    ("Tab", "from the gateways to the calls and back"),
    ("Enter", "open: the story of a call, or a gateway and its last calls; Esc closes"),
    ("s", "sort the gateways by the next column: as configured, name, lines, ASR, PDD, state"),
    ("r", "the other way round"),
    ("/", "filter gateways and calls: a part of a name, number or end reason; empty shows all"),
    ("c", "last failures, all last calls, or calls in progress"),
    ("p, Space", "pause, and go on"),
    ("?", "these keys"),
)
FOOTER: Final = "q quit  / filter  s sort  r reverse  c calls  p pause  Enter open  ? help"
GATEWAY_CALLS: Final = 50
SORTS: Final[dict[str, Callable[[Row], Any]]] = {
    "as configured": lambda row: 0,
    "name": lambda row: row.gateway.name,
    "lines in use": lambda row: (-row.share, -row.gateway.lines_used),
    "ASR": lambda row: 101.0 if row.asr is None else row.asr,
    "PDD": lambda row: -row.quality.pdd_ms,
    "state": lambda row: row.gateway.up,
}
"""The worst first, so that it stands where one looks."""


class Source(Protocol):
    """Where snapshots come from."""

    def read(self, view: str) -> Snapshot:
        """What is so now."""

    def calls_of(self, gateway: str, limit: int) -> list[Cdr]:
        """The newest calls that were tried on a gateway."""


class Page(ModalScreen[None]):
    """A text over everything; Esc, q or Enter closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, "dismiss", show=False) for key in ("escape", "q", "enter", "question_mark")
    ]
    CSS = "Page { background: $background; } Page #hint { dock: bottom; height: 1; }"

    def __init__(self, text: Text) -> None:
        super().__init__()
        self.text = text

    def compose(self) -> ComposeResult:
        """The text, and how to leave it."""
        yield VerticalScroll(Static(self.text, markup=False))
        yield Static("↑ ↓ scroll  Esc close", id="hint")


class TopApp(App[None]):
    """The main screen."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #summary { height: 3; }
    #gateways { height: auto; max-height: 50%; }
    #calls { height: 1fr; }
    DataTable { overflow-x: hidden; scrollbar-size-vertical: 1; }
    DataTable > .datatable--cursor { background: $panel; text-style: none; }
    DataTable:focus > .datatable--cursor { background: $primary-darken-2; text-style: bold; }
    .title { height: 1; background: $panel; text-style: bold; }
    #filter { height: 1; border: none; display: none; padding: 0; }
    #meaning { height: 1; }
    #footer { height: 1; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", show=False),
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("s", "sort", show=False),
        Binding("r", "reverse", show=False),
        Binding("p,space", "pause", show=False),
        Binding("c", "view", show=False),
        Binding("slash", "filter", show=False),
        Binding("question_mark", "keys", show=False),
        Binding("escape", "clear_filter", show=False),
    ]

    def __init__(self, source: Source, every_s: float = 1.0) -> None:
        super().__init__()
        self._source = source
        self._every_s = every_s
        self._snapshot = Snapshot(time.time_ns() // 1_000_000)
        self._view = VIEWS[0]
        self._sort = 0
        self._reverse = False
        self._filter = ""
        self._paused = False
        self._reading = False
        self._shown: dict[str, list[list[Text]]] = {}
        self._keys: dict[str, list[str]] = {}

    def compose(self) -> ComposeResult:
        """Summary, two tables with their titles, a line for the filter, the keys."""
        yield Static(id="summary", markup=False)
        yield Static(id="gateways_title", classes="title", markup=False)
        yield DataTable(id="gateways", cursor_type="row", cursor_foreground_priority="renderable")
        yield Static(id="calls_title", classes="title", markup=False)
        yield DataTable(id="calls", cursor_type="row", cursor_foreground_priority="renderable")
        yield Static(id="meaning", markup=False)
        yield Input(id="filter", placeholder="filter: a part of a name, number or end reason")
        yield Static(FOOTER, id="footer", markup=False)

    async def on_mount(self) -> None:
        """Begin to look; a signal leaves the terminal as it was."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self.exit)
        self.query_one("#gateways", DataTable).focus()
        self.set_interval(self._every_s, self._look)
        await self._look()

    def on_resize(self, event: events.Resize) -> None:
        """Columns are cut to the width."""
        self.call_after_refresh(self._show)

    async def _look(self) -> None:
        """Read again, beside the screen, which stays usable while a disk is slow."""
        if self._reading or self._paused:
            return
        self._reading = True
        try:
            view = self._view
            snapshot = await asyncio.to_thread(self._source.read, view)
        finally:
            self._reading = False
        if view == self._view and not self._paused:
            self._snapshot = snapshot
            self._show()

    # -- what is shown ----------------------------------------------------------------------------

    def _show(self) -> None:
        if not self.is_running or not self.screen_stack:
            return
        main = self.screen_stack[0]
        width = self.size.width
        snapshot = self._snapshot
        main.query_one("#summary", Static).update(summary(snapshot, width))
        rows = self._rows()
        order = list(SORTS)[self._sort]
        how = f"sorted by {order}" if self._sort else order
        title = f"Gateways: {len(rows)}, {how}{', reversed' if self._reverse else ''}"
        main.query_one("#gateways_title", Static).update(self._titled(title))
        self._fill(
            "gateways", GATEWAY_COLUMNS,
            [(row.gateway.name, gateway_cells(row, width)) for row in rows],
        )
        calls = self._calls()
        if self._view == CALLS:
            cells = [(one.id, call_cells(one, snapshot.at_ms, width)) for one in calls
                     if isinstance(one, CallRecord)]
            columns: tuple[str, ...] = CALL_COLUMNS
        else:
            cells = [(one.id, ended_cells(one, snapshot.at_ms, width)) for one in calls
                     if isinstance(one, Cdr)]
            columns = ended_columns(width)
        title = f"{TITLES[self._view]}: {len(cells)}"
        main.query_one("#calls_title", Static).update(self._titled(title))
        self._fill("calls", columns, cells)
        self._tell_meaning()

    def _under_cursor(self, name: str) -> str:
        """The key of the row that the cursor of a table is on."""
        at = self.screen_stack[0].query_one(f"#{name}", DataTable).cursor_row
        keys = self._keys.get(name, [])
        return keys[at] if at < len(keys) else ""

    def _tell_meaning(self) -> None:
        """In full, what the tables cut: why the gateway is down, or what the call's end means."""
        main = self.screen_stack[0]
        text = Text()
        if main.query_one("#gateways", DataTable).has_focus:
            name = self._under_cursor("gateways")
            row = next((one for one in self._snapshot.rows if one.gateway.name == name), None)
            if row is not None and not row.gateway.up:
                text.append(f"{plain(name)}: ", "bold red")
                text.append(plain(row.gateway.state))
        key = self._under_cursor("calls")
        one = next((one for one in self._calls() if one.id == key), None)
        if not text and isinstance(one, Cdr):
            text.append(f"{plain(one.end_reason)}: ", reason_style(one.end_reason))
            text.append(meaning(one))
        text.truncate(self.size.width, overflow="ellipsis")
        main.query_one("#meaning", Static).update(text)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """The cursor moved."""
        self._tell_meaning()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The other table."""
        if len(self.screen_stack) == 1:
            self._tell_meaning()

    def _titled(self, title: str) -> str:
        told = f', filter "{self._filter}"' if self._filter else ""
        return f"{title}{told}{'  PAUSED' if self._paused else ''}"

    def _rows(self) -> list[Row]:
        wanted = self._filter.lower()
        rows = [row for row in self._snapshot.rows if wanted in row.gateway.name.lower()]
        if not rows and wanted:
            rows = list(self._snapshot.rows)  # it was meant for the calls
        rows.sort(key=list(SORTS.values())[self._sort])
        return rows[::-1] if self._reverse else rows

    def _calls(self) -> list[Cdr | CallRecord]:
        found: list[Cdr | CallRecord] = []
        found += self._snapshot.calls if self._view == CALLS else self._snapshot.ended
        wanted = self._filter.lower()
        if not wanted:
            return found
        return [one for one in found if wanted in _words(one)]

    def _fill(
        self, name: str, columns: tuple[str, ...], rows: list[tuple[str, list[Text]]]
    ) -> None:
        """Put rows into a table, the cursor staying on what it was on."""
        cells = [[Text(column) for column in columns], *(row for _, row in rows)]
        if self._shown.get(name) == cells:
            return
        table = self.screen_stack[0].query_one(f"#{name}", DataTable)
        before = self._keys.get(name, [])
        at = table.cursor_row
        key = before[at] if at < len(before) else ""
        scroll = table.scroll_y
        table.clear(columns=True)
        table.add_columns(*columns)
        for row_key, row in rows:
            table.add_row(*row, key=row_key)
        keys = [row_key for row_key, _ in rows]
        self._shown[name], self._keys[name] = cells, keys
        # At the top one wants to see what is new; below it, what one was looking at.
        if at and key in keys:
            table.move_cursor(row=keys.index(key), scroll=False)
            table.scroll_to(y=scroll, animate=False)

    # -- keys -------------------------------------------------------------------------------------

    def action_sort(self) -> None:
        """The next order."""
        self._sort = (self._sort + 1) % len(SORTS)
        self._show()

    def action_reverse(self) -> None:
        """The other way round."""
        self._reverse = not self._reverse
        self._show()

    async def action_pause(self) -> None:
        """Stand still, or go on."""
        self._paused = not self._paused
        self._show()
        await self._look()

    async def action_view(self) -> None:
        """The next kind of calls."""
        self._view = VIEWS[(VIEWS.index(self._view) + 1) % len(VIEWS)]
        # Also in a pause: what was not asked for is not there.
        self._snapshot = await asyncio.to_thread(self._source.read, self._view)
        self._show()

    def action_filter(self) -> None:
        """Ask for a filter."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.value = self._filter
        field.focus()

    def action_clear_filter(self) -> None:
        """Leave the field, or show everything again."""
        field = self.query_one("#filter", Input)
        if not field.display:
            self._filter = ""
        field.display = False
        self.query_one("#gateways", DataTable).focus()
        self._show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The filter is set."""
        self._filter = event.value.strip()
        event.input.display = False
        self.query_one("#gateways", DataTable).focus()
        self._show()

    def action_keys(self) -> None:
        """Show the keys."""
        self.push_screen(Page(keys_text(self.size.width)))

    async def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open what the cursor is on."""
        name, key = event.data_table.id, event.row_key.value
        width = self.size.width
        if name == "gateways":
            row = next((one for one in self._snapshot.rows if one.gateway.name == key), None)
            if row is not None:
                self.push_screen(Page(await self._gateway(row)))
            return
        found = next((one for one in self._calls() if one.id == key), None)
        if isinstance(found, Cdr):
            self.push_screen(Page(told(found, width)))
        elif found is not None:
            self.push_screen(Page(call_facts(found, self._snapshot.at_ms)))

    async def _gateway(self, row: Row) -> Text:
        try:
            calls = await asyncio.to_thread(
                self._source.calls_of, row.gateway.name, GATEWAY_CALLS
            )
        except StoreError:
            calls = []
        return gateway_facts(row, calls, self._snapshot.at_ms)


def keys_text(width: int) -> Text:
    """What the keys do, and what is shown, for a page of this width."""
    text = Text("Keys\n\n", style="bold")
    room = max(20, width - 2)
    for key, what in KEYS:
        text.append(f"{key:<{KEYS_BEGIN}}", "bold cyan")
        lines = textwrap.wrap(what, room - KEYS_BEGIN)
        text.append(("\n" + " " * KEYS_BEGIN).join(lines) + "\n", "not bold")
    return text.append("\n" + textwrap.fill(ABOUT, min(room, 100)) + "\n", "not bold dim")


def told(cdr: Cdr, width: int) -> Text:
    """The story of a call as `trunkline explain` prints it."""
    out = io.StringIO()
    console = Console(
        file=out, width=max(20, width - 2), force_terminal=True, color_system="standard",
        no_color=False, highlight=False, markup=False, legacy_windows=False,
    )
    show_story(tell(cdr), cdr, console)
    return Text.from_ansi(out.getvalue())


def _words(one: Cdr | CallRecord) -> str:
    cdr = one if isinstance(one, Cdr) else one.cdr
    return " ".join((
        cdr.caller_in, cdr.callee_in, cdr.gateway, cdr.account, cdr.end_reason, cdr.call_id, cdr.id,
        *(attempt.gateway for attempt in cdr.attempts),
    )).lower()
