"""A picture in pixels: rectangles, lines, texts and plots on one figure, in Grafana's dark theme.

The only modules that need matplotlib are this one and those that draw on it: `make pictures`
installs it, the tests do without.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any, Final

from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image

from grafana.pictures.layout import Box

# Not every font has every weight; the nearest one will do.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

DPI: Final = 100
PAGE: Final = "#111217"
PLATE: Final = "#181B1F"
BORDER: Final = "#25272C"
GRID: Final = "#2A2D33"
TEXT: Final = "#CCCCDC"
FAINT: Final = "#9A9AA6"
LINK: Final = "#6E9FFF"
_WANTED: Final = ("Inter", "WenQuanYi Micro Hei", "DejaVu Sans")
"""Grafana's own font, one with Chinese, and the one that comes with matplotlib."""
MONO: Final = "DejaVu Sans Mono"
COLOURS: Final = 255


@functools.cache
def families() -> tuple[str, ...]:
    """The fonts of those wanted that this machine has."""
    there = {font.name for font in font_manager.fontManager.ttflist}
    return tuple(name for name in _WANTED if name in there)


class Canvas:
    """One picture; x goes right, y goes down, both in pixels."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure: Any = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=PAGE)
        self.sheet: Any = self.figure.add_axes((0, 0, 1, 1))
        self.sheet.set_xlim(0, width)
        self.sheet.set_ylim(height, 0)
        self.sheet.axis("off")
        self._agg: Any = FigureCanvasAgg(self.figure)
        self._renderer = self._agg.get_renderer()

    def box(self, box: Box, fill: str, *, border: str = "none", radius: float = 0,
            alpha: float = 1, order: float = 1) -> None:
        """A rectangle, with round corners or without."""
        if radius:
            shape: Any = FancyBboxPatch(
                (box.x + radius, box.y + radius), box.w - 2 * radius, box.h - 2 * radius,
                boxstyle=f"round,pad={radius}", facecolor=fill, edgecolor=border, linewidth=0.7,
                alpha=alpha, zorder=order,
            )
        else:
            shape = Rectangle(
                (box.x, box.y), box.w, box.h, facecolor=fill, edgecolor=border, linewidth=0.7,
                alpha=alpha, zorder=order,
            )
        self.sheet.add_patch(shape)

    def line(self, x0: float, y0: float, x1: float, y1: float, colour: str = GRID) -> None:
        """A thin line."""
        self.sheet.plot([x0, x1], [y0, y1], color=colour, linewidth=0.7, zorder=2)

    def text(
        self, x: float, y: float, text: str, *, size: float = 12, colour: str = TEXT,
        bold: bool = False, at: str = "left", room: float | None = None, mono: bool = False,
    ) -> None:
        """One line of text whose middle is at `y`; cut to `room` pixels."""
        if room is not None:
            text = self.cut(text, room, size, bold=bold, mono=mono)
        self.sheet.text(
            x, y, text, fontsize=size * 72 / DPI, color=colour, ha=at, va="center_baseline",
            zorder=5, family=[MONO] if mono else list(families()),
            weight="medium" if bold else "normal", parse_math=False,
        )

    def wide(self, text: str, size: float, *, bold: bool = False, mono: bool = False) -> float:
        """How wide a text is, in pixels."""
        font: Any = font_manager.FontProperties(
            family=[MONO] if mono else list(families()), size=size * 72 / DPI,
            weight="medium" if bold else "normal",
        )
        return float(self._renderer.get_text_width_height_descent(text, font, False)[0])

    def cut(
        self, text: str, room: float, size: float, *, bold: bool = False, mono: bool = False
    ) -> str:
        """The text, with an ellipsis if it is longer than there is room."""
        if self.wide(text, size, bold=bold, mono=mono) <= room:
            return text
        while text and self.wide(text + "…", size, bold=bold, mono=mono) > room:
            text = text[:-1]
        return text.rstrip() + "…"

    def wrapped(self, text: str, room: float, size: float, *, mono: bool = False) -> list[str]:
        """The lines that a text takes."""
        lines: list[str] = []
        for word in text.split(" "):
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and self.wide(longer, size, mono=mono) <= room:
                lines[-1] = longer
            else:
                lines.append(word)
        return lines

    def plot(self, box: Box) -> Any:
        """Axes in a box, without frame."""
        axes = self.figure.add_axes(
            (box.x / self.width, 1 - box.bottom / self.height,
             box.w / self.width, box.h / self.height),
            facecolor="none", zorder=3,
        )
        for side in axes.spines.values():
            side.set_visible(False)
        axes.tick_params(length=0, pad=6, colors=FAINT, labelsize=11 * 72 / DPI)
        return axes

    def name_ticks(self, axes: Any) -> None:
        """Gives the ticks' labels the fonts of everything else."""
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set_family(list(families()))

    def save(self, path: Path) -> None:
        """Writes a PNG of few colours, which makes it small."""
        self._agg.draw()
        image: Any = Image.frombytes(
            "RGBA", (self.width, self.height), bytes(self._agg.buffer_rgba())
        )
        flat = image.convert("RGB").quantize(
            COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        )
        flat.save(path, optimize=True)
