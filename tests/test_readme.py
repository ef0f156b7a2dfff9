"""README.md names every command, once, and what it says of the configuration checks clean."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from router.cli.main import COMMANDS

sys.path.insert(0, str(Path(__file__).parent / "dsl"))
from routes_text import check_text

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ROW = re.compile(r"^\| `trunkline (\w+)[^|]*\| +(\S[^|]*)\|$", re.MULTILINE)


def test_every_command_has_one_line() -> None:
    rows = ROW.findall(README.partition("\n## Commands\n")[2].partition("\n## ")[0])
    assert Counter(name for name, _ in rows) == {command.name: 1 for command in COMMANDS}
    assert all(len(text) > 20 for _, text in rows)


def test_its_lines_fit_a_screen_and_no_table_says_a_thing_twice() -> None:
    lines = README.splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []
    assert [line for line in lines if len(line) > 160] == []
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    twice = {row for row in rows if rows.count(row) > 1}
    assert twice <= {"command", "place"}


def test_no_command_is_shown_that_is_not_there() -> None:
    shown = set(re.findall(r"\btrunkline ([a-z]+)\b", re.sub(r"\[[^\]]*\]\([^)]*\)", "", README)))
    assert shown - {command.name for command in COMMANDS} <= {"or"}


def test_the_configuration_that_it_shows_checks_clean() -> None:
    (text,) = re.findall(r"^```\n(listen .*?)^```", README, re.MULTILINE | re.DOTALL)
    assert check_text(text).findings == []


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#\s]+)\)", README))))
def test_its_links_lead_somewhere(link: str) -> None:
    assert link.startswith("http") or (ROOT / link).exists()
