"""Trials as a whole: their order, their independence, what a caller of the library gets."""

from __future__ import annotations

import gc
import itertools
import time
from pathlib import Path

from routed import program_of
from tried import ROUTES

from router.routing.trial.offer import CODECS
from router.routing.trial.run import run_trials

ROOT = Path(__file__).parents[3]
CALL = 'invite from 127.0.0.1 caller "1000" callee "86138";'
TESTS = f"""
test "first" {{ {CALL} expect gateway first; gateway first answers; }}
test "second" {{ {CALL} expect gateway first; gateway first answers; }}
test "third" {{ {CALL} expect gateway second; }}
test "fourth" {{ {CALL} gateway first answers; {CALL} gateway first answers; {CALL}
                 expect end ConnectionLimitExceeded; }}
test "fifth" {{ {CALL} expect gateway first; }}
"""


def test_trials_run_in_their_order_and_each_begins_afresh() -> None:
    results = run_trials(program_of(ROUTES + TESTS))
    assert [(result.title, result.passed) for result in results] == [
        ("first", True), ("second", True), ("third", False), ("fourth", True), ("fifth", True),
    ]


def test_trials_give_the_same_every_time() -> None:
    program = program_of(ROUTES + TESTS)
    runs = [run_trials(program) for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0][2].failure is not None
    assert runs[0][2].failure.wires


def test_only_the_chosen_ones_run() -> None:
    program = program_of(ROUTES + TESTS)
    assert [result.title for result in run_trials(program, lambda one: "f" in one.title)] == [
        "first", "fourth", "fifth",
    ]
    assert run_trials(program, lambda one: False) == []


def test_a_program_without_tests_has_no_results() -> None:
    assert run_trials(program_of(ROUTES)) == []


def test_the_stopwatch_says_how_long_each_took() -> None:
    ticks = itertools.count()
    results = run_trials(program_of(ROUTES + TESTS), stopwatch=lambda: float(next(ticks)))
    assert [result.took_s for result in results] == [1.0] * 5


def test_the_position_is_that_of_the_block() -> None:
    (result, *_) = run_trials(program_of(ROUTES + TESTS))
    assert (result.position.line, result.position.column) == (ROUTES.count("\n") + 2, 1)


def test_a_program_serves_calls_as_before_after_its_trials() -> None:
    program = program_of(ROUTES + TESTS)
    before = (program.hash, dict(program.settings), len(program.blocks), dict(program.routes))
    run_trials(program)
    assert (program.hash, dict(program.settings), len(program.blocks), dict(program.routes)) == (
        before
    )


def test_worlds_do_not_outlive_their_trials() -> None:
    from router.routing.trial.world import World

    run_trials(program_of(ROUTES + TESTS))
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, World)]


def test_the_shipped_configuration_passes_its_tests() -> None:
    results = run_trials(program_of((ROOT / "routes.cfg").read_text()))
    assert len(results) >= 3
    assert all(result.passed for result in results)


def test_the_example_of_the_documentation_is_one_of_those() -> None:
    page = (ROOT / "docs/test-blocks.md").read_text()
    example = page.partition("```routes\n")[2].partition("```")[0]
    assert example.startswith("test ")
    assert example in (ROOT / "routes.cfg").read_text()


def test_the_documentation_names_every_codec() -> None:
    page = (ROOT / "docs/test-blocks.md").read_text()
    named = page.partition("in this order: ")[2].partition(".")[0].split(", ")
    assert sorted(named) == sorted(CODECS)


def test_hundreds_run_in_a_second() -> None:
    tests = "\n".join(
        f'test "{number}" {{ {CALL} gateway first replies 503; gateway second answers after 2s;'
        " caller hangs up after 65s; expect end Normal duration 65s; }"
        for number in range(200)
    )
    program = program_of(ROUTES + tests)
    started = time.process_time()
    assert all(result.passed for result in run_trials(program))
    assert time.process_time() - started < 1.0  # 0.2 s where this was written
