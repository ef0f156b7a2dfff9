"""`trunkline top` on a made-up router: what stands there at two sizes, and what each key does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from router.admin.live_figures import CALLS, FAILURES, Reader, Row, Snapshot
from router.admin.status_facts import Gateway, Status, Worker
from router.cli.top_app import KEYS, Page, TopApp
from router.cli.top_text import bar, spark
from router.store.quality import Quality
from router.store.records import Attempt, CallRecord, Cdr

NOW_MS = 1_780_000_000_000
SMALL, LARGE = (80, 24), (200, 60)


def gateway(name: str, used: int, lines: int | None, quality: Quality, *, up: bool = True) -> Row:
    state = "up" if up else "down: no answer to 3 OPTIONS (4 s ago)"
    return Row(Gateway(name, up, used, lines, True, used * 31, 0, state=state), quality)


def failed(at: int, callee: str, reason: str, by: str) -> Cdr:
    started = NOW_MS - at * 1000
    return Cdr(
        id=f"{at:08x}", call_id=f"call-{at}", caller_in="02161234567", callee_in=callee,
        gateway=by, account="acme", trunk="office", source="192.0.2.7", started=started,
        ended=started + 900, end_reason=reason, sip_code=503,
        attempts=[Attempt(gateway=by, callee_out=callee, started=started, ended=started + 900,
                          sip_code=503, reason="Service Unavailable")] if by else [],
    )


class MadeUp:
    """A router that never changes, unless a test says so."""

    def __init__(self) -> None:
        self.running = True
        self.reads = 0
        self.rows = [
            gateway("cn_mobile", 96, 100, Quality(200, 121, 1240)),
            gateway("backup", 12, 50, Quality(80, 60, 900)),
            gateway("eu_wholesale", 0, None, Quality(0, 0, -1), up=False),
            *(gateway(f"spare{at:02d}", 0, 10, Quality(0, 0, -1)) for at in range(30)),
        ]
        self.failures = [
            failed(3, "8613800138000", "GatewayRejected(503)", "cn_mobile"),
            failed(9, "4420794600", "NoAvailableRouter", ""),
            failed(20, "8613900139000", "ResponseTimeout", "backup"),
        ]

    def read(self, view: str) -> Snapshot:
        self.reads += 1
        status = Status(
            self.running, 1, NOW_MS - 7_380_000, "abc", "python", "3.11", "", 108, 2, 1, 100,
            [Worker(0, self.running, 400), Worker(1, self.running, 400)],
            [row.gateway for row in self.rows],
        )
        call = CallRecord(id="c0ffee", call_id="x", answered=True, cdr=Cdr(
            caller_in="1000", callee_in="8613800138000", gateway="cn_mobile", account="acme",
            started=NOW_MS - 65_000, answered=NOW_MS - 60_000, decision=["identified as office"],
        ))
        return Snapshot(
            NOW_MS, status, rows=self.rows, cps=12.34, per_s=[1, 5, 9, 12.34],
            reasons=[("Normal", 610), ("UserBusy", 44), ("ConnectionTimeout", 3)],
            ended=[] if view == CALLS else self.failures, calls=[call] if view == CALLS else [],
        )

    def calls_of(self, gateway: str, limit: int) -> list[Cdr]:
        return [one for one in self.failures if one.gateway == gateway][:limit]


def screen(app: TopApp) -> str:
    """What stands on the screen, line by line."""
    width, height = app.size
    strips = app.screen._compositor.render_strips()
    lines = ["".join(segment.text for segment in strip).rstrip() for strip in strips]
    assert len(lines) <= height and max(map(len, lines)) <= width
    return "\n".join(lines)


def play(
    source: MadeUp, size: tuple[int, int], act: Callable[[TopApp, Pilot[None]], Awaitable[None]]
) -> TopApp:
    app = TopApp(source, every_s=30)

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await act(app, pilot)

    asyncio.run(run())
    return app


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_everything_that_matters_is_seen(size: tuple[int, int]) -> None:
    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        text = screen(app)
        assert len(text.splitlines()) == size[1]
        for words in (
            "Trunkline running for 2 h 3 min, workers 2 of 2 up", "calls 108", "per second 12.3",
            "ASR 64.6 %", "PDD 1.14 s", "CDRs waiting 2", "UserBusy 44",
            "cn_mobile", "96/100", "60.5 %", "1.24 s", "no limit", "down: no",
            "Last failures: 3", "8613800138000", "GatewayRejected", "NoAvailableRouter",
            "The gateway refused", "q quit", "? help", "STATE", "WHAT IT MEANS", "█",
        ):
            assert words in text, f"{words} is missing in\n{text}"
        if size == LARGE:
            assert "Gateways serve this prefix, but each is down" in text
            assert "down: no answer to 3 OPTIONS (4 s ago)" in text

    play(MadeUp(), size, act)


def test_sorting_puts_the_worst_first_and_can_be_turned_round() -> None:
    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        def first() -> str:
            return screen(app).splitlines()[5].split()[0]

        assert first() == "cn_mobile"
        for order, name in (
            ("name", "backup"), ("lines", "cn_mobile"), ("ASR", "cn_mobile"), ("PDD", "cn_mobile"),
            ("state", "eu_wholesale"), ("configured", "cn_mobile"),
        ):
            await pilot.press("s")
            await pilot.pause()
            assert order in screen(app).splitlines()[3]
            assert first() == name, order
        await pilot.press("r")
        await pilot.pause()
        assert first() == "spare29"

    play(MadeUp(), SMALL, act)


def test_a_filter_holds_for_gateways_and_calls_until_escape() -> None:
    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"backup", "enter")
        await pilot.pause()
        text = screen(app)
        assert 'Gateways: 1, as configured, filter "backup"' in text
        assert "Last failures: 1" in text and "8613900139000" in text
        await pilot.press("escape")
        await pilot.pause()
        assert "Gateways: 33" in screen(app)

    play(MadeUp(), SMALL, act)


def test_a_paused_view_reads_nothing() -> None:
    source = MadeUp()

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("p")
        await pilot.pause()
        assert "PAUSED" in screen(app)
        reads = source.reads
        await app._look()
        assert source.reads == reads
        await pilot.press("p")
        await pilot.pause()
        assert source.reads > reads and "PAUSED" not in screen(app)

    play(source, SMALL, act)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_failed_call_tells_its_story(size: tuple[int, int]) -> None:
    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert isinstance(app.screen, Page)
        text = screen(app)
        assert "02161234567 called 8613800138000" in text and "GatewayRejected(503)" in text
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, Page)

    play(MadeUp(), size, act)


def test_a_gateway_opens_with_its_last_calls() -> None:
    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await pilot.pause()
        text = screen(app)
        assert "96 in use of 100" in text and "of its last 200 attempts" in text
        assert "8613800138000" in text and "8613900139000" not in text

    play(MadeUp(), SMALL, act)


def test_calls_in_progress_are_a_key_away_and_open() -> None:
    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("c", "c")
        await pilot.pause()
        text = screen(app)
        assert "Calls in progress: 1" in text and "talking" in text and "1 min 0 s" in text
        await pilot.press("tab", "enter")
        await pilot.pause()
        text = screen(app)
        assert "identified as office" in text and "trunkline calls kill c0ffee" in text

    play(MadeUp(), SMALL, act)


def test_help_names_every_key_that_is_bound() -> None:
    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")
        await pilot.pause()
        text = screen(app)
        for key in ("q, Ctrl-C", "Enter", "p, Space", "Tab"):
            assert key in text

    play(MadeUp(), SMALL, act)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_it_quits(key: str) -> None:
    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press(key)

    assert play(MadeUp(), SMALL, act).return_code == 0


def test_a_router_that_is_down_is_said_to_be() -> None:
    source = MadeUp()
    source.running = False

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        assert "NOT RUNNING, last heartbeat 0 s ago" in screen(app)
        assert "cn_mobile" in screen(app)

    play(source, SMALL, act)


def test_the_cursor_stays_on_what_it_was_on() -> None:
    source = MadeUp()

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("tab", "down")
        source.failures.insert(0, failed(1, "999", "NotFound", ""))
        await app._look()
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert "called 4420794600" in screen(app)

    play(source, SMALL, act)


def test_what_peers_say_cannot_reach_the_terminal() -> None:
    source = MadeUp()
    source.failures = [failed(1, "86\x1b]0;x\x07[bold]1", "NotFound", "")]

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        text = screen(app)
        assert "\x1b" not in text and "\x07" not in text
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert "\x1b" not in screen(app) and "\x07" not in screen(app)

    play(source, LARGE, act)


def test_a_folder_of_no_router_is_told_and_looked_at_again(tmp_path: Path) -> None:
    found = Reader(tmp_path / "state").read(FAILURES)
    assert not found.running and "no router has run" in found.headline


def test_bars_and_sparks() -> None:
    assert bar(0.5, 8).plain == "████····"
    assert bar(0.001, 8).plain == "▏·······"
    assert bar(2.0, 4).plain == "████"
    assert [bar(share, 8).style for share in (0.1, 0.8, 0.95)] == ["green", "yellow", "red"]
    assert spark([0, 1, 2, 4], 3) == "▃▅█"
    assert spark([], 5) == "" and spark([0.0], 5) == "▁"


def test_the_page_of_top_says_what_each_key_does() -> None:
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "top.md").read_text().replace("`", "")
    rows = dict(line.strip("| ").split(" | ", 1) for line in page.splitlines() if " | " in line)
    for key, what in KEYS:
        told = rows[key].replace("[trunkline explain](end-reasons.md)", "trunkline explain")
        assert told.replace(", as trunkline explain tells it", "") == what
    for name in re.findall(r"\]\((images/[\w-]+\.png)\)", page):
        data = (docs / name).read_bytes()
        assert data.startswith(b"\x89PNG") and len(data) < 320 << 10, "make pictures"
