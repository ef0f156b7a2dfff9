"""Where panels stand on a picture: Grafana's grid of 24 columns, in pixels.

Pure arithmetic on `gridPos`. Origin is the top left corner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

WIDTH: Final = 1600
COLUMNS: Final = 24
MARGIN: Final = 16
GAP: Final = 8
ROW: Final = 38
"""30 pixels of a cell and the gap below it."""
HEAD: Final = 92
"""The name of the dashboard, and its variables below it."""


class Box(NamedTuple):
    """A rectangle in pixels."""

    x: float
    y: float
    w: float
    h: float

    @property
    def right(self) -> float:
        """The x of its right side."""
        return self.x + self.w

    @property
    def bottom(self) -> float:
        """The y of its lower side."""
        return self.y + self.h

    def inside(self, left: float, top: float, right: float, bottom: float) -> Box:
        """The box without these margins."""
        return Box(self.x + left, self.y + top, self.w - left - right, self.h - top - bottom)


def box_of(panel: Mapping[str, Any]) -> Box:
    """The place of a panel."""
    at = panel["gridPos"]
    column = (WIDTH - 2 * MARGIN + GAP) / COLUMNS
    return Box(
        MARGIN + at["x"] * column, HEAD + at["y"] * ROW,
        at["w"] * column - GAP, at["h"] * ROW - GAP,
    )


def height_of(dashboard: Mapping[str, Any]) -> int:
    """How high the picture is."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    return int(HEAD + rows * ROW + GAP)
