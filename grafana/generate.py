"""Writes grafana/dashboards/*.json and docs/dashboards.md: `make dashboards`.

A test fails when they are stale.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana import gateway, money, overview, reasons, workers

FOLDER = Path(__file__).parent / "dashboards"
PAGE = FOLDER.parents[1] / "docs/dashboards.md"
TABLE_OF_REASONS = (
    "The table of [end reasons](end-reasons.md): what each means, where to look, what to do."
)
INTRODUCTION = """\
# Dashboards

<!-- Made by `make dashboards` out of grafana/*.py: do not edit. -->

`grafana/` holds dashboards, provisioning files and alert rules; Grafana 10 and newer loads them as they are
([how](first-hour.md#8-see-it)). All have links to each other at the top right, and mark reloads on their curves. Colours
mean the same everywhere: green is as it should be, orange look soon, red look now, blue a fact.
"""  # noqa: E501 - a page's lines are longer
PAGES = (overview, gateway, money, workers, reasons)


def rendered() -> dict[str, str]:
    """The text of each dashboard's file, by name."""
    texts = {}
    for page in PAGES:
        made = page.build().build()
        for number, panel in enumerate(made.panels or (), 1):
            panel.id_val = number
        text = json.dumps(made, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False)
        texts[f"{page.UID}.json"] = text + "\n"
    return texts


def page_of_panels() -> str:
    """docs/dashboards.md: the introduction, and what each panel is for."""
    parts = [INTRODUCTION]
    for page in PAGES:
        made = page.build().build()
        parts.append(f"\n## {made.title.partition('/ ')[2]}\n\n{made.description}\n\n")
        parts.append("| panel | what it is for |\n|---|---|\n")
        for panel in made.panels or ():
            parts.append(f"| {panel.title} | {panel.description or TABLE_OF_REASONS} |\n")
    return "".join(parts)


def main() -> int:
    """Write all that differ."""
    FOLDER.mkdir(exist_ok=True)
    texts = {FOLDER / name: text for name, text in rendered().items()}
    texts[PAGE] = page_of_panels()
    for path, text in texts.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
