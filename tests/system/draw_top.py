"""Pictures of `trunkline top` for docs/, on a router under the calls of a small carrier.

`make pictures` runs it. The screens are Textual's own screenshots, drawn with a font that every
machine has.
"""

from __future__ import annotations

import asyncio
import io
import re
import threading
import time
from pathlib import Path

import resvg_py
from harness.prometheus import ROOT
from harness.showcase import GOES_DOWN, Showcase
from PIL import Image

from router.admin.live_figures import Reader
from router.cli.top_app import TopApp
from router.runtime.agent_driver import AgentDriver

RATE = 7.0
WARM_UP_S = 45
SIZES = ((80, 24), (200, 60))
IMAGES = ROOT / "docs/images"
FONTS = "/usr/share/fonts/truetype/dejavu"


def test_draw_top(run_switch, tmp_path: Path) -> None:
    stop = threading.Event()
    with AgentDriver() as driver:
        show = Showcase(driver)
        switch = run_switch(show, workers=2, start=False)
        show.write_prices(switch.folder)
        switch.start()

        def enough(now_ms: int) -> bool:
            show.step(now_ms, RATE)
            return stop.is_set()

        load = threading.Thread(target=driver.run, args=(enough, 10 * WARM_UP_S * 1000))
        load.start()
        try:
            time.sleep(WARM_UP_S)
            show.break_down(GOES_DOWN)
            time.sleep(8)
            for size in SIZES:
                asyncio.run(_screens(switch.state, size, tmp_path))
        finally:
            stop.set()
            load.join()


async def _screens(state: Path, size: tuple[int, int], folder: Path) -> None:
    app = TopApp(Reader(state), 0.5)
    name = f"top-{size[0]}x{size[1]}"
    async with app.run_test(size=size) as pilot:
        await asyncio.sleep(14)
        _save(app, name, folder)
        if size == SIZES[0]:
            await pilot.press("c", "c", "tab")
            await pilot.pause(0.8)
            _save(app, f"{name}-calls", folder)


def _save(app: TopApp, name: str, folder: Path) -> None:
    """The screen as PNG; without the font that the SVG would fetch."""
    svg = Path(app.save_screenshot(f"{name}.svg", path=str(folder))).read_text()
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.S)
    svg = svg.replace("Fira Code", "DejaVu Sans Mono")
    made = resvg_py.svg_to_bytes(svg_string=svg, font_dirs=[FONTS])
    image = Image.open(io.BytesIO(bytes(made))).convert("RGB")
    image.quantize(64, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)
