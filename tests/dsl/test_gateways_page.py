"""docs/gateways.md: what it shows is a configuration, and the words it quotes are the router's."""

from __future__ import annotations

import re
from pathlib import Path

from routes_text import check_text

from router.routing.surface import SURFACE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/gateways.md").read_text()


def test_its_configuration_has_no_findings() -> None:
    [text] = re.findall(r"^```routes\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert [one.message for one in check_text(text, surface=SURFACE).findings] == []


def test_what_status_says_stands_in_the_code() -> None:
    said = re.findall(r"^\| `((?:up|down)\b[^`]*)` \|", PAGE, re.MULTILINE)
    assert len(said) == 7
    code = "".join(
        (ROOT / "router" / name).read_text()
        for name in (
            "core/access.py", "core/health.py", "core/pings.py", "core/upstream.py",
            "admin/gateway_health.py",
        )
    )
    for line in said:
        for part in re.split(r"[,:] ", line):
            if not re.match(r"\d{3} ", part):  # a gateway's own words
                words = re.sub(r"^\d+ | ….*", "", part)
                assert words in code, (line, words)
