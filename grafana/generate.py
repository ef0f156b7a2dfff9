"""Writes grafana/dashboards/*.json: `make dashboards`. A test fails when they are stale."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana import gateway, money, overview, reasons, workers

FOLDER = Path(__file__).parent / "dashboards"
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


def main() -> int:
    """Write all that differ."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in rendered().items():
        path = FOLDER / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"written: {path.relative_to(Path.cwd())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
