"""Whatever is laid out: it means the same, keeps its comments, and is then left as it is."""

from __future__ import annotations

import os
import re
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_programs import REGEXES, Program

from dsl.format import format_text, same_meaning
from dsl.parse import parse_text
from router.routing.surface import SURFACE

ROOT = Path(__file__).parents[2]
KINDS = frozenset(SURFACE.blocks)
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "150"))
CALM = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LITERAL = "|".join([r'"(?:[^"\\\n]|\\.)*"', *map(re.escape, REGEXES)])
COMMENT = re.compile(rf"{LITERAL}|(\#[^\n]*|//[^\n]*|/\*.*?\*/)", re.DOTALL)


def comments(text: str) -> list[str]:
    return sorted(" ".join(found.split()) for found in COMMENT.findall(text) if found)


@CALM
@given(st.randoms(use_true_random=False))
def test_a_program_at_random_is_laid_out_once_and_for_all(random: Random) -> None:
    text = Program(random).text()
    result = format_text(text, "random.cfg", KINDS)
    assert result.findings == []
    before, after = (parse_text(one, "random.cfg", KINDS) for one in (text, result.text))
    assert same_meaning(before.items, after.items)
    assert comments(text) == comments(result.text)
    assert format_text(result.text, "random.cfg", KINDS).text == result.text
    lines = result.text.split("\n")
    assert all(line == line.rstrip() for line in lines)
    assert "\n\n\n" not in result.text
    assert result.text == "" or (result.text.endswith("\n") and not result.text.startswith("\n"))
