"""Writes grafana/dashboards/*.json and docs/dashboards.md: `make dashboards`.

A test fails when they are stale.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana import gateway, money, overview, pages, reasons, workers
from grafana.pictures.questions import SPAN_S, SPEED

FOLDER = Path(__file__).parent / "dashboards"
PAGE = FOLDER.parents[1] / "docs/dashboards.md"
TABLE_OF_REASONS = (
    "The table of [end reasons](end-reasons.md): what each means, where to look, what to do."
)
PICTURES = f"""
The pictures are not Grafana's: `make pictures` draws every panel out of the answers of a real Prometheus to the panel's
own queries, in the places and colours of the committed JSON. It watched a router with seven gateways and five customers
for {SPAN_S // 60} minutes, in which every second stands for {SPEED}: where a panel says an hour, the picture has two minutes. Meanwhile
`uk_london` refuses most calls, `cn_unicom` has few lines, `us_wholesale` is down for a while, the florist has used up
its balance, the bakery has more callers than lines, and one reload is applied and one refused.
"""  # noqa: E501 - a page's lines are longer
INTRODUCTION = """\
# Dashboards

<!-- Made by `make dashboards` out of grafana/*.py: do not edit. -->

`grafana/` holds dashboards, provisioning files and alert rules; Grafana 10 and newer loads them as they are
([how](first-hour.md#8-see-it)). All have links to each other at the top right, and mark reloads on their curves. Colours
mean the same everywhere: green is as it should be, orange look soon, red look now, blue a fact. In charts of end reasons
and codes green is answered, blue is what people decided, orange routing, purple the account, yellow capacity, red the
network and the gateways.
"""  # noqa: E501 - a page's lines are longer
PAGES = (overview, gateway, money, workers, reasons)


def rendered() -> dict[str, str]:
    """The text of each dashboard's file, by name."""
    texts = {}
    for page in PAGES:
        made = page.build().build()
        for number, panel in enumerate(made.panels or (), 1):
            panel.id_val = number
        plain = json.loads(json.dumps(made, cls=JSONEncoder))
        for event in plain["annotations"]["list"]:
            event["titleFormat"] = pages.texts()[event["name"]]
            event["step"] = "15s"
        text = json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False)
        texts[f"{page.UID}.json"] = text + "\n"
    return texts


def picture_of(uid: str) -> str:
    """Where docs/dashboards.md finds a dashboard's picture."""
    return f"images/{uid.replace('trunkline-', 'dashboard-')}.png"


def page_of_panels() -> str:
    """docs/dashboards.md: the introduction, and what each panel is for."""
    parts = [INTRODUCTION, PICTURES]
    for page in PAGES:
        made = page.build().build()
        title = made.title.partition("/ ")[2]
        parts.append(f"\n## {title}\n\n{made.description}\n\n")
        parts.append(f"![The dashboard {title}]({picture_of(page.UID)})\n\n")
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
