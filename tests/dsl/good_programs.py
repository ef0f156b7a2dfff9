"""The programs of tests/dsl/good: between lines of `---`, the files that one includes behind
`--- name` lines, most of them with test blocks of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "good"
VARIABLES = {"GATEWAY_LINES": "1", "OFFICE_PREFIX": "86", "PHONE_1001": "secret"}
"""The environment of all programs."""


class GoodProgram(NamedTuple):
    """A program, where it begins, its text, and the text of the files that it includes."""

    place: str
    text: str
    more: Mapping[str, str]

    @property
    def whole(self) -> bool:
        """Whether it is checked against the table with everything ready."""
        return self.text.startswith("# whole\n")


def good_programs() -> list[GoodProgram]:
    """All programs, in the order of the files."""
    found = []
    for path in sorted(FOLDER.glob("*.cfg")):
        line = 1
        for chunk in re.split(r"^---\n", path.read_text(), flags=re.MULTILINE):
            text, *more = re.split(r"^--- (\S+)\n", chunk, flags=re.MULTILINE)
            files = dict(zip(more[::2], more[1::2], strict=True))
            found.append(GoodProgram(f"{path.name}:{line}", text, files))
            line += chunk.count("\n") + 1
    return found
