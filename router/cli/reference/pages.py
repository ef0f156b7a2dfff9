"""The files below docs/ that are made: `python -m router.cli.reference.pages docs`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from router.cli.reference.cdr_page import cdr_page
from router.cli.reference.end_reasons import end_reasons_page
from router.cli.reference.language import language_page
from router.cli.reference.metrics_page import metrics_page
from router.cli.reference.textmate import textmate_grammar
from router.routing.surface import SURFACE


def made_pages() -> Mapping[str, str]:
    """The text of each file by its path below docs/."""
    return {
        "language.md": language_page(SURFACE),
        "end-reasons.md": end_reasons_page(),
        "cdr.md": cdr_page(),
        "metrics.md": metrics_page(),
        "editor/syntaxes/trunkline.tmLanguage.json": textmate_grammar(SURFACE),
    }


def main(docs: Path) -> None:
    """Write all files that differ."""
    for name, text in made_pages().items():
        path = docs / name
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"written: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
