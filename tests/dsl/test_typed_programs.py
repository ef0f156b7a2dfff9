"""Random programs: what is right is accepted, what is accepted runs, and nothing ever raises.

`typed_programs` grows programs that ought to be right, `spoilt_programs` makes mistakes in them,
`played_programs` plays calls through them on the real engine in virtual time.
"""

from __future__ import annotations

import os
import re
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from played_programs import is_writers_mistake, play
from routes_text import SURFACE, check_text
from spoilt_programs import spoilt
from test_any_text import holds
from typed_programs import RATES, TypedProgram

from dsl.format import format_text
from dsl.generate import generate
from dsl.load import make_image
from dsl.outcome import Outcome
from dsl.program import Program
from router.cli.reference.words import STATEMENTS

KINDS = frozenset(SURFACE.blocks)

# A fixed number of examples in every run; HYPOTHESIS_EXAMPLES asks for more.
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "40"))
CALM = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # A smaller seed grows no smaller program.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
SEEDS = st.integers(0, 2**32 - 1)


def loaded(outcome: Outcome) -> Program:
    return make_image(outcome, SURFACE).load(SURFACE)


def assert_laid_out_the_same(text: str, outcome: Outcome) -> None:
    """The layout of a program means the same, finds the same, and is left as it is."""
    layout = format_text(text, "routes.cfg", KINDS)
    assert layout.findings == []
    assert format_text(layout.text, "routes.cfg", KINDS).text == layout.text
    again = check_text(layout.text, more=RATES)
    assert [found.code for found in again.findings] == [found.code for found in outcome.findings]
    assert without_lines(again) == without_lines(outcome)


def without_lines(outcome: Outcome) -> str:
    """The code but for what names lines, which another layout changes."""
    return re.sub(r"(?m)^ *c\.at\(.*\)\n", "", generate(outcome, SURFACE).source())


@CALM
@given(SEEDS)
def test_a_right_program_is_accepted_and_runs(seed: int) -> None:
    random = Random(seed)
    text = TypedProgram(random, SURFACE).text
    outcome = check_text(text, more=RATES)
    errors = [found for found in outcome.findings if found.severity == "error"]
    assert errors == [], text
    assert play(loaded(outcome), random) == [], text
    assert_laid_out_the_same(text, outcome)


@CALM
@given(SEEDS)
def test_a_spoilt_program_gives_findings_or_runs(seed: int) -> None:
    random = Random(seed)
    text = spoilt(TypedProgram(random, SURFACE).text, random)
    outcome = check_text(text, more=RATES)
    holds(outcome, text)
    if outcome.errors:
        return
    faults = play(loaded(outcome), random)
    assert [fault for fault in faults if not is_writers_mistake(fault)] == [], text
    assert_laid_out_the_same(text, outcome)


def test_all_that_is_ready_is_grown() -> None:
    """So that what passes above is no small part of the language."""
    written = "".join(TypedProgram(Random(seed), SURFACE).text for seed in range(80))
    words = set(re.findall(r"\$?\w+(?:\.\w+)?", written))
    ready = [one for one in SURFACE.functions.values() if one.ready]
    assert [one.name for one in ready if one.name not in words] == []
    assert [one.name for one in SURFACE.facts if f"${one.name}" not in words] == []
    assert [one.alias for one in SURFACE.facts if f"${one.alias}" not in words] == []
    objects = [(one.name, name) for one in SURFACE.objects.values() for name in one.attributes]
    ready = [
        f"${name}.{attribute}"
        for name, attribute in objects
        if SURFACE.objects[name].attributes[attribute].ready
    ]
    assert [one for one in ready if one not in words] == []


def test_every_kind_of_route_statement_and_operator_is_grown() -> None:
    written = "".join(TypedProgram(Random(seed), SURFACE).text for seed in range(80))
    words = set(re.findall(r"\w+", written))
    assert set(SURFACE.ready_kinds) - words == set()
    assert {one.name for one in STATEMENTS} - words == set()
    forms = [
        *("&&", "||", "!", "==", "!=", "<", "<=", ">", ">=", "=~", "!~", "..", "+", "-", "*", "/"),
        *("else if (", " else {", "default:", "return;", "return ", "break;", "exit;", "/i", "= ["),
    ]
    assert [one for one in forms if one not in written] == []


@pytest.mark.parametrize("seed", range(3))
def test_a_program_grows_the_same_from_the_same_seed(seed: int) -> None:
    first, second = (TypedProgram(Random(seed), SURFACE).text for _ in range(2))
    assert first == second
