"""The programs of tests/dsl/good do what their own test blocks say.

Each is about one thing of the language or of routing. They run on the real engine with simulated
peers, as `trunkline test` runs them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from good_programs import VARIABLES, GoodProgram, good_programs
from routes_text import PYTHON_FILES, RATES, SURFACE, MemoryFiles

from dsl.load import load_program
from dsl.program import Program
from router.routing.trial.run import run_trials

WITH_TESTS = [one for one in good_programs() if not one.whole and '\ntest "' in one.text]


def load(text: str, more: Mapping[str, str]) -> Program:
    files = MemoryFiles({**PYTHON_FILES, **RATES, "routes.cfg": text, **more}, VARIABLES)
    return load_program("routes.cfg", SURFACE, files)


def failures(program: Program) -> list[str]:
    """What each test that failed says of it."""
    return [
        f"{one.failure.position.line}: {one.title}: {one.failure.step}: {one.failure.sentence}"
        for one in run_trials(program)
        if one.failure is not None
    ]


@pytest.mark.parametrize("program", WITH_TESTS, ids=[program.place for program in WITH_TESTS])
def test_a_good_program_does_what_its_tests_say(program: GoodProgram) -> None:
    loaded = load(program.text, program.more)
    assert loaded.tests
    assert failures(loaded) == []


def test_there_are_enough_of_them() -> None:
    assert len(WITH_TESTS) >= 160, "what was shown once is shown for ever"
    firsts = [program.text.partition("\n")[0] for program in WITH_TESTS]
    assert all(first.startswith("# ") for first in firsts), "a program says what it is about"
    assert len(set(firsts)) == len(firsts)


# What no call in virtual time can show.
UNSEEN = {
    *("workers", "state", "metrics", "shutdown_timeout", "hook_timeout", "t1", "t2", "ping"),
    *("cdr_file", "cdr_file_mb", "log_calls", "script_metric_series", "username", "register"),
    *("api_tls_certificate", "api_tls_key"),
    *("capture_mb", "capture_hep", "capture_hep_id"),
    # How phones prove themselves, and for how long: a trial's phones need no password.
    *("realm", "digest", "nonce_lifetime", "block_after", "block_within", "block_time"),
    *("min_expires", "max_expires", "max_contacts"),
}


def test_whatever_is_ready_is_in_one_of_them() -> None:
    words = set(re.findall(r"\$?\w+(?:\.\w+)?", "\n".join(one.text for one in WITH_TESTS)))
    wanted = [one.name for one in SURFACE.functions.values() if one.ready]
    wanted += [f"${name}" for fact in SURFACE.facts for name in (fact.name, fact.alias)]
    wanted += [
        f"${object_.name}.{attribute.name}"
        for object_ in SURFACE.objects.values()
        for attribute in object_.attributes.values()
        if attribute.ready
    ]
    wanted += SURFACE.ready_kinds
    for table in (SURFACE.settings, *(block.settings for block in SURFACE.blocks.values())):
        wanted += [one.name for one in table.values() if one.ready and one.name not in UNSEEN]
    missing = sorted(set(wanted) - words)
    assert missing == [], "add a program to tests/dsl/good that shows it"


def test_a_program_that_does_something_else_fails() -> None:
    """So that what passes above has been looked at."""
    program = next(one for one in WITH_TESTS if "case 2, 4..6:" in one.text)
    text = program.text.replace("case 2, 4..6:", "case 2, 4..5:")
    assert failures(load(text, program.more)) == [
        "19: a range ends: expect reply 482: expected the caller to get 482, but it got 480"
    ]
